#!/usr/bin/env bash
# The short form of "make port-dialogue": FTP sessions behind SNAT announce port after port, which shifts their sequence
# numbers each time. They are failed over and back at any moment; not one byte of their dialogue may be wrong.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "dialogues of PORT" "${LAB_DAEMON%% *} does not learn sequence adjustments"; finish; }

if output=$("$LAB_ROOT/test/endurance/dialogue.sh" --quiet --sessions 15 30 2 2>&1); then
	pass "thirty failovers of a dialogue: no byte is wrong"
else
	fail "thirty failovers of a dialogue: no byte is wrong" "$output"
fi
note "$(grep '^dialogue: ' <<<"$output")"
finish
