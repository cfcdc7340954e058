#!/usr/bin/env bash
# An FTP client agrees on a data port through fw1, fw1 dies, fw2 commits and takes over: the data connection that
# nobody has opened yet must get through fw2. This file looks at each step of it; all commands, NATs and families are in
# failover-helpers.test.sh, what happens without each of the parts in ftp-controls.test.sh.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
begin

# survives NAME NAT VERB ADDRESS
survives() {
	local verb=$3 host=$4 failed=$TAP_FAILED
	case_begins "$1"
	lab_defaults
	lab_up "$2"
	session "$verb" "$host" || return
	soon "the kernel of fw1 expects the data connection" 2 kernel_expectations fw1 "$PORT"
	check "the internal cache of fw1 shows the expectation" holds fw1 "^proto=6 .*dport=$PORT .*master-src=.* dport=21 .*helper=ftp" -i exp
	soon "the external cache of fw2 shows the expectation" 2 holds fw2 "^proto=6 .*dport=$PORT .*master-src=.* dport=21 .*helper=ftp" -e exp
	check "the external cache of fw2 shows its master" holds fw2 '^tcp +6 ESTABLISHED .*dport=21 .*\[ASSURED\].*helper=ftp' -e
	equal "the kernel of fw2 knows nothing before the commit" "" "$(kernel_flows fw2)"
	fw1_dies
	check "the commit on fw2 succeeds" ctl fw2 -c
	take_over fw2
	matches "the log of fw2 tells that entries were committed" 'Committed [1-9][0-9]* new entries' "$(daemon_log fw2)"
	matches "the log of fw2 tells that expectations were committed" 'Committed [1-9][0-9]* new expectations' "$(daemon_log fw2)"
	refute "nothing was refused by the kernel of fw2" grep -q "can't be committed" "$LAB_TMP/fw2.log"
	check "the kernel of fw2 has the expectation" kernel_expectations fw2 "$PORT"
	ends
	check "the control connection goes on" said ftp '^noop ok'
	check "the announced data connection gets through" said ftp '^list ok'
	check "a new data connection can be agreed on" said ftp '^get ok'
	check "the session ends in good order" said ftp '^quit ok'
	[ "$TAP_FAILED" -eq "$failed" ] || { explain; note "$(cat "$LAB_TMP"/ftp.*)"; }
}

survives "passive, IPv4, SNAT" snat pasv "$SERVER4"
survives "EPSV, IPv6, no NAT" none epsv "$SERVER6"

# Sequence numbers are shifted where an address is rewritten inside the commands; conntrackd does not learn of that.
if is_ctsync; then
	survives "active, IPv4, SNAT" snat port "$SERVER4"
else
	case_begins "rewritten addresses"
	skip "active with SNAT" "known to fail with ${LAB_DAEMON%% *}"
fi
finish
