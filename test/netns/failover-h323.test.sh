#!/usr/bin/env bash
# H.323 through the kernel's helpers: RAS opens the way for Q.931, that one for H.245, that one for the media. fw1 dies
# behind each of these steps in turn, with NAT.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/conversation.sh
. "$(dirname "$0")/conversation.sh"
begin nft

# A call that comes in over a replicated registration gets its helper from a rule, and only one behind connection
# tracking reaches it: 12720 is where the terminal wants to be called.
# shellcheck disable=SC2034 # for lab.sh
LAB_HELPERS="udp/1719/RAS tcp/1720/Q.931 tcp/12720/Q.931" LAB_RULES=nft
lab_defaults

through "registered, SNAT: a call comes in" snat 4 h323 "register" "called control open media"
through "call set up, both: H.245" both 4 h323 "register called" "control ping"
through "channel opened, SNAT: media" snat 4 h323 "register called control open" "media line ping"
through "call forwarded, DNAT" dnat 4 h323 "calls forward" "forwarded ping"
through "channel opened, IPv6: media" none 6 h323 "register called control open" "media line"
finish
