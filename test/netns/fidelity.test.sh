#!/usr/bin/env bash
# A mixed table, real and injected, is the same on the node that takes over: every entry, every field. The long form, with
# 10,000 entries and beside conntrackd, is "make fidelity".
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin nft

if ! is_ctsync; then
	skip "the table is the same" "not the behaviour of ${LAB_DAEMON%% *}"
	exit 0
fi

"$NETNS_HERE/../fidelity/round.sh" 700 >"$LAB_TMP/round" 2>&1
status=$?
# a row is "field, right, of, all, share"
rows=$(grep -c ' of .* %' "$LAB_TMP/round")
if [ "$rows" -lt 20 ]; then
	fail "a table is made, lost and committed" "$(tail -n 12 "$LAB_TMP/round")"
	finish
fi
while read -r field; do
	line=$(grep -F "$field " "$LAB_TMP/round" | head -n 1)
	right=$(sed -n 's/.* \([0-9]*\) of *\([0-9]*\) .*/\1 \2/p' <<<"$line")
	if [ -z "$right" ]; then fail "$field: the table has such entries" "$(cat "$LAB_TMP/round")"
	elif [ "${right% *}" = "${right#* }" ]; then pass "$field: all ${right% *} are equal"
	else fail "$field: all are equal" "$line"$'\n'"$(grep -F "# $field:" "$LAB_TMP/round")"; fi
done <<-FIELDS
	connections, every field
	expectations, every field
	reply tuple
	status
	mark
	TCP state
	TCP flags, original
	TCP flags, reply
	window scale, original
	window scale, reply
	SCTP state
	SCTP tag, original
	SCTP tag, reply
	helper
	master
	sequence adjustment, original
	sequence adjustment, reply
	labels
	synproxy
	timeout
	expectation: class
	expectation: flags
	expectation: helper
	expectation: function
	expectation: NAT
	expectation: timeout
FIELDS
equal "nothing else differs" 0 "$status"
finish
