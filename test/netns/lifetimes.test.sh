#!/usr/bin/env bash
# The kernel refreshes the timeout of a busy connection without telling anybody. So what a peer was told of it is over long
# before the connection is, and it has to be committed all the same: one-way UDP in either direction, UDP and GRE both ways,
# TCP that is busy, and TCP that says something once in a while. The rules of fw2 let none of them begin, or do not
# translate it: what passes there, passes by what was committed.
#
#   LIFETIMES_SECONDS=600    the kernel's own timeouts, and a stream that is so old (default: 12 s, timeouts of 5 s)
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "life times" "${LAB_DAEMON%% *} commits what is over for 60 s"; finish; }

age=${LIFETIMES_SECONDS:-12}
SHORT=5
STREAMS=(up down both busy)
declare -A COUNTED_BY=([up]=up-sink [down]=down [both]=both [gre]=gre [busy]=busy)
declare -A WHAT=([up]="one-way UDP that is translated (DNAT)" [down]="one-way UDP to the client, asked for once (SNAT)"
	[both]="UDP both ways" [gre]="GRE both ways" [busy]="a busy TCP connection")

# GRE is in nobody's default filter.
eval "plain_$(declare -f daemon_config)"
daemon_config() { plain_daemon_config "$1"; sed -i 's/^\(\s*\)UDP$/&\n\1GRE/' "$(conf_of "$1")"; }

count_of() { sed -n 's/^\(got \|progress bytes=\)\([0-9]*\).*/\2/p' "$LAB_TMP/${COUNTED_BY[$1]}.out" | tail -n 1; }
# flows STREAM: more of it arrives than had arrived at the last mark
flows() { [ "$(count_of "$1")" -gt "${mark[$1]:-0}" ]; }
mark_all() { local stream; for stream in "${STREAMS[@]}"; do mark[$stream]=$(count_of "$stream"); done; }
# silent: nothing arrives within two seconds
silent() { mark_all; sleep 2; local stream; for stream in "${STREAMS[@]}"; do ! flows "$stream" || return 1; done; }
# The record in fw2's cache is as old as the connection: no event since.
is_old() { ctl fw2 -e | grep -E "$1" | sed -n 's/.*active since \([0-9]*\)s.*/\1/p' | awk -v age="$age" '{ n += $1 >= age - 4 } END { exit n == 0 }'; }
dropped() { in_ns "$1" iptables -nvxL FORWARD | awk '/INVALID/ { print $1 }'; }

declare -A mark=()
lab_up snat
for fw in fw1 fw2; do
	# shellcheck disable=SC2016 # the inner shell expands it
	in_ns "$fw" sh -c 'cd /proc/sys/net/netfilter; echo 0 >nf_conntrack_tcp_loose
		[ "$1" -ge 600 ] || for f in udp_timeout udp_timeout_stream gre_timeout gre_timeout_stream tcp_timeout_established; do
			echo '$SHORT' >nf_conntrack_$f; done' sh "$age"
	in_ns "$fw" iptables -A FORWARD -i lan0 -p udp --dport 6000 -m conntrack --ctstate NEW -j ACCEPT
done
in_ns fw1 iptables -A FORWARD -i lan0 -p udp --dport 6001:6002 -m conntrack --ctstate NEW -j ACCEPT
in_ns fw1 iptables -A FORWARD -i lan0 -p 47 -m conntrack --ctstate NEW -j ACCEPT
in_ns fw1 iptables -t nat -A PREROUTING -i lan0 -p udp -d "$LAN_VIP4" --dport 6000 -j DNAT --to-destination "$SERVER4"
pair_up || finish

talk up-sink server lasting.py sink udp 6000
talk down-tap server lasting.py tap udp 6001
talk both-echo server lasting.py echo udp 6002
talk gre-echo server lasting.py echo gre 0
talk streamd server stream.py serve "$STREAM_PORT"
for name in up-sink down-tap both-echo gre-echo streamd; do wait_until 5 said $name listening; done
talk up client lasting.py push udp "$LAN_VIP4" 6000
talk down client lasting.py pull udp "$SERVER4" 6001
talk both client lasting.py ask udp "$SERVER4" 6002
talk gre client lasting.py ask gre "$SERVER4" 0
talk busy client stream.py echo "$SERVER4" "$STREAM_PORT" "$LAB_TMP/stop" 60
for stream in "${STREAMS[@]}"; do soon "${WHAT[$stream]} begins" 10 flows "$stream"; done
sleep "$age"
# One that is idle for longer than those are.
for fw in fw1 fw2; do in_ns $fw sh -c 'echo 432000 >/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established'; done
talk rare client rare.py "$SERVER4" "$STREAM_PORT" "$LAB_TMP/rare"
soon "a TCP connection that says something once in a while begins" 10 said rare '^ready'
for port in 6000 6001 6002; do check "the last news of the UDP stream to port $port is as old as it" is_old "^udp .*dport=$port"; done
check "and that of the TCP connection" is_old "^tcp .*dport=$STREAM_PORT"
sleep $((SHORT + 1))
daemon_stop fw1 KILL
unplug fw1
check "the commit on fw2 succeeds" ctl fw2 -c
in_ns fw2 conntrack -L >"$LAB_TMP/committed" 2>&1
take_over fw2
mark_all
for stream in "${STREAMS[@]}"; do soon "${WHAT[$stream]} goes on through fw2" 8 flows "$stream"; done
touch "$LAB_TMP/rare"
soon "the rare TCP connection goes on through fw2" 8 said rare '^ok'
sleep $((SHORT + 2))
mark_all
for stream in "${STREAMS[@]}"; do soon "${WHAT[$stream]} still goes on after the timeout" 8 flows "$stream"; done
in_ns fw2 conntrack -F 2>/dev/null
check "control: without what was committed fw2 lets nothing of it pass" silent
[ "$TAP_FAILED" -eq 0 ] || { explain; note "$(cat "$LAB_TMP/committed")"; note "$(tail -n 2 "$LAB_TMP"/*.out)"; }
finish
