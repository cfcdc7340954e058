#!/usr/bin/env bash
# Mode ALARM: failovers; what is lost comes within RefreshTime, what ends unheard and what a dead node had goes after
# CacheTimeout.
# shellcheck disable=SC2317,SC2329 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
# shellcheck source=test/netns/modes.sh
. "$(dirname "$0")/modes.sh"
begin

alarm() { LAB_MODE=ALARM LAB_MODE_EXTRA=$'RefreshTime 3\nCacheTimeout 8'; }

all_survive alarm
is_ctsync || finish

case_begins "what was lost"
lab_defaults
alarm
lab_up none
flows create 0 1500
pair_up || finish
HOLDS_WITHIN=6 holds_all "what was there before is told within RefreshTime" 1500
sync_loss 99
flows create 1500 500
flows delete 0 200
sleep 0.5
sync_loss 0
refute "what happens while the link is down is not known" equal_now
came() { [ "$(current fw2 external)" = 2000 ]; }
soon "what has come is told within RefreshTime" 6 came
HOLDS_WITHIN=15 holds_all "what has ended goes after CacheTimeout" 1800
matches "-e says how long an entry lives without news" '\[active since [0-9]+s\] \[expires in [0-9]+s\]$' "$(ctl fw2 -e | head -n 1)"

case_begins "-n and -B"
check "-n is taken" ctl fw2 -n
check "and said to have no effect" log_has fw2 'Mode ALARM: -n has no effect'
check "-B is taken" ctl fw1 -B
check "and said to have no effect" log_has fw1 'Mode ALARM: -B has no effect'

case_begins "the primary is dead"
daemon_stop fw1 KILL
sleep 3
equal "its entries stay for a while" 1800 "$(current fw2 external)"
gone_all() { [ "$(current fw2 external)" = 0 ]; }
soon "and go after CacheTimeout" 12 gone_all
finish
