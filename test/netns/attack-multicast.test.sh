#!/usr/bin/env bash
# Everything that somebody without a key can make of what he hears, against ctsync on a multicast link, where everybody
# hears everything: with a key, and without one from addresses that are no peer's.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
begin
is_ctsync || { skip "attack-multicast" "${LAB_DAEMON%% *} accepts what is forged"; finish; }

case_begins "sealed, multicast, in the name of the peer and with other addresses"
pair multicast ours
attacked "peer,$OUTSIDER"
nothing_committed

case_begins "not sealed, multicast, from an address outside the prefix and another one in it"
pair multicast ""
attacked "$OUTSIDER,$STRANGER"
nothing_committed
check "with the address of the peer he is believed" as_attacker forge.py ctsync-flow peer
soon "that connection is shown" 10 is_shown fw2
[ "$TAP_FAILED" -eq 0 ] || explain
finish
