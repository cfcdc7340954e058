#!/usr/bin/env bash
# Real conversations through the kernel's helpers: each has announced a channel through fw1 that nobody has opened yet when
# fw1 dies. fw2 commits and takes over: the channel must get through, the control connection must go on, and what is
# agreed on through fw2 must work. For every NAT; the same without a part of the commit is in helper-controls.test.sh.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/helper-failover.sh
. "$(dirname "$0")/helper-failover.sh"
begin nft

# half of them here, the others in failover-helpers-dnat.test.sh: a busy machine needs a minute for each half
for nat in ${LAB_NATS:-none snat}; do
	case_begins "NAT $nat"
	lab_defaults
	# both ways to attach helpers; with "none" and "dnat" by the CT target
	case $nat in snat | both) LAB_RULES=nft ;; *) LAB_RULES=iptables ;; esac
	if ! converse $nat; then
		fail "the daemons start and hear each other"
		explain
		continue
	fi
	soon "the external cache of fw2 has as many expectations as the kernel of fw1" 1 expectations_replicated
	fail_over -c
	equal "the commit succeeds" 0 "$COMMIT_STATUS"
	same_lines "the kernel of fw2 expects what that of fw1 expected" "$LAB_TMP/expected.fw1" "$LAB_TMP/expected.fw2"
	refused=
	for name in "${TALKING[@]}"; do survived "$name" || refused=yes; done
	[ -z "$refused" ] || explain
done
finish
