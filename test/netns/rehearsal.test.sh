#!/usr/bin/env bash
# `ctsync commit --dry-run` against a real kernel: what it says is what `-c` then does, and it changes nothing. The other
# node is an invented one (peer.mjs), because no kernel would have everything that has to be refused here.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin node

PLAIN=3000

# table NODE: what its kernel has, without what passes by itself
table() {
	in_ns "$1" conntrack -L 2>/dev/null | sed -E 's/^((tcp|udp) +[0-9]+) [0-9]+/\1/; s/ use=[0-9]+//' | LC_ALL=C sort
	in_ns "$1" conntrack -L expect 2>/dev/null | sed -E 's/^[0-9]+ //' | LC_ALL=C sort
}
counters() { ctl fw2 -s cache; }
# held: sockets of the daemon on fw2, and the network namespaces that its threads are in
held() {
	local pid
	pid=$(pid_of fw2)
	find "/proc/$pid/fd" -lname 'socket:*' 2>/dev/null | wc -l
	readlink "/proc/$pid/task/"*/ns/net 2>/dev/null | sort -u | wc -l
}
# verdicts FILE: counts and reasons of a JSON report, without times and without what names a mode
verdicts() {
	"$LAB_PYTHON" -c '
import json, sys
report = json.load(open(sys.argv[1]))
for name in ("conntracks", "expectations"):
    half = report[name] or {}
    half.pop("seconds", None)
    reasons = sorted("%s %d %s" % (r["code"], r["count"], r["policy"]) for r in half.pop("reasons", []))
    print(name, *("%s=%s" % pair for pair in sorted(half.items()) if pair[1]), reasons)' "$1"
}
# member FILE EXPRESSION: of the JSON, called r
member() { "$LAB_PYTHON" -c 'import json, sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$1" "$2"; }
insert() { in_ns fw2 conntrack -I "$@" >/dev/null 2>&1; }

# scene: the invented peer on fw1, the real daemon on fw2 with entries that meet the peer's
scene() {
	LAB_LINK=udp
	lab_up none
	insert -p tcp -s 192.0.2.1 -d 198.51.100.2 --sport 1001 --dport 443 --state ESTABLISHED -t 3600 -u ASSURED,SEEN_REPLY
	insert -p tcp -s 192.0.2.1 -d 198.51.100.2 --sport 1002 --dport 443 --state ESTABLISHED -t 3600 -u ASSURED,SEEN_REPLY \
		-n 203.0.113.99
	insert -p udp -s 192.0.2.33 -d 198.51.100.2 --sport 1003 --dport 443 -t 3600 -u ASSURED,SEEN_REPLY -n 203.0.113.3
	"$LAB_PYTHON" "$LAB_HERE/mix.py" $PLAIN >"$LAB_TMP/mix.json"
	if ! daemon_start fw2; then
		fail "the daemon starts"
		return 1
	fi
}
peer_comes() {
	spawn peer fw1 node "$LAB_HERE/peer.mjs" 10.10.3.1 10.10.3.2 sync0 "$sync_port" "$LAB_TMP/mix.json"
	wait_until 20 all_told && wait_until 5 holds fw2 'dport=5001' -e exp
}
all_told() { [ "$(ctl fw2 -e | wc -l)" -eq $((PLAIN + 8)) ]; }
# rehearse NAME ARGS...: SAID, COMPLAINT, STATUS
rehearse() {
	ctl fw2 commit --dry-run "${@:2}" >"$LAB_TMP/$1" 2>"$LAB_TMP/complaint"
	STATUS=$?
	SAID=$(cat "$LAB_TMP/$1")
	COMPLAINT=$(cat "$LAB_TMP/complaint")
}

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
	soon "no socket and no namespace is left" 5 test "$HELD" = "$(held)"
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
	equal "nothing would be created then" 0 "$(member "$LAB_TMP/again.json" 'r["conntracks"]["created"]')"
	[ "$TAP_FAILED" -eq 0 ] || explain
fi

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
