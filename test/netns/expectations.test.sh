#!/bin/bash
# The life of an expectation, on both sides: its time, changes that the kernel tells nobody of, and zones.
. "$(dirname "$0")/tap.sh"
begin

hole() { local fw=$1; shift; in_ns "$fw" "$LAB_PYTHON" "$LAB_HERE/hole.py" "$@"; }
is_left() { local left; left=$(hole "$1" left "$2"); [ "$left" != none ] && [ "$left" -ge "$3" ] && [ "$left" -le "$4" ]; }
gone() { [ "$(hole "$1" left "$2")" = none ]; }
told() { holds fw2 "dport=$1 .*mask" -e exp; }
untold() { ! told "$1"; }
# made CHANNEL: fw1 has an expectation for this port, and fw2 has been told of it
made() { hole fw1 master 0 "$1" && hole fw1 make 0 "$1" "$1" && wait_until 10 told "$1"; }
# committed: fw2 takes over what it has been told of within two readings of fw1's table
committed() { sleep 2.2; ctl fw2 -c; COMMITTED=$(now_ms); }
past() { [ $(($(now_ms) - COMMITTED)) -ge "$1" ]; }

# On a busy machine the seconds of a try may go by without anything being done: then it is tried with another port.
channel=4000
# tries CMD...: with the next port, until the command succeeds
tries() {
	local i
	for i in 1 2 3 4 5; do
		channel=$((channel + 1))
		"$@" "$channel" >/dev/null 2>&1 && return
	done
	return 1
}

lab_up none || exit 2
pair_up || finish

case_begins "time"
five_seconds() { made "$1" && hole fw1 time 0 "$1" "$1" 5 && committed && is_left fw2 "$1" 0 4; }
check "an expectation of which five seconds were left is committed with what is left then" tries five_seconds
wait_until 30 past 6000
check "six seconds after its commit it is gone" gone fw2 "$channel"
shortened() { made "$1" && hole fw1 time 0 "$1" "$1" 60 && committed && is_left fw2 "$1" 30 60; }
check "a time that was shortened without an event is the peer's" tries shortened
renewed() { made "$1" && hole fw1 time 0 "$1" "$1" 60 && sleep 2.2 && hole fw1 time 0 "$1" "$1" 300 && committed && is_left fw2 "$1" 270 300; }
check "so is one that was renewed" tries renewed
made 4100 >/dev/null
hole fw1 time 0 4100 4100 3 >/dev/null
soon "one that has run out leaves the peer's cache" 20 untold 4100

case_begins "after the commit"
revived() { made "$1" && hole fw1 time 0 "$1" "$1" 12 && committed && is_left fw2 "$1" 1 12 && hole fw2 time 0 "$1" "$1" 300; }
check "a committed expectation is given time again" tries revived
soon "it is taken out all the same when its time is over" 40 gone fw2 "$channel"
matches "the log says so" "beyond their time" "$(daemon_log fw2)"
refute "it has left the internal cache, too" holds fw2 "dport=$channel" -i exp

case_begins "zones"
hole fw1 master 7 4200 >/dev/null
hole fw1 make 7 4200 4200 >/dev/null
soon "an expectation of a master in a zone is told of" 10 told 4200
ctl fw2 -c >/dev/null 2>&1
check "it is committed" is_left fw2 4200 200 300
equal "it hangs from the master in that zone" "ENOENT ok" "$(hole fw2 end 0 4200 4200) $(hole fw2 end 7 4200 4200)"
equal "its end at home" ok "$(hole fw1 end 7 4200 4200)"
soon "ends it at the peer" 10 untold 4200

finish
