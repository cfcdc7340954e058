#!/usr/bin/env bash
# matrix-cell.sh: one failover of an FTP session and a TCP stream behind SNAT, with one way to replicate over one kind of link.
#
# usage: test/netns/matrix-cell.sh MODE LINK        one line: "PASS MODE LINK: what came of it", or FAIL with explanations
#
#   MODE   FTFW, NOTRACK or ALARM; FTFW+direct, NOTRACK+direct: with DisableExternalCache; active-active
#   LINK   multicast, udp or tcp, with a 6 behind it over IPv6
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"

mode=${1:?usage: matrix-cell.sh MODE LINK} link=${2:?usage: matrix-cell.sh MODE LINK}
begin

settings() {
	lab_defaults
	LAB_LINK=$link
	case $mode in
	FTFW | NOTRACK | ALARM) LAB_MODE=$mode ;;
	FTFW+direct | NOTRACK+direct) LAB_MODE=${mode%+direct} LAB_MODE_EXTRA='DisableExternalCache On' ;;
	active-active) LAB_MODE=FTFW LAB_SYNC_EXTRA='Role active-active' ;;
	*) die "unknown mode $mode" ;;
	esac
}
commits() { case $mode in *+direct | active-active) false ;; esac; }
# known TEXT: does fw2 have it, where it is to have it?
known() {
	if commits; then holds fw2 "$1" -e; else in_ns fw2 conntrack -L 2>/dev/null | grep -Eq "$1"; fi
}

# converse: sets `broken` to the first thing that did not work
converse() {
	session pasv "$SERVER4" >"$LAB_TMP/session.log" 2>&1 || { broken="no session"; return; }
	talk streamd server stream.py serve "$STREAM_PORT"
	wait_until 3 said streamd listening
	talk talk client stream.py down "$SERVER4" "$STREAM_PORT" "$LAB_TMP/stop" 20
	wait_until 8 said talk '^ready' || { broken="no stream"; return; }
	wait_until 5 known "ESTABLISHED .*dport=$STREAM_PORT .*ASSURED" || { broken="fw2 does not learn the stream"; return; }
	wait_until 5 known "dport=21 .*helper=ftp" || { broken="fw2 does not learn the session"; return; }
	sleep 0.5
	fw1_dies
	if commits; then ctl fw2 -c >/dev/null || { broken="the commit fails"; return; }; fi
	take_over fw2
	ends
	said ftp '^noop ok' || { broken="the control connection"; return; }
	said ftp '^list ok' || { broken="the announced data connection"; return; }
	said ftp '^get ok' || { broken="a new data connection"; return; }
	touch "$LAB_TMP/stop"
	wait_until 25 said talk '^(survived|broken)'
	said talk '^survived' || broken="the stream"
}

settings
lab_up snat
broken=
converse
stall=$(sed -n 's/.*stall_ms=\([0-9]*\).*/\1/p' "$LAB_TMP/talk.out" 2>/dev/null | tail -n 1)
if [ -z "$broken" ]; then
	pass "$mode, $link: FTP session and TCP stream go on, silent for ${stall:-?} ms"
	exit 0
fi
fail "$mode, $link: FTP session and TCP stream go on" "broken: $broken"
explain
note "$(tail -n 8 "$LAB_TMP"/session.log "$LAB_TMP"/ftp.out "$LAB_TMP"/ftp.err "$LAB_TMP"/talk.out 2>/dev/null)"
exit 1
