#!/usr/bin/env bash
# The controls of failover-helpers.test.sh. Without the expectation the connections go on and what has been announced does
# not get through; without a commit nothing does. Otherwise those tests prove nothing, or the firewall lets through what it
# should not.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/helper-failover.sh
. "$(dirname "$0")/helper-failover.sh"
begin

# goes_on NAME: do the steps on the control connection get their answer, all of them?
goes_on() {
	local step result
	while read -r step result _; do
		! is_control "$step" || [ "$result" = ok ] || return 1
	done < <(step_results "$1")
}
has_control() { local step; for step in ${TALK_STEPS[$1]#* hold }; do is_control "$step" && return; done; return 1; }

case_begins "only connections are committed"
lab_defaults
if converse both; then
	fail_over -c ct
	equal "the commit succeeds" 0 "$COMMIT_STATUS"
	equal "the kernel of fw2 expects nothing" "" "$(cat "$LAB_TMP/expected.fw2")"
	for name in "${TALKING[@]}"; do
		! has_control "$name" || check "$name: the control connection goes on" goes_on "$name"
		[ "${TALK_CHANNEL[$name]}" != expectation ] ||
			refute "$name: the announced channel does not get through" channel_used "$name"
	done
else
	fail "the daemons start and hear each other"
fi

case_begins "no commit"
lab_defaults
if converse dnat; then
	fail_over
	for name in "${TALKING[@]}"; do
		case $name in
		snmp-trap-*) continue ;;        # a trap begins a connection of its own on any firewall
		esac
		refute "$name: the announced channel does not get through" channel_used "$name"
		case $name in
		ftp-* | irc-* | sane-*) refute "$name: the control connection is dead" goes_on "$name" ;;
		esac
	done
else
	fail "the daemons start and hear each other"
fi
finish
