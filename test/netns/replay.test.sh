#!/usr/bin/env bash
# Somebody has recorded everything that two nodes ever said to each other, and says it again: in any order, in their
# names, while they go on and after both have been restarted with empty tables. Nothing of the past comes back, and what
# is new arrives.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
begin
is_ctsync || { skip "replay" "${LAB_DAEMON%% *} does not tell old datagrams from new ones"; finish; }

RATE=${REPLAY_RATE:-8000}                # datagrams a second
SECONDS_EACH=${REPLAY_SECONDS:-2}
GREETINGS=${REPLAY_GREETINGS:-600}       # of an earlier life, a second, while a node starts
# is_past NODE: does it hold connections of before the restart?
is_past() { ask "$1" -e | grep -Eq 'src=(10\.98\.[0-9]\.|10\.98\.1[0-9]\.|fd99::1:[0-9a-f]:|fd99::1:1[0-3]:)'; }

replay() { attack replay sw replay.py "$LAB_TMP/session" "$@"; }
# replayed: waits for its end; sets TO_FW1 and TO_FW2, how many went there and how many of them were HELLOs
replayed() {
	wait_until $((SECONDS_EACH * 3 + 20)) gone "$(pid_of replay)"
	note "replayed: $(cat "$LAB_TMP/replay.out" "$LAB_TMP/replay.err")"
	read -r -a TO_FW1 < <(sed -E 's/.* fw1 ([0-9]+) of them ([0-9]+) .*/\1 \2/' "$LAB_TMP/replay.out")
	read -r -a TO_FW2 < <(sed -E 's/.* fw2 ([0-9]+) of them ([0-9]+)$/\1 \2/' "$LAB_TMP/replay.out")
}

session() {
	attack record sw record.py "$LAB_TMP/session"
	wait_until 5 said record recording
	pair_up || finish
	flows create 0 600
	in_ns fw2 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 1000 100 >/dev/null
	attack churn fw1 churn.py 500 2000 3
	soon "fw2 holds what the kernel of fw1 has" 20 external_is_kernel
	flows finish 0 200
	flows delete 0 100
	ctl fw1 -n
	ctl fw2 -B
	wait_until 10 gone "$(pid_of churn)"
	soon "and still does when much has changed" 20 external_is_kernel
}

replayed_against() {
	local before1 before2 began
	session
	before1=$(account_of fw1) before2=$(account_of fw2)
	replay "$RATE" "$SECONDS_EACH"
	flows create 700 100
	flows delete 100 100
	replayed
	soon "while it is repeated, nothing but what is new happens" 20 external_is_kernel
	all_refused fw1 "$before1" "${TO_FW1[@]}"
	all_refused fw2 "$before2" "${TO_FW2[@]}"

	daemon_stop fw1
	daemon_stop fw2
	stop record
	in_ns fw1 conntrack -F 2>/dev/null
	in_ns fw2 conntrack -F 2>/dev/null
	pair_up || finish
	wait_until 20 both_up
	before1=$(account_of fw1) before2=$(account_of fw2)
	replay "$RATE" "$SECONDS_EACH"
	sleep 1
	flows create 6000 200
	soon "after both were restarted with empty tables: what is new arrives meanwhile" 20 external_is_kernel
	refute "meanwhile nothing of the past is there" is_past fw2
	replayed
	soon "afterwards fw2 holds what the kernel of fw1 has" 20 external_is_kernel
	equal "nothing else ever came into the external caches" "0 200" "$(created_at fw1) $(created_at fw2)"
	all_refused fw1 "$before1" "${TO_FW1[@]}"
	all_refused fw2 "$before2" "${TO_FW2[@]}"

	daemon_stop fw2
	replay "$RATE" "$((SECONDS_EACH * 2))"
	sleep 0.5
	daemon_start fw2
	began=$(now_ms)
	soon "a node that starts in the middle of a repetition finds its peer" 60 both_up
	soon "and holds what the kernel of fw1 has" 20 external_is_kernel
	note "that took $(($(now_ms) - began)) ms"
	refute "nothing of the past is there" is_past fw2
	replayed

	daemon_stop fw2
	attack greetings sw replay.py "$LAB_TMP/session" "$GREETINGS" 60 hello
	sleep 0.5
	daemon_start fw2
	began=$(now_ms)
	soon "a node that starts while $GREETINGS recorded greetings a second are repeated finds its peer meanwhile" 30 both_up
	note "that took $(($(now_ms) - began)) ms"
	stop greetings
	soon "and holds what the kernel of fw1 has" 20 external_is_kernel
}

case_begins "sealed"
LAB_LINK=udp LAB_KEY=ours
lab_up none
replayed_against
no_leaks
daemon_stop fw1
daemon_stop fw2

case_begins "not sealed"
LAB_KEY=
lab_up none
replayed_against
[ "$TAP_FAILED" -eq 0 ] || explain
finish
