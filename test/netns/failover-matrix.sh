#!/usr/bin/env bash
# failover-matrix.sh: every conversation of test/lab/conversations with a failover in the middle, for every NAT, with ctsync
# and with conntrackd if it is installed, and the controls. Prints a table in markdown; it ends with status 1 if anything
# with ctsync did not survive or a control let through what it should not.
#
# usage: test/netns/failover-matrix.sh [OPTION]... [NAME...]      default: all conversations (root; ten minutes)
#
#   --link LINK         of the daemons: multicast (default), udp, multicast6, udp6
#   --loss PERCENT      that share of what arrives on the dedicated link is lost, both ways, once the two have met
#   --rules nft         the helpers are attached by nftables' objects, not by the CT target
#   --options LINE      into Options { }, as "TCPWindowTracking On"
#   --only DAEMON       ctsync or conntrackd
#   --no-controls
#
# A cell says what failed behind the failover: "control" connection, the announced "channel", a "new" channel agreed on
# afterwards, addresses "inside" the traps; "before" means that the conversation did not get as far as that.
# LAB_DAEMON, LAB_CLIENT name the program that stands in ctsync's column (run.sh).
# shellcheck disable=SC2317,SC2329 # functions are called by name
set -u
NETNS_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/netns/tap.sh
. "$NETNS_HERE/tap.sh"
# shellcheck source=test/netns/helper-failover.sh
. "$NETNS_HERE/helper-failover.sh"

usage() { sed -n '/^# usage/,/^# A cell/{/^# A cell/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }

link=multicast loss=0 options= only= controls=yes
while [ $# -gt 0 ]; do
	case $1 in
	--link | --loss | --options | --only | --rules)
		[ $# -gt 1 ] || usage
		case $1 in --rules) LAB_RULES=$2 ;; *) declare "${1#--}=$2" ;; esac
		shift ;;
	--no-controls) controls= ;;
	-*) usage ;;
	*) break ;;
	esac
	shift
done
wanted=("$@")
[ -n "$(conversations "${wanted[@]}")" ] || usage
reason=$(lab_missing)
[ -z "$reason" ] || { echo "failover-matrix: $reason" >&2; exit 2; }

declare -A cell=()
daemons=(ctsync conntrackd)
[ -z "$only" ] || daemons=("$only")
command -v conntrackd >/dev/null || daemons=("${daemons[@]/conntrackd/}")
ctsync_daemon=$LAB_DAEMON ctsync_client=$LAB_CLIENT

use() {
	lab_defaults
	LAB_LINK=$link LAB_OPTIONS_EXTRA=$options
	if [ "$1" = conntrackd ]; then LAB_DAEMON='conntrackd -C' LAB_CLIENT='conntrackd -C'; else
		LAB_DAEMON=$ctsync_daemon LAB_CLIENT=$ctsync_client
	fi
}

# run DAEMON NAT COMMIT-ARGS...: one failover of everything
run() {
	local daemon=$1 nat=$2; shift 2
	echo "failover-matrix: $daemon, NAT $nat, ${*:-no commit} ..." >&2
	use "$daemon"
	TALKING=()
	LAB_LOSS=$loss
	converse "$nat" "${wanted[@]}" >"$LAB_TMP/matrix.log" 2>&1 || { cat "$LAB_TMP/matrix.log" >&2; return; }
	fail_over "$@"
}

# failures NAME: in one word each what did not work behind the failover
failures() {
	local step result used=
	come_to_hold "$1" || { echo before; return; }
	while read -r step result _; do
		if is_channel "$step"; then
			if [ -z "$used" ]; then used=yes; [ "$result" = ok ] || echo channel
			elif [ "$result" != ok ]; then echo new; fi
		elif [ "$result" = ok ]; then continue
		elif is_control "$step"; then echo control
		elif [ "$step" = trap ]; then echo inside
		fi
	done < <(step_results "$1") | awk '!seen[$0]++'
}

nats=(none snat dnat both)
lab_init
status=0
for daemon in "${daemons[@]}"; do
	[ -n "$daemon" ] || continue
	for nat in "${nats[@]}"; do
		run "$daemon" "$nat" -c
		for name in "${TALKING[@]}"; do
			failed=$(failures "$name" | paste -sd ' ')
			cell[$daemon:$nat:$name]=${failed:-pass}
			if [ "$daemon" = ctsync ] && [ -n "$failed" ]; then
				status=1
				note "$nat $name: $failed"$'\n'"$(cat "$LAB_TMP/$name.out")"$'\n'"$(daemon_log fw2 | tail -n 8)" >&2
			fi
		done
	done
done

# Controls: what is announced must not get through without its expectation, and nothing without a commit.
blocked=0 leaks=()
control() {
	local nat=$1 kind=$2 name; shift 2
	run ctsync "$nat" "$@"
	for name in "${TALKING[@]}"; do
		[ "$kind" = connection ] || [ "${TALK_CHANNEL[$name]}" = "$kind" ] || continue
		case $name in snmp-trap-*) continue ;; esac     # a trap begins a connection of its own on any firewall
		if channel_used "$name"; then leaks+=("$name, NAT $nat, ${*:-no commit}"); else blocked=$((blocked + 1)); fi
	done
}
if [ -n "$controls" ] && [ "$only" != conntrackd ]; then
	for nat in "${nats[@]}"; do
		control "$nat" expectation -c ct
		control "$nat" connection
	done
fi

columns() { local daemon nat; for daemon in "${daemons[@]}"; do [ -z "$daemon" ] || for nat in "${nats[@]}"; do "$1" "$daemon" "$nat"; done; done; }
heading() { printf ' %s: %s |' "$1" "$2"; }
rule() { printf -- '---|'; }
result() { printf ' %s |' "${cell[$1:$2:$row]:-not run}"; }
echo "| conversation |$(columns heading)"
echo "|---|$(columns rule)"
while read -r row _; do echo "| $row |$(columns result)"; done < <(conversations "${wanted[@]}")
if [ -n "$controls" ] && [ "$only" != conntrackd ]; then
	echo
	echo "Controls: $blocked of $((blocked + ${#leaks[@]})) channels did not get through without what had to be committed for them."
	[ ${#leaks[@]} -eq 0 ] || { printf -- '- let through: %s\n' "${leaks[@]}"; status=1; }
fi
exit $status
