#!/usr/bin/env bash
# A call that comes in over a replicated SIP registration. Netlink cannot give an expectation the helper of its child, and
# the CT target does not reach what was expected: without a rule behind connection tracking the call comes, its media do
# not. And what a failover without a commit lets through: nothing.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/conversation.sh
. "$(dirname "$0")/conversation.sh"
# shellcheck source=test/netns/helper-rules.sh
. "$NETNS_HERE/helper-rules.sh"
begin nft

# shellcheck disable=SC2034 # for lab.sh; the CT rule for the phone's port is there to show that it does not help
LAB_HELPERS="udp/5060/sip tcp/5060/sip udp/5062/sip"
lab_defaults

nothing_through "CT rule" none 4 sip "udp register" "+incall media" -c
more_rules() { helper_rules_behind fw1 && helper_rules_behind fw2; }
through "rule behind connection tracking, SNAT" snat 4 sip "udp register" "incall media"
more_rules() { :; }
nothing_through "without a commit" none 4 sip "udp register invite" "media incoming"
finish
