#!/usr/bin/env bash
# What -F and -t empty, and what they must not: somebody who flushes over ssh is connected to the firewall itself. Both
# daemons replicate everything here, so that no Filter protects anything: connections to the firewall, at an address
# that came while the daemon ran, over IPv6, and one that the firewall has opened, beside one that it forwards and
# translates to an address of its own. The rules let a connection pass by its state only, so that a lost entry is a dead connection.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

LATE4=10.10.1.200
OWN=(to_late to_vip6 from_us)

state_rules() {
	local tables
	for tables in iptables ip6tables; do
		in_ns fw1 "$tables" -A INPUT -m conntrack --ctstate INVALID -j DROP
		in_ns fw1 "$tables" -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
		in_ns fw1 "$tables" -A INPUT -p tcp --dport $STREAM_PORT --syn -m conntrack --ctstate NEW -j ACCEPT
	done
}

# stream NAME NODE ADDRESS
stream() {
	talk "$1" "$2" stream.py echo "$3" $STREAM_PORT "$LAB_TMP/$1.stop" 8
	wait_until 10 said "$1" ready || fail "$1: data flows before anything is flushed" "$(cat "$LAB_TMP/$1.out" "$LAB_TMP/$1.err")"
}

# id_of NODE FAMILY WORDS...: the kernel's id of the one TCP entry whose original tuple has these
id_of() { in_ns "$1" conntrack -L -f "$2" -p tcp -o id "${@:3}" 2>/dev/null | sed -n 's/.* id=\([0-9]*\).*/\1/p'; }

ids() {
	echo "to_late $(id_of fw1 ipv4 -s "$CLIENT4" -d $LATE4)"
	echo "to_vip6 $(id_of fw1 ipv6 -s "$CLIENT6" -d "$LAN_VIP6")"
	echo "from_us $(id_of fw1 ipv4 -s 10.10.2.1 -d "$SERVER4")"
}
forwarded_gone() { [ -z "$(id_of fw1 ipv4 -s "$CLIENT4" -d "$SERVER4")" ]; }
taken() { [ "$(ctl fw2 -e 2>/dev/null | grep -c "dport=$STREAM_PORT")" -ge 4 ]; }

LAB_OWN=replicated LAB_MODE_EXTRA="PurgeTimeout 1"
lab_up snat
state_rules
pair_up || finish
ip -n "$LAB_ID-fw1" addr add $LATE4/24 dev lan0
talk server server stream.py serve $STREAM_PORT
talk local fw1 stream.py serve $STREAM_PORT
for name in server local; do wait_until 10 said "$name" listening; done
stream to_late client $LATE4
stream to_vip6 client "$LAN_VIP6"
stream from_us fw1 "$SERVER4"
ids >"$LAB_TMP/before"

# whole NAME: those of the firewall itself are as they were; NAME, which it forwards, is not
whole() {
	soon "$1, which is forwarded and leaves with an address of the firewall, is forgotten" 15 forwarded_gone
	ids >"$LAB_TMP/after"
	same_lines "connections of the firewall itself keep their entries" "$LAB_TMP/before" "$LAB_TMP/after"
	soon "$1 is dead" 20 said "$1" '^broken'
}

if is_ctsync; then
	case_begins "-t"
	stream first client "$SERVER4"
	soon "the other node holds all four" 10 taken
	check "it takes them over" ctl fw2 -c
	soon "this one has heard of it" 10 holds fw1 "src=$CLIENT4 dst=$SERVER4 .*dport=$STREAM_PORT" -e
	check "the command succeeds" ctl fw1 -t
	whole first
fi

case_begins "-F"
stream second client "$SERVER4"
check "the command succeeds" ctl fw1 -F
whole second

case_begins "afterwards"
for name in "${OWN[@]}"; do
	: >"$LAB_TMP/$name.stop"
	soon "$name has lived through it" 10 said "$name" '^survived'
done

case_begins "-F with a Filter"
LAB_OWN=ignored
lab_up none
pair_up || finish
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 40 >/dev/null
# what the Filter ignores stays, as with conntrackd: these come from an address that is in it
in_ns fw1 conntrack -I -s 10.10.3.77 -d 10.98.0.1 -p tcp --sport 1 --dport 2 --state ESTABLISHED -t 600 >/dev/null 2>&1
check "the command succeeds" ctl fw1 -F
flows() { in_ns fw1 conntrack -L 2>/dev/null | grep -c "$1"; }
equal "what the Filter accepts is gone" 0 "$(flows 'dst=10.99.0.1')"
equal "what it ignores stays" 1 "$(flows 'src=10.10.3.77')"
finish
