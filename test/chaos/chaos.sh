#!/usr/bin/env bash
# chaos.sh: a running pair, live flows on both nodes, and all that can go wrong with daemons and their link, round after
# round. At the end of each round everything is mended; then each node has to hold what the other one's kernel has.
#
# usage: test/chaos/chaos.sh [OPTION]... [ROUNDS [SEED]]       default: 200 rounds, seed 1 (root; half an hour)
#
#   --sealed         the link has a key
#   --link KIND      multicast (default), udp, multicast6, udp6
#   --rate N         changes a second in the kernel table of each node (default 500)
#   --limit SECONDS  within which both must be equal after the end of the faults (default 2)
#   --only ROUND     one round of these; --from ROUND: begin with this one
#   --plan FILE      rounds from a file of the form that plan.py prints
#   --quiet          only differences and the summary
#
# plan.py says what happens in a round; SEED decides it, and the fate of each datagram (relay.py). What is not decided is
# when the scheduler lets whom run: a difference that depends on it may need the same command several times.
#
# What is compared, and when. Whatever happens to daemons and link, the rules promise equality by itself. An operator's
# flush is another matter: it withdraws, it does not destroy.
#   after -F, -t of a node                    its peer keeps what it holds of it, until a bulk. So first the peer has to
#                                             hold all that the kernel has (it may hold more); the comparison follows
#                                             after -R (an overrun after -F withdraws, too) and -B there.
#   after -f internal, -f of a node           changes that were not sent yet are forgotten: -R and -B come first.
#   after -f external, -f of a node           it has forgotten the peer's entries until a bulk: -n there.
# A daemon that was started since has no such debt. "conntrack -F" is nobody's withdrawal: its deletions are replicated.
# Timeouts are not compared, and the load pauses for the comparison: the kernel says nothing when a timeout changes, and
# nothing stands still while packets flow.
# shellcheck disable=SC2317,SC2329 # functions are called by name
set -u
CHAOS_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/lab/lab.sh
. "$CHAOS_HERE/../lab/lab.sh"

usage() { sed -n '/^# usage/,/^#$/{/^#$/q;s/^# \{0,1\}//;p};' "$0" >&2; sed -n '/^#   --/s/^# \{0,1\}//p' "$0" >&2; exit 2; }

sealed='' link=multicast rate=500 limit=2 only='' from=1 plan='' quiet='' again=()
while [ $# -gt 0 ]; do
	case $1 in
	--sealed) sealed=yes; again+=("$1") ;;
	--quiet) quiet=yes ;;
	--link | --rate | --limit | --only | --from | --plan)
		[ $# -gt 1 ] || usage
		case $1 in --from | --only) ;; *) again+=("$1" "$2") ;; esac
		declare "${1#--}=$2"
		shift ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
rounds=${1:-200} seed=${2:-1}
[[ $rounds$limit$from$rate =~ ^[0-9]+$ ]] || usage
# After this many seconds a late answer is no answer.
give_up=$((limit + 8))
kept=$LAB_ROOT/build/chaos-$seed

reason=$(lab_missing)
[ -z "$reason" ] || { echo "chaos: $reason" >&2; exit 2; }
LC_ALL=C

# --- the steps of a plan -----------------------------------------------------------------------------------------

declare -A debt=()          # NODE:reread, NODE:ask: what an operator's flush leaves to be done
declare -A is_frozen=() is_down=()
tiny_node='' link_faulty=''

ask() { local name=$1; shift; "$LAB_PYTHON" "$CHAOS_HERE/ask.py" "$LAB_TMP/$name.ask" "$@"; }
do_wait() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }
do_link() { link_faulty=yes; ask relay "$@" >/dev/null || trouble "the relay does not obey: $*"; }
do_freeze() { usable "$1" && kill -STOP "$(pid_of "$1")" && is_frozen[$1]=yes; }
do_thaw() { [ -z "${is_frozen[$1]:-}" ] || kill -CONT "$(pid_of "$1")"; unset "is_frozen[$1]"; }
do_unplug() { ip -n "$LAB_ID-sw" link set "$1-sync" down; unplugged=$1; }
do_plug() { [ -z "${unplugged:-}" ] || ip -n "$LAB_ID-sw" link set "$unplugged-sync" up; unplugged=''; }
do_storm() { ask "load-$1" storm "$2" >/dev/null || trouble "no storm on $1"; }
do_brief() { ask "load-$1" brief "$2" >/dev/null || trouble "no short-lived entries on $1"; }
do_kernel_flush() { in_ns "$1" conntrack -F "$2" 2>/dev/null; }
do_kill() {
	do_thaw "$1"
	died "$1"
	daemon_stop "$1" "$2"
	is_down[$1]=yes
	clear_debt "$1"
}
do_start() {
	alive "$1" && return
	daemon_start "$1" 2>"$LAB_TMP/start.err" || trouble "the daemon of $1 does not start: $(cat "$LAB_TMP/start.err")"
	unset "is_down[$1]"
}
# A daemon with hardly any buffer for events; it gets its buffer back after the round.
do_tiny() {
	do_kill "$1" TERM
	tiny_node=$1
	daemon_start "$1" >/dev/null 2>&1 || trouble "the daemon of $1 does not start"
	unset "is_down[$1]"
}
do_command() {
	local fw=$1 status; shift
	usable "$fw" || return
	case "$*" in
	-f) debt[$fw:reread]=cache debt[$fw:ask]=yes ;;
	'-f internal') debt[$fw:reread]=cache ;;
	-F | -t) [ "${debt[$fw:reread]:-}" = cache ] || debt[$fw:reread]=kernel ;;
	'-f external') debt[$fw:ask]=yes ;;
	esac
	# shellcheck disable=SC2086 # a command with its arguments
	timeout 20 ip netns exec "$LAB_ID-$fw" $LAB_CLIENT "$(conf_of "$fw")" "$@" >"$LAB_TMP/command.out" 2>&1
	status=$?
	[ $status -ne 124 ] || trouble "$fw has not answered $* for 20 s"
	# A commit may meet what the kernel refuses, when the other node's flows have come into this table meanwhile.
	[ $status -eq 0 ] || refused=$((refused + 1))
}

usable() { alive "$1" && [ -z "${is_frozen[$1]:-}" ]; }
clear_debt() { unset "debt[$1:reread]" "debt[$1:ask]"; }
# died NODE: complains about a daemon that has ended without being told to
died() { [ -n "${is_down[$1]:-}" ] || alive "$1" || trouble "the daemon of $1 has died: $(tail -n 3 "$LAB_TMP/$1.err")"; }

# The configuration of a tiny node, as daemon_start writes it.
eval "plain_$(declare -f daemon_config)"
daemon_config() {
	plain_daemon_config "$1"
	[ "$1" != "$tiny_node" ] ||
		sed -i -E 's/(NetlinkBufferSize) .*/\1 16384/; s/(NetlinkBufferSizeMaxGrowth) .*/\1 65536/' "$(conf_of "$1")"
}

# --- one round ---------------------------------------------------------------------------------------------------

trouble() { note_line "  $*"; troubled=yes; }
note_line() { echo "$*" >>"$LAB_TMP/round.log"; }
loads() {
	"$LAB_PYTHON" "$CHAOS_HERE/ask.py" "$LAB_TMP/load-fw1.ask,$LAB_TMP/load-fw2.ask,$LAB_TMP/sessions.ask" "$1" \
		>"$LAB_TMP/loads.log" || trouble "the load does not obey"
}

mend() {
	local fw
	[ -z "$link_faulty" ] || do_link clear
	link_faulty=''
	do_plug
	for fw in fw1 fw2; do do_thaw "$fw"; done
	for fw in fw1 fw2; do
		died "$fw"
		do_start "$fw"
	done
}

# conntrackd does not show how entries of its external cache are translated
nat=()
! is_ctsync || nat=(--nat)

# What equal.py has to know of the nodes.
node_words() {
	local fw
	for fw in fw1 fw2; do echo "$fw,$LAB_ID-$fw,$LAB_TMP/$fw.ctl,$(peer_of "$fw")"; done
}

# keeps_all NODE: after a flush of its kernel the peer holds all that is there, and perhaps more
keeps_all() {
	local peer
	peer=$(peer_of "$1")
	[ "${debt[$1:reread]:-}" = kernel ] && [ -z "${debt[$peer:ask]:-}" ] || return 0
	"$LAB_PYTHON" "$CHAOS_HERE/equal.py" --superset "${nat[@]}" "$(now_ms)" "$limit" "$limit" \
		"$1,$LAB_ID-$1,$LAB_TMP/$1.ctl,$peer" "$peer,$LAB_ID-$peer,$LAB_TMP/$peer.ctl" >"$LAB_TMP/superset.out" ||
		trouble "after a flush on $1, $peer no longer holds all of it: $(cat "$LAB_TMP/superset.out")"
}

pay() {
	local fw
	for fw in fw1 fw2; do
		[ -n "${debt[$fw:reread]:-}" ] || continue
		do_command "$fw" -R
	done
	for fw in fw1 fw2; do
		[ -z "${debt[$fw:reread]:-}" ] || do_command "$fw" -B
		[ -z "${debt[$fw:ask]:-}" ] || do_command "$fw" -n
		clear_debt "$fw"
	done
}

# round NUMBER STEP...
round() {
	local number=$1 step words healed verdict nodes text; shift
	troubled='' refused=0
	: >"$LAB_TMP/round.log"
	loads resume
	for step; do
		read -ra words <<<"$step"
		"do_${words[0]}" "${words[@]:1}"
	done
	mend
	healed=$(now_ms)
	loads pause
	if [ ${#debt[@]} -gt 0 ]; then
		for step in fw1 fw2; do keeps_all "$step"; done
		pay
		healed=$(now_ms)
	fi
	mapfile -t nodes < <(node_words)
	text=$("$LAB_PYTHON" "$CHAOS_HERE/equal.py" "${nat[@]}" "$healed" "$limit" "$give_up" "${nodes[@]}") || troubled=yes
	verdict=${text##*$'\n'}
	[ "${text%"$verdict"}" = "" ] || note_line "${text%"$verdict"}"
	case $verdict in equal*) read -r _ text _ <<<"$verdict" && echo "$text" >>"$LAB_TMP/times" ;; esac
	if [ -n "$troubled" ] || [ -z "$quiet" ]; then
		echo "round $number: $verdict$([ $refused -eq 0 ] || echo ", $refused commands refused something"), machine load $(cut -d' ' -f1 /proc/loadavg) [$(IFS=';'; echo "$*")]"
		cat "$LAB_TMP/round.log"
	fi
	[ -z "$troubled" ] || lost_round "$number"
	if [ -n "$tiny_node" ]; then
		words=("$tiny_node")
		tiny_node=''
		do_kill "${words[0]}" TERM
		do_start "${words[0]}"
	fi
}

# Keeps what helps to understand it, and goes on with daemons that have had no past.
lost_round() {
	local fw
	failed+=("$1")
	mkdir -p "$kept/$1"
	cp "$LAB_TMP"/{*.log,*.err,*.conf} "$kept/$1/" 2>/dev/null
	for fw in fw1 fw2; do
		in_ns "$fw" conntrack -L >"$kept/$1/$fw.kernel" 2>&1
		for words in -s '-s network' '-s runtime' -i -e; do
			# shellcheck disable=SC2086 # a command with its arguments
			timeout 10 ip netns exec "$LAB_ID-$fw" $LAB_CLIENT "$(conf_of "$fw")" $words >"$kept/$1/$fw${words// /}" 2>&1
		done
	done
	ask relay stats >"$kept/$1/relay" 2>&1
	for fw in fw1 fw2; do do_kill "$fw" KILL; done
	troubled=''
	daemons_up 2>/dev/null
	is_down=()
}

# --- the whole ---------------------------------------------------------------------------------------------------

build() {
	local fw load
	lab_up none
	LAB_LINK=$link LAB_MODE_EXTRA='PurgeTimeout 1'
	[ -z "$sealed" ] || LAB_KEY=chaos
	for fw in fw1 fw2; do
		ip -n "$LAB_ID-sw" link set "$fw-sync" nomaster || die "cannot take the cable of $fw out of the switch"
		# What is over is over by an event: the kernel drops idle entries when it comes by, and until then says nothing.
		# shellcheck disable=SC2016 # the inner shell expands it
		in_ns "$fw" sh -c 'for f in /proc/sys/net/netfilter/nf_conntrack_*timeout*; do
			case $f in *loose*) ;; *) echo 86400 >$f ;; esac; done' 2>/dev/null
	done
	spawn relay sw "$LAB_PYTHON" "$CHAOS_HERE/relay.py" "$LAB_TMP/relay.ask" "$seed" fw1=fw1-sync fw2=fw2-sync
	talk server server stream.py serve $STREAM_PORT
	wait_until 5 said relay ready || die "the relay does not start: $(cat "$LAB_TMP/relay.err")"
	wait_until 5 said server listening || die "the server does not start"
	spawn load-fw1 fw1 "$LAB_PYTHON" "$CHAOS_HERE/load.py" entries "$LAB_TMP/load-fw1.ask" "$seed" 1 "$rate"
	spawn load-fw2 fw2 "$LAB_PYTHON" "$CHAOS_HERE/load.py" entries "$LAB_TMP/load-fw2.ask" "$seed" 2 "$rate"
	spawn sessions client "$LAB_PYTHON" "$CHAOS_HERE/load.py" sessions "$LAB_TMP/sessions.ask" "$SERVER4" $STREAM_PORT 20
	for load in load-fw1 load-fw2 sessions; do
		wait_until 5 said "$load" ready || die "$load does not start: $(cat "$LAB_TMP/$load.err")"
	done
	daemons_up || die "the daemons do not start, or do not hear each other"
	: >"$LAB_TMP/times"
}

summary() {
	local count=$1 seconds=$2 verdict=${#failed[@]}
	echo "chaos: $count rounds in $seconds s, $verdict differences, seed $seed, link $link${sealed:+, sealed}"
	sort -n "$LAB_TMP/times" | awk '{ t[NR] = $1 } END {
		if (NR) printf "chaos: milliseconds from the end of the faults to equality: p50 %d, p99 %d, max %d\n",
			t[int((NR + 1) / 2)], t[int(NR * 0.99 + 0.99)], t[NR] }'
	echo "chaos: the load: $(tr '\n' ';' <"$LAB_TMP/loads.log")"
	echo "chaos: the cable: $(ask relay stats)"
	[ "$verdict" -eq 0 ] && return
	echo "chaos: failed rounds: ${failed[*]}; logs in $kept"
	echo "chaos: to repeat: test/chaos/chaos.sh ${again[*]:+${again[*]} }${failed[0]} $seed"
	echo "chaos: one round: test/chaos/chaos.sh ${again[*]:+${again[*]} }--only ${failed[0]} ${failed[0]} $seed"
}

lab_init
build
failed=()
if [ -z "$plan" ]; then
	plan=$LAB_TMP/plan
	"$LAB_PYTHON" "$CHAOS_HERE/plan.py" "$rounds" "$seed" >"$plan"
fi
count=0 begun=$SECONDS
for ((n = from; n <= rounds; n++)); do
	[ -z "$only" ] || [ "$n" = "$only" ] || continue
	mapfile -t steps < <(awk -v n="$n" '$1 == n { sub(/^[0-9]+ /, ""); print }' "$plan")
	[ ${#steps[@]} -gt 0 ] || continue
	count=$((count + 1))
	round "$n" "${steps[@]}"
done
summary "$count" $((SECONDS - begun))
[ ${#failed[@]} -eq 0 ]
