#!/usr/bin/env bash
# loss-matrix.sh: how long until the backup holds what the primary's kernel has, on a link that loses datagrams, for
# ctsync with and without a key, and for conntrackd's FTFW if it is installed. Prints a table in markdown.
#
# usage: test/chaos/loss-matrix.sh [OPTION]... [PERCENT...]      default: 0 1 5 20 40 (root; ten to twenty minutes)
#
#   --entries N      new connections in the storm (default 5000); half of them change at once
#   --runs N         the figures are the median of so many, and the worst (default 3)
#   --limit SECONDS  whoever needs longer is told as "not within" (default 60)
#   --only NAME      one of ctsync, sealed, conntrackd
#
# Each run has fresh daemons and empty tables. The link is whole until 3000 connections have come and gone over it: nobody
# is measured in the first second of his life. Then that share of the datagrams is lost, both ways (in the kernel, by
# iptables -m statistic), the storm comes at once, and the clock starts when the kernel has taken it. It stops when
# "conntrack -L" there and -e here are the same, line by line (equal.py).
# shellcheck disable=SC2317,SC2329 # functions are called by name
set -u
CHAOS_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/lab/lab.sh
. "$CHAOS_HERE/../lab/lab.sh"

usage() { sed -n '/^# usage/,/^# Each/{/^# Each/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

entries=5000 runs=3 limit=60 only=''
while [ $# -gt 0 ]; do
	case $1 in
	--entries | --runs | --limit | --only)
		[ $# -gt 1 ] || usage
		declare "${1#--}=$2"
		shift ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
[ $# -gt 0 ] || set -- 0 1 5 20 40
[[ "$*$entries$runs$limit" =~ ^[0-9\ ]+$ ]] || usage

reason=$(lab_missing)
[ -z "$reason" ] || { echo "loss-matrix: $reason" >&2; exit 2; }

# use NAME: the daemon of this name is the one under test from now on
use() {
	lab_defaults
	case $1 in
	ctsync) LAB_DAEMON="$LAB_ROOT/bin/ctsync -C" ;;
	sealed) LAB_DAEMON="$LAB_ROOT/bin/ctsync -C" LAB_KEY=loss ;;
	conntrackd) LAB_DAEMON='conntrackd -C' ;;
	esac
	LAB_CLIENT=$LAB_DAEMON
}

flows() { in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" "$@" >&2; }
equal() {
	"$LAB_PYTHON" "$CHAOS_HERE/equal.py" "$(now_ms)" "$1" "$1" \
		"fw1,$LAB_ID-fw1,$LAB_TMP/fw1.ctl,fw2" "fw2,$LAB_ID-fw2,$LAB_TMP/fw2.ctl"
}

# one PERCENT: milliseconds of one run, or "never"
one() {
	local text
	daemons_up >&2 || { echo failed; return; }
	flows create 50000 3000
	equal 20 >&2
	flows delete 50000 3000
	equal 20 >&2
	sync_loss "$1"
	flows create 0 "$entries"
	flows finish 0 $((entries / 2))
	text=$(equal "$limit")
	case ${text##*$'\n'} in
	equal*) read -r _ text _ <<<"$text"; echo "$text" ;;
	*) echo "$text" >&2; echo never ;;
	esac
	sync_loss 0
	for fw in fw1 fw2; do
		daemon_stop $fw
		in_ns $fw conntrack -F 2>/dev/null
	done
}

# cell PERCENT: the median of all runs and the worst in brackets, as they stand in the table
cell() {
	local times=() never=0 time
	while [ ${#times[@]} -lt "$runs" ]; do
		time=$(one "$1" 2>>"$LAB_TMP/matrix.log")
		times+=("$time")
		[ "$time" = never ] || [ "$time" = failed ] || continue
		# more of those than half, and the rest cannot change the median
		[ $((++never * 2)) -le "$runs" ] || break
	done
	echo "  ${times[*]}" >&2
	if [ $((never * 2)) -gt "$runs" ]; then
		case ${times[*]} in *failed*) echo failed ;; *) echo "not within $limit s" ;; esac
		return
	fi
	printf '%s\n' "${times[@]/never/999999999}" | sort -n |
		awk -v limit="$limit" '{ t[NR] = $1 } END {
			printf "%.2f s", t[int((NR + 1) / 2)] / 1000
			if (t[NR] > limit * 1000) print " (> " limit " s)"; else printf " (%.2f s)\n", t[NR] / 1000 }'
}

lab_init
lab_up none
names=(ctsync sealed conntrackd)
[ -z "$only" ] || names=("$only")
command -v conntrackd >/dev/null || names=("${names[@]/conntrackd/}")
declare -A table
# The column of a daemon in one go, so that its row of processes is the only one there is.
for name in "${names[@]}"; do
	[ -n "$name" ] || continue
	use "$name"
	for percent; do
		echo "loss-matrix: $name, $percent % ..." >&2
		cell "$percent" >"$LAB_TMP/cell"
		table[$name:$percent]=$(cat "$LAB_TMP/cell")
	done
done

echo "| loss, both ways |$(for name in "${names[@]}"; do [ -z "$name" ] || printf ' %s |' "$name"; done)"
echo "|---|$(for name in "${names[@]}"; do [ -z "$name" ] || printf -- '---|'; done)"
for percent; do
	echo "| $percent % |$(for name in "${names[@]}"; do [ -z "$name" ] || printf ' %s |' "${table[$name:$percent]}"; done)"
done
