#!/usr/bin/env bash
# What -s says of the other nodes when something is wrong: one that was never heard, by every kind of link; one that
# comes and has another key; one of another Role or with another Filter, for as long as it lasts; one whose entries were
# emptied here.
# shellcheck disable=SC2317,SC2329 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "peers-told" "conntrackd does not tell of its peers"; finish; }
lab_up none

says() { holds fw1 "$1" -s; }
silent() { ! says 'never heard|heard yet|shaken hands yet'; }

# told NAME PATTERN: a lone fw1 says so, and no more when fw2 is there
told() {
	case_begins "$1"
	check "fw1 starts alone" daemon_start fw1
	check "it says whom it has not heard" says "$2"
	equal "as JSON, too" True "$(ctl fw1 -s network --json | "$LAB_PYTHON" -c 'import json, sys
print([one["hasSpoken"] for one in json.load(sys.stdin)["silent"]] == [False])')"
	check "fw2 starts" daemon_start fw2
	soon "then it is heard, and nothing more is said" 8 silent
	daemon_stop fw1 KILL
	daemon_stop fw2 KILL
}

told "multicast" '^no peer heard yet on sync0$'
LAB_SYNC_EXTRA=$'Peers {\nIPv4_address 10.10.3.1\nIPv4_address 10.10.3.2\n}'
told "multicast with Peers" '^never heard: 10\.10\.3\.2 on sync0$'
LAB_SYNC_EXTRA=
LAB_LINK=udp told "UDP" '^never heard: 10\.10\.3\.2 on sync0$'
LAB_LINK=tcp6 told "TCP over IPv6" '^never heard: fd10:3::2 on sync0$'

case_begins "another key"
LAB_KEY=one daemon_start fw1
LAB_KEY=other daemon_start fw2
soon "something comes that does not shake hands" 5 says '^no peer has shaken hands yet on sync0: something comes, but'
daemon_stop fw1 KILL
daemon_stop fw2 KILL

case_begins "another Role and another Filter"
LAB_SYNC_EXTRA='Role active-active' LAB_PROTOCOLS=TCP daemon_start fw1
daemon_start fw2
soon "the Role is told" 5 says '^  ANOTHER ROLE than this node'
check "the Filter is" says '^  ANOTHER FILTER than this node'
soon "on both" 5 holds fw2 'ANOTHER FILTER' -s
daemon_stop fw2 KILL
LAB_SYNC_EXTRA='Role active-active' LAB_PROTOCOLS=TCP daemon_start fw2
soon "no more when it is the same" 8 eval "says state=up && ! says ANOTHER"
daemon_stop fw1 KILL
daemon_stop fw2 KILL

case_begins "the copy that the role script has emptied"
LAB_SYNC_EXTRA='PurgeTimeout 2'
pair_up || finish
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 300 >/dev/null
soon "fw2 holds what fw1 has" 5 eval '[ "$(current fw2 external)" = 300 ]'
for command in -c -f -R -B; do ctl fw2 $command; done
soon "while fw1 still has it fw2 says so" 3 holds fw2 'its entries here: EMPTIED by -f external' -s
refute "and verify fails" ctl fw2 verify
for command in -t -n; do ctl fw1 $command; done
soon "when fw1 has purged it all is equal" 10 ctl fw2 verify
refute "and nothing is said any more" holds fw2 EMPTIED -s
equal "without a copy of what has gone" 0 "$(current fw2 external)"
finish
