#!/usr/bin/env bash
# Both firewalls forward, and every connection passes both: TCP, UDP, ICMP and FTP. Then one of them dies and comes
# back, and then the other one (active-active.sh).
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/active-active.sh
. "$(dirname "$0")/active-active.sh"
begin
is_ctsync || { skip "active/active" "not a role of ${LAB_DAEMON%% *}"; finish; }
asymmetric "IPv4, no NAT" ipv4 "$SERVER4" none
finish
