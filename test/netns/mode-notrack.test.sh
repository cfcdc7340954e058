#!/usr/bin/env bash
# Mode NOTRACK: failovers; what is told of losses, and what -n does; nodes of different modes.
# shellcheck disable=SC2317,SC2329 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
# shellcheck source=test/netns/modes.sh
. "$(dirname "$0")/modes.sh"
begin

notrack() { LAB_MODE=NOTRACK; }

all_survive notrack
is_ctsync || finish

case_begins "what was lost"
lab_defaults
notrack
lab_up none
pair_up || finish
flows create 0 2000
holds_all "without losses fw2 holds everything" 2000
sync_loss 30
flows create 2000 500
flows delete 0 200
sleep 1
sync_loss 0
equal_now
refute "with losses it does not" equal_now
soon "-s says so, and what helps" 12 holds fw2 'parts differ.*ask with -n' -s
soon "the log says so" 20 log_has fw2 'Mode NOTRACK does not put it right'
check "-n asks for everything" ctl fw2 -n
holds_all "then it holds everything" 2300
flows create 5000 10
holds_all "and what comes" 2310

case_begins "nodes of different modes"
lab_defaults
lab_up none
LAB_MODE=FTFW daemon_start fw1
LAB_MODE=NOTRACK daemon_start fw2
wait_until 5 heard fw1 && wait_until 5 heard fw2
soon "fw1 says so" 5 log_has fw1 'node 10\.10\.3\.2 runs Mode NOTRACK and this node Mode FTFW'
soon "fw2 says so" 5 log_has fw2 'node 10\.10\.3\.1 runs Mode FTFW and this node Mode NOTRACK'
matches "-s says so" 'ANOTHER MODE' "$(ctl fw1 -s)"
flows create 0 100
holds_all "they replicate all the same" 100
finish
