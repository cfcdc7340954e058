#!/usr/bin/env bash
# `ctsync commit --dry-run` against a real kernel: what it says is what `-c` then does, and it changes nothing. The other
# node is an invented one (peer.mjs), because no kernel would have everything that has to be refused here.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin node
# shellcheck source=test/netns/rehearsal.sh
. "$(dirname "$0")/rehearsal.sh"

case_begins "without a daemon"
lab_up none
daemon_config fw2
rehearse none
equal "a rehearsal fails with status 1" 1 "$STATUS"
matches "and with one line that says why" "^[^ ].*can't connect" "$COMPLAINT"
equal "of one line" 1 "$(wc -l <"$LAB_TMP/complaint")"

case_begins "no peer was ever heard"
if scene; then
	rehearse alone
	equal "a rehearsal succeeds" 0 "$STATUS"
	matches "and says that a failover would restore nothing" '^no other node has been heard: a failover would restore nothing' "$SAID"
	ctl fw2 commit >"$LAB_TMP/said" 2>&1
	equal "so does a commit" 0 $?
	matches "and says so" '^no other node has been heard' "$(cat "$LAB_TMP/said")"
	equal "-c prints nothing" "" "$(ctl fw2 -c 2>&1)"

	case_begins "a mix of everything"
	check "the invented peer's entries are in the cache of fw2" peer_comes
	table fw2 >"$LAB_TMP/before"
	counters >"$LAB_TMP/counters"
	HELD=$(held)
	rehearse rehearsed.json --json --show all
	equal "it is rehearsed in a namespace" scratch "$(member "$LAB_TMP/rehearsed.json" 'r["mode"]')"
	equal "the exit status says that something would be left" 1 "$STATUS"
	rehearse text --verbose
	same_lines "the kernel's table is what it was" "$LAB_TMP/before" <(table fw2)
	same_lines "the caches' counters are what they were" "$LAB_TMP/counters" <(counters)
	soon "no socket and no namespace is left" 5 nothing_held "$HELD"
	matches "the text says which share would restore" '^  99\.[0-9]+ % would restore; ' "$SAID"
	matches "and names the connection whose reply tuple is taken" '^  reply-clash: .*sport=1003 ' "$SAID"
	matches "and the expectation without its master" '^  policy:X02: .*dport=5002 ' "$SAID"
	matches "and the one that would open another's door" '^  policy:X0[0-9]: .*dst=192.0.2.200 .*dport=5003 ' "$SAID"
	matches "and the helper that this kernel does not have" '^  1 would have to go without their helper' "$SAID"
	rehearse text --show 0
	refute "with --show 0 nothing is named" grep -q 'sport=' "$LAB_TMP/text"
	rehearse text exp
	refute "of expectations alone the masters are missed" grep -q '^conntracks' "$LAB_TMP/text"
	matches "and that is said" 'master-absent: .*dport=5001 ' "$SAID"
	ctl fw2 -c --json >"$LAB_TMP/done.json" 2>"$LAB_TMP/complaint"
	equal "the commit has the same exit status" 1 $?
	verdicts "$LAB_TMP/rehearsed.json" >"$LAB_TMP/would"
	verdicts "$LAB_TMP/done.json" >"$LAB_TMP/was"
	same_lines "the commit does what was rehearsed, by count and reason" "$LAB_TMP/would" "$LAB_TMP/was"
	note "$(cat "$LAB_TMP/was")"
	matches "the helper's loss is counted" 'withoutHelper=1' "$(cat "$LAB_TMP/was")"
	check "this time the kernel has the entries" test "$(table fw2 | wc -l)" -gt $PLAIN
	rehearse again.json --json
	ctl fw2 -c --json >"$LAB_TMP/twice.json" 2>/dev/null
	verdicts "$LAB_TMP/again.json" >"$LAB_TMP/would"
	verdicts "$LAB_TMP/twice.json" >"$LAB_TMP/was"
	same_lines "so it is when everything is there already" "$LAB_TMP/would" "$LAB_TMP/was"
	note "$(cat "$LAB_TMP/was")"
	ctl fw2 commit --dry-run >"$LAB_TMP/given-up" 2>&1 &
	REHEARSING=$!
	ctl fw2 -c >/dev/null 2>"$LAB_TMP/complaint"
	matches "a commit during a rehearsal is done as ever" 'not everything could be committed' \
		"$(cat "$LAB_TMP/complaint")"
	wait "$REHEARSING"
	equal "the rehearsal beside it ends with status 1" 1 $?
	matches "as itself, given up, or refused" 'would not be restored|a commit has begun|a commit is in progress' \
		"$(cat "$LAB_TMP/given-up")"
	soon "and leaves no socket and no namespace" 5 nothing_held "$HELD"
	equal "nothing would be created then" 0 "$(member "$LAB_TMP/again.json" 'r["conntracks"]["created"]')"
	[ "$TAP_FAILED" -eq 0 ] || explain
fi
finish
