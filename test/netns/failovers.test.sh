#!/usr/bin/env bash
# The short form of "make failovers": a hundred TCP connections, IPv4 and IPv6, with every kind of address translation, are
# failed over and back, onto a table that is not empty, while connections end and begin on ports just used.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "failovers" "${LAB_DAEMON%% *} deletes entries of a table that it thinks is left over"; finish; }

if output=$("$LAB_ROOT/test/endurance/failovers.sh" --quiet --flows 100 2 1 2>&1); then
	pass "two failovers of a hundred connections: none that the peer knew is lost"
else
	fail "two failovers of a hundred connections: none that the peer knew is lost" "$output"
fi
note "$(grep '^failovers: ' <<<"$output")"
finish
