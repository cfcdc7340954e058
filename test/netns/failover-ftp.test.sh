#!/usr/bin/env bash
# An FTP client agrees on a data port through fw1, fw1 dies, fw2 commits and takes over: the data connection that
# nobody has opened yet must get through fw2. The controls show what happens without each of the parts.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

# session VERB ADDRESS: both daemons run, a session through fw1 is negotiated and has replicated
session() {
	local verb=$1 host=$2
	pair_up || return
	talk ftpd server ftp.py serve
	wait_until 3 said ftpd listening
	talk ftp client ftp.py client "$host" login "$verb" "$verb" "hold:$LAB_TMP/go" noop list "$verb" get:200000 quit
	# The first agreement only makes the rewriting of addresses shift sequence numbers; the second one is what counts.
	if ! wait_until 10 said ftp "^$verb ok" 2; then
		fail "a session is negotiated through fw1" "$(cat "$LAB_TMP"/ftp.*)"; return 1
	fi
	PORT=$(sed -n "s/^$verb ok port=//p" "$LAB_TMP/ftp.out" | tail -n 1)
	sleep 0.7
}

# fw1_dies: daemon and cables; fw1 can neither say goodbye nor do any harm
fw1_dies() { daemon_stop fw1 KILL; unplug fw1; }

kernel_expectations() {
	local family
	for family in ipv4 ipv6; do in_ns "$1" conntrack -L expect -f "$family" 2>/dev/null; done | grep "dport=$2 "
}

ends() { touch "$LAB_TMP/go"; wait_until 30 said ftp '^end'; }

# survives NAME NAT VERB SERVER ADDRESS-IN-PATTERNS
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

# without NAME EXPECT-SETTING COMMIT-ARGUMENTS: a failover with a part missing
without() {
	case_begins "control: $1"
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

survives "passive, IPv4, SNAT" snat pasv "$SERVER4"
survives "active, IPv4, no NAT" none port "$SERVER4"
survives "EPSV, IPv6, no NAT" none epsv "$SERVER6"

# Sequence numbers are shifted where an address is rewritten inside the commands; conntrackd does not learn of that.
if is_ctsync; then
	survives "active, IPv4, SNAT" snat port "$SERVER4"
	survives "passive, IPv4, DNAT" dnat pasv "$LAN_VIP4"
else
	case_begins "rewritten addresses"
	skip "active with SNAT and passive with DNAT" "known to fail with ${LAB_DAEMON%% *}"
fi

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
