#!/usr/bin/env bash
# The one thing a pair is for: the backup holds exactly what the primary's kernel has. Not the daemons' word is taken
# for that, but `conntrack -L` on one side and `-e` on the other, line by line. 2000 connections come, change and go;
# either daemon is killed in between; the commands that empty and refill the caches do what they promise.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

flows() { in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" "$@" >"$LAB_TMP/inject.out" 2>&1 || note "$(cat "$LAB_TMP/inject.out")"; }

equal_now() {
	kernel_flows fw1 >"$LAB_TMP/kernel1"
	cache_flows fw2 -e >"$LAB_TMP/external2"
	[ -s "$LAB_TMP/kernel1" ] && cmp -s "$LAB_TMP/kernel1" "$LAB_TMP/external2"
}

# holds_all SENTENCE COUNT: within ten seconds fw2 holds what the kernel of fw1 has, and both daemons know the number
holds_all() {
	local failed=$TAP_FAILED
	wait_until 10 equal_now
	same_lines "$1" "$LAB_TMP/kernel1" "$LAB_TMP/external2"
	equal "both daemons count $2 of them" "$2 $2" "$(current fw1 internal) $(current fw2 external)"
	[ "$TAP_FAILED" -eq "$failed" ] || explain
}

empty() { [ "$(current "$1" "$2")" = 0 ] && [ -z "$(cache_flows "$1" "-${2:0:1}")" ]; }

# Both nodes say that there is no copy, and what fills it again; and nothing does so unasked.
told_emptied() {
	local said
	soon "the backup says that its copy is empty, and what fills it" 2 holds fw2 'entries here: EMPTIED by -f external .* -n fetches' -s
	soon "the primary says it, too" 5 holds fw1 'entries there: EMPTIED there by -f external .* -n there or -B here' -s
	said=$(ctl fw2 verify); equal "verify on the backup ends with 1" 1 $?
	matches "and says why" 'entries 0 are held here: EMPTIED by -f external' "$said"
	said=$(ctl fw1 verify); equal "verify on the primary does" 1 $?
	matches "and says why, too" 'our 1950 entries, as held there: EMPTIED there by -f external' "$said"
	sleep 5
	check "nothing is filled unasked" empty fw2 external
}

lab_up none
pair_up || finish

case_begins "traffic"
flows create 0 2000
holds_all "2000 new connections reach the backup" 2000
only_ctsync "-e -x shows how a connection is translated" check "-e -x shows how a connection is translated" \
	holds fw2 '<meta direction="reply">.*<dst>10\.99\.0\.254</dst>' -e -x
refute "-e does not: its lines are conntrackd's" holds fw2 '10\.99\.0\.254' -e
flows finish 0 500
holds_all "changed ones do" 2000
flows delete 1900 100
holds_all "and the end of 100 of them" 1900
equal "the backup believes none of them its own" 0 "$(current fw2 internal)"

case_begins "the daemon of the backup is killed"
daemon_stop fw2 KILL
flows create 1900 50
flows delete 0 10
check "it starts again at once" daemon_start fw2
is_ctsync || ctl fw2 -n
holds_all "it holds everything again" 1940

case_begins "the daemon of the primary is killed"
daemon_stop fw1 KILL
flows create 1950 20
flows delete 10 10
check "it starts again at once" daemon_start fw1
equal "it has read its kernel's table" 1950 "$(current fw1 internal)"
is_ctsync || { ctl fw2 -f external; ctl fw2 -n; }
holds_all "the backup holds what is there now, and nothing that has ended meanwhile" 1950

case_begins "-f external, then -n"
check "the backup is told to forget" ctl fw2 -f external
soon "it has forgotten" 2 empty fw2 external
only_ctsync "nobody calls that equal" told_emptied
check "it is told to ask" ctl fw2 -n
holds_all "it holds everything again" 1950
soon "the backup has logged the request" 2 log_has fw2 'resync requested$'
soon "the primary has logged it" 2 log_has fw1 'resync requested by other node'

case_begins "-f external, then -B on the primary"
ctl fw2 -f external
soon "the backup has forgotten" 2 empty fw2 external
only_ctsync "the primary knows it" soon "the primary knows it" 5 holds fw1 'our entries there: EMPTIED there' -s
check "the primary is told to send" ctl fw1 -B
holds_all "the backup holds everything again" 1950
soon "the primary has logged it" 2 log_has fw1 'sending bulk update'
only_ctsync "both are equal again" check "both are equal again" ctl fw2 verify

case_begins "-f internal, then -R"
before=$(current fw2 external)
check "the primary is told to forget" ctl fw1 -f internal
soon "it has forgotten" 2 empty fw1 internal
equal "the kernel has not" 1950 "$(kernel_flows fw1 | wc -l)"
sleep 1
equal "the backup keeps what it has" "$before" "$(current fw2 external)"
check "the primary is told to read its kernel" ctl fw1 -R
soon "it has logged that" 2 log_has fw1 'resync with master conntrack table'
holds_all "all is as before" 1950

case_begins "-f"
check "the backup is told to forget everything" ctl fw2 -f
soon "it has" 2 empty fw2 external
ctl fw2 -n
holds_all "and gets it back" 1950

case_begins "afterwards"
flows create 3000 200
flows delete 3000 100
holds_all "new connections still reach the backup" 2050

case_begins "-k"
check "the backup is told to stop" ctl fw2 -k
soon "it has stopped" 5 gone "$(pid_of fw2)"
refute "its control socket is gone" test -e "$LAB_TMP/fw2.ctl"
refute "and its lock" test -e "$LAB_TMP/fw2.lock"
finish
