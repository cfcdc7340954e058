#!/usr/bin/env bash
# `ctsync commit --dry-run` on a node that has been backup, and by a daemon that may not have a network namespace: what it says
# is what `-c` then does.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin node
# shellcheck source=test/netns/rehearsal.sh
. "$(dirname "$0")/rehearsal.sh"

# As backup, what it has of an earlier term gives way to the peer's.
case_begins "a node that has been backup"
if scene; then
	ctl fw2 -n
	check "the invented peer's entries are in the cache of fw2" peer_comes
	rehearse rehearsed.json --json
	rehearse text --verbose --show all
	equal "what the policy keeps out is no failure" 0 "$STATUS"
	matches "with --verbose it is named what would take another's place" '^  replaced: tcp .*sport=1002 ' "$SAID"
	equal "a rehearsal does not make it primary" backup "$(member "$LAB_TMP/rehearsed.json" 'r["role"]')"
	ctl fw2 -c --json >"$LAB_TMP/done.json" 2>"$LAB_TMP/complaint"
	equal "nor for the commit" 0 $?
	equal "which makes it primary" primary "$(member "$LAB_TMP/done.json" 'r["role"]')"
	verdicts "$LAB_TMP/rehearsed.json" >"$LAB_TMP/would"
	verdicts "$LAB_TMP/done.json" >"$LAB_TMP/was"
	same_lines "the commit does what was rehearsed, by count and reason" "$LAB_TMP/would" "$LAB_TMP/was"
	matches "the policy's refusals are counted as such" 'refusedByPolicy=2' "$(cat "$LAB_TMP/was")"
	matches "left-overs are replaced" 'replaced=[1-9]' "$(cat "$LAB_TMP/was")"
	note "$(cat "$LAB_TMP/was")"
	[ "$TAP_FAILED" -eq 0 ] || explain
fi

case_begins "a daemon that may not make namespaces"
LAB_DAEMON="setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin $LAB_DAEMON"
if scene; then
	ctl fw2 -n
	check "the invented peer's entries are in the cache of fw2" peer_comes
	table fw2 >"$LAB_TMP/before"
	HELD=$(held)
	rehearse offline.json --json
	equal "the entries are checked offline" offline "$(member "$LAB_TMP/offline.json" 'r["mode"]')"
	matches "and it is said why" 'not permitted' "$(member "$LAB_TMP/offline.json" 'r["offlineCause"]')"
	rehearse text
	matches "in the text as well" '^checked offline .*not permitted' "$SAID"
	same_lines "the kernel's table is what it was" "$LAB_TMP/before" <(table fw2)
	equal "no socket is left" "$HELD" "$(held)"
	ctl fw2 -c --json >"$LAB_TMP/done.json" 2>/dev/null
	verdicts "$LAB_TMP/offline.json" >"$LAB_TMP/would"
	same_lines "for this mix the commit does what was foretold" "$LAB_TMP/would" <(verdicts "$LAB_TMP/done.json")
	[ "$TAP_FAILED" -eq 0 ] || explain
fi
finish
