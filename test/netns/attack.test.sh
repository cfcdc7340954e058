#!/usr/bin/env bash
# Somebody without a key on the dedicated link. Two attacks first that conntrackd has no answer to: one forged datagram
# opens the firewall, another one of eight bytes stops the replication. Then the same, and everything else that can be
# made of what is heard on the link, against ctsync: nothing of it is accepted and no genuine update is lost.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
begin

two_attacks_on_conntrackd() {
	case_begins "conntrackd"
	pair udp ""
	check "an attacker sends one forged datagram from an address that is no peer" \
		as_attacker forge.py conntrackd-flow "$STRANGER"
	soon "the forged connection is in the external cache" 5 holds fw2 "$FORGED" -e
	ctl fw2 -c >/dev/null 2>&1
	soon "the forged flow is committed: the kernel has it as established and assured" 5 \
		eval "kernel_flows fw2 | grep -Eq 'ESTABLISHED $FORGED.*ASSURED'"
	check "he sends one keepalive of 8 bytes" as_attacker forge.py conntrackd-silence "$STRANGER"
	sleep 0.5
	flows create 200 5
	sleep 3
	equal "replication is silenced by one 8-byte packet: none of 5 new connections arrive" 0 \
		"$(ask fw2 -e | same_form | grep -Ec 'src=10\.98\.0\.20[0-4] |src=fd99::1:0:c[89abc] ')"
	matches "and conntrackd sees nothing wrong" 'Malformed messages:[[:space:]]+0$' "$(ctl fw2 -s network)"
	daemon_stop fw1
	daemon_stop fw2
}

if command -v conntrackd >/dev/null; then
	ours=$LAB_DAEMON our_client=$LAB_CLIENT
	LAB_DAEMON='conntrackd -C' LAB_CLIENT='conntrackd -C'
	two_attacks_on_conntrackd
	LAB_DAEMON=$ours LAB_CLIENT=$our_client
else
	skip "conntrackd: the attacks work" "needs conntrackd (scripts/setup.sh test installs it)"
fi
is_ctsync || finish

case_begins "sealed, UDP, in the name of the peer"
pair udp ours
attacked peer
nothing_committed
no_leaks

case_begins "not sealed, UDP, from an address that is no peer's"
pair udp ""
attacked "$STRANGER"
nothing_committed
check "with the address of the peer he is believed: what was refused was well-formed" as_attacker forge.py ctsync-flow peer
soon "that connection is shown" 10 is_shown fw2

[ "$TAP_FAILED" -eq 0 ] || explain
finish
