#!/usr/bin/env bash
# matrix.sh: a failover of an FTP session and a TCP stream in every mode over every link. One line for each cell, which has
# network namespaces of its own; the last line is the count, and the exit status 1 if a cell failed.
#
# usage: test/netns/matrix.sh [CELL]...      default: all; CELL is "MODE:LINK", either may be * (root; some minutes)
#
#   MATRIX_JOBS=N    how many cells at a time (default 2)
set -u
here=$(cd "$(dirname "$0")" && pwd)
jobs=${MATRIX_JOBS:-2}
modes=(FTFW NOTRACK ALARM FTFW+direct NOTRACK+direct active-active)
links=(multicast udp tcp multicast6 udp6 tcp6)
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=('*:*')

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

is_wanted() {
	local pattern
	# shellcheck disable=SC2053 # a pattern
	for pattern in "${wanted[@]}"; do [[ $1 == $pattern ]] && return; done
	return 1
}

# A cell is shown as a whole when it has ended.
run_cell() {
	local log=$out/$1-$2
	timeout --kill-after=10 100 bash "$here/matrix-cell.sh" "$1" "$2" >"$log" 2>&1
	grep -Eq '^(PASS|FAIL|SKIP) ' "$log" || echo "FAIL $1, $2: came to no verdict" >>"$log"
	grep -E '^(PASS|FAIL|SKIP) ' "$log" >>"$out/verdicts"
	cat "$log"
}

: >"$out/verdicts"
cells=0
for mode in "${modes[@]}"; do
	for link in "${links[@]}"; do
		is_wanted "$mode:$link" || continue
		while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n; done
		run_cell "$mode" "$link" &
		cells=$((cells + 1))
	done
done
wait
[ $cells -gt 0 ] || { sed -n '/^# usage/,/^# *$/{s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
count() { grep -c "^$1 " "$out/verdicts"; }
failed=$(count FAIL) skipped=$(count SKIP)
echo "$cells cells: $(count PASS) passed, $failed failed$([ "$skipped" -eq 0 ] || echo ", $skipped skipped")"
[ "$failed" -eq 0 ]
