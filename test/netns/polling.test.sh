#!/usr/bin/env bash
# PollSecs: the kernel's tables are compared every second, no event is listened to. Failovers in two modes; what comes,
# changes and goes reaches the other node.
# shellcheck disable=SC2317,SC2329 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
# shellcheck source=test/netns/modes.sh
. "$(dirname "$0")/modes.sh"
begin

polling() { LAB_POLL=1; }
polling_notrack() { LAB_POLL=1 LAB_MODE=NOTRACK; }
polling_injecting() { LAB_POLL=1 LAB_MODE_EXTRA='DisableExternalCache On'; }

all_survive polling
is_ctsync || finish
ftp_survives polling_notrack pasv
stream_survives polling_notrack
ftp_survives polling_injecting pasv

case_begins "what comes and goes"
lab_defaults
polling
lab_up none
pair_up || finish
check "the daemon says that it polls" log_has fw1 'polling the kernel tables every 1 seconds'
flows create 0 2000
holds_all "what comes reaches fw2" 2000
flows finish 0 500
holds_all "what changes does" 2000
flows delete 100 300
holds_all "and what ends" 1700
check "a flush of the kernel's table" ctl fw1 -F
sleep 2.5
equal "is no end of connections" 1700 "$(cache_flows fw2 -e | wc -l)"
finish
