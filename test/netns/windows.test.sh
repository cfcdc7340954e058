#!/usr/bin/env bash
# Connections with scaled windows at full speed, through firewalls that look at every sequence number: a failover must not
# make them drop what belongs to a connection, whether the committed entries are liberal (TCPWindowTracking off) or check
# windows from the first packet on. Neither firewall picks up connections in mid-stream.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "window tracking after a commit" "not with ${LAB_DAEMON%% *}"; finish; }

BULK=4000000

# dropped NODE: packets that were INVALID there, IPv4 and IPv6
dropped() {
	local tool
	for tool in iptables ip6tables; do in_ns "$1" $tool -nvxL FORWARD; done | awk '/INVALID/ { n += $1 } END { print n + 0 }'
}
said_all() { said bulk4 "$1" "$2" && said bulk6 "$1" "$2"; }
bulk() {
	touch "$LAB_TMP/go"
	soon "$1" 40 said_all '^ok' "$2"
	rm -f "$LAB_TMP/go"
	sleep 0.2       # until both have seen that
}

for tracking in off on; do
	case_begins "TCPWindowTracking $tracking"
	lab_defaults
	lab_up snat
	for fw in fw1 fw2; do
		in_ns $fw sh -c 'cd /proc/sys/net/netfilter; echo 0 >nf_conntrack_tcp_loose; echo 0 >nf_conntrack_tcp_be_liberal'
	done
	LAB_OPTIONS_EXTRA="TCPWindowTracking $tracking"
	pair_up || continue
	talk echod server rare.py serve 21
	talk streamd server stream.py serve "$STREAM_PORT"
	wait_until 5 said echod listening
	wait_until 5 said streamd listening
	talk bulk4 client rare.py "$SERVER4" 21 "$LAB_TMP/go" $BULK
	talk bulk6 client rare.py "$SERVER6" 21 "$LAB_TMP/go" $BULK
	talk down client stream.py down "$SERVER4" "$STREAM_PORT" "$LAB_TMP/stop" 20
	soon "connections begin through fw1" 10 said_all '^ready' 1
	bulk "$((BULK / 1000000)) MB go through it in both directions" 1
	before=$(dropped fw1)
	[ "$before" = 0 ] || note "INVALID on fw1 before the failover: $before"
	sleep 0.5
	daemon_stop fw1 KILL
	unplug fw1
	check "the commit on fw2 succeeds" ctl fw2 -c
	take_over fw2
	bulk "$((BULK / 1000000)) MB go through fw2 in both directions" 2
	bulk "and again" 3
	equal "nothing of them was INVALID on fw2" 0 "$(dropped fw2)"
	touch "$LAB_TMP/stop"
	soon "the download survives with all data in order" 10 said down '^survived'
	note "$(tail -n 1 "$LAB_TMP/down.out")"
	rm -f "$LAB_TMP/stop"
done
[ "$TAP_FAILED" -eq 0 ] || explain
finish
