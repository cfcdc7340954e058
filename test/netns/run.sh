#!/usr/bin/env bash
# run.sh: runs the tests that need network namespaces, and sums up.
#
# usage: test/netns/run.sh [FILE or NAME]...        default: all of them
#
#   LAB_DAEMON, LAB_CLIENT   the daemon under test and its client (default: bin/ctsync -C); to compare:
#                            LAB_DAEMON='conntrackd -C' LAB_CLIENT='conntrackd -C' test/netns/run.sh
#   NETNS_JOBS=N             how many files at a time (default 2)
#   NETNS_TIMEOUT=SECONDS    the limit for one file (default 120)
#   NETNS_TOTALS=FILE        where to write "PASSED FAILED SKIPPED" as well
#
# The last line is "N passed, N failed" and, if there were any, ", N skipped". Exit status 1 if anything failed.
set -u
here=$(cd "$(dirname "$0")" && pwd)
jobs=${NETNS_JOBS:-2}
limit=${NETNS_TIMEOUT:-120}
started=$SECONDS

files=()
for name; do
	for file in "$name" "$here/$name" "$here/$name.test.sh" ""; do [ -f "$file" ] && break; done
	[ -n "$file" ] || { echo "run.sh: no such test: $name" >&2; exit 2; }
	files+=("$file")
done
[ ${#files[@]} -gt 0 ] || files=("$here"/*.test.sh)

out=$(mktemp -d)
end() {
	trap '' INT TERM
	local pid
	for pid in $(jobs -p); do kill "$pid" 2>/dev/null; done
	wait
	rm -rf "$out"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The output of a file is shown as a whole when it has ended, so that several may run at the same time.
run_one() {
	local file=$1 log=$2 status begun=$SECONDS
	timeout --kill-after=10 "$limit" bash "$file" >"$log" 2>&1
	status=$?
	[ $status -ne 124 ] && [ $status -ne 137 ] || echo "FAIL $(basename "$file") took longer than $limit s" >>"$log"
	if [ $status -ne 0 ] && ! grep -q '^FAIL ' "$log"; then
		echo "FAIL $(basename "$file") ended with status $status" >>"$log"
	elif [ $status -eq 0 ] && ! grep -Eq '^(PASS|SKIP) ' "$log"; then
		echo "FAIL $(basename "$file") came to no verdict" >>"$log"
	fi
	echo "# $(basename "$file"): $((SECONDS - begun)) s" >>"$log"
	mv "$log" "$log.done"
}

show() {
	local log
	for log in "$out"/*.done; do
		[ -e "$log" ] || continue
		cat "$log"
		cat "$log" >>"$out/all"
		rm "$log"
	done
}

: >"$out/all"
for file in "${files[@]}"; do
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
	show
	run_one "$file" "$out/$(basename "$file")" &
done
while [ "$(jobs -rp | wc -l)" -gt 0 ]; do wait -n; show; done
show

count() { grep -c "^$1 " "$out/all"; }
passed=$(count PASS) failed=$(count FAIL) skipped=$(count SKIP)
if [ "$failed" -gt 0 ]; then
	echo "# failed:"
	grep '^FAIL ' "$out/all" | sed 's/^FAIL/#/'
fi
echo "# network namespace tests: $((SECONDS - started)) s"
[ -z "${NETNS_TOTALS:-}" ] || echo "$passed $failed $skipped" >"$NETNS_TOTALS"
echo "$passed passed, $failed failed$([ "$skipped" -eq 0 ] || echo ", $skipped skipped")"
[ "$failed" -eq 0 ]
