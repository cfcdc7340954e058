#!/usr/bin/env bash
# The Stats mode beside Debian's conntrackd in the same mode: both listen to the same kernel, and have to write the same lines
# and the same totals. Connections of every kind end: TCP, UDP, over IPv6, translated, with a mark, in a zone, unanswered. Then what
# is ctsync's own: the log is followed when it is moved away, commands that make no sense are refused, a full disk is told.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin conntrackd
is_ctsync || { skip "stats-mode" "compares with conntrackd itself"; finish; }

# stats_config NAME LINES...: the configuration of one of the two daemons
stats_config() {
	local name=$1; shift
	printf '%s\n' "General {" "HashSize 8192" "HashLimit 65535" "LockFile $LAB_TMP/$name.lock" "LogFile $LAB_TMP/$name.log" \
		"UNIX {" "Path $LAB_TMP/$name.ctl" "}" "NetlinkBufferSize 2097152" "NetlinkBufferSizeMaxGrowth 8388608" "$@" "}" \
		"Stats {" "LogFile ${FLOWS:-$LAB_TMP/$name.flows}" "}" >"$LAB_TMP/$name.conf"
}
ours() { in_ns fw1 $LAB_CLIENT "$LAB_TMP/ours.conf" "$@"; }
theirs() { in_ns fw1 conntrackd -C "$LAB_TMP/theirs.conf" "$@"; }
start_ours() {
	# shellcheck disable=SC2086 # a command with its arguments
	spawn ours fw1 $LAB_DAEMON "$LAB_TMP/ours.conf"
	wait_until 10 ours -s
}
start_theirs() {
	rm -f "$LAB_TMP/theirs.lock" "$LAB_TMP/theirs.ctl"
	spawn theirs fw1 conntrackd -C "$LAB_TMP/theirs.conf"
	wait_until 10 theirs -s
}
# flows NAME: the lines without the time at which they were written, and without the order
flows() { sed 's/^[^\t]*\t//' "$LAB_TMP/$1.flows" | LC_ALL=C sort; }
dated() { ! grep -vqP '^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\t' "$LAB_TMP/$1.flows"; }
# both_have COUNT: lines, in each of the two logs
both_have() { [ "$(flows ours | wc -l)" -ge "$1" ] && [ "$(flows theirs | wc -l)" -ge "$1" ]; }
compare() {
	flows ours >"$LAB_TMP/a"; flows theirs >"$LAB_TMP/b"
	same_lines "the same lines" "$LAB_TMP/b" "$LAB_TMP/a"
	theirs "$@" >"$LAB_TMP/b"
	ours "$@" | sed '/^flow log:$/,$d' >"$LAB_TMP/a"
	same_lines "the same totals" "$LAB_TMP/b" "$LAB_TMP/a"
}
count() { flows ours | grep -Ec -- "$1"; }
seen() { [ "$(ours -i | wc -l)" -eq "$1" ]; }

lab_up snat
in_ns fw1 sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1
in_ns fw1 iptables -t raw -A OUTPUT -p udp --dport 7005 -j CT --zone 5
in_ns fw1 iptables -t mangle -A OUTPUT -p udp --dport 7007 -j CONNMARK --set-mark 0x17

# traffic: counted packets in every kind of entry
traffic() {
	in_ns fw1 "$LAB_PYTHON" - <<-'PYTHON'
		import socket
		for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
		    server = socket.socket(family); server.bind((host, 0)); server.listen()
		    for size in (1, 1000, 20000):
		        client = socket.create_connection(server.getsockname()[:2]); peer, _ = server.accept()
		        client.sendall(b"x" * size)
		        got = 0
		        while got < size: got += len(peer.recv(65536))
		        peer.sendall(b"y" * 7); client.recv(7); client.close(); peer.close()
		    echo = socket.socket(family, socket.SOCK_DGRAM); echo.bind((host, 7000))
		    ask = socket.socket(family, socket.SOCK_DGRAM); ask.sendto(b"hello", (host, 7000))
		    data, back = echo.recvfrom(100); echo.sendto(data * 3, back)
		    for port in (7005, 7007, 7009): socket.socket(family, socket.SOCK_DGRAM).sendto(b"nobody", (host, port))
	PYTHON
	# a forwarded and translated one
	in_ns client "$LAB_PYTHON" -c "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'out', ('$SERVER4', 9))"
	in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 200 >/dev/null
}

case_begins "beside conntrackd"
stats_config ours; stats_config theirs
check "ctsync starts in the Stats mode" start_ours
check "conntrackd does" start_theirs || finish
traffic
wait_until 5 seen "$(theirs -i | wc -l)"
theirs -i | sed 's/ \[active since.*//' | LC_ALL=C sort >"$LAB_TMP/b"
ours -i | sed 's/ \[active since.*//' | LC_ALL=C sort >"$LAB_TMP/a"
same_lines "-i shows the same" "$LAB_TMP/b" "$LAB_TMP/a"
matches "there is enough to compare" '^2[0-9][0-9]$' "$(wc -l <"$LAB_TMP/a")"
theirs -i -x | LC_ALL=C sort >"$LAB_TMP/b"; ours -i -x | LC_ALL=C sort >"$LAB_TMP/a"
same_lines "-i -x shows the same" "$LAB_TMP/b" "$LAB_TMP/a"
total=$(ours -i | wc -l)
sleep 1
in_ns fw1 conntrack -F >/dev/null 2>&1
soon "every flow that ends has a line in both logs" 10 both_have "$total"
compare -s
ours -s cache >"$LAB_TMP/a"; theirs -s cache >"$LAB_TMP/b"
same_lines "-s cache says the same" "$LAB_TMP/b" "$LAB_TMP/a"
check "each line begins with the time" dated ours
check "counters are among what was compared" test "$(count 'packets=[1-9][0-9]* bytes=[1-9]')" -ge 10
check "and durations" test "$(count ' delta-time=[1-9]')" -ge 10
check "and zones and marks" test "$(count 'zone=5')" -ge 1 -a "$(count 'mark=23')" -ge 1
refute "the totals are not zero" grep -q '^ *0 Bytes *0 Pckts' <(ours -s)

case_begins "entries that events did not tell of"
in_ns fw1 sysctl -qw net.netfilter.nf_conntrack_events=0
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 300 40 >/dev/null
ours -R; theirs -R
equal "-R finds them" "$(theirs -i | wc -l)" "$(ours -i | wc -l)"
check "which are not none" test "$(ours -i | wc -l)" -ge 40
in_ns fw1 conntrack -F >/dev/null 2>&1
ours -R
soon "-R finds that they are gone, which conntrackd's does not" 10 seen 0
equal "each has its line" $((total + 40)) "$(flows ours | wc -l)"
equal "without counters, which nobody told" 40 "$(flows ours | grep -vc packets=)"
in_ns fw1 sysctl -qw net.netfilter.nf_conntrack_events=1

case_begins "the log"
before=$(flows ours | wc -l)
mv "$LAB_TMP/ours.flows" "$LAB_TMP/ours.flows.1"
kill -HUP "$(pid_of ours)"
soon "is begun anew on SIGHUP" 5 test -f "$LAB_TMP/ours.flows"
equal "with its rights" 600 "$(stat -c %a "$LAB_TMP/ours.flows")"
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 400 8 >/dev/null
wait_until 5 seen 8
in_ns fw1 conntrack -F >/dev/null 2>&1
lines_are() { [ "$(wc -l <"$LAB_TMP/ours.flows")" -eq "$1" ]; }
soon "goes on in the new file" 5 lines_are 8
equal "and the old one is as it was" "$before" "$(wc -l <"$LAB_TMP/ours.flows.1")"

case_begins "commands"
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 500 12 >/dev/null
wait_until 5 seen 12
check "-f empties the cache" ours -f
equal "all of it" "" "$(ours -i)"
in_ns fw1 conntrack -D -p tcp >/dev/null 2>&1
check "what it has emptied ends without a line" lines_are 8
check "-R brings back what is left" ours -R
check "-F empties the kernel's table" ours -F
soon "and each has its line" 5 lines_are 11
for command in -c -e "-e exp" -n -B -t "-s network" "-s link" "-i exp" "-f external" "verify"; do
	# shellcheck disable=SC2086 # a command with its argument
	told=$(ours $command 2>&1); status=$?
	equal "$command ends with 1" 1 $status
	matches "$command says why" 'Stats mode' "$told"
done
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/opcode.py" "$LAB_TMP/ours.ctl" 2 >/dev/null
matches "what is no request is counted" 'local unknown request:[[:space:]]+1$' "$(ours -s runtime)"
check "-k ends it" ours -k
ended() { ! alive ours; }
soon "at once" 5 ended
refute "its socket is gone" test -e "$LAB_TMP/ours.ctl"

for place in Userspace Kernelspace; do
	case_begins "with a Filter, $place"
	stop theirs
	rm -f "$LAB_TMP"/*.flows
	filter="Filter From $place { Protocol Accept { TCP } Address Ignore { IPv4_address 10.98.0.0/26 IPv6_address ::1 } }"
	# conntrackd wants each word on a line of its own
	filter=$(sed -E 's/([{}])/\1\n/g; s/(TCP|\/26|::1)/\1\n/g; s/ (IPv6)/\n\1/' <<<"$filter")
	stats_config ours "$filter"; stats_config theirs "$filter"
	check "ctsync starts" start_ours
	matches "and says where events are filtered" "using $(tr KU ku <<<"${place%space}")-space event filtering" "$(cat "$LAB_TMP/ours.log")"
	check "conntrackd starts" start_theirs
	traffic
	wait_until 5 seen "$(theirs -i | wc -l)"
	total=$(theirs -i | wc -l)
	check "there is enough to compare" test "$total" -ge 80 -a "$total" -le 170
	in_ns fw1 conntrack -F >/dev/null 2>&1
	soon "every flow that counts has a line in both logs" 10 both_have "$total"
	compare -s
	stop ours
done

case_begins "a full disk"
FLOWS=/dev/full stats_config ours
check "the daemon starts" start_ours
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 600 40 >/dev/null
wait_until 5 seen 40
in_ns fw1 conntrack -F >/dev/null 2>&1
failed() { ours -s | grep -Eq '^failed writes:[[:space:]]+[1-9]'; }
soon "is counted" 5 failed
matches "is told once" '^1$' "$(grep -c "cannot write to LogFile \`/dev/full'" "$LAB_TMP/ours.log")"
check "and the daemon goes on" ours -R
stop ours

case_begins "polling"
stats_config ours "PollSecs 1"
check "the daemon starts" start_ours
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 700 12 >/dev/null
soon "finds what is new" 5 seen 12
in_ns fw1 conntrack -F >/dev/null 2>&1
soon "and what is gone" 5 seen 0
stop ours
stop theirs

case_begins "without a mode"
sed '/^Stats {/,$d' "$LAB_TMP/ours.conf" >"$LAB_TMP/ours.tmp"
mv "$LAB_TMP/ours.tmp" "$LAB_TMP/ours.conf"
check "it is the Stats mode, without a log" start_ours
matches "and says so" 'no running mode specified: collecting statistics' "$(cat "$LAB_TMP/ours.log")"
stop ours
finish
