#!/usr/bin/env bash
# Channels that a failover could easily lose, beyond those of failover-helpers.test.sh.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/helper-failover.sh
. "$(dirname "$0")/helper-failover.sh"
begin

# A channel may outlive the connection that announced it: the UDP request of a long TFTP transfer or of a night's backup is
# over after seconds, while the kernel keeps the transfer, which still names it as its master. fw2 has no such master to
# hang it from when fw1 dies, and the transfer must go on all the same.
case_begins "a channel without its master"
lab_defaults
LAB_HELPERS=tcp/6566/sane
lab_up both
pair_up || finish
talk sane-server server sane.py serve
wait_until 5 said sane-server '^listening'
talk sane client sane.py client "$LAN_VIP4" open start begin "hold:$LAB_TMP/go" rest
if ! wait_until 15 said sane '^begin ok'; then
	fail "an image is half read through fw1" "$(cat "$LAB_TMP"/sane*)"
	finish
fi
wait_until 3 holds fw2 "dport=6566 .*helper=sane" -e
check "the request is over on fw1" in_ns fw1 conntrack -D -p tcp --dport 6566
soon "fw2 has heard of it" 3 eval '! holds fw2 "dport=6566" -e'
check "fw2 holds what it had announced" holds fw2 "ESTABLISHED" -e
fw1_dies
check "the commit succeeds" ctl fw2 -c
take_over fw2
touch "$LAB_TMP/go"
wait_until 20 said sane '^end'
check "the image is read to its end" said sane '^rest ok'
[ "$TAP_FAILED" = 0 ] || { note "$(cat "$LAB_TMP/sane.out")"; explain; }

# Two connections offer the same port: behind SNAT the firewall gives the second one another port of its own address, tells
# the peer that, and has to lead it back to the port where the client listens. Both ends of this are in the expectation.
case_begins "a channel at another port than the client's"
lab_defaults
LAB_HELPERS=tcp/6667/irc
lab_up snat
pair_up || finish
talk irc-server server irc.py serve
wait_until 5 said irc-server '^listening'
talk irc client irc.py client "$SERVER4" login taken:40123 send:40123 "hold:$LAB_TMP/go" ping dial send dial
if ! wait_until 15 said irc '^send ok'; then
	fail "an offer is made through fw1" "$(cat "$LAB_TMP"/irc*)"
	finish
fi
equal "the two are expected at different ports" 2 "$(expectations fw1 | grep -o ' dport=[0-9]*' | sort -u | grep -vc 'dport=\(6667\|65535\)')"
soon "both are known to fw2" 3 expectations_replicated
sleep 0.7
fw1_dies
check "the commit succeeds" ctl fw2 -c
take_over fw2
touch "$LAB_TMP/go"
wait_until 30 said irc '^end'
check "the control connection goes on" said irc '^ping ok'
check "the announced channel gets through" said irc '^dial ok'
check "a channel agreed on after the failover gets through" said irc '^dial ok' 2
[ "$TAP_FAILED" = 0 ] || { note "$(cat "$LAB_TMP/irc.out")"; explain; }
finish
