#!/usr/bin/env bash
# HashLimit: a cache takes no more entries than that, refuses the rest, counts them, and takes what fits when there is
# room again. On the node whose connections they are, and on the one that is told of them.
# shellcheck disable=SC2317,SC2329 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/modes.sh
. "$(dirname "$0")/modes.sh"
begin

LIMIT=100
# limited_start NODE: a daemon with this HashLimit
limited_start() {
	LAB_GENERAL_EXTRA="HashLimit $LIMIT" daemon_start "$1"
}
refused() { ctl "$1" -s cache | awk -v cache="cache:$2" '$1 == cache { found = 1 } found && /no space left/ { print $NF; exit }'; }

case_begins "the primary's"
lab_up none
limited_start fw1 && daemon_start fw2
wait_until 5 heard fw1 && wait_until 5 heard fw2
flows create 0 150
holds() { [ "$(current "$1" "$2")" = "$3" ]; }
soon "the internal cache takes as many as it may" 5 holds fw1 internal $LIMIT
equal "it counts the others" 50 "$(refused fw1 internal)"
soon "the peer is told of those that are in it" 5 holds fw2 external $LIMIT
flows delete 0 40
flows create 1000 30
soon "there is room for as many as have ended" 5 holds fw1 internal $((LIMIT - 10))

case_begins "the backup's"
lab_defaults
lab_up none
daemon_start fw1 && limited_start fw2
wait_until 5 heard fw1 && wait_until 5 heard fw2
flows create 0 150
soon "the external cache takes as many as it may" 5 holds fw2 external $LIMIT
equal "it counts the others" 50 "$(refused fw2 external)"
only_ctsync "-s says so on both sides" soon "-s says so here" 10 sh -c "$LAB_CLIENT '$(conf_of fw2)' -s | grep -q '50 refused: no room'"
only_ctsync "-s says so on both sides" soon "-s says so there" 10 sh -c "$LAB_CLIENT '$(conf_of fw1)' -s | grep -q '50 refused: no room'"
finish
