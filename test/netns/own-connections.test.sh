#!/usr/bin/env bash
# "OwnConnections Ignore": connections of the firewall itself are not replicated, at whatever address it has at that time; what it
# forwards is, though it be translated from or to an address of its own. The streams are real, so that nothing is said here of
# connections that no kernel would make.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "own-connections" "conntrackd knows no addresses of its own"; finish; }

LATE4=10.10.4.7                 # not of any network of the lab: whoever has it on lo is reached by the gateway

rules() {
	in_ns fw1 iptables -A INPUT -p tcp --dport $STREAM_PORT -j ACCEPT
	in_ns fw1 iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
	in_ns fw1 ip6tables -A INPUT -p tcp --dport $STREAM_PORT -j ACCEPT
}
# stream NAME NODE ADDRESS
stream() {
	talk "$1" "$2" stream.py echo "$3" $STREAM_PORT "$LAB_TMP/$1.stop" 8
	wait_until 10 said "$1" ready || fail "$1: data flows" "$(cat "$LAB_TMP/$1.out" "$LAB_TMP/$1.err")"
}
hang_up() { : >"$LAB_TMP/$1.stop"; wait_until 5 said "$1" '^survived'; stop "$1"; }
# told WORDS: does fw2 hold an established connection with these in its original tuple?
told() { holds fw2 "^tcp +6 ESTABLISHED $1 " -e; }
untold() { ! told "$1"; }
# between SOURCE DESTINATION
between() { echo "src=$1 dst=$2 sport=[0-9]+ dport=$STREAM_PORT"; }
of_ours() { ctl fw1 -i | grep -Ec 'dst=(127\.|::1|10\.10\.[123]\.1 |10\.10\.4\.7 )|src=(127\.|10\.10\.[123]\.1 |10\.10\.[12]\.254 )[^[]* dport=[0-9]+ '; }
serve() { talk "$1" "$2" stream.py serve $STREAM_PORT; wait_until 10 said "$1" listening; }

LAB_OWN=replicated
LAB_GENERAL_EXTRA='Filter { OwnConnections Ignore }'

case_begins "SNAT"
lab_up snat
rules
pair_up || finish
serve server server; serve local fw1
stream out client "$SERVER4"
soon "a connection that leaves with an address of the firewall is replicated" 5 told "$(between "$CLIENT4" "$SERVER4")"
stream to_vip client "$LAN_VIP4"
stream to_vip6 client "$LAN_VIP6"
stream from_us fw1 "$SERVER4"
stream to_us fw1 127.0.0.1
stream second client "$SERVER4"
two() { [ "$(ctl fw2 -e | grep -Ec "$(between "$CLIENT4" "$SERVER4")")" -eq 2 ]; }
soon "one made after all of these, too" 5 two
check "one to a shared address is not" untold "$(between "$CLIENT4" "$LAN_VIP4")"
check "nor over IPv6" untold "$(between "$CLIENT6" "$LAN_VIP6")"
check "nor one that the firewall has opened" untold "$(between "[0-9.]*" "$SERVER4" | sed "s/^src=[^ ]*/src=10.10.2.[0-9]*/")"
check "nor one to itself" untold "$(between 127.0.0.1 127.0.0.1)"
check "a resync" ctl fw1 -R
equal "brings in none of them" 0 "$(of_ours)"
equal "the peer holds what is forwarded, and nothing else of these" 2 "$(ctl fw2 -e | grep -c "dport=$STREAM_PORT")"

case_begins "an address that comes"
ip -n "$LAB_ID-server" addr add $LATE4/32 dev lo
ip -n "$LAB_ID-fw1" route add $LATE4/32 via "$SERVER4"
stream late client $LATE4
soon "a connection through the firewall is replicated" 5 told "$(between "$CLIENT4" $LATE4)"
ip -n "$LAB_ID-fw1" addr add $LATE4/32 dev lo
soon "is not any more when its destination becomes the firewall's own" 5 untold "$(between "$CLIENT4" $LATE4)"
stop late
stream later client $LATE4
stream third client "$SERVER4"
three() { [ "$(ctl fw2 -e | grep -Ec "$(between "$CLIENT4" "$SERVER4")")" -eq 3 ]; }
soon "a new one through it is" 5 three
check "a new one to it is not" untold "$(between "$CLIENT4" $LATE4)"

case_begins "an address that goes"
hang_up later
ip -n "$LAB_ID-fw1" addr del $LATE4/32 dev lo
check "a resync" ctl fw1 -R
check "takes in nothing of what it leaves behind" untold "$(between "$CLIENT4" $LATE4)"
stream again client $LATE4
soon "a connection through the firewall to its new place is replicated" 5 told "$(between "$CLIENT4" $LATE4)"
equals() { ctl fw1 verify >/dev/null && ctl fw2 verify >/dev/null; }
soon "both nodes agree" 10 equals

case_begins "-F"
check "the command succeeds" ctl fw1 -F
forgotten() { ! in_ns fw1 conntrack -L -s "$CLIENT4" -d "$SERVER4" 2>/dev/null | grep -q .; }
soon "what is forwarded is forgotten" 10 forgotten
hang_up to_vip
matches "the firewall's own lives on" '^survived' "$(cat "$LAB_TMP/to_vip.out")"

case_begins "DNAT"
lab_up dnat
rules
pair_up || finish
serve server server
stream in client "$LAN_VIP4"
soon "a connection to an address of the firewall that goes to a server behind it is replicated" 5 told "$(between "$CLIENT4" "$LAN_VIP4")"
take_over fw2
check "the other node takes over" ctl fw2 -c
hang_up in
matches "and it goes on there" '^survived' "$(cat "$LAB_TMP/in.out")"
lab_down

case_begins "without the word"
LAB_GENERAL_EXTRA=
lab_up none
rules
pair_up || finish
serve local fw1
stream to_vip client "$LAN_VIP4"
soon "own connections are replicated, as by conntrackd" 5 told "$(between "$CLIENT4" "$LAN_VIP4")"
finish
