#!/usr/bin/env bash
# The short form of "make chaos": eight rounds of test/chaos on a pair with live flows on both nodes. Daemons are killed,
# frozen, overrun, told to flush and commit, their cable is cut, lossy, slow, or flips bits. After each round both have to
# hold what the other one's kernel has. Half of the rounds with a key, half without.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "chaos" "${LAB_DAEMON%% *} does not mend itself"; finish; }

SEED=3
# Other tests run at the same time on the same processors, so more than the usual two seconds.
LIMIT=6

# rounds SENTENCE OPTION...
rounds() {
	local text=$1 output; shift
	if output=$("$LAB_ROOT/test/chaos/chaos.sh" --quiet --limit $LIMIT "$@" "$SEED" 2>&1); then
		pass "$text"
	else
		fail "$text" "$output"
	fi
	note "$(grep '^chaos: mill' <<<"$output")"
}

rounds "four rounds on an open link" 4
rounds "four rounds on a sealed link" --sealed --from 5 8
finish
