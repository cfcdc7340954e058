#!/usr/bin/env bash
# The helpers that expect answers to a broadcast, netbios-ns and snmp, work for what a firewall itself has asked. ctsync
# carries their expectations only if ExpectationSync names them: "On" does not. Named, an answer that comes after fw1 has
# died reaches the same service on fw2.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/helper-failover.sh
. "$(dirname "$0")/helper-failover.sh"
begin

LAN_BROADCAST=10.10.1.255

# The helper is attached where a firewall's own questions leave, and works for the broadcast address that an interface
# has been given ("brd").
serve_broadcasts() {
	local fw
	for fw in fw1 fw2; do
		ip -n "$LAB_ID-$fw" addr del "10.10.1.${fw#fw}/24" dev lan0
		ip -n "$LAB_ID-$fw" addr add "10.10.1.${fw#fw}/24" brd + dev lan0
		in_ns "$fw" iptables -t raw -A OUTPUT -p udp --dport 137 -j CT --helper netbios-ns
		in_ns "$fw" iptables -t raw -A OUTPUT -p udp --dport 161 -j CT --helper snmp
		in_ns "$fw" iptables -A INPUT -i lan0 -p udp -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
	done
	take_over fw1
}

asked() { grep -c "helper=$2\$" <(expectations "$1") >/dev/null; }
carried() { holds fw2 "helper=$1" -e exp; }
let_in() { said "hear-$1" '^answer from'; }

# ask_and_fail_over SETTING: both questions are asked through fw1; then fw1 dies, and only then they are answered on fw2
ask_and_fail_over() {
	local name port
	lab_defaults
	LAB_EXPECT=$1 LAB_OWN=replicated
	LAB_HELPERS=
	lab_up none
	serve_broadcasts
	pair_up || return
	for name in netbios-ns:137 snmp:161; do
		port=${name#*:} name=${name%:*}
		talk "answer-$name" client broadcast.py answer "$port" "$LAB_TMP/go"
		talk "hear-$name" fw2 broadcast.py hear "$LAN_VIP4" "$port"
		talk "ask-$name" fw1 broadcast.py ask "$LAN_VIP4" "$LAN_BROADCAST" "$port"
		soon "the kernel of fw1 expects answers ($name)" 5 asked fw1 "$name"
		wait_until 5 said "answer-$name" "^asked by $LAN_VIP4" && wait_until 5 said "hear-$name" '^hearing'
	done
	wait_until 2 carried snmp
	sleep 0.5
}

case_begins "ExpectationSync On"
if ask_and_fail_over On; then
	for name in netbios-ns snmp; do
		only_ctsync "not carried: $name" refute "the expectation of $name is not carried" carried $name
	done
	fw1_dies
	ctl fw2 -c >/dev/null
	take_over fw2
	touch "$LAB_TMP/go"
	sleep 2
	for name in netbios-ns snmp; do
		only_ctsync "not let in: $name" refute "the answer to $name is not let in" let_in $name
	done
fi

# Three seconds is all the time that an answer of netbios-ns has, from the last question on: a busy machine may need
# another go, and the last one counts.
case_begins "ExpectationSync { netbios-ns snmp }"
for attempt in 1 2 3 4; do
	ask_and_fail_over $'{\nnetbios-ns\nsnmp\n}' || break
	wait_until 5 carried netbios-ns && is_carried=yes || is_carried=no
	carried_text=$(ctl fw2 -e exp)
	daemon_stop fw1 KILL &
	ctl fw2 -c >/dev/null
	unplug fw1
	take_over fw2
	touch "$LAB_TMP/go"
	wait_until 2 let_in netbios-ns && break
	note "attempt $attempt came too late"
done
equal "the expectation of netbios-ns is carried" yes "$is_carried"
matches "and that of snmp, with the network's mask, as permanent as it was" \
	"mask-src=255.255.255.0 .*PERMANENT.*helper=snmp" "$carried_text"
soon "the answer to snmp is let in" 5 let_in snmp
check "the answer to netbios-ns is let in" let_in netbios-ns
[ "$TAP_FAILED" -eq 0 ] || explain
finish
