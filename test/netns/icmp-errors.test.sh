#!/usr/bin/env bash
# A router behind the firewalls has a link with a small MTU, and says so when a large packet comes ("fragmentation
# needed", "packet too big"). Its message belongs to a connection that fw2 knows by the commit alone: it has to be RELATED,
# translated, and reach the client, or the connection hangs.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

HOST4=10.10.4.2 HOST6=fd10:4::2
SMALL=1300
LAB_NODES+=(host)

# The server is the router; behind it is another host.
build_router() {
	local fw
	ip -n "$LAB_ID-server" link add far0 type veth peer name eth0 netns "$LAB_ID-host"
	# shellcheck disable=SC2016 # the inner shell expands it
	in_ns server sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; ip -batch -' <<-BATCH
		addr add 10.10.4.1/24 dev far0
		addr add fd10:4::1/64 dev far0 nodad
		link set far0 up
		route replace ::/0 via $WAN_VIP6
		route add $HOST4/32 dev far0 mtu lock $SMALL
		route add $HOST6/128 dev far0 mtu lock $SMALL
	BATCH
	in_ns host ip -batch - <<-BATCH
		link set lo up
		addr add $HOST4/24 dev eth0
		addr add $HOST6/64 dev eth0 nodad
		link set eth0 up
		route add default via 10.10.4.1
		route add ::/0 via fd10:4::1
	BATCH
	for fw in fw1 fw2; do
		ip -n "$LAB_ID-$fw" route add 10.10.4.0/24 via "$SERVER4"
		ip -n "$LAB_ID-$fw" route add fd10:4::/64 via "$SERVER6"
		in_ns "$fw" iptables -I FORWARD -p icmp -m conntrack --ctstate RELATED -j ACCEPT
		in_ns "$fw" ip6tables -I FORWARD -p ipv6-icmp -m conntrack --ctstate RELATED -j ACCEPT
	done
}

# related TOOL: have ICMP messages passed fw2 as RELATED?
related() { [ "$(in_ns fw2 "$1" -nvxL FORWARD | sed 's/ *$//' | awk '/ctstate RELATED$/ { print $1 }')" -gt 0 ]; }
knows_mtu() { in_ns client ip route get "$1" | grep -q "mtu $SMALL"; }

lab_up snat
build_router
pair_up || finish
talk streamd host rare.py serve "$STREAM_PORT"
wait_until 5 said streamd listening
talk far4 client rare.py "$HOST4" "$STREAM_PORT" "$LAB_TMP/go" 200000
talk far6 client rare.py "$HOST6" "$STREAM_PORT" "$LAB_TMP/go" 200000
for v in 4 6; do soon "a connection of small packets begins through fw1, IPv$v" 10 said far$v '^ready'; done
soon "the external cache of fw2 shows both" 5 sh -c "[ \$(ip netns exec $LAB_ID-fw2 $LAB_CLIENT $(conf_of fw2) -e | grep -c 'ESTABLISHED .*dport=$STREAM_PORT') -eq 2 ]"
refute "the client has not heard of the small MTU yet" knows_mtu "$HOST4"
daemon_stop fw1 KILL
unplug fw1
check "the commit on fw2 succeeds" ctl fw2 -c
take_over fw2
touch "$LAB_TMP/go"
for v in 4 6; do
	soon "200,000 bytes get through in both directions, IPv$v" 30 said far$v '^ok'
	host=HOST$v
	check "the client has learnt the MTU from the router" knows_mtu "${!host}"
done
check "its message was RELATED on fw2, IPv4" related iptables
check "its message was RELATED on fw2, IPv6" related ip6tables
[ "$TAP_FAILED" -eq 0 ] || { explain; note "$(tail -n 3 "$LAB_TMP"/far?.*)"; note "$(in_ns fw2 iptables -nvL FORWARD; in_ns fw2 ip6tables -nvL FORWARD)"; }
finish
