# shellcheck shell=bash
# helper-failover.sh: every conversation of test/lab/conversations at the same time through fw1, which dies while each of
# them has announced a channel that nobody has opened yet; fw2 commits and takes over. To be sourced after tap.sh, or by
# whoever prints something else than verdicts.
#
#   converse NAT [NAME...]       builds the lab and has them talk (all that are named so, or all) until each holds
#   fail_over [COMMIT-ARGS...]   fw1 dies; fw2 commits (no arguments: it does not) and takes over; all go on to their end
#   step_results NAME            what its steps behind the hold came to: "STEP ok|failed REASON" each
#   channel_used NAME            did the channel that was announced before the failover get through?
#
# $TALKING has their names. LAB_LOSS: per cent that the dedicated link loses from the first word on.

HELPER_SERVICES="tcp/21/ftp udp/69/tftp tcp/6667/irc udp/10080/amanda tcp/6566/sane udp/161/snmp udp/162/snmp_trap"
HELPER_SERVICES+=" udp/5060/sip tcp/5060/sip udp/1719/RAS tcp/1720/Q.931"
TALKING=()
declare -A TALK_STEPS=() TALK_CHANNEL=()

is_channel() { case $1 in list | get | dial | transfer | streams | image | media | incoming | value) ;; *) return 1 ;; esac; }
is_control() { case $1 in noop | ping | line | parameters) ;; *) return 1 ;; esac; }

# conversations [NAME...]: lines "NAME FAMILY CHANNEL SCRIPT STEPS", one for each family
conversations() {
	local name families channel script steps v wanted
	while read -r name families channel script steps; do
		case $name in '' | '#'*) continue ;; esac
		for v in 4 6; do
			case $families in *$v*) ;; *) continue ;; esac
			for wanted in "${@:-$name}"; do
				case $name-$v in "$wanted" | "$wanted"-*) echo "$name-$v $v $channel $script $steps"; break ;; esac
			done
		done
	done <"$LAB_HERE/conversations"
}

converse() {
	local nat=$1 name v channel script steps step host served=' ' argument; shift
	LAB_HELPERS=$HELPER_SERVICES
	lab_up "$nat"
	daemons_up || return
	[ "${LAB_LOSS:-0}" = 0 ] || sync_loss "$LAB_LOSS"
	TALKING=()
	while read -r name v channel script steps; do
		case $served in *" $script "*) continue ;; esac
		argument=
		case $script in tftp | snmp) argument=$LAB_TMP/go ;; esac
		# shellcheck disable=SC2086 # none or one
		talk "$script-server" server "$script.py" serve $argument
		served+="$script "
	done < <(conversations "$@")
	for script in $served; do wait_until 10 said "$script-server" '^listening' || echo "lab: no $script server" >&2; done
	while read -r name v channel script steps; do
		host=$(dialled_address "$v")
		steps=${steps//@SEEN/$(seen_address "$v")}
		# shellcheck disable=SC2086 # a list of words
		talk "$name" client "$script.py" client "$host" ${steps/ hold / hold:$LAB_TMP/go }
		TALK_STEPS[$name]=$steps TALK_CHANNEL[$name]=$channel
		TALKING+=("$name")
	done < <(conversations "$@")
	for name in "${TALKING[@]}"; do
		wait_until 15 come_to_hold "$name" && continue
		note "$name did not get as far as the failover: $(cat "$LAB_TMP/$name.out" "$LAB_TMP/$name.err")"
	done
	wait_until 3 expectations_replicated
	[ "${LAB_LOSS:-0}" = 0 ] || sleep 3
	sleep 0.7               # shifted sequence numbers are learnt a moment later than the expectation that shows them
}

# The addresses that the client dials, and that the server sees it come from.
dialled_address() {
	local vip=LAN_VIP$1 server=SERVER$1
	case $LAB_NAT in dnat | both) echo "${!vip}" ;; *) echo "${!server}" ;; esac
}
seen_address() {
	local vip=WAN_VIP$1 client=CLIENT$1
	case $LAB_NAT in snat | both) echo "${!vip}" ;; *) echo "${!client}" ;; esac
}

# come_to_hold NAME: all steps before it were ok
come_to_hold() {
	local before=${TALK_STEPS[$1]%% hold *}
	[ "$(grep -c '^[a-z]* ok' "$LAB_TMP/$1.out")" -ge "$(wc -w <<<"$before")" ]
}

# expectations NODE: those of its kernel, one a line, without what differs from moment to moment. Q.931 stands in for H.245
# where they were committed (src/commit/helper-choice.ts).
expectations() {
	local family
	for family in ipv4 ipv6; do in_ns "$1" conntrack -L expect -f $family 2>/dev/null; done |
		sed 's/^[0-9]* //; s/helper=H\.245/helper=Q.931/' | LC_ALL=C sort
}
expectations_replicated() { [ "$(ctl fw2 -e exp 2>/dev/null | grep -c proto=)" = "$(expectations fw1 | grep -c .)" ]; }

# fw1_dies: daemon and cables; fw1 can neither say goodbye nor do any harm
fw1_dies() { daemon_stop fw1 KILL; unplug fw1; }

fail_over() {
	local name
	expectations fw1 >"$LAB_TMP/expected.fw1"
	fw1_dies
	COMMIT_STATUS=0
	[ $# -eq 0 ] || ctl fw2 "$@" >"$LAB_TMP/commit" 2>&1 || COMMIT_STATUS=$?
	expectations fw2 >"$LAB_TMP/expected.fw2"
	kernel_flows fw2 >"$LAB_TMP/committed.fw2"
	take_over fw2
	touch "$LAB_TMP/go"
	for name in "${TALKING[@]}"; do wait_until 60 said "$name" '^end'; done
}

step_results() {
	local step line plan=${TALK_STEPS[$1]#* hold }
	awk '/^hold / { after = 1; next } after && !/^end/' "$LAB_TMP/$1.out" >"$LAB_TMP/$1.after"
	exec 8<"$LAB_TMP/$1.after"
	for step in $plan; do
		IFS= read -r -u 8 line || line="${step%%:*} failed: the conversation had ended before"
		echo "$line"
	done
	exec 8<&-
}

channel_used() {
	local step result
	while read -r step result _; do
		is_channel "$step" || continue
		[ "$result" = ok ]
		return
	done < <(step_results "$1")
	return 1
}

# survived NAME: one verdict for each thing that this conversation was to do behind the failover
survived() {
	local step result reason text used= failed=0
	while read -r step result reason; do
		text=
		if is_control "$step"; then text="the control connection goes on"
		elif is_channel "$step" && [ -z "$used" ]; then text="the announced channel gets through" used=yes
		elif is_channel "$step"; then text="a channel agreed on after the failover gets through"
		elif [ "$step" = trap ]; then text="the addresses inside are rewritten as before"
		elif [ "$result" != ok ]; then text="$step"
		fi
		[ -n "$text" ] || continue
		if [ "$result" = ok ]; then pass "$1: $text"; else fail "$1: $text" "$step $result $reason"; failed=1; fi
	done < <(step_results "$1")
	return $failed
}
