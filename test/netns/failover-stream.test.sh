#!/usr/bin/env bash
# A TCP connection is in the middle of its work when fw1 dies. It must go on through fw2, over every kind of dedicated
# link, with every byte in its place. The longest silence is reported; one retransmission of TCP, about 0.2 s, is the
# least that is possible.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

LONGEST=4000        # ms; a machine that runs other tests at the same time is slow at times

# stream NAME LINK NAT echo|down ADDRESS
stream() {
	local mode=$4 host=$5 failed=$TAP_FAILED result stall before
	case_begins "$1"
	lab_defaults
	LAB_LINK=$2
	lab_up "$3"
	pair_up || return
	begin_stream "$mode" "$host" 6 || return
	soon "the external cache of fw2 shows the connection" 3 holds fw2 "^tcp +6 ESTABLISHED .*dport=$STREAM_PORT .*\[ASSURED\]" -e
	daemon_stop fw1 KILL
	unplug fw1
	check "the commit on fw2 succeeds" ctl fw2 -c
	take_over fw2
	before=$(progress)
	soon "data flows again" 6 more_than "$before"
	sleep 1
	touch "$LAB_TMP/stop"
	wait_until 10 said talk '^(survived|broken)'
	result=$(tail -n 1 "$LAB_TMP/talk.out")
	matches "the connection survives with all data in order" '^survived' "$result"
	stall=$(sed -n 's/.*stall_ms=\([0-9]*\).*/\1/p' <<<"$result")
	if [ "${stall:-99999}" -lt $LONGEST ]; then pass "its longest silence is short"; else fail "its longest silence is short" "$result"; fi
	note "longest silence ${stall:-?} ms, commit $(commit_seconds fw2) s"
	[ "$TAP_FAILED" -eq "$failed" ] || explain
}

# begin_stream MODE HOST PATIENCE
begin_stream() {
	talk streamd server stream.py serve "$STREAM_PORT"
	wait_until 3 said streamd listening
	talk talk client stream.py "$1" "$2" "$STREAM_PORT" "$LAB_TMP/stop" "$3"
	wait_until 5 said talk ready || { fail "a connection begins through fw1" "$(cat "$LAB_TMP"/talk.*)"; return 1; }
}

progress() { sed -n 's/^progress bytes=\([0-9]*\).*/\1/p' "$LAB_TMP/talk.out" | tail -n 1; }
more_than() { [ "$(progress)" -gt "${1:-0}" ]; }

stream "download, IPv4, SNAT, multicast" multicast snat down "$SERVER4"
stream "echo, IPv6, no NAT, UDP" udp none echo "$SERVER6"
stream "echo, IPv4, SNAT, UDP over IPv6" udp6 snat echo "$SERVER4"
stream "download, IPv6, SNAT, multicast over IPv6" multicast6 snat down "$SERVER6"
stream "echo, IPv4, DNAT, UDP" udp dnat echo "$LAN_VIP4"
stream "download, IPv4, SNAT, TCP" tcp snat down "$SERVER4"
stream "echo, IPv6, no NAT, TCP over IPv6" tcp6 none echo "$SERVER6"

case_begins "control: no commit"
lab_defaults
lab_up snat
if pair_up && begin_stream down "$SERVER4" 3; then
	sleep 0.5
	daemon_stop fw1 KILL
	unplug fw1
	take_over fw2
	soon "the connection is broken" 8 said talk '^broken'
fi
finish
