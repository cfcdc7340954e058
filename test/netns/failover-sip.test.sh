#!/usr/bin/env bash
# SIP through the kernel's helper, with a failover in the middle; what failover-helpers.test.sh does not have: a call that
# is up, a registration that was renewed, a fax, the end of a call.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/conversation.sh
. "$(dirname "$0")/conversation.sh"
begin

# shellcheck disable=SC2034 # for lab.sh
LAB_HELPERS="udp/5060/sip tcp/5060/sip"
lab_defaults

no_media_at() { ! holds "$1" 'dport=[34]00[0-9][0-9] ' -e exp; }

through "a call that is up, SNAT, then a re-INVITE" snat 4 sip "udp register invite media" "media ping invite media bye"

# 5 s, then a re-REGISTER: only the new time can let the call in 6 s later. The kernel tells of it in silence.
before_death() { sleep 6; }
after_commit() {
	local left
	left=$(in_ns fw2 conntrack -L expect 2>/dev/null | sed -n 's/^\([0-9]*\) .*dport=5062 .*PERMANENT class=0.*/\1/p')
	if [ "${left:-0}" -gt 180 ] && [ "$left" -le 600 ]; then pass "the registration keeps its time"; else
		fail "the registration keeps its time" "left: ${left:-none} s"
	fi
}
through "a registration that was renewed, TCP" none 4 sip "tcp register:5 register:600" "incoming ping"
after_commit() { :; }

before_death() {
	soon "the end of a call takes what it expected away at the peer" 5 no_media_at fw2
	check "the registration stays there" holds fw2 'dport=5062 ' -e exp
}
through "a call that has ended" none 4 sip "udp register invite bye" "incoming"
before_death() { :; }

through "a fax, DNAT" dnat 4 sip "udp register image" "media"

finish
