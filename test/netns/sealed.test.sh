#!/usr/bin/env bash
# A dedicated link with a key. Who has it is heard, who has another one or none is not: nothing that is forged, spoilt
# or sent a second time changes what a node holds, and nothing of it is readable on the wire.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "sealed" "${LAB_DAEMON%% *} has no keys"; finish; }

flows() { in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" "$@" >/dev/null; }
equal_now() {
	kernel_flows fw1 >"$LAB_TMP/kernel1"
	cache_flows fw2 -e >"$LAB_TMP/external2"
	[ -s "$LAB_TMP/kernel1" ] && cmp -s "$LAB_TMP/kernel1" "$LAB_TMP/external2"
}
noise() { in_ns "$1" "$LAB_PYTHON" "$LAB_HERE/noise.py" "$2" 225.0.0.50 3780 400; }
# complaints: all that -s network of fw2 counts as wrong on the way in
complaints() { ctl fw2 -s network | awk '/send:/ { exit } / [0-9]+$/ { n += $NF } END { print n + 0 }'; }

lab_up none
LAB_KEY=ours

case_begins "the same key on both nodes"
pair_up || finish
flows create 0 500
soon "fw2 holds what the kernel of fw1 has" 5 equal_now
equal "no daemon warns of an open link" "" "$(cat "$LAB_TMP/fw1.err" "$LAB_TMP/fw2.err")"
refute "-s network does not either" holds fw1 'authenticat' -s network

case_begins "hostile datagrams"
before=$(complaints)
ip -n "$LAB_ID-sw" addr add 10.10.3.99/24 dev sync
check "a stranger on the link sends 400 of them" noise sw sync
check "so does somebody with the address of the peer" noise fw1 sync0
sleep 1
after=$(complaints)
if [ "$after" -gt "$before" ]; then pass "fw2 counts them"; else fail "fw2 counts them" "$(ctl fw2 -s network)"; fi
wait_until 5 equal_now
same_lines "nothing is lost, and nothing has come to it" "$LAB_TMP/kernel1" "$LAB_TMP/external2"
flows delete 0 50
flows create 500 50
soon "what begins and ends afterwards still reaches it" 10 equal_now

case_begins "the wire"
spawn ear fw2 "$LAB_PYTHON" "$LAB_HERE/listen.py" sync0 3780 3
flows create 600 100
wait_until 6 gone "$(pid_of ear)"
soon "the new connections have crossed the link" 5 equal_now
check "datagrams were overheard" test -s "$LAB_TMP/ear.out"
# the server's address in every connection that was made
refute "they do not show addresses" grep -q 0a630001 "$LAB_TMP/ear.out"

case_begins "another key on one node"
daemon_stop fw2
LAB_KEY=theirs
check "it starts" daemon_start fw2
sleep 3
equal "it learns nothing" "" "$(cache_flows fw2 -e)"
before=$(complaints)
sleep 2
if [ "$(complaints)" -gt "$before" ]; then pass "it counts what it cannot open"; else
	fail "it counts what it cannot open" "$(ctl fw2 -s network)"; fi

case_begins "no key on one node"
daemon_stop fw2
LAB_KEY=
check "it starts" daemon_start fw2
sleep 3
equal "it learns nothing" "" "$(cache_flows fw2 -e)"

case_begins "the right key again"
daemon_stop fw2
LAB_KEY=ours
check "it starts" daemon_start fw2
soon "it holds what the kernel of fw1 has" 10 equal_now
[ "$TAP_FAILED" -eq 0 ] || explain
finish
