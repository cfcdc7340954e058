#!/usr/bin/env bash
# The clauses of Filter that conntrackd does not have: by mark, zone, label and age, wherever the events are filtered. What is said of
# a connection may change while it lasts: the peer then hears of all of it, or that it is gone, and never keeps what does not count.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "filter-clauses" "conntrackd has no such clauses"; finish; }

# make HOST WORDS...: an established TCP connection of this client in the kernel of fw1; change and end are its life
make() { in_ns fw1 conntrack -I -s "10.98.1.$1" -d 10.99.0.1 -p tcp --sport 5000 --dport 443 --state ESTABLISHED -t 600 -u SEEN_REPLY,ASSURED "${@:2}" >/dev/null 2>&1; }
change() { in_ns fw1 conntrack -U -s "10.98.1.$1" -p tcp "${@:2}" >/dev/null 2>&1; }
end() { in_ns fw1 conntrack -D -s "10.98.1.$1" -p tcp >/dev/null 2>&1; }
kernel_has() { in_ns fw1 conntrack -L -s "10.98.1.$1" 2>/dev/null | grep -q .; }
told() { holds fw2 "src=10\\.98\\.1\\.$1 " -e; }
untold() { ! told "$1"; }
whole() { holds fw2 "^tcp +6 ESTABLISHED src=10\\.98\\.1\\.$1 .*\\[ASSURED\\] mark=$2" -e; }
equals() { ctl fw1 verify >/dev/null && ctl fw2 verify >/dev/null; }

for LAB_FILTER in Userspace Kernelspace; do
	case_begins "$LAB_FILTER, marks and zones"
	LAB_GENERAL_EXTRA='Filter {
		Mark Accept { 0x10/0xf0 }
		Zone Ignore { 7 }
	}'
	lab_up none
	pair_up || { finish; exit; }
	make 1 --mark 0x11
	soon "a connection with a mark that counts is told" 5 told 1
	make 2; make 3 --mark 0x21; make 4 --mark 0x11 -w 7
	change 2 --mark 0x10
	soon "one that gets such a mark is told, with its state" 5 whole 2 16
	check "one with another mark is not" untold 3
	check "nor is one in a zone that does not count" untold 4
	change 2 --mark 0x20
	soon "one that loses its mark is gone at the peer" 5 untold 2
	check "and not in the kernel" kernel_has 2
	change 2 --mark 0x1f
	soon "and comes again with the next one" 5 whole 2 31
	make 5 --mark 0x10; wait_until 5 told 5
	end 5
	soon "what ends, ends there" 5 untold 5
	in_ns fw1 sysctl -qw net.netfilter.nf_conntrack_events=0
	change 1 --mark 0; change 3 --mark 0x10
	in_ns fw1 sysctl -qw net.netfilter.nf_conntrack_events=1
	check "a resync" ctl fw1 -R
	soon "finds the mark that has gone unheard of" 5 untold 1
	soon "and the one that has come" 5 told 3
	soon "both nodes agree to the last entry" 10 equals

	make 6 --mark 0x10
	in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/hole.py" master 0 4300 >/dev/null
	in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/hole.py" make 0 4300 4300 >/dev/null
	expected() { holds fw2 "dport=4300 .*mask" -e exp; }
	unexpected() { ! expected; }
	sleep 1.5
	check "the expectation of a master that does not count is not told" unexpected
	in_ns fw1 conntrack -U -s 10.98.7.1 -p tcp --mark 0x10 >/dev/null 2>&1
	soon "it is when the master gets its mark" 5 expected
	in_ns fw1 conntrack -U -s 10.98.7.1 -p tcp --mark 0x20 >/dev/null 2>&1
	soon "and gone when it loses it" 5 unexpected

	check "-F" ctl fw1 -F
	emptied() { ! kernel_has 6 && ! kernel_has 2; }
	soon "empties what counts" 5 emptied
	check "and keeps what does not" eval 'kernel_has 1 && kernel_has 4'
	lab_down
done

case_begins "marks, connections that are not kept"
LAB_FILTER=Userspace LAB_MODE=NOTRACK LAB_MODE_EXTRA="DisableInternalCache On"
lab_up none
pair_up || { finish; exit; }
make 1 --mark 0x11; make 2
soon "a connection with a mark that counts is told" 5 told 1
sleep 2
equal "and not kept" "" "$(ctl fw1 -i)"
change 2 --mark 0x10
soon "one that gets such a mark is told, with its state" 5 whole 2 16
change 1 --mark 0x20
soon "one that loses it is gone at the peer" 5 untold 1
end 2
soon "what ends, ends there" 5 untold 2
lab_down
LAB_MODE=FTFW LAB_MODE_EXTRA=

case_begins "labels"
LAB_FILTER=Userspace
LAB_GENERAL_EXTRA='Filter { Label Ignore { 3 } }'
lab_up none
# the kernel keeps labels where a rule looks at them
if in_ns fw1 nft -f - <<-'RULES'
	table inet labels { chain output { type filter hook output priority 0; ct label 3 counter; }; }
RULES
then
	pair_up || { finish; exit; }
	label() { in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/label.py" "10.98.1.$1" "$2"; }
	make 1; make 2
	soon "a connection without labels is told" 5 told 2
	label 1 3
	soon "one that gets a label that does not count is gone at the peer" 5 untold 1
	label 1 4
	change 1 --mark 5
	check "and stays away, whatever else changes" untold 1
	label 2 9
	check "another label changes nothing" told 2
	check "-F" ctl fw1 -F
	emptied() { ! kernel_has 2; }
	soon "empties what counts" 5 emptied
	check "and keeps what does not" kernel_has 1
	check "a resync" ctl fw1 -R
	check "does not bring it back" untold 1
else
	skip "labels" "the kernel has no labels"
fi
lab_down

case_begins "age"
LAB_GENERAL_EXTRA='Filter { MinimumAge 3 }'
lab_up none
make 1
pair_up || { finish; exit; }
soon "what is there at the start is old enough" 5 told 1
make 2
made=$(now_ms)
for host in 3 4 5; do make $host; done
sleep 1
end 3
change 2 --mark 9
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/hole.py" master 0 4400 >/dev/null
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/hole.py" make 0 4400 4400 >/dev/null
young=$(ctl fw2 -e; ctl fw2 -e exp)
if [ $(($(now_ms) - made)) -lt 2500 ]; then
	refute "a young connection is not told, nor is its expectation" grep -Eq 'src=10\.98\.1\.[2-5] |10\.98\.7\.1' <<<"$young"
else
	skip "a young connection is not told" "the machine is too slow to tell"
fi
soon "it is when it is old enough, as it is then" 10 whole 2 9
check "not before" test $(($(now_ms) - made)) -ge 3000
expected() { holds fw2 "dport=4400 .*mask" -e exp; }
soon "so is its expectation" 10 expected
aged() { ctl fw1 -i | grep 'src=10\.98\.1\.2 ' | grep -qv 'active since [0-2]s'; }
check "its age counts from its beginning" aged
check "a resync while others are young" ctl fw1 -R
created() { ctl fw2 -s cache | awk '/cache:external/ { seen = 1 } seen && /creation/ { sub("/.*", "", $3); print $3; exit }'; }
soon "they are told in their turn" 10 told 5
equal "what has ended before was never sent" 5 "$(created)"
soon "both nodes agree" 10 equals
finish
