#!/usr/bin/env bash
# The controls of failover-ftp.test.sh: without the replicated expectation, without a commit, and without the connection
# that the expectation belongs to, the announced data connection must not get through. Otherwise those tests prove
# nothing, or the firewall lets through what it should not.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
begin

# without NAME EXPECT-SETTING COMMIT-ARGUMENTS: a failover with a part missing
without() {
	case_begins "$1"
	lab_defaults
	LAB_EXPECT=$2
	lab_up snat
	session pasv "$SERVER4" || return 1
	fw1_dies
	# shellcheck disable=SC2086 # none, one or two words
	[ -z "$3" ] || ctl fw2 $3 >"$LAB_TMP/commit" 2>&1
	STATUS=$?
	take_over fw2
	refute "the kernel of fw2 has no expectation" kernel_expectations fw2 "$PORT"
	ends
}

if without "expectation sync off" Off -c; then
	equal "the commit succeeds" 0 "$STATUS"
	check "the control connection goes on" said ftp '^noop ok'
	check "the announced data connection does not get through" said ftp '^list failed'
fi
if without "no commit" On ""; then
	check "the control connection is dead" said ftp '^noop failed'
	refute "the announced data connection does not get through" said ftp '^list ok'
fi
if without "expectations without their masters" On "-c exp"; then
	only_ctsync "the commit fails" equal "the commit fails with status 1" 1 "$STATUS"
	only_ctsync "its message" matches "the message of the commit says why" 'master' "$(cat "$LAB_TMP/commit")"
	matches "the log of fw2 tells that they were refused" "[1-9][0-9]* expectations can't be committed" "$(daemon_log fw2)"
	check "the control connection is dead" said ftp '^noop failed'
fi
finish
