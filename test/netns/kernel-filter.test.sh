#!/usr/bin/env bash
# "Filter From Kernelspace": the events that the Filter is against are dropped before they reach the daemon; what is
# replicated is the same. Dumps have no such filter in front of them, and must come to the same.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

# number NODE TEXT: the number in the runtime statistics behind this text
number() { ctl "$1" -s runtime 2>/dev/null | sed -n "s/.*$2:[^0-9]*\([0-9]*\).*/\1/p" | head -n 1; }
is_held() { [ "$(ctl fw2 -e 2>/dev/null | wc -l)" -eq "$1" ]; }
protocols() { ctl fw2 -e | awk '{ print $1 }' | sort | uniq -c | xargs; }

# in turns TCP, TCP with SNAT, UDP, TCP over IPv6: three quarters are TCP
for LAB_FILTER in Userspace Kernelspace; do
	case_begins "$LAB_FILTER"
	lab_up none
	LAB_PROTOCOLS=TCP
	pair_up || { finish; exit; }
	in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 400 >/dev/null
	soon "the peer holds the TCP connections" 5 is_held 300
	equal "and nothing else" "300 tcp" "$(protocols)"
	if [ "$LAB_FILTER" = Kernelspace ]; then
		equal "not one of the others has reached the daemon" 0 "$(number fw1 'events filtered')"
	else
		equal "the daemon has filtered the others" 100 "$(number fw1 'events filtered')"
	fi
	in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" finish 0 400 >/dev/null
	in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" delete 0 200 >/dev/null
	soon "what ends, ends there, too" 5 is_held 150
	check "a resync" ctl fw1 -R
	equal "and nothing else comes of a resync" "150 tcp" "$(protocols)"
	matches "the log says where the events are filtered" "using $(tr KU ku <<<"${LAB_FILTER%space}")-space event filtering" "$(daemon_log fw1)"
	lab_down
done
finish
