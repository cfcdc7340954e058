#!/usr/bin/env bash
# PPTP through the kernel's helper: two calls between the same two hosts, before their first GRE packet and with their
# tunnels up. The kernel knows the source key of a GRE packet only from its helper's own list, which cannot be restored:
# docs/operations.md says what is committed instead.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/conversation.sh
. "$(dirname "$0")/conversation.sh"
begin

# shellcheck disable=SC2034 # for lab.sh and conversation.sh
LAB_HELPERS=tcp/1723/pptp ALTERED=yes
lab_defaults
# shellcheck disable=SC2034
LAB_PROTOCOLS='TCP UDP GRE'

through "two calls agreed on" none 4 pptp "connect call connect call" "gre echo gre"
through "two tunnels up" none 4 pptp "connect call connect call gre" "gre echo gre"
through "two tunnels up, SNAT" snat 4 pptp "connect call connect call gre" "gre echo gre"
nothing_through "without a commit" none 4 pptp "connect call gre" "gre"
finish
