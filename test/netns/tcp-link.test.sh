#!/usr/bin/env bash
# The dedicated link over TCP, sealed: what a stream does that datagrams do not. A peer that dies, stands still or is cut
# off holds nothing up, is found again, and both hold the same afterwards; FTP's data channels follow through it.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

flows() { in_ns "$1" "$LAB_PYTHON" "$LAB_HERE/inject.py" "${@:2}" >/dev/null; }
both_equal() { soon "$1" "$2" equal_now fw1 fw2; soon "... and the other way round" 3 equal_now fw2 fw1; }
sides() { ctl fw1 -s network 2>/dev/null | grep -o 'server=[a-z]* client=[a-z]*'; }
are_connected() { [ "$(sides)" = "server=connected client=connected" ]; }

for LAB_LINK in tcp tcp6; do
	case_begins "$LAB_LINK"
	lab_up none
	LAB_KEY=ring
	pair_up || continue
	equal "both sides are connected" "server=connected client=connected" "$(sides)"
	flows fw1 create 0 3000
	flows fw2 create 50000 1000
	both_equal "each node has what the other one's kernel has" 5

	daemon_stop fw2 KILL
	flows fw1 finish 0 1000
	flows fw1 delete 1000 500
	daemon_start fw2
	both_equal "a peer that was killed has everything after its start" 8

	spawned=$(cat "$LAB_TMP/fw2.pid")
	kill -STOP "$spawned"
	flows fw1 create 100000 20000
	flows fw1 delete 100000 10000
	sleep 2
	kill -CONT "$spawned"
	both_equal "a peer that stood still has everything" 8

	cable fw2 sync down
	flows fw1 create 200000 2000
	sleep 5
	cable fw2 sync up
	both_equal "after five seconds without a cable it has everything" 10
	check "the connections were made anew" are_connected

	lab_down
done
finish
