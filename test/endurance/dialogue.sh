#!/usr/bin/env bash
# dialogue.sh: FTP control connections behind SNAT, failed over in the middle of a dialogue of PORT and EPRT.
#
# usage: test/endurance/dialogue.sh [OPTION]... [FAILOVERS [SEED]]         default: 500 failovers, seed 1 (root)
#
#   --sessions N     dialogues at a time (default 25), each in a moment of its own: FAILOVERS are those of single dialogues,
#                    so 500 are 20 of the firewalls
#   --windows W      TCPWindowTracking: off (default) or on
#   --daemon-first   the primary's daemon dies some time before the machine: what its kernel changes in that time is known
#                    to nobody. Not a part of the promise; to see what it costs
#   --quiet          only what went wrong, and the summary
#
# The daemons get the processor when they need it (real-time priority, where that can be had): what is looked at is what they
# do, and not how long a busy machine lets them wait.
#
# The firewalls' FTP helper writes the translated address into the command. It is longer or shorter than the client's own by
# one to three bytes, so with every announcement the sequence numbers of the connection are shifted further, and a
# firewall that does not know by how much takes bytes out of the stream or doubles them. The rule: 0 dialogues are
# corrupt, stuck or broken. A data connection that the failover has caught and that has to be announced again is
# counted apart, and so is a dialogue whose announcement was not yet 0.1 s old, or not answered (dialogue.py). SEED decides when and how the primary ends: it dies at an instant (the commit comes before
# the addresses are moved, or after), or the stock role script is called on both with nothing broken.
# shellcheck disable=SC2317,SC2329 # functions are called by name
set -u
ENDURANCE_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/lab/lab.sh
. "$ENDURANCE_HERE/../lab/lab.sh"
# shellcheck source=test/endurance/endurance.sh
. "$ENDURANCE_HERE/endurance.sh"

usage() { sed -n '/^# usage/,/^#$/{/^#$/q;s/^# \{0,1\}//;p};' "$0" >&2; sed -n '/^#   --/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

sessions=25 windows=off daemon_first='' quiet='' again=()
while [ $# -gt 0 ]; do
	case $1 in
	--quiet) quiet=yes ;;
	--daemon-first) daemon_first=yes; again+=("$1") ;;
	--sessions | --windows)
		[ $# -gt 1 ] || usage
		again+=("$1" "$2")
		declare "${1#--}=$2"
		shift ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
failovers=${1:-500} seed=${2:-1}
[[ $failovers$sessions$seed =~ ^[0-9]+$ ]] || usage
kept=$LAB_ROOT/build/dialogue-$seed-$$
PATIENCE=40
# Two addresses that become longer, one that becomes shorter, and IPv6.
CLIENT4C=10.10.1.110 SHORT4=10.10.2.9

reason=$(lab_missing)
[ -z "$reason" ] || { echo "dialogue: $reason" >&2; exit 2; }
LC_ALL=C

# --- one failover ------------------------------------------------------------------------------------------------

all_ready() {
	local answer
	answer=$(ask talk ready) && [ "$(number old "$answer")" -ge $((sessions * 4 / 5)) ]
}

eval "plain_$(declare -f daemon_start)"
daemon_start() { plain_daemon_start "$1" && { chrt --all-tasks --rr --pid 10 "$(pid_of "$1")" 2>/dev/null || true; }; }

# known NODE: the backup's cache has every control connection that this kernel has
known() {
	ctl "$1" -e 2>/dev/null | same_form | grep ' dport=21' | cut -d' ' -f3-6 | sort -u >"$LAB_TMP/known"
	kernel_flows "$(peer_of "$1")" | grep 'ESTABLISHED .*dport=21' | cut -d' ' -f3-6 | sort -u >"$LAB_TMP/there"
	[ -s "$LAB_TMP/there" ] && [ -z "$(comm -13 "$LAB_TMP/known" "$LAB_TMP/there")" ]
}

failover() {
	local manners=(dies dies dies hook) verdict moment end fw
	round=$1
	RANDOM=$((seed * 1009 + round))
	troubled='' manner=${manners[RANDOM % 4]} order=commit table=kept
	[ $((RANDOM % 3)) -ne 0 ] || order=addresses
	[ $((RANDOM % 2)) -eq 0 ] || table=flushed
	# what is confirmed after the addresses have been moved, is confirmed by the wrong one
	[ $manner = dies ] || order=addresses
	pause_ms "$(chance 500 3000)"
	died_at=''
	if [ $manner = dies ]; then
		if [ -n "$daemon_first" ]; then
			daemon_stop "$primary" KILL
			pause_ms "$(chance 0 200)"
		fi
		power_off "$primary"
	fi
	moment=$(ask talk moment $died_at)
	take_over_and_commit
	ask talk verify >/dev/null
	end=$(($(now_ms) + PATIENCE * 1000))
	while :; do
		verdict=$(ask talk verdict)
		[ "$(number waiting "$verdict")" != 0 ] && [ "$(now_ms)" -lt $end ] || break
		sleep 0.1
	done
	verdict=$(ask talk verdict final)
	tell "round $round: $primary $manner, $order first, table $table; $moment; $verdict"
	total=$((total + $(number sessions "$moment")))
	account "$verdict"
	come_back
	wait_until 30 all_ready || trouble "the sessions do not begin again"
	wait_until 30 known "$primary" || trouble "$primary does not get to know all sessions: $(comm -13 "$LAB_TMP/known" "$LAB_TMP/there" | head -n 2)"
	# PurgeTimeout: a left-over of an earlier term must not pass what comes before the commit
	sleep 1.2
	[ -z "$troubled" ] || { failed+=("$round"); keep_evidence; }
	fw=$primary primary=$backup backup=$fw
}

account() {
	local kind
	for kind in corrupt stuck broken nodata; do
		[ "$(number $kind "$1")" = "${before[$kind]:-0}" ] ||
			trouble "$manner, $order first: $(grep "^$kind" "$LAB_TMP/talk.out" | tail -n $(($(number $kind "$1") - ${before[$kind]:-0})))"
		before[$kind]=$(number $kind "$1")
	done
	# what was corrupt at the server, the client is told and counts
}

# --- the whole ---------------------------------------------------------------------------------------------------

build() {
	local fw
	lab_up snat
	in_ns client ip addr add "$CLIENT4B/24" dev lan0
	in_ns client ip addr add "$CLIENT4C/24" dev lan0
	in_ns server ip route add "$SHORT4/32" via "$WAN_VIP4"
	for fw in fw1 fw2; do
		in_ns "$fw" iptables -t nat -A POSTROUTING -o wan0 -s "$CLIENT4B" -j SNAT --to-source "$WAN_VIP4" &&
			in_ns "$fw" iptables -t nat -A POSTROUTING -o wan0 -s "$CLIENT4C" -j SNAT --to-source "$SHORT4" ||
			die "cannot translate addresses on $fw"
	done
	strict fw1 fw2
	LAB_MODE_EXTRA='PurgeTimeout 1'
	role_clients
	talk_to server server dialogue.py serve "$WAN_VIP4" "$SHORT4" "$WAN_VIP6"
	wait_until 5 said server listening || die "the server does not start: $(cat "$LAB_TMP/server.err")"
	start_daemon fw1 && start_daemon fw2 && wait_until 10 heard fw1 && wait_until 10 heard fw2 || die "the daemons do not start"
	talk_to talk client dialogue.py client "$LAB_TMP/talk.ask" "$seed" "$sessions" "$SERVER4" "$SERVER6" \
		"$CLIENT4" "$CLIENT4B" "$CLIENT4C" "$CLIENT6" "$CLIENT4C"
	wait_until 30 all_ready || die "the sessions do not begin: $(tail -n 3 "$LAB_TMP"/talk.*)"
	wait_until 10 known fw2 || die "the backup does not get to know the sessions"
}

summary() {
	local verdict
	verdict=$(ask talk quit)
	echo "dialogue: $total failovers of a dialogue ($round of the firewalls, $sessions at a time) in $1 s, seed $seed, window tracking $windows"
	echo "dialogue: corrupt $(number corrupt "$verdict"), stuck $(number stuck "$verdict"), broken $(number broken "$verdict"), no data connection without a reason $(number nodata "$verdict")"
	[ "$total_refusing" -eq 0 ] || echo "dialogue: commits that refused something: $total_refusing"
	echo "dialogue: data connections caught by a failover: $(number data "$verdict"); sessions younger than a second that ended with it: $(number younger "$verdict")"
	echo "dialogue: last announcement less than 0.1 s before: $(number shortly_before "$verdict"), of these lost: $(number late "$verdict")"
	sed -n 's/^late: /dialogue: lost: /p' "$LAB_TMP/talk.out"
	echo "dialogue: lines said and answered: $(number lines "$verdict")"
	[ ${#failed[@]} -eq 0 ] && return
	echo "dialogue: failed: ${failed[*]}; logs in $kept"
	echo "dialogue: to repeat: test/endurance/dialogue.sh ${again[*]:+${again[*]} }$failovers $seed"
}

lab_init
declare -A before=()
round=0 primary=fw1 backup=fw2 failed=() total=0 total_refusing=0 asks=yes begun=$SECONDS
build
while [ "$total" -lt "$failovers" ]; do failover $((round + 1)); done
summary $((SECONDS - begun))
[ ${#failed[@]} -eq 0 ]
