#!/usr/bin/env bash
# table-full.sh: a commit into a kernel table that has room for 60 per cent of what is to be committed.
#
# usage: test/netns/table-full.sh [ENTRIES]        default 20000 (root)
#
# The limit, nf_conntrack_max, is one for the whole machine and can be set in the initial network namespace only: the tables of
# all other namespaces are limited by it for some seconds, too. It is set under a lock and restored whatever happens.
# shellcheck disable=SC2317,SC2329 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"

limit=/proc/sys/net/netfilter/nf_conntrack_max
entries=${1:-20000}
[[ $entries =~ ^[0-9]+$ ]] || die "ENTRIES is a number"
[ "$entries" -le 60000 ] || die "60000 entries at most"
exec 9>/run/ctsync-table-full.lock
flock 9
before=$(cat "$limit") || die "this machine has no connection tracking"
begin

full_exit() {
	local status=$?
	trap '' HUP INT TERM
	echo "$before" >"$limit"
	# the function takes the status from here
	(exit $status)
	lab_exit
}
trap full_exit EXIT

# established FW: TCP connections of the injected ones
established() {
	local family n=0
	for family in ipv4 ipv6; do
		n=$((n + $(in_ns "$1" conntrack -L -f $family -p tcp --state ESTABLISHED 2>/dev/null | grep -Ec 'src=(10\.98\.|fd99::1:)')))
	done
	echo $n
}
member() { grep -Eo "\"conntracks\":\{.*" "$LAB_TMP/report" | grep -Eo "\"$1\":[0-9]+" | head -n 1 | cut -d: -f2; }
inject() { in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create "$@"; }
live() { ctl "$1" -s 2>/dev/null | awk '/current active connections/ { print $NF }' | sed -n "${2}p"; }
reached() { [ "$(live "$1" "$2")" -ge "$3" ]; }

# three in four of the first are established TCP, all others UDP without a reply: the former are half of all
extra=$((entries / 2)) need=$((entries + entries / 2)) tcp=$((entries * 3 / 4))
room=$((need * 6 / 10))

case_begins "a table with room for $room of $need entries"
lab_defaults
lab_up none
pair_up || finish
check "the primary has $entries entries of all kinds" inject 0 "$entries"
check "and $extra UDP entries without a reply" inject $((entries + 2 - entries % 4)) "$extra" 4
soon "the backup knows them all" 60 reached fw2 2 "$need"
daemon_stop fw1 KILL
in_ns fw1 conntrack -F >/dev/null 2>&1

echo "$room" >"$limit"
ctl fw2 -c --json >"$LAB_TMP/report" 2>"$LAB_TMP/report.err"
status=$?
in_kernel=$(established fw2) count=$(in_ns fw2 cat /proc/sys/net/netfilter/nf_conntrack_count)
created=$(member created) failed=$(member failed)
equal "the commit ends with status 1" 1 "$status"
equal "all established TCP connections are in the kernel" "$tcp" "$in_kernel"
equal "what was created and what was left are all there was" "$need" "$((created + failed))"
check "the table has been filled" [ "$created" -ge $((room * 99 / 100)) ]
check "and not more has been created than there is room for" [ "$created" -le "$room" ]
matches "what was left are the least valuable, all of them" "\"full\":\[0,0,0,$failed\]" "$(cat "$LAB_TMP/report")"
matches "the reason is told" '"code":"not-tried"' "$(cat "$LAB_TMP/report")"
matches "the operator was warned" 'nf_conntrack_max' "$(daemon_log fw2)"
note "created $created, left $failed, $count in the table; $(cat "$LAB_TMP/report.err")"

case_begins "when there is room"
echo "$before" >"$limit"
check "another commit succeeds" ctl fw2 -c
count=$(in_ns fw2 cat /proc/sys/net/netfilter/nf_conntrack_count)
check "and everything is in the kernel" [ "$count" -ge "$need" ]
[ "$TAP_FAILED" -eq 0 ] || explain
finish
