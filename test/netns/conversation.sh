# shellcheck shell=bash
# conversation.sh: one conversation through a real helper of the kernel, with a failover in the middle of it.
# helper-failover.sh has many of them at the same time; this is for what one of them needs of its own.
#
#   through TITLE NAT 4|6 SCRIPT BEFORE AFTER      the steps AFTER have to get through fw2
#   nothing_through ... [CLIENT-ARGUMENTS]         the same without a commit, or with another one: none of them must, but
#                                                  those that are written +STEP
#
# BEFORE and AFTER are steps of test/lab/SCRIPT.py. LAB_HELPERS names the helpers that both firewalls attach.
# Between the two fw1 dies, fw2 commits and takes over. Two hooks can be redefined by a test:
#   before_death     the conversation waits, fw1 still lives
#   after_commit     fw2 has taken over, the conversation still waits

# shellcheck source=test/netns/helper-failover.sh
. "$NETNS_HERE/helper-failover.sh"

before_death() { :; }
after_commit() { :; }

# conversation NAT 4|6 SCRIPT BEFORE AFTER: up to the moment before the failover; needs lab_defaults
conversation() {
	local nat=$1 version=$2 script=$3 before=$4 after=$5 host=SERVER$2
	case $nat in dnat | both) host=LAN_VIP$version ;; esac
	lab_up "$nat"
	pair_up || return
	# shellcheck disable=SC2086 # words
	talk talk client "$script.py" client "${!host}" $before "hold:$LAB_TMP/go" ${after//+/}
	# shellcheck disable=SC2086
	if ! wait_until 25 steps_done $before || head -n "$(wc -w <<<"$before")" "$LAB_TMP/talk.out" | grep -v ' ok'; then
		fail "the conversation begins through fw1" "$(cat "$LAB_TMP"/talk.*)"
		explain
		return 1
	fi
	# An expectation is told at once, what its master has become is asked for a little later.
	sleep 0.8
	expectations fw1 >"$LAB_TMP/expected"
	before_death
}

# steps_done STEP...: has each of them been reported?
steps_done() { [ "$(grep -c . "$LAB_TMP/talk.out")" -ge $# ] || said talk '^end'; }

# fails_over [CLIENT-ARGUMENT...]: fw1 dies with daemon and cables, fw2 does this (default -c) and takes over
fails_over() {
	fw1_dies
	[ "${1--c}" = none ] || ctl fw2 "${@:--c}" >"$LAB_TMP/commit" 2>&1
	STATUS=$?
	take_over fw2
	expectations fw2 >"$LAB_TMP/committed"
	after_commit
}

goes_on() {
	touch "$LAB_TMP/go"
	wait_until 60 said talk '^end'
}

# result NUMBER: the line of this step, counted from 1
result() { sed -n "$1p" "$LAB_TMP/talk.out"; }

through() {
	local title=$1 before=$5 after=$6 step number failed=$TAP_FAILED
	case_begins "$title"
	conversation "${@:2}" || return
	fails_over
	# shellcheck disable=SC2154
	equal "the commit on fw2 succeeds" 0 "$STATUS"
	refute "nothing was refused by the kernel of fw2" grep -q "can't be committed" "$LAB_TMP/fw2.log"
	[ -n "${ALTERED:-}" ] || same_lines "the kernel of fw2 expects what that of fw1 expected" "$LAB_TMP/expected" "$LAB_TMP/committed"
	goes_on
	number=$(wc -w <<<"$before")
	number=$((number + 1))
	for step in $after; do
		number=$((number + 1))
		matches "$step after the failover" "^${step%%:*} ok" "$(result $number)"
	done
	[ "$TAP_FAILED" -eq "$failed" ] || { explain; note "$(cat "$LAB_TMP"/talk.* "$LAB_TMP/commit" 2>/dev/null)"; }
}

nothing_through() {
	local title=$1 before=$5 after=$6 step number
	case_begins "$title"
	conversation "${@:2:5}" || return
	fails_over "${7:-none}"
	goes_on
	number=$(($(wc -w <<<"$before") + 1))
	for step in $after; do
		number=$((number + 1))
		case $step in
		+*) matches "${step#+} after the failover" "^${step#+} ok" "$(result $number)" ;;
		*) matches "$step does not get through" "^$step failed" "$(result $number)" ;;
		esac
	done
}
