#!/usr/bin/env bash
# Every number of conntrackd's protocol on the control socket, sent as bare bytes, by Debian's own client and by ours:
# the same answer, and the same thing done. What is no number of it is refused and counted. And whatever is printed can
# be had as JSON.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
begin conntrackd

# raw NODE NUMBER...: bare numbers
raw() { local fw=$1; shift; in_ns "$fw" "$LAB_PYTHON" "$LAB_HERE/opcode.py" "$LAB_TMP/$fw.ctl" "$@"; }
stock() { local fw=$1; shift; in_ns "$fw" timeout 10 conntrackd -C "$(conf_of "$fw")" "$@" 2>&1; }
# What differs between two answers of the same daemon: ages, and in statistics the counts.
same_ages() { sed -E 's/active since [0-9]+s/active since Ns/'; }
same_counts() { sed -E 's/ *[0-9]+(\.[0-9]+)?( s ago|ms)?/ N/g'; }
lines_in_log() { daemon_log "$1" | grep -Ec -- "$2"; }

# asked NODE NUMBER ARGS NORMALISE: all three print the same
asked() {
	local fw=$1 number=$2 args=$3 normalise=$4
	# shellcheck disable=SC2086 # a command with its arguments
	{
		raw "$fw" "$number" | $normalise >"$LAB_TMP/raw"
		stock "$fw" $args | $normalise >"$LAB_TMP/stock"
		ctl "$fw" $args 2>&1 | $normalise >"$LAB_TMP/own"
	}
	if cmp -s "$LAB_TMP/raw" "$LAB_TMP/stock" && cmp -s "$LAB_TMP/raw" "$LAB_TMP/own"; then
		pass "$number is $args for every client"
	else
		fail "$number is $args for every client" "$(diff "$LAB_TMP/raw" "$LAB_TMP/stock" | head -n 5; diff "$LAB_TMP/raw" "$LAB_TMP/own" | head -n 5)"
	fi
}
# done_by NODE NUMBER ARGS REGEX: all three say nothing, and the log has such a line for each
done_by() {
	local fw=$1 number=$2 args=$3 before said
	before=$(lines_in_log "$fw" "$4")
	# shellcheck disable=SC2086
	said=$(raw "$fw" "$number"; stock "$fw" $args; sleep 0.2; ctl "$fw" $args 2>&1)
	equal "$number is $args: nothing is printed" "" "$said"
	soon "$number is $args: done for every client" 3 logged_thrice "$fw" "$4" $((before + 3))
}
logged_thrice() { [ "$(lines_in_log "$1" "$2")" -ge "$3" ]; }
unknown_requests() { ctl "$1" -s runtime | awk '/local unknown request/ { print $NF }'; }

lab_up snat
pair_up || finish
announced noop list quit
port=$(port_announced)
wait_until 3 holds fw2 "dport=$port" -e exp

case_begins "what is printed"
asked fw1 16 "-i" same_ages
asked fw1 24 "-i -x" same_ages
asked fw1 40 "-i exp" same_ages
asked fw1 47 "-i exp -x" same_ages
asked fw2 17 "-e" same_ages
asked fw2 25 "-e -x" same_ages
asked fw2 41 "-e exp" same_ages
asked fw2 48 "-e exp -x" same_ages
asked fw1 21 "-s" same_counts
asked fw1 21 "-s ct" same_counts
asked fw1 28 "-s network" same_counts
asked fw1 29 "-s cache" same_counts
asked fw1 30 "-s runtime" same_counts
asked fw1 31 "-s link" same_counts
asked fw1 35 "-s process" same_counts
asked fw1 36 "-s queue" same_counts
asked fw1 37 "-s expect" same_counts
matches "32 shows the queue of what is not acknowledged" '^resent queue \(len=[0-9]+\)$' "$(raw fw1 32 | head -n 1)"
matches "the dumps are not empty" "dport=$port" "$(raw fw2 41)"

case_begins "as JSON"
# each_line EXPRESSION ARGS...: of every line of fw1's or fw2's answer; prints how many there are
each_line() {
	local fw=$1 expression=$2; shift 2
	ctl "$fw" "$@" | "$LAB_PYTHON" -c "
import json, sys
lines = [json.loads(line) for line in sys.stdin]
assert all($expression for one in lines), lines
print(len(lines))" 2>&1
}
if is_ctsync; then
	for kind in ct expect network cache runtime link rsqueue process queue; do
		equal "-s $kind is one object that says what it is" 1 "$(each_line fw1 "one['version'] == 1 and one['kind'] == '$kind'" -s $kind --json)"
	done
	equal "the peer is equal in both directions, as a program reads it" 1 "$(each_line fw1 "[(p['theirs']['verdict'], p['ours']['verdict']) for p in one['peers']] == [('equal', 'equal')]" stats --json)"
	equal "a dump has an object for each line of the text" "$(ctl fw1 -i | wc -l)" "$(each_line fw1 "one['orig']['src'] and one['age'] >= 0 and 'node' not in one" dump internal --json)"
	equal "the external one names the node" "$(ctl fw2 -e | wc -l)" "$(each_line fw2 "one['node'] == '10.10.3.1' and one['reply']" dump external --json)"
	equal "expectations have what the text leaves out" 1 "$(each_line fw2 "one['dport'] == $port and one['helper'] == 'ftp' and one['mask']['dport'] == 65535 and 'fn' in one" -e exp --json)"
	equal "what is dumped can be judged" 1 "$(each_line fw2 "one['timeout'] > 0" dump external expect --json)"
	matches "  and is accepted" '"accepted":true' "$({ ctl fw2 dump external --json; ctl fw2 dump external expect --json; } | ctl fw2 policy test - --json)"
	equal "verify" 1 "$(each_line fw1 "one['equal'] and one['peers'][0]['ours']['held'] > 0" verify --json)"
	equal "a rehearsal" 1 "$(each_line fw2 "one['conntracks']['created'] > 0 and one['expectations']['created'] == 1" commit --dry-run --json)"
	equal "nothing is rejected" 0 "$(each_line fw2 "True" policy rejected --json)"
	equal "--check" 1 "$(each_line fw1 "one['valid'] and one['problems'][0]['severity'] == 'warning'" check --json)"
else
	skip "every answer as JSON" "not the behaviour of ${LAB_DAEMON%% *}"
fi

case_begins "what is no request"
before=$(unknown_requests fw1)
numbers="2 3 15 27 49 63 255 256 -1 1000000 -2147483648"
count=$(wc -w <<<"$numbers")
# shellcheck disable=SC2086
said=$(raw fw1 $numbers | tr '\0' '\n')
only_ctsync "is counted" equal "is counted" $((before + count)) "$(unknown_requests fw1)"
only_ctsync "is answered by a reason" equal "is answered by a reason" "$count" "$(grep -o 'unknown request' <<<"$said" | wc -l)"
only_ctsync "is told in the log" matches "is told in the log" 'unknown request 2 on the control socket' "$(daemon_log fw1)"

case_begins "what is done"
done_by fw1 1 "-R ct" 'resync with master conntrack table'
done_by fw1 39 "-R exp" 'resync with master expect table'
done_by fw1 44 "-R" 'resync with master conntrack table'
done_by fw1 22 "-B" 'sending bulk update'
done_by fw2 23 "-n" 'resync requested$'
# what is scheduled already is not scheduled again, and -f takes it back
for ask in "raw fw2 26" "stock fw2 -t" "ctl fw2 -t"; do
	before=$(lines_in_log fw2 'flushing conntrack table in')
	$ask >/dev/null
	raw fw2 33
	equal "26 is -t, by ${ask%% *}" $((before + 1)) "$(lines_in_log fw2 'flushing conntrack table in')"
done
done_by fw2 18 "-c ct" 'committing conntrack cache'
done_by fw2 42 "-c exp" 'committing expectation cache'
done_by fw2 46 "-c" 'committing all external caches'
matches "the kernel of fw2 has the connection" 'dport=21 ' "$(kernel_flows fw2)"
done_by fw2 33 "-f internal" 'flushing internal cache'
before=$(lines_in_log fw2 'flushing caches')
raw fw2 19
equal "19, of old clients, empties the caches" $((before + 1)) "$(lines_in_log fw2 'flushing caches')"
done_by fw2 34 "-f external" 'flushing external cache'
done_by fw2 45 "-f" 'flushing caches'
done_by fw2 38 "-F exp" 'flushing kernel expect table'
done_by fw2 0 "-F ct" 'flushing kernel conntrack table'
done_by fw2 43 "-F" 'flushing kernel expect table'
soon "the kernel of fw2 has it no longer" 3 sh -c "! ip netns exec $LAB_ID-fw2 conntrack -L 2>/dev/null | grep 'dport=21 '"
equal "20 is -k: nothing is printed" "" "$(raw fw2 20)"
soon "20 is -k: the daemon has ended" 5 gone "$(pid_of fw2)"
[ "$TAP_FAILED" -eq 0 ] || explain
finish
