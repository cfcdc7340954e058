# shellcheck shell=bash
# modes.sh: what the tests of the replication modes share. To be sourced after tap.sh and ftp-session.sh.
#
# The settings of a case (LAB_MODE, LAB_MODE_EXTRA, LAB_POLL ...) are made by the function that it is given.

# Long enough for every way of learning: a poll, a repetition.
LEARNT=${LEARNT:-6}

# knows_flow REGEX, knows_expectation PORT: fw2 knows, in its cache or, with direct injection, in its kernel
knows_flow() {
	if [[ $LAB_MODE_EXTRA == *DisableExternalCache* ]]; then in_ns fw2 conntrack -L 2>/dev/null | grep -Eq -- "$1"; else holds fw2 "$1" -e; fi
}
knows_expectation() {
	if [[ $LAB_MODE_EXTRA == *DisableExternalCache* ]]; then kernel_expectations fw2 "$1"; else holds fw2 "^proto=6 .*dport=$1 .*helper=ftp" -e exp; fi
}

# takes_over: fw1 dies, fw2 commits (also with direct injection, where that changes nothing) and takes the addresses
takes_over() {
	fw1_dies
	check "the commit on fw2 succeeds" ctl fw2 -c
	take_over fw2
}

# ftp_survives SETTINGS VERB: an FTP session with SNAT has agreed on a data port that nobody has used yet
ftp_survives() {
	local failed=$TAP_FAILED
	case_begins "$1, FTP $2"
	lab_defaults
	"$1"
	lab_up snat
	session "$2" "$SERVER4" || return
	soon "fw2 knows the control connection, with its helper" "$LEARNT" knows_flow 'dport=21 .*helper=ftp'
	soon "fw2 knows the expectation" "$LEARNT" knows_expectation "$PORT"
	takes_over
	check "the kernel of fw2 has the expectation" kernel_expectations fw2 "$PORT"
	ends
	check "the control connection goes on" said ftp '^noop ok'
	check "the announced data connection gets through" said ftp '^list ok'
	check "a new data connection can be agreed on" said ftp '^get ok'
	[ "$TAP_FAILED" -eq "$failed" ] || { explain; note "$(cat "$LAB_TMP"/ftp.*)"; }
}

# stream_survives SETTINGS: a TCP connection in the middle of its work
stream_survives() {
	local failed=$TAP_FAILED before
	case_begins "$1, a TCP stream"
	lab_defaults
	"$1"
	lab_up snat
	pair_up || return
	talk streamd server stream.py serve "$STREAM_PORT"
	wait_until 3 said streamd listening
	talk talk client stream.py down "$SERVER4" "$STREAM_PORT" "$LAB_TMP/stop" 6
	wait_until 5 said talk ready || { fail "a connection begins through fw1" "$(cat "$LAB_TMP"/talk.*)"; return; }
	soon "fw2 knows it" "$LEARNT" knows_flow "ESTABLISHED .*dport=$STREAM_PORT .*ASSURED"
	takes_over
	before=$(progress)
	soon "data flows again" 6 more_than "$before"
	touch "$LAB_TMP/stop"
	wait_until 10 said talk '^(survived|broken)'
	matches "it survives with all data in order" '^survived' "$(tail -n 1 "$LAB_TMP/talk.out")"
	[ "$TAP_FAILED" -eq "$failed" ] || explain
}
progress() { sed -n 's/^progress bytes=\([0-9]*\).*/\1/p' "$LAB_TMP/talk.out" | tail -n 1; }
more_than() { [ "$(progress)" -gt "${1:-0}" ]; }

# all_survive SETTINGS
all_survive() { ftp_survives "$1" pasv; ftp_survives "$1" port; stream_survives "$1"; }

flows() { in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" "$@" >"$LAB_TMP/inject.out" 2>&1 || note "$(cat "$LAB_TMP/inject.out")"; }
equal_now() {
	kernel_flows fw1 >"$LAB_TMP/kernel1"
	cache_flows fw2 -e >"$LAB_TMP/external2"
	cmp -s "$LAB_TMP/kernel1" "$LAB_TMP/external2"
}
# holds_all SENTENCE COUNT: fw2 holds what the kernel of fw1 has
holds_all() {
	local failed=$TAP_FAILED
	wait_until "${HOLDS_WITHIN:-10}" equal_now
	same_lines "$1" "$LAB_TMP/kernel1" "$LAB_TMP/external2"
	equal "there are $2 of them" "$2" "$(wc -l <"$LAB_TMP/external2")"
	[ "$TAP_FAILED" -eq "$failed" ] || explain
}
