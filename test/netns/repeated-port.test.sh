#!/usr/bin/env bash
# The addresses have been moved, but for a second or two no answer finds its way back (the neighbours of the other side
# have not heard of it yet). A client that announces a port in that time has to send the line more than once, and each time
# fw2 has to write the translated address into it; else the server gets a line that is longer than the first one was, and
# what is too much comes before the next line.
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "a PORT that is repeated" "${LAB_DAEMON%% *} lets the second one pass as it is"; finish; }

# Text that becomes longer, and shorter.
declare -A SOURCE=([longer]=10.10.1.9 [shorter]=10.10.1.110) AS=([longer]=$WAN_VIP4 [shorter]=10.10.2.9)

for text in longer shorter; do
	lab_up snat
	in_ns client ip addr add "${SOURCE[$text]}/24" dev lan0
	[ $text = longer ] || in_ns server ip route add "${AS[$text]}/32" via "$WAN_VIP4"
	for fw in fw1 fw2; do
		in_ns $fw iptables -t nat -A POSTROUTING -o wan0 -s "${SOURCE[$text]}" -j SNAT --to-source "${AS[$text]}"
		in_ns $fw sh -c 'echo 0 >/proc/sys/net/netfilter/nf_conntrack_tcp_loose'
	done
	pair_up || finish
	talk server server repeated.py serve
	wait_until 5 said server listening
	talk control client repeated.py client "${SOURCE[$text]}" "$SERVER4" "$LAB_TMP/go"
	soon "a control connection stands, text becomes $text" 10 said control '^ready'
	soon "fw2 knows it" 5 holds fw2 "ESTABLISHED src=${SOURCE[$text]} .*dport=21" -e
	sleep 1
	daemon_stop fw1 KILL
	unplug fw1
	touch "$LAB_TMP/go"
	check "the commit on fw2 succeeds" ctl fw2 -c
	in_ns fw2 iptables -t raw -I PREROUTING -i wan0 -p tcp -j DROP
	take_over fw2
	# three times at least
	sleep 2.5
	in_ns fw2 iptables -t raw -D PREROUTING -i wan0 -p tcp -j DROP
	soon "the PORT that was sent several times is answered once, and the dialogue goes on" 25 said control '^ok'
	[ "$TAP_FAILED" -eq 0 ] || { note "$(cat "$LAB_TMP"/{control,server}.{out,err})"; explain; }
	for name in control server fw2; do stop $name; done
done
finish
