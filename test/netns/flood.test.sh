#!/usr/bin/env bash
# Forged datagrams, as many as this machine can send, beside two thousand events a second. None is accepted; what is
# genuine arrives all the same, late if need be.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
begin
is_ctsync || { skip "flood" "${LAB_DAEMON%% *} accepts what is forged"; finish; }

FLOOD_RATE=${FLOOD_RATE:-50000}         # forged datagrams a second
FLOOD_SECONDS=${FLOOD_SECONDS:-6}
FLOOD_SENDERS=${FLOOD_SENDERS:-1}
EVENTS=${FLOOD_EVENTS:-2000}            # genuine events a second
PROBES=${FLOOD_PROBES:-5}
LATEST=60                               # seconds until a genuine connection has to be there

# flooded SOURCE
flooded() {
	pair_up || finish
	flows create 0 200
	soon "fw2 holds what the kernel of fw1 has" 20 external_is_kernel
	attack churn fw1 churn.py "$EVENTS" 1000
	attack calm fw1 probe.py "$LAB_TMP/fw2.ctl" 60000 "$PROBES" "$LATEST"
	wait_until $((LATEST * PROBES)) gone "$(pid_of calm)"
	note "without a flood: $(cat "$LAB_TMP/calm.out" "$LAB_TMP/calm.err")"
	before=$(refused_by fw2)
	attack flood sw flood.py "$1" "$FLOOD_RATE" "$FLOOD_SECONDS" "$FLOOD_SENDERS"
	wait_until 15 said flood flooding
	attack probe fw1 probe.py "$LAB_TMP/fw2.ctl" 61000 "$PROBES" "$LATEST"
	wait_until $((LATEST * PROBES)) gone "$(pid_of probe)"
	wait_until $((FLOOD_SECONDS + 30)) gone "$(pid_of flood)"
	note "forged: $(tail -n 1 "$LAB_TMP/flood.out")$(cat "$LAB_TMP/flood.err"), counted: $(($(refused_by fw2) - before))"
	note "during the flood: $(cat "$LAB_TMP/probe.out" "$LAB_TMP/probe.err")"
	check "what begins during the flood arrives" said probe "^arrived $PROBES of $PROBES"
	stop churn
	note "$(cat "$LAB_TMP/churn.out" "$LAB_TMP/churn.err")"
	soon "afterwards fw2 holds exactly what the kernel of fw1 has" 30 external_is_kernel
	refute "fw2 does not show the forged connection" is_shown fw2
	check "both daemons run" eval "alive fw1 && alive fw2"
	check "a commit succeeds" ctl fw2 -c
	refute "the kernel of fw2 does not have the forged connection" is_in_kernel fw2
}

case_begins "sealed, in the name of the peer"
LAB_LINK=udp LAB_KEY=ours
lab_up none
flooded peer
no_leaks
daemon_stop fw1
daemon_stop fw2

case_begins "not sealed, from a stranger"
LAB_KEY=
lab_up none
flooded "$STRANGER"
[ "$TAP_FAILED" -eq 0 ] || explain
finish
