#!/usr/bin/env bash
# DisableExternalCache: what fw1 tells is in the kernel of fw2 at once, so a failover needs no commit. Conntracks and
# expectations, a storm, restarts of both sides, what operators have it do. The kernels themselves are compared.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
begin

STORM=${STORM:-30000}

injecting() { lab_defaults; LAB_MODE_EXTRA=$'DisableExternalCache On\nPurgeTimeout 1'; }
flows() { in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" "$@" >"$LAB_TMP/inject.out" 2>&1 || note "$(cat "$LAB_TMP/inject.out")"; }
kernels_equal() {
	kernel_flows fw1 >"$LAB_TMP/kernel1"
	kernel_flows fw2 >"$LAB_TMP/kernel2"
	[ -s "$LAB_TMP/kernel1" ] && cmp -s "$LAB_TMP/kernel1" "$LAB_TMP/kernel2"
}
# equal_kernels SENTENCE COUNT
equal_kernels() {
	local failed=$TAP_FAILED
	wait_until 15 kernels_equal
	same_lines "$1" "$LAB_TMP/kernel1" "$LAB_TMP/kernel2"
	equal "there are $2 of them" "$2" "$(wc -l <"$LAB_TMP/kernel2")"
	[ "$TAP_FAILED" -eq "$failed" ] || { explain; note "$(ctl fw2 -s)"; }
}
has_flow() { in_ns "$1" conntrack -L 2>/dev/null | grep -Eq "$2"; }
lacks_flow() { ! has_flow "$@"; }
# what -s says of direct injection: injected LABEL
injected() { ctl fw2 -s | awk -v label="connections $1:" '/^external inject/ { found = 1 } found && index($0, label) { print $3 ~ /[0-9]/ ? $3 : $4; exit }'; }
has_at_least() { [ "$(in_ns fw2 conntrack -C)" -ge "$1" ]; }
own_flows() { ctl "$1" -i | grep -c '^[a-z]'; }

case_begins "FTP, passive, SNAT"
injecting
lab_up snat
if session pasv "$SERVER4"; then
	soon "the kernel of fw2 has the control connection, with its helper" 2 has_flow fw2 'ESTABLISHED .*dport=21 .*helper=ftp'
	only_ctsync "the kernel of fw2 expects the data connection" \
		soon "the kernel of fw2 expects the data connection" 2 kernel_expectations fw2 "$PORT"
	only_ctsync "fw2 takes neither for its own" equal "fw2 takes neither for its own" "0 0" \
		"$(own_flows fw2) $(ctl fw2 -i exp | grep -c dport)"
	fw1_dies
	take_over fw2
	ends
	check "the control connection goes on" said ftp '^noop ok'
	only_ctsync "the announced data connection gets through" check "the announced data connection gets through" said ftp '^list ok'
	only_ctsync "a new data connection can be agreed on" check "a new data connection can be agreed on" said ftp '^get ok'
	[ "$TAP_FAILED" -eq 0 ] || { explain; note "$(cat "$LAB_TMP"/ftp.*)"; }
fi
is_ctsync || finish

case_begins "a TCP stream, SNAT"
injecting
lab_up snat
if pair_up; then
	talk streamd server stream.py serve "$STREAM_PORT"
	wait_until 3 said streamd listening
	talk talk client stream.py down "$SERVER4" "$STREAM_PORT" "$LAB_TMP/stop" 6
	soon "a connection begins through fw1" 5 said talk ready
	soon "the kernel of fw2 has it" 2 has_flow fw2 "ESTABLISHED .*dport=$STREAM_PORT .*ASSURED"
	fw1_dies
	take_over fw2
	sleep 1.5
	touch "$LAB_TMP/stop"
	wait_until 10 said talk '^(survived|broken)'
	matches "it survives with all data in order" '^survived' "$(tail -n 1 "$LAB_TMP/talk.out")"
	soon "its end is fw2's own news" 5 holds fw2 "dport=$STREAM_PORT" -i
	[ "$TAP_FAILED" -eq 0 ] || explain
fi

case_begins "a storm of $STORM"
injecting
lab_up none
pair_up || finish
flows create 0 "$STORM"
equal_kernels "all of it is in both kernels" "$STORM"
flows finish 0 2000
equal_kernels "so is what has changed" "$STORM"
flows delete 0 1000
equal_kernels "so are the ends" $((STORM - 1000))
equal "the backup believes none of them its own, and tells none back" "0 0" "$(own_flows fw2) $(ctl fw1 -e | grep -c '^[a-z]')"
check "both sides hold the same" ctl fw2 verify
matches "the statistics say that injection is on" '^external inject:' "$(ctl fw2 -s)"
equal "they count what came" "$STORM" "$(injected created)"
equal "and nothing has failed or waits" 0 "$(injected waiting)"

case_begins "the daemon of the backup is killed"
daemon_stop fw2 KILL
flows create "$STORM" 50
flows delete 1000 10
check "it starts again" daemon_start fw2
soon "what came meanwhile is there" 10 has_at_least $((STORM - 950))

case_begins "the daemon of the primary is killed"
injecting
lab_up none
pair_up || finish
flows create 0 2000
equal_kernels "2000 connections are in both kernels" 2000
daemon_stop fw1 KILL
flows create 2000 20
flows delete 10 10
check "it starts again" daemon_start fw1
equal_kernels "the kernel of fw2 has what came, and not what went" 2010

case_begins "what operators do"
ctl fw2 -f external
equal "-f external leaves the kernel alone" 2010 "$(in_ns fw2 conntrack -C)"

in_ns fw2 conntrack -F >/dev/null 2>&1
ctl fw2 -n
equal_kernels "-n brings back what has gone" 2010
ctl fw1 -f internal
sleep 0.3
equal_kernels "what the peer's operator has flushed stays" 2010
ctl fw1 -R
ctl fw2 -t
soon "-t leaves what the peer has" 3 kernels_equal
check "-c succeeds" ctl fw2 -c
equal "then everything is fw2's own" 2010 "$(own_flows fw2)"
equal_kernels "and the kernel is as it was" 2010
finish
