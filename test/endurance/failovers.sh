#!/usr/bin/env bash
# failovers.sh: many TCP connections, failed over to the other firewall and back, again and again, at random instants.
#
# usage: test/endurance/failovers.sh [OPTION]... [FAILOVERS [SEED]]        default: 100 failovers, seed 1 (root)
#
#   --flows N        connections at a time (default 500): IPv4 and IPv6, with no NAT, SNAT, DNAT and both (flows.py)
#   --windows W      TCPWindowTracking: off, on, or mixed (default): by each start of a daemon
#   --link KIND      multicast (default), udp, multicast6, udp6
#   --quiet          only what went wrong, and the summary
#
# nf_conntrack_tcp_loose=0 and a rule that drops INVALID: a firewall that does not know a connection lets none of it
# through. SEED decides for each failover how the primary ends:
#   dies             at an instant, all at once
#   daemon           the daemon is killed, the cables are pulled later
#   term             SIGTERM, and the addresses are moved while its kernel goes on
#   hook             nothing is broken: the stock role script is called with "primary" there and "backup" here
#   deaf, mute       for some time before it dies nothing arrives on the dedicated link at it, or at its peer
# and also whether the commit comes before the addresses are moved or after, how long each pause is, and whether the dead
# node comes back with an empty table or with all that it had, from then on older and older: the next failover goes there.
# (Then the commit comes first. An old entry passes packets of a new connection to the wrong port until the commit, and
# the server resets it; the stock role script has such entries removed when a node comes back as backup.)
#
# The rule: 0 acknowledged connections are lost. Acknowledged is what is older than a second and was in the peer's cache
# ("-e") at the time of the failover. What is younger is counted apart.
# shellcheck disable=SC2317,SC2329 # functions are called by name
set -u
ENDURANCE_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/lab/lab.sh
. "$ENDURANCE_HERE/../lab/lab.sh"
# shellcheck source=test/endurance/endurance.sh
. "$ENDURANCE_HERE/endurance.sh"

usage() { sed -n '/^# usage/,/^#$/{/^#$/q;s/^# \{0,1\}//;p};' "$0" >&2; sed -n '/^#   --/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

flows=500 windows=mixed link=multicast quiet='' again=()
while [ $# -gt 0 ]; do
	case $1 in
	--quiet) quiet=yes ;;
	--flows | --windows | --link)
		[ $# -gt 1 ] || usage
		again+=("$1" "$2")
		declare "${1#--}=$2"
		shift ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
failovers=${1:-100} seed=${2:-1}
[[ $failovers$flows$seed =~ ^[0-9]+$ ]] || usage
kept=$LAB_ROOT/build/failovers-$seed-$$
# Seconds without an answer after which a connection is lost. TCP itself tries again after 0.2, 0.4, 0.8 ... s.
PATIENCE=30
AGE=1

reason=$(lab_missing)
[ -z "$reason" ] || { echo "failovers: $reason" >&2; exit 2; }
LC_ALL=C

# held_by NODE [AGE]: are all connections of that age in its cache?
held_by() {
	ctl "$1" -e >"$LAB_TMP/dump" 2>/dev/null || return 1
	last_held=$(ask flows held "$LAB_TMP/dump" "${2:-1.5}") || return 1
	[ "$(number missing "$last_held")" = 0 ] && [ "$(number of "$last_held")" -ge $((flows / 2)) ]
}

# --- how a primary ends ------------------------------------------------------------------------------------------

# mark: which connections the peer knows, as near to the end as possible; the answer comes before the end
mark() {
	ctl "$backup" -e >"$LAB_TMP/dump"
	marked=$(ask flows mark "$LAB_TMP/dump" $AGE) || trouble "no mark"
	total_unknown=$((total_unknown + $(number unknown "$marked")))
}

end_dies() { mark; pause_ms "$(chance 0 300)"; power_off "$primary"; }
end_daemon() {
	mark
	pause_ms "$(chance 0 300)"
	daemon_stop "$primary" KILL
	pause_ms "$(chance 0 200)"
	power_off "$primary"
}
end_term() { mark; daemon_stop "$primary" TERM; pause_ms "$(chance 0 200)"; }
end_hook() { mark; pause_ms "$(chance 0 200)"; }
# What changes while the link is cut cannot be known, so the mark comes before.
end_deaf() { mark; one_way "$primary" on; pause_ms "$(chance 50 900)"; power_off "$primary"; one_way "$primary" off; }
end_mute() { mark; one_way "$backup" on; pause_ms "$(chance 50 900)"; power_off "$primary"; one_way "$backup" off; }

# --- one failover ------------------------------------------------------------------------------------------------

failover() {
	local marked manners=(dies dies dies daemon daemon term hook hook deaf mute) verdict moment end begun
	round=$1
	RANDOM=$((seed * 1009 + round))
	troubled='' manner=${manners[RANDOM % 10]} order=commit table=kept asks=yes
	[ $((RANDOM % 3)) -ne 0 ] || order=addresses
	[ $((RANDOM % 2)) -eq 0 ] || table=flushed
	[ $((RANDOM % 2)) -eq 0 ] || asks=no
	[ "${left_over[$backup]:-}" != yes ] || order=commit
	pause_ms "$(chance 200 2500)"
	begun=$(now_ms)
	"end_$manner"
	moment=$(ask flows moment) || trouble "the client does not obey"
	take_over_and_commit
	ask flows verify >/dev/null
	end=$(($(now_ms) + PATIENCE * 1000))
	while :; do
		verdict=$(ask flows verdict)
		[ "$(number waiting "$verdict")" != 0 ] && [ "$(now_ms)" -lt $end ] || break
		sleep 0.1
	done
	# a lost one is looked for while it is still there
	[ "$(number waiting "$verdict")" = 0 ] || keep_evidence
	sleep 1
	verdict=$(ask flows verdict final)
	account "$moment" "$verdict"
	tell "round $round: $primary $manner, $order first, table $([ "$manner" = hook ] && echo kept || echo $table), $(($(now_ms) - begun)) ms; $marked; $moment; $verdict"
	come_back
	left_over[$primary]=no
	[ $manner = hook ] || [ $table = flushed ] || [ $asks = yes ] || left_over[$primary]=yes
	wait_until 40 held_by "$primary" || trouble "$primary does not get to know all connections: ${last_held:-}"
	[ -z "$troubled" ] || { failed+=("$round"); keep_evidence; }
	manner=$primary primary=$backup backup=$manner
}

account() {
	local lost younger
	lost=$(number lost "$2") younger=$(number younger_lost "$2")
	total_acknowledged=$((total_acknowledged + $(number acknowledged "$1")))
	total_open=$((total_open + $(number open "$1")))
	total_lost=$((total_lost + lost)) total_younger=$((total_younger + younger))
	[ "$lost" -eq 0 ] || trouble "$manner, $order first: $lost acknowledged connections lost:"$'\n'"$(grep '^lost:' "$LAB_TMP/flows.out" | tail -n "$lost" | head -n 5)"
	if [ "$(number corrupt "$2")" != 0 ] || grep -q '^corrupt' "$LAB_TMP/server.out"; then
		trouble "wrong data: $(grep -h '^corrupt' "$LAB_TMP/flows.out" "$LAB_TMP/server.out" | tail -n 3)"
	fi
	[ "$(number broken "$2")" = "$total_broken" ] || trouble "$(grep '^broken' "$LAB_TMP/flows.out" | tail -n 1)"
	total_broken=$(number broken "$2")
}

# --- the whole ---------------------------------------------------------------------------------------------------

build() {
	mixed_up
	strict fw1 fw2
	LAB_LINK=$link LAB_MODE_EXTRA='PurgeTimeout 1'
	role_clients
	# a port whose connection has just ended is taken again
	in_ns client sh -c 'echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse; echo 50 >/proc/sys/net/ipv4/tcp_tw_reuse_delay' 2>/dev/null
	talk_to server server flows.py serve $STREAM_PORT
	wait_until 5 said server listening || die "the server does not start: $(cat "$LAB_TMP/server.err")"
	RANDOM=$seed
	start_daemon fw1 && start_daemon fw2 && wait_until 10 heard fw1 && wait_until 10 heard fw2 || die "the daemons do not start"
	talk_to flows client flows.py client "$LAB_TMP/flows.ask" "$seed" "$flows" $STREAM_PORT "${MIXED_PAIRS[@]}"
	wait_until 30 held_by fw2 || die "the connections do not begin: ${last_held:-} $(tail -n 3 "$LAB_TMP"/flows.*)"
}

summary() {
	echo "failovers: $failovers of $flows connections in $1 s, seed $seed, link $link, window tracking $windows"
	echo "failovers: established at the time: $total_open, of these acknowledged: $total_acknowledged"
	echo "failovers: commits that refused something (what is over, or younger): $total_refusing"
	echo "failovers: acknowledged and lost: $total_lost; younger and lost: $total_younger; older than $AGE s and not known to the peer: $total_unknown; $(ask flows quit)"
	[ ${#failed[@]} -eq 0 ] && return
	echo "failovers: failed: ${failed[*]}; logs in $kept"
	echo "failovers: to repeat: test/endurance/failovers.sh ${again[*]:+${again[*]} }${failed[0]} $seed"
}

lab_init
declare -A left_over=()
round=0 primary=fw1 backup=fw2 failed=() last_held=''
total_acknowledged=0 total_open=0 total_lost=0 total_younger=0 total_unknown=0 total_refusing=0 total_broken=0 begun=$SECONDS
build
for ((n = 1; n <= failovers; n++)); do failover "$n"; done
summary $((SECONDS - begun))
[ ${#failed[@]} -eq 0 ]
