#!/usr/bin/env bash
# Every configuration that is shipped works on a pair, once its interfaces and paths are those of the pair: both
# daemons start without a complaint and hear each other, and what one kernel has reaches the other node.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

# A link without a key is worth a warning at every start; that one is meant to come.
complaints() { grep -hiv 'authenticat' "$LAB_TMP/fw1.err" "$LAB_TMP/fw2.err"; }
equal_now() { [ "$(kernel_flows fw1)" = "$(cache_flows fw2 -e)" ]; }

lab_up none
# active-active wants this
for fw in fw1 fw2; do in_ns "$fw" sh -c 'echo 1 >/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal'; done
for file in ctsync.conf examples/minimal.conf examples/udp-pair.conf examples/udp-three.conf \
	examples/tcp-pair.conf examples/notrack.conf examples/ipv6-multicast.conf examples/active-active.conf; do
	case_begins "$file"
	failed=$TAP_FAILED
	LAB_TEMPLATE=$file
	check "the pair starts" daemons_up
	equal "without a complaint" "" "$(complaints)"
	in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 60 >/dev/null
	soon "fw2 holds what the kernel of fw1 has" 5 equal_now
	[ "$TAP_FAILED" -eq "$failed" ] || explain
	daemon_stop fw1
	daemon_stop fw2
	in_ns fw1 conntrack -F 2>/dev/null
done

case_begins examples/stats.conf
LAB_TEMPLATE=examples/stats.conf
flow_logged() { grep -q 'sport=.*dport=' "$LAB_TMP/fw1-ctsync-flows.log"; }
check "it starts" daemon_start fw1
equal "without a complaint" "" "$(cat "$LAB_TMP/fw1.err")"
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 5 >/dev/null
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" delete 0 5 >/dev/null
soon "a flow that ends is a line of the log" 5 flow_logged
finish
