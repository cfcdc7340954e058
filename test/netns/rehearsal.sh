# shellcheck shell=bash
# rehearsal.sh: an invented peer and a real daemon, for the tests of rehearsals. To be sourced behind tap.sh.

PLAIN=2000                       # entries that meet nothing

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
nothing_held() { [ "$(held)" = "$1" ]; }
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
	# its time is so much shorter than the peer's that whether it counts does not depend on how long the test has run
	insert -p tcp -s 192.0.2.1 -d 198.51.100.2 --sport 1001 --dport 443 --state ESTABLISHED -t 3000 -u ASSURED,SEEN_REPLY
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
