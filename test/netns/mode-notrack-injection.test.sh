#!/usr/bin/env bash
# Mode NOTRACK with DisableExternalCache: failovers, also without any cache at all.
# shellcheck disable=SC2317,SC2329 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
# shellcheck source=test/netns/modes.sh
. "$(dirname "$0")/modes.sh"
begin

without_external_cache() { LAB_MODE=NOTRACK LAB_MODE_EXTRA='DisableExternalCache On'; }
without_caches() { LAB_MODE=NOTRACK LAB_MODE_EXTRA=$'DisableInternalCache On\nDisableExternalCache On'; }

only_ctsync "announced data connections" all_survive without_external_cache
is_ctsync || finish
ftp_survives without_caches port
stream_survives without_caches
finish
