# shellcheck shell=bash
# endurance.sh: failovers again and again, on one lab that stays up. To be sourced after lab.sh.
#
#   mixed_up                  a lab with every kind of address translation at once: the pairs of $MIXED_PAIRS
#   strict FW...              nf_conntrack_tcp_loose=0 there: nothing is picked up in mid-stream
#   power_off NODE            it dies within the time that the kernel needs to exchange a rule set, at $died_at
#   power_on NODE             cables and rules are back; the daemon has to be started
#   chance FROM TO            a random number, by $RANDOM
#   pause_ms MS
#   ask NAME WORD...          a command to a program that obeys on $LAB_TMP/NAME.ask
#   number NAME TEXT          the last NAME=NUMBER in it
#
# What one failover is made of; the variables are those of the script: $primary and $backup by their names, $manner (hook:
# by the stock role script), $order (commit or addresses first), $table (of the dead node: kept or flushed), $asks (is its
# role script called when it comes back?), $round, $windows, $kept (where evidence is kept), $troubled, $total_refusing (commits).

CLIENT4B=10.10.1.9 CLIENT6B=fd10:1::9

ask() { local name=$1; shift; "$LAB_PYTHON" "$LAB_ROOT/test/chaos/ask.py" "$LAB_TMP/$name.ask" "$@"; }
chance() { echo $(($1 + RANDOM % ($2 - $1 + 1))); }
pause_ms() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }

# The client has a second address, which the firewalls translate; and they are servers under their own address, too.
mixed_up() {
	local fw
	lab_up dnat
	in_ns client ip addr add "$CLIENT4B/24" dev lan0
	in_ns client ip addr add "$CLIENT6B/64" dev lan0 nodad
	for fw in fw1 fw2; do
		in_ns "$fw" iptables -t nat -A POSTROUTING -o wan0 -s $CLIENT4B -j SNAT --to-source "$WAN_VIP4" &&
			in_ns "$fw" ip6tables -t nat -A POSTROUTING -o wan0 -s $CLIENT6B -j SNAT --to-source "$WAN_VIP6" ||
			die "cannot translate addresses on $fw"
	done
	# none, dnat, snat, both
	MIXED_PAIRS=("$CLIENT4>$SERVER4" "$CLIENT4>$LAN_VIP4" "$CLIENT4B>$SERVER4" "$CLIENT4B>$LAN_VIP4"
		"$CLIENT6>$SERVER6" "$CLIENT6>$LAN_VIP6" "$CLIENT6B>$SERVER6" "$CLIENT6B>$LAN_VIP6")
}

strict() {
	local fw
	for fw; do
		in_ns "$fw" sh -c 'echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose; echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal' ||
			die "cannot make $fw strict"
	done
}

# Three links cannot be pulled at the same instant, and in the time between a firewall that no longer tells its peer
# anything would go on changing connections. One rule set is exchanged for another at an instant.
power_off() {
	local fw=$1
	printf '*raw\n-I PREROUTING -j DROP\n-I OUTPUT -j DROP\nCOMMIT\n' >"$LAB_TMP/off"
	# the dedicated link is IPv4, or IPv6: what carries it goes last
	case $LAB_LINK in
	*6) in_ns "$fw" iptables-restore -n "$LAB_TMP/off"; in_ns "$fw" ip6tables-restore -n "$LAB_TMP/off" ;;
	*) in_ns "$fw" ip6tables-restore -n "$LAB_TMP/off"; in_ns "$fw" iptables-restore -n "$LAB_TMP/off" ;;
	esac
	died_at=$(now_ms)
	daemon_stop "$fw" KILL
	unplug "$fw"
}

power_on() {
	local fw=$1
	printf '*raw\n-D PREROUTING -j DROP\n-D OUTPUT -j DROP\nCOMMIT\n' >"$LAB_TMP/on"
	in_ns "$fw" iptables-restore -n "$LAB_TMP/on"
	in_ns "$fw" ip6tables-restore -n "$LAB_TMP/on"
	plug "$fw"
}

# one_way NODE on|off: nothing arrives there on the dedicated link
one_way() {
	in_ns "$1" iptables -t raw -F LOSS
	in_ns "$1" ip6tables -t raw -F LOSS
	[ "$2" = off ] && return
	in_ns "$1" iptables -t raw -A LOSS -j DROP
	in_ns "$1" ip6tables -t raw -A LOSS -j DROP
}

talk_to() { local name=$1 node=$2 script=$3; shift 3; spawn "$name" "$node" "$LAB_PYTHON" "$ENDURANCE_HERE/$script" "$@"; }

# --- a failover --------------------------------------------------------------------------------------------------

tell() { [ -n "$quiet" ] || echo "$*"; }
number() { sed -n "s/.*\\b$1=\\([0-9]*\\).*/\\1/p" <<<"$2"; }

start_daemon() {
	local on=$windows
	[ "$windows" != mixed ] || { on=off; [ $((RANDOM % 2)) -eq 0 ] || on=on; }
	LAB_OPTIONS_EXTRA="TCPWindowTracking $on"
	daemon_start "$1" || { trouble "the daemon of $1 does not start"; return 1; }
}

# role NODE ROLE: what keepalived would have the script do
role() {
	CTSYNC_BIN=$LAB_TMP/$1.client CTSYNC_CONFIG=$(conf_of "$1") \
		"$LAB_ROOT/conf/keepalived/primary-backup.sh" "$2" >>"$LAB_TMP/$1.role.out" 2>&1
}

trouble() { echo "round $round: $*"; troubled=yes; }

# The role script calls a client of one word.
role_clients() {
	local fw
	for fw in fw1 fw2; do
		printf '#!/bin/sh\nshift 2\nexec ip netns exec %s %s %s "$@"\n' "$LAB_ID-$fw" "$LAB_CLIENT" "$(conf_of $fw)" >"$LAB_TMP/$fw.client"
		chmod +x "$LAB_TMP/$fw.client"
	done
}

commit() {
	if [ "$manner" = hook ]; then role "$backup" primary; else ctl "$backup" -c 2>/dev/null; fi && return
	total_refusing=$((total_refusing + 1))
	tell "round $round: $(daemon_log "$backup" | grep ERROR | tail -n 2 | sed 's/.*ERROR. //')"
}

take_over_and_commit() {
	if [ "$order" = commit ]; then
		commit
		take_over "$backup"
	else
		take_over "$backup"
		pause_ms "$(chance 0 500)"
		commit
	fi
}

# come_back: the node that was the primary is a backup from now on
come_back() {
	if [ "$manner" = hook ]; then
		role "$primary" backup
		return
	fi
	[ "$table" = kept ] || in_ns "$primary" conntrack -F 2>/dev/null
	[ "$manner" = term ] || power_on "$primary"
	start_daemon "$primary"
	[ "$asks" = no ] || role "$primary" backup
}

keep_evidence() {
	local fw
	[ ! -d "$kept/$round" ] || return 0
	mkdir -p "$kept/$round"
	cp "$LAB_TMP"/*.{log,err,conf,out} "$kept/$round/" 2>/dev/null
	for fw in fw1 fw2; do
		{ in_ns "$fw" conntrack -L; in_ns "$fw" conntrack -L -f ipv6; } >"$kept/$round/$fw.kernel" 2>/dev/null
		in_ns "$fw" iptables-save -c >"$kept/$round/$fw.rules"
		timeout 10 ip netns exec "$LAB_ID-$fw" "${LAB_DAEMON%% *}" -C "$(conf_of "$fw")" -e >"$kept/$round/$fw.external" 2>&1
	done
}
