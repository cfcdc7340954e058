#!/usr/bin/env bash
# Two dedicated links: the other one is taken when the carrier of the first is gone, and when it silently drops; the
# first again when it works. Connections come, change and end all the time; in the end each node has all of them.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

LAB_NETS="lan wan sync spare"

flows() { in_ns "$1" "$LAB_PYTHON" "$LAB_HERE/inject.py" "${@:2}" >/dev/null; }
# active NODE: the device of the link in use
active() { ctl "$1" -s link 2>/dev/null | sed -n 's/.*device=\([a-z0-9]*\) .*role=ACTIVE.*/\1/p'; }
is_active() { [ "$(active "$1")" = "$2" ]; }
both_on() { is_active fw1 "$1" && is_active fw2 "$1"; }

# load FIRST: new, changed and ended connections on both nodes, for about two seconds
load() {
	local first=$1 i
	for i in 0 1 2 3 4 5 6 7; do
		flows fw1 create $((first + i * 100)) 100
		flows fw1 finish $((first + i * 100)) 50
		[ "$i" -eq 0 ] || flows fw1 delete $((first + i * 100 - 40)) 40
		flows fw2 create $((first + 50000 + i * 50)) 50
		sleep 0.1
	done
}

# drop NODE DEVICE: what arrives there is dropped, and its carrier stays
rule() { local tables; for tables in iptables ip6tables; do in_ns "$1" $tables -t raw "$3" PREROUTING -i "$2" -j DROP; done; }
drop() { rule "$1" "$2" -I; }
pass_again() { rule "$1" "$2" -D; }

# with_load FIRST CMD...: does it in the midst of the load
with_load() {
	local first=$1 pid; shift
	load "$first" & pid=$!
	sleep 0.4
	"$@"
	wait "$pid"
}
all_there() {
	soon "every connection of fw1 is at fw2" 3 equal_now fw1 fw2
	soon "and every one of fw2 at fw1" 3 equal_now fw2 fw1
}

run_on() {
	case_begins "$LAB_LINK"
	lab_up none
	pair_up || return
	check "the link with Default is in use" both_on sync0

	with_load 1000 cable fw1 sync down
	soon "without carrier fw1 takes the other link" 2 is_active fw1 spare0
	all_there
	matches "the log says so" "device \`spare0' becomes dedicated link: sync0 has no carrier" "$(daemon_log fw1)"
	cable fw1 sync up
	with_load 3000 true
	all_there
	soon "the default link is taken again by both" 20 both_on sync0

	with_load 5000 drop fw2 sync0
	soon "when nothing of fw1 gets through it takes the other link" 2 is_active fw1 spare0
	all_there
	pass_again fw2 sync0
	soon "and the default one when fw2 is heard on it" 30 both_on sync0
	with_load 7000 true
	all_there

	# both ways at once, and the spare one is cut, too, for a while
	with_load 9000 eval 'drop fw1 sync0; drop fw2 sync0; cable fw1 spare down; sleep 1; cable fw1 spare up'
	all_there
	lab_down
}

for LAB_LINK in multicast udp6; do run_on; done
finish
