# shellcheck shell=bash
# lab.sh: a firewall pair between a client and a server, in network namespaces. To be sourced.
#
#    client ---- lan ----+---- lan0 fw1 wan0 ----+---- wan ---- server
#    10.10.1.10          |         sync0         |         10.10.2.20
#                        |           |           |
#                        |         sync0         |
#                        +---- lan0 fw2 wan0 ----+
#
# The virtual addresses 10.10.1.254 (lan) and 10.10.2.254 (wan) belong to the primary; the IPv6 twins are fd10:1::...
# and fd10:2::.... The bridges live in a namespace of their own, "sw", so nothing is added to the machine itself.
#
#   lab_init             once per script: temporary folder, traps
#   lab_up [NAT]         builds it, fw1 holds the virtual addresses; NAT is none, snat, dnat or both
#   lab_down             takes it all away again
#   in_ns NODE CMD...    runs a command in client, server, fw1, fw2 or sw
#   spawn NAME NODE CMD  the same in the background; output in $LAB_TMP/NAME.out
#   stop NAME [SIGNAL]   ends what spawn has started and waits for that
#   take_over NODE       moves the virtual addresses to this firewall
#   unplug NODE, plug    pulls all cables of a firewall, puts them back
#   cable NODE NET up|down   one of them
#   sync_loss PERCENT    drops that share of what arrives on the dedicated link
#
# Everything is named after the process id of the script, so any number of labs may run side by side.

LAB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_ROOT=$(cd "$LAB_HERE/../.." && pwd)
LAB_NODES=(sw client server fw1 fw2)
LAB_ID=ctsync-$$
LAB_HELPERS=tcp/21/ftp          # "PROTOCOL/PORT/HELPER ...": which helpers both firewalls attach; set before lab_up
LAB_RULES=iptables              # what attaches them: the CT target, or "nft": objects of nftables
LAB_NETS="lan wan sync"         # and "spare": a second dedicated link, spare0 on both firewalls; set before lab_up
LAB_TMP=

# The daemon under test and its client; the path of a configuration file is appended.
LAB_DAEMON=${LAB_DAEMON:-$LAB_ROOT/bin/ctsync -C}
LAB_CLIENT=${LAB_CLIENT:-$LAB_ROOT/bin/ctsync -C}

CLIENT4=10.10.1.10 CLIENT6=fd10:1::10
SERVER4=10.10.2.20 SERVER6=fd10:2::20
LAN_VIP4=10.10.1.254 LAN_VIP6=fd10:1::254
WAN_VIP4=10.10.2.254 WAN_VIP6=fd10:2::254
STREAM_PORT=5001

PATH=$PATH:/usr/sbin:/sbin
# The interpreter itself: a version manager's wrapper of that name would cost more time than the work.
LAB_PYTHON=/usr/bin/python3
[ -x "$LAB_PYTHON" ] || LAB_PYTHON=$(command -v python3)
export PYTHONDONTWRITEBYTECODE=1

# shellcheck source=test/lab/daemon.sh
. "$LAB_HERE/daemon.sh"

die() { echo "lab: $*" >&2; exit 2; }

now_ms() { local t=${EPOCHREALTIME/[.,]/}; echo $((t / 1000)); }

# wait_until SECONDS CMD...: polls until the command succeeds
wait_until() {
	local end=$(($(now_ms) + ${1%.*} * 1000)); shift
	until "$@" >/dev/null 2>&1; do
		[ "$(now_ms)" -lt $end ] || return 1
		sleep 0.03
	done
}

# lab_missing: why no lab can be built here; says nothing if one can
lab_missing() {
	local tool error
	[ "$(id -u)" = 0 ] || { echo "needs root"; return; }
	for tool in ip iptables-restore ip6tables-restore conntrack setpriv python3; do
		command -v "$tool" >/dev/null || { echo "needs $tool (scripts/setup.sh installs it)"; return; }
	done
	if ! error=$(ip netns add "$LAB_ID-try" 2>&1); then
		echo "cannot have network namespaces (${error##*$'\n'})"
		return
	fi
	error=$(ip -n "$LAB_ID-try" link add try0 type veth peer name try1 2>&1) ||
		echo "cannot have veth links (${error##*$'\n'})"
	ip netns del "$LAB_ID-try"
}

lab_init() {
	sweep
	LAB_TMP=$(mktemp -d "/tmp/ctsync-lab.$$.XXXX") || exit 2
	chmod 711 "$LAB_TMP"            # one test runs the daemon as somebody else
	trap lab_exit EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
}

lab_exit() {
	local status=$?
	trap '' HUP INT TERM
	lab_down
	[ -z "$LAB_TMP" ] || rm -rf "$LAB_TMP"
	exit $status
}

# Labs whose script was killed in a way that no trap can see.
sweep() {
	local name pid
	for name in /run/netns/ctsync-[0-9]*-* /tmp/ctsync-lab.[0-9]*; do
		[ -e "$name" ] || continue
		pid=${name##*/ctsync-}; pid=${pid#lab.}; pid=${pid%%[-.]*}
		kill -0 "$pid" 2>/dev/null && continue
		case $name in
		/run/netns/*) remove_namespace "${name##*/}" ;;
		*) rm -rf "$name" ;;
		esac
	done
}

in_ns() { local node=$1; shift; ip netns exec "$LAB_ID-$node" "$@"; }

# --- processes ---------------------------------------------------------------------------------------------------

# Every program of this chain replaces itself by the next, so $! stays the right process; and it dies with this
# script, whatever happens to the script. Never call it in a subshell.
spawn() {
	local name=$1 node=$2; shift 2
	setsid setpriv --pdeathsig KILL ip netns exec "$LAB_ID-$node" "$@" \
		</dev/null >"$LAB_TMP/$name.out" 2>"$LAB_TMP/$name.err" &
	echo $! >"$LAB_TMP/$name.pid"
	disown $!
}

talk() { local name=$1 node=$2 script=$3; shift 3; spawn "$name" "$node" "$LAB_PYTHON" "$LAB_HERE/$script" "$@"; }

pid_of() { cat "$LAB_TMP/$1.pid" 2>/dev/null; }

gone() { [ ! -d "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"; }

stop() {
	local pid
	pid=$(pid_of "$1") && [ -n "$pid" ] || return 0
	rm -f "$LAB_TMP/$1.pid"
	kill -"${2:-TERM}" "$pid" 2>/dev/null || return 0
	wait_until 5 gone "$pid" || kill -KILL "$pid" 2>/dev/null
	wait_until 2 gone "$pid"
}

alive() { local pid; pid=$(pid_of "$1") && [ -n "$pid" ] && ! gone "$pid"; }

# said NAME REGEX [TIMES]: has this process printed such a line, or at least so many of them?
said() {
	local lines
	lines=$(grep -Ec -- "$2" "$LAB_TMP/$1.out" 2>/dev/null)
	[ "${lines:-0}" -ge "${3:-1}" ]
}

# --- building ----------------------------------------------------------------------------------------------------

lab_up() {
	LAB_NAT=${1:-none}
	lab_down
	mkdir -p "$LAB_TMP"
	rm -f "$LAB_TMP"/*
	local node
	for node in "${LAB_NODES[@]}"; do ip netns add "$LAB_ID-$node" || die "cannot create a network namespace"; done
	build_switch
	build_host client lan "$CLIENT4/24" "$CLIENT6/64" "$LAN_VIP4" "$LAN_VIP6"
	build_host server wan "$SERVER4/24" "$SERVER6/64" "$WAN_VIP4" "$WAN_VIP6"
	build_firewall fw1
	build_firewall fw2
	take_over fw1
}

build_switch() {
	local net
	{
		for net in $LAB_NETS; do
			# With snooping and no querier a bridge forgets multicast members after a while.
			echo "link add $net type bridge mcast_snooping 0"
			echo "link set $net up"
		done
		printf 'link add %s type veth peer name %s netns %s\n' \
			client lan0 "$LAB_ID-client" server wan0 "$LAB_ID-server"
		for net in $LAB_NETS; do
			printf 'link add %s type veth peer name %s netns %s\n' \
				"fw1-$net" "${net}0" "$LAB_ID-fw1" "fw2-$net" "${net}0" "$LAB_ID-fw2"
			printf 'link set %s master %s up\n' "fw1-$net" "$net" "fw2-$net" "$net"
		done
		echo "link set client master lan up"
		echo "link set server master wan up"
	} >"$LAB_TMP/switch.batch"
	in_ns sw sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
	ip -n "$LAB_ID-sw" -batch "$LAB_TMP/switch.batch" || die "cannot build the switch"
}

build_host() {
	local node=$1 dev=${2}0 ip4=$3 ip6=$4 gw4=$5 gw6=$6
	# shellcheck disable=SC2016 # the inner shell expands it
	in_ns "$node" sh -c '
		cd /proc/sys/net
		echo 1 >ipv4/conf/all/arp_accept
		for dad in ipv6/conf/*/accept_dad; do echo 0 >$dad; done
		ip -batch -' <<-BATCH || die "cannot build $node"
		link set lo up
		link set $dev up
		addr add $ip4 dev $dev
		addr add $ip6 dev $dev nodad
		route add default via $gw4
		route add ::/0 via $gw6
	BATCH
}

build_firewall() {
	local fw=$1 n=${1#fw}
	helper_objects >"$LAB_TMP/$fw.nft"
	# Events have to be on, not automatic: an entry made before a daemon listens would stay silent for ever.
	# shellcheck disable=SC2016 # the inner shell expands it
	in_ns "$fw" sh -c '
		cd /proc/sys/net
		echo 1 >ipv4/ip_forward; echo 1 >ipv6/conf/all/forwarding
		echo 0 >ipv4/conf/all/rp_filter; echo 0 >ipv4/conf/default/rp_filter
		for dad in ipv6/conf/*/accept_dad; do echo 0 >$dad; done
		ip -batch -
		iptables-restore <"$1" && ip6tables-restore <"$2" || exit 1
		[ ! -s "$3" ] || nft -f "$3" || exit 1
		echo 1 >netfilter/nf_conntrack_events' sh \
		<(firewall_rules 4) <(firewall_rules 6) "$LAB_TMP/$fw.nft" <<-BATCH || die "cannot build $fw"
		link set lo up
		link set lan0 up
		link set wan0 up
		link set sync0 up
		addr add 10.10.1.$n/24 dev lan0
		addr add 10.10.2.$n/24 dev wan0
		addr add 10.10.3.$n/24 dev sync0
		addr add fd10:1::$n/64 dev lan0 nodad
		addr add fd10:2::$n/64 dev wan0 nodad
		addr add fd10:3::$n/64 dev sync0 nodad
		$(has_spare && printf '%s\n' "link set spare0 up" "addr add 10.10.9.$n/24 dev spare0" "addr add fd10:9::$n/64 dev spare0 nodad")
	BATCH
}

has_spare() { case $LAB_NETS in *spare*) ;; *) false ;; esac; }

# firewall_rules 4|6: a connection begins with a SYN to an allowed port, and nothing else opens the way. A firewall
# without the state of a connection therefore lets none of it through, and answers none of it either.
firewall_rules() {
	local v=$1 client=CLIENT$1 server=SERVER$1 lan_vip=LAN_VIP$1 wan_vip=WAN_VIP$1
	cat <<-RULES
		*raw
		:PREROUTING ACCEPT
		:OUTPUT ACCEPT
		:LOSS -
		-A PREROUTING -i sync0 -j LOSS
		-A PREROUTING -i sync0 -j CT --notrack
		-A OUTPUT -o sync0 -j CT --notrack
		-A PREROUTING -i spare0 -j CT --notrack
		-A OUTPUT -o spare0 -j CT --notrack
		$(helper_rules "$v")
		COMMIT
		*filter
		:INPUT DROP
		:FORWARD DROP
		-A INPUT -i lo -j ACCEPT
		-A INPUT -i sync0 -j ACCEPT
		-A INPUT -i spare0 -j ACCEPT
		-A INPUT -p 112 -j ACCEPT
		-A INPUT -p $([ "$v" = 4 ] && echo icmp || echo ipv6-icmp) -j ACCEPT
		-A FORWARD -m conntrack --ctstate INVALID -j DROP
		-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
		-A FORWARD -i lan0 -p tcp -m multiport --dports 21,$STREAM_PORT --syn -m conntrack --ctstate NEW -j ACCEPT
		$(helper_ways "$v")
		COMMIT
		*nat
		:PREROUTING ACCEPT
		:POSTROUTING ACCEPT
	RULES
	case $LAB_NAT in snat | both) echo "-A POSTROUTING -o wan0 -s ${!client} -j SNAT --to-source ${!wan_vip}" ;; esac
	case $LAB_NAT in dnat | both) echo "-A PREROUTING -i lan0 -d ${!lan_vip} -j DNAT --to-destination ${!server}" ;; esac
	echo COMMIT
}

# helper_rules 4|6: what attaches the helpers of LAB_HELPERS, "PROTOCOL/PORT/HELPER ...". Some know no IPv6.
helper_rules() {
	local item protocol port helper
	[ "$LAB_RULES" = iptables ] || return 0
	for item in $LAB_HELPERS; do
		IFS=/ read -r protocol port helper <<<"$item"
		case $1$helper in 6irc | 6pptp | 6netbios-ns | 6snmp | 6snmp_trap) continue ;; esac
		echo "-A PREROUTING -p $protocol --dport $port -j CT --helper $helper"
	done
}

# helper_objects: the same for nft. A helper can be set once the connection has been looked up, which is at -200.
helper_objects() {
	local item protocol port helper rules=
	[ "$LAB_RULES" = nft ] || return 0
	echo "table inet helpers {"
	for item in $LAB_HELPERS; do
		IFS=/ read -r protocol port helper <<<"$item"
		echo "ct helper $helper-$protocol-$port { type \"$helper\" protocol $protocol; }"
		rules+="$protocol dport $port ct helper set \"$helper-$protocol-$port\""$'\n'
	done
	printf '%s\n' "chain prerouting {" "type filter hook prerouting priority -150;" "$rules}" "}"
}

# helper_ways 4|6: what lets their connections begin, from the lan only; what they announce is RELATED
helper_ways() {
	local item protocol port
	for item in $LAB_HELPERS; do
		IFS=/ read -r protocol port _ <<<"$item"
		[ "$protocol" = tcp ] && protocol='tcp --syn'
		echo "-A FORWARD -i lan0 -p $protocol --dport $port -m conntrack --ctstate NEW -j ACCEPT"
	done
}

# --- what happens to it ------------------------------------------------------------------------------------------

# Adds the virtual addresses here and takes them from the other one, if that can still be reached.
take_over() {
	local fw=$1 other
	other=$(peer_of "$fw")
	vip_batch del | ip -n "$LAB_ID-$other" -force -batch - 2>/dev/null
	vip_batch add | ip -n "$LAB_ID-$fw" -force -batch - 2>/dev/null
	in_ns "$fw" "$LAB_PYTHON" "$LAB_HERE/announce.py" lan0 "$LAN_VIP4" "$LAN_VIP6"
	in_ns "$fw" "$LAB_PYTHON" "$LAB_HERE/announce.py" wan0 "$WAN_VIP4" "$WAN_VIP6"
}

vip_batch() {
	local nodad=
	[ "$1" = add ] && nodad=nodad
	cat <<-BATCH
		addr $1 $LAN_VIP4/24 dev lan0
		addr $1 $WAN_VIP4/24 dev wan0
		addr $1 $LAN_VIP6/64 dev lan0 $nodad
		addr $1 $WAN_VIP6/64 dev wan0 $nodad
	BATCH
}

peer_of() { if [ "$1" = fw1 ]; then echo fw2; else echo fw1; fi; }

cable() { ip -n "$LAB_ID-sw" link set "$1-$2" "$3"; }
cables() { local net; for net in $LAB_NETS; do cable "$1" "$net" "$2"; done; }
unplug() { cables "$1" down; }
plug() { cables "$1" up; }

sync_loss() {
	local fw tables
	for fw in fw1 fw2; do
		for tables in iptables ip6tables; do
			in_ns "$fw" "$tables" -t raw -F LOSS
			[ "$1" = 0 ] || in_ns "$fw" "$tables" -t raw -A LOSS -m statistic --mode random \
				--probability "$(printf '0.%02d' "$1")" -j DROP
		done
	done
}

# --- taking it away ----------------------------------------------------------------------------------------------

lab_down() {
	local file node
	for file in "$LAB_TMP"/*.pid; do
		[ -e "$file" ] || continue
		kill -KILL "$(cat "$file")" 2>/dev/null
		rm -f "$file"
	done
	for node in "${LAB_NODES[@]}"; do
		[ ! -e "/run/netns/$LAB_ID-$node" ] || remove_namespace "$LAB_ID-$node"
	done
}

# A namespace lives as long as a process in it, and what was started there may have started others.
remove_namespace() {
	local pid
	for pid in $(ip netns pids "$1" 2>/dev/null); do
		kill -KILL "$pid" 2>/dev/null
		wait_until 2 gone "$pid"
	done
	ip netns del "$1"
}
