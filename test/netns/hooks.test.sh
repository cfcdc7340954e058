#!/usr/bin/env bash
# keepalived may call its hook in any order, twice, and on both nodes at a time. Whatever came before: when one node is
# primary and the other one backup in the end, the kernel of the primary has every connection, the backup holds exactly
# that, and no connection was lost on the way. With the shipped role script and real commits.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "hooks in any order" "${LAB_DAEMON%% *} deletes entries of a table that it thinks is left over"; finish; }

# role NODE ROLE: what keepalived would have the script do
role() {
	CTSYNC_BIN=$LAB_TMP/$1.client CTSYNC_CONFIG=$(conf_of "$1") \
		"$LAB_ROOT/conf/keepalived/primary-backup.sh" "$2" >>"$LAB_TMP/$1.role.out" 2>&1
}
# any_order SEED COUNT: so many calls, on either node, now and then both at once
any_order() {
	local roles=(primary backup fault) i
	RANDOM=$1
	for ((i = 0; i < $2; i++)); do
		local node=fw$((RANDOM % 2 + 1)) role=${roles[RANDOM % 3]}
		echo "# $node $role"
		role "$node" "$role" &
		((RANDOM % 3 == 0)) || wait $!
	done
	wait
}
# takes_over NODE OTHER: in the order that keepalived has when the other one is alive
takes_over() { role "$1" primary; role "$2" backup; }

same_kernel() { kernel_flows "$1" | cut -d' ' -f3-6 | LC_ALL=C sort -u >"$LAB_TMP/now"; cmp -s "$LAB_TMP/all" "$LAB_TMP/now"; }
holds_kernel() {
	kernel_flows "$2" >"$LAB_TMP/kernel"
	cache_flows "$1" -e >"$LAB_TMP/external"
	cmp -s "$LAB_TMP/kernel" "$LAB_TMP/external"
}

lab_up none
LAB_MODE_EXTRA="PurgeTimeout 1"
LAB_KEY=ours
pair_up || finish
for fw in fw1 fw2; do
	printf '#!/bin/sh\nshift 2\nexec %s %s "$@"\n' "$LAB_CLIENT" "$(conf_of $fw)" >"$LAB_TMP/$fw.client"
	chmod +x "$LAB_TMP/$fw.client"
done
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 400 >/dev/null
kernel_flows fw1 | cut -d' ' -f3-6 | LC_ALL=C sort -u >"$LAB_TMP/all"
takes_over fw1 fw2
soon "the backup holds what the primary's kernel has" 5 holds_kernel fw2 fw1

for seed in 11 47; do
	case_begins "hooks in random order, seed $seed"
	any_order $seed 7
	takes_over fw2 fw1
	# PurgeTimeout: what is left over goes
	sleep 1.5
	soon "fw2 is primary: its kernel has every connection" 5 same_kernel fw2
	soon "fw1 holds exactly what that kernel has" 5 holds_kernel fw1 fw2
	any_order $((seed + 1)) 7
	takes_over fw1 fw2
	sleep 1.5
	soon "fw1 is primary again: its kernel has every connection" 5 same_kernel fw1
	soon "fw2 holds exactly what that kernel has" 5 holds_kernel fw2 fw1
	[ "$TAP_FAILED" -eq 0 ] || { note "$(diff "$LAB_TMP/kernel" "$LAB_TMP/external" | head -n 5)"; note "$(diff "$LAB_TMP/all" "$LAB_TMP/now" | head -n 5)"; break; }
done
soon "-s names one primary" 5 sh -c "$LAB_CLIENT '$(conf_of fw1)' -s | grep -q 'this node: role=primary' && $LAB_CLIENT '$(conf_of fw2)' -s | grep -q 'this node: role=backup'"
check "verify finds nothing" ctl fw1 verify
[ "$TAP_FAILED" -eq 0 ] || explain
finish
