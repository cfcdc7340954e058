#!/usr/bin/env bash
# A call that comes in over a replicated SIP registration. Netlink cannot give an expectation the helper of its child, and
# the CT target does not reach what was expected: without a rule behind connection tracking the call comes, and its media
# do not.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/conversation.sh
. "$(dirname "$0")/conversation.sh"
begin nft

# shellcheck disable=SC2034 # for lab.sh; the rule for the phone's port helps only behind connection tracking
LAB_HELPERS="udp/5060/sip tcp/5060/sip udp/5062/sip"
lab_defaults

nothing_through "CT rule" none 4 sip "udp register" "+incall media" -c
# shellcheck disable=SC2034
LAB_RULES=nft
through "rule behind connection tracking, SNAT" snat 4 sip "udp register" "incall media"
finish
