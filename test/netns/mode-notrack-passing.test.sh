#!/usr/bin/env bash
# Mode NOTRACK with DisableInternalCache: failovers; everything comes from the kernel and nothing is kept.
# shellcheck disable=SC2317,SC2329 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
# shellcheck source=test/netns/modes.sh
. "$(dirname "$0")/modes.sh"
begin

without_internal_cache() { LAB_MODE=NOTRACK LAB_MODE_EXTRA='DisableInternalCache On'; }

all_survive without_internal_cache
is_ctsync || finish

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
matches "-s counts them, as conntrackd does" 'internal bypass: connections new: +500 connections updated:' "$(ctl fw1 -s | xargs)"
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
finish
