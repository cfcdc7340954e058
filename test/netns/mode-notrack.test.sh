#!/usr/bin/env bash
# Mode NOTRACK: failovers, also with DisableInternalCache and DisableExternalCache; what is told of losses, and what -n, -B
# and -R do.
# shellcheck disable=SC2317,SC2329 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
# shellcheck source=test/netns/modes.sh
. "$(dirname "$0")/modes.sh"
begin

notrack() { LAB_MODE=NOTRACK; }
without_internal_cache() { LAB_MODE=NOTRACK LAB_MODE_EXTRA='DisableInternalCache On'; }
without_external_cache() { LAB_MODE=NOTRACK LAB_MODE_EXTRA='DisableExternalCache On'; }
without_caches() { LAB_MODE=NOTRACK LAB_MODE_EXTRA=$'DisableInternalCache On\nDisableExternalCache On'; }

all_survive notrack
is_ctsync || finish
all_survive without_internal_cache
all_survive without_external_cache
ftp_survives without_caches port
stream_survives without_caches

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

case_begins "without an internal cache"
lab_defaults
without_internal_cache
lab_up none
flows create 0 2000
pair_up || finish
holds_all "what was there before the daemon comes straight from the kernel" 2000
soon "none of it is kept" 10 sh -c "[ \"\$($LAB_CLIENT '$(conf_of fw1)' -i | grep -c '^[a-z]')\" = 0 ]"
flows create 2000 500
holds_all "events are passed on" 2500
flows finish 0 500
holds_all "so are changes, with the whole state" 2500
flows delete 100 200
holds_all "and ends" 2300
soon "none of it is kept" 10 sh -c "[ \"\$($LAB_CLIENT '$(conf_of fw1)' -i | grep -c '^[a-z]')\" = 0 ]"
ctl fw2 -f external
check "-n brings it from the kernel of fw1" ctl fw2 -n
holds_all "all of it" 2300
ctl fw2 -f external
check "so does -B" ctl fw1 -B
holds_all "all of it" 2300
check "-R succeeds" ctl fw1 -R
check "and says that it is unsupported" log_has fw1 'unsupported in this mode'
matches "-s says why nothing is compared" 'keeps no internal cache' "$(ctl fw2 -s)"

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
