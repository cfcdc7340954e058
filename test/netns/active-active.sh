# shellcheck shell=bash
# active-active.sh: both firewalls forward. What the client sends passes fw1, what the server sends passes fw2, so each kernel
# sees one half of every connection and has the other half from its peer; shared by the tests of that.
# shellcheck disable=SC2317 # functions are called by name

UDP_PORT=5002

# holds_address NET NODE: the virtual address of one net moves there. The client's packets go where that of lan is, the
# server's where that of wan is.
holds_address() {
	local net=$1 fw=$2 v4=${1^^}_VIP4 v6=${1^^}_VIP6 other
	other=$(peer_of "$fw")
	ip -n "$LAB_ID-$other" addr del "${!v4}/24" dev "${net}0" 2>/dev/null
	ip -n "$LAB_ID-$other" addr del "${!v6}/64" dev "${net}0" 2>/dev/null
	ip -n "$LAB_ID-$fw" addr add "${!v4}/24" dev "${net}0" 2>/dev/null
	ip -n "$LAB_ID-$fw" addr add "${!v6}/64" dev "${net}0" nodad 2>/dev/null
	in_ns "$fw" "$LAB_PYTHON" "$LAB_HERE/announce.py" "${net}0" "${!v4}" "${!v6}"
}

# nothing_left FAMILY HOST: the firewalls have entries of their own, too
nothing_left() { ! { states fw1 "$1"; states fw2 "$1"; } | grep -q "=$2 "; }
believed() { { ctl "$1" -i; ctl "$1" -i exp; } | grep -cE "dport|icmp"; }

# More that may begin from the lan, and a count of what has passed each firewall in each direction.
more_rules() {
	local fw tables
	for fw in fw1 fw2; do
		# what is over is to go while the test waits for it
		in_ns "$fw" sh -c 'cd /proc/sys/net/netfilter
			for of in fin_wait close_wait last_ack time_wait close; do echo 4 >nf_conntrack_tcp_timeout_$of; done
			# a firewall that has seen only half of a connection, or none of it for a while, cannot judge its windows
			echo 1 >nf_conntrack_tcp_be_liberal
			for of in udp_timeout udp_timeout_stream icmp_timeout icmpv6_timeout; do echo 5 >nf_conntrack_$of; done'
		for tables in iptables:icmp ip6tables:ipv6-icmp; do
			in_ns "$fw" "${tables%:*}" -A FORWARD -i lan0 -p udp --dport "$UDP_PORT" -m conntrack --ctstate NEW -j ACCEPT
			in_ns "$fw" "${tables%:*}" -A FORWARD -i lan0 -p "${tables#*:}" -m conntrack --ctstate NEW -j ACCEPT
			# an answer that comes before the state of its question must not be answered with a reset
			in_ns "$fw" "${tables%:*}" -t raw -A PREROUTING -i wan0 -p tcp --sport "$STREAM_PORT"
			in_ns "$fw" "${tables%:*}" -t raw -A PREROUTING -i lan0 -p tcp --dport "$STREAM_PORT"
		done
	done
}
# passed NODE DEVICE: packets of the stream that have come in there
passed() {
	{ in_ns "$1" iptables -t raw -vxnL PREROUTING; in_ns "$1" ip6tables -t raw -vxnL PREROUTING; } |
		awk -v dev="$2" '$0 ~ dev && / tcp / && !/CT|LOSS/ { n += $1 } END { print n + 0 }'
}

active_pair() {
	lab_defaults
	LAB_PROTOCOLS='TCP UDP ICMP IPv6-ICMP'
	LAB_SYNC_EXTRA='Role active-active'
}
has_flow() { in_ns "$1" conntrack -L -f "$2" 2>/dev/null | grep -Eq "$3"; }
lacks_flow() { ! has_flow "$@"; }
progress() { sed -n 's/^progress [a-z]*=\([0-9]*\).*/\1/p' "$LAB_TMP/$1.out" | tail -n 1; }
more_than() { [ "$(progress "$1")" -gt "$2" ]; }
goes_on() { local before; before=$(progress "$1"); soon "$2" 8 more_than "$1" "${before:-0}"; }
all_go_on() {
	goes_on talk "the TCP connection goes on $1"
	goes_on udp "UDP goes on $1"
	goes_on ping "ICMP goes on $1"
}
# states NODE FAMILY: the flows of the test as the kernel has them
states() { in_ns "$1" conntrack -L -f "$2" 2>/dev/null; }

conversations_begin() {
	local host=$1
	talk streamd server stream.py serve "$STREAM_PORT"
	talk udpd server datagrams.py serve "$UDP_PORT"
	wait_until 3 said streamd listening
	wait_until 3 said udpd listening
	talk talk client stream.py down "$host" "$STREAM_PORT" "$LAB_TMP/stop" 12
	talk udp client datagrams.py udp "$host" "$UDP_PORT" "$LAB_TMP/stop"
	talk ping client datagrams.py ping "$host" "$LAB_TMP/stop"
	soon "a TCP connection begins" 8 said talk '^ready'
	soon "so does UDP" 5 said udp '^ready'
	soon "so does ICMP" 5 said ping '^ready'
	note "first answers: UDP $(grep ready "$LAB_TMP/udp.out"), ICMP $(grep ready "$LAB_TMP/ping.out")"
}

# Without NAT only: what is rewritten shifts the sequence numbers, and the other firewall learns that a moment later.
begin_ftp() {
	local verb=pasv
	[ "$1" = ipv4 ] || verb=epsv
	talk ftpd server ftp.py serve
	wait_until 3 said ftpd listening
	talk ftp client ftp.py client "$2" login $verb list $verb get:50000 $verb "hold:$LAB_TMP/go" noop list $verb get:200000 quit
	soon "an FTP session transfers on a port that it has announced" 20 said ftp '^get ok'
	soon "and announces another one" 5 said ftp "^$verb ok" 3
}
end_ftp() {
	touch "$LAB_TMP/go"
	wait_until 30 said ftp '^end'
	check "the FTP session goes on" said ftp '^noop ok'
	check "it transfers on the port that it had announced" said ftp '^list ok' 2
	check "and on a new one" said ftp '^get ok' 2
}

# asymmetric NAME FAMILY ADDRESS NAT: conversations over both, with either node dead, and after its return
asymmetric() {
	local failed=$TAP_FAILED family=$2 host=$3
	case_begins "$1"
	active_pair
	lab_up "$4"
	more_rules
	pair_up || return
	holds_address wan fw2
	conversations_begin "$host"
	[ "$4" != none ] || begin_ftp "$family" "$host"
	check "the client's half passes fw1 only" [ "$(passed fw2 lan0)" = 0 ]
	check "the server's half passes fw2 only" [ "$(passed fw1 wan0)" = 0 ]
	for fw in fw1 fw2; do
		check "$fw knows the connection as established and answered" \
			has_flow "$fw" "$family" "ESTABLISHED .*dport=$STREAM_PORT .*\[ASSURED\]"
	done
	all_go_on "over both"

	note "both directions change their ways"
	holds_address lan fw2
	holds_address wan fw1
	all_go_on "with the ways swapped"
	holds_address lan fw1
	all_go_on "through fw1 alone, while fw2 lives"
	holds_address wan fw2
	all_go_on "as they began"

	note "fw2 dies"
	daemon_stop fw2 KILL
	unplug fw2
	holds_address wan fw1
	all_go_on "through fw1 alone"

	note "fw2 comes back"
	sleep 4
	in_ns fw2 conntrack -F 2>/dev/null
	plug fw2
	check "its daemon starts again" daemon_start fw2
	soon "it learns the connection" 10 has_flow fw2 "$family" "ESTABLISHED .*dport=$STREAM_PORT .*\[ASSURED\]"
	[ "$4" != none ] || soon "and the FTP session's" 5 has_flow fw2 "$family" "ESTABLISHED .*dport=21 .*\[ASSURED\]"
	holds_address wan fw2
	all_go_on "over both again"

	note "fw1 dies"
	daemon_stop fw1 KILL
	unplug fw1
	holds_address lan fw2
	all_go_on "through fw2 alone"
	[ "$4" != none ] || end_ftp

	note "the end"
	sleep 4
	in_ns fw1 conntrack -F 2>/dev/null
	plug fw1
	check "the daemon of fw1 starts again" daemon_start fw1
	soon "fw1 learns the connection" 10 has_flow fw1 "$family" "ESTABLISHED .*dport=$STREAM_PORT .*\[ASSURED\]"
	holds_address lan fw1
	goes_on talk "the TCP connection goes on over both"
	touch "$LAB_TMP/stop"
	for fw in fw1 fw2; do
		soon "$fw sees its end" 5 lacks_flow "$fw" "$family" "ESTABLISHED .*dport=$STREAM_PORT "
	done
	wait_until 10 said talk '^(survived|broken)'
	matches "the TCP connection has survived with all data in order" '^survived' "$(tail -n 1 "$LAB_TMP/talk.out")"
	for name in talk udp ping; do note "$name: $(tail -n 1 "$LAB_TMP/$name.out")"; done
	refute "nobody speaks of a conflict" eval '{ ctl fw1 -s; ctl fw2 -s; daemon_log fw1; daemon_log fw2; } | grep -Eq "CONFLICT|two primaries"'
	soon "both hold the same" 10 ctl fw1 verify
	soon "what is over is gone from both kernels" 20 nothing_left "$family" "$host"
	sleep 3
	check "and does not come back" nothing_left "$family" "$host"
	equal "nobody tells of something" "0 0" "$(believed fw1) $(believed fw2)"
	# what the hooks of a pair with one node in charge would do
	check "-c succeeds" ctl fw1 -c
	check "so does -t" ctl fw1 -t
	check "which flushes nothing" grep -q 'no entry is left over' "$LAB_TMP/fw1.log"
	check "so does -n" ctl fw2 -n
	for fw in fw1 fw2; do check "$fw is neither primary nor backup" holds "$fw" '^this node: role=active-active' -s; done
	[ "$TAP_FAILED" -eq "$failed" ] || {
		explain
		note "$(cat "$LAB_TMP"/ftp.out 2>/dev/null; tail -n 3 "$LAB_TMP"/udp.out "$LAB_TMP"/ping.out)"
		note "$(for fw in fw1 fw2; do echo "$fw:"; states "$fw" "$family"; ctl "$fw" -s; done)"
	}
}
