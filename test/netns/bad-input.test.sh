#!/usr/bin/env bash
# What goes wrong outside the daemon: configurations, options, rights, and datagrams. Every refusal is one clear
# message and exit status 1; what is hostile is counted and changes nothing.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

lab_up none
daemon_config fw1
conf=$LAB_TMP/bad.conf

# try SECONDS CMD...: runs it in fw1; sets STATUS (124: it was still running) and SAID
try() {
	local seconds=$1; shift
	SAID=$(in_ns fw1 timeout -s KILL "$seconds" "$@" 2>&1 </dev/null)
	STATUS=$?
	[ $STATUS -ne 137 ] || STATUS="(still running after $seconds s)"
}
# shellcheck disable=SC2086 # commands with their arguments
daemon_with() { try 3 $LAB_DAEMON "$@"; }
# shellcheck disable=SC2086
client_with() { try 3 $LAB_CLIENT "$@"; }

# refused SENTENCE REGEX: what was tried ended with status 1 and a message that names the cause
refused() {
	equal "$1: exit status 1" 1 "$STATUS"
	matches "$1: the message says why" "$2" "$SAID"
	only_ctsync "$1: it is one line" equal "$1: it is one line" 1 "$(grep -c . <<<"$SAID")"
}

case_begins "configuration"
daemon_with /nonexistent.conf
refused "a file that is not there" '/nonexistent\.conf'

printf '\n' >"$conf"
daemon_with "$conf"
only_ctsync "an empty file" matches "an empty file: it is said that nothing is replicated" 'Nothing is replicated' "$SAID"

printf 'Sync {\n\tMode FTFW {\n\t\tNonsense 3\n\t}\n}\n' >"$conf"
daemon_with "$conf"
refused "an unknown word" 'Nonsense'
only_ctsync "its place" matches "an unknown word: the message names file, line and column" 'bad\.conf:3:3' "$SAID"
client_with "$conf" -s
refused "an unknown word, seen by the client" 'Nonsense'

printf 'Sync {\n\tMode FTFW {\n' >"$conf"
daemon_with "$conf"
refused "a missing brace" '.'
only_ctsync "its place" matches "a missing brace: the message names file, line and column" 'bad\.conf:[0-9]+:[0-9]+' "$SAID"

sed "s/^HashLimit.*/HashLimit many/" "$(conf_of fw1)" >"$conf"
daemon_with "$conf"
refused "a word where a number belongs" 'many|HashLimit'
only_ctsync "its place" matches "a word where a number belongs: the message names file, line and column" \
	"bad\.conf:$(grep -n '^HashLimit' "$conf" | sed 's/:.*//'):[0-9]+" "$SAID"

sed "s/^Interface sync0/Interface sync9/" "$(conf_of fw1)" >"$conf"
daemon_with "$conf"
equal "an interface that is not there: exit status 1" 1 "$STATUS"
matches "an interface that is not there: the message names it" 'sync9' "$SAID"

sed '/^Multicast {/,/^}/d' "$(conf_of fw1)" >"$conf"
daemon_with "$conf"
equal "no dedicated link: exit status 1" 1 "$STATUS"
only_ctsync "no dedicated link" matches "no dedicated link: the message says so" 'Multicast|UDP|link' "$SAID"

head -c 2000 /dev/urandom >"$conf"
daemon_with "$conf"
equal "random bytes: exit status 1" 1 "$STATUS"

case_begins "client"
client_with "$(conf_of fw1)" -s
refused "no daemon is running" "[Cc]an.?t connect|not running|connect"
client_with "$(conf_of fw1)" -c
equal "a commit without a daemon: exit status 1" 1 "$STATUS"

case_begins "rights"
program=$(command -v "${LAB_DAEMON%% *}")
if setpriv --reuid 65534 --regid 65534 --clear-groups test -r "$program" 2>/dev/null; then
	chmod 644 "$(conf_of fw1)"
	# shellcheck disable=SC2086
	try 3 setpriv --reuid 65534 --regid 65534 --clear-groups $LAB_DAEMON "$(conf_of fw1)"
	equal "a daemon that is not root: exit status 1" 1 "$STATUS"
	only_ctsync "its message" matches "a daemon that is not root: the message says why" \
		'root|CAP_NET_ADMIN|[Pp]ermission|[Pp]ermitted|privilege' "$SAID"
else
	skip "a daemon that is not root" "others cannot read $program"
fi

case_begins "options"
pair_up || finish
client_with "$(conf_of fw1)" -z
only_ctsync "an unknown option" equal "an unknown option: exit status 1" 1 "$STATUS"
matches "an unknown option: the message names it" '-z' "$SAID"
client_with "$(conf_of fw1)" -i nonsense
only_ctsync "an unknown word for -i" equal "an unknown word for -i: exit status 1" 1 "$STATUS"
matches "an unknown word for -i: the message names it" 'nonsense' "$SAID"
for words in "-s nonsense" "-f nonsense"; do
	# shellcheck disable=SC2086
	client_with "$(conf_of fw1)" $words
	equal "$words: exit status 1" 1 "$STATUS"
	matches "$words: the message names it" 'nonsense' "$SAID"
done
client_with "$(conf_of fw1)" -x
equal "-x without a cache: exit status 1" 1 "$STATUS"
client_with "$(conf_of fw1)" -d -s
equal "-d together with a client command: exit status 1" 1 "$STATUS"

case_begins "a second instance"
daemon_with "$(conf_of fw1)"
equal "exit status 1" 1 "$STATUS"
matches "the message names the lock" "$LAB_TMP/fw1\.lock" "$SAID"
daemon_with "$(conf_of fw1)" -d
equal "in the background: exit status 1" 1 "$STATUS"
only_ctsync "in the background: the message names the lock" \
	matches "in the background: the message names the lock" "$LAB_TMP/fw1\.lock" "$SAID"
check "the first one goes on" ctl fw1 -s

case_begins "hostile datagrams"
in_ns fw2 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 300 >/dev/null
equal_now() { [ "$(kernel_flows fw2)" = "$(cache_flows fw1 -e)" ]; }
soon "fw1 holds what fw2 has" 5 equal_now
kernel_flows fw2 >"$LAB_TMP/before"
# complaints: all that -s network of fw1 counts as wrong on the way in
complaints() { ctl fw1 -s network | awk '/send:/ { exit } / [0-9]+$/ { n += $NF } END { print n + 0 }'; }
complaints_before=$(complaints)
ip -n "$LAB_ID-sw" addr add 10.10.3.99/24 dev sync
# one third party, and somebody on the address of the peer itself
check "a stranger on the link sends 400 of them" in_ns sw "$LAB_PYTHON" "$LAB_HERE/noise.py" sync 225.0.0.50 3780 400
check "so does somebody with the address of the peer" in_ns fw2 "$LAB_PYTHON" "$LAB_HERE/noise.py" sync0 225.0.0.50 3780 400
sleep 1
check "fw1 still answers" ctl fw1 -s
check "fw2 does as well" ctl fw2 -s
complaints_after=$(complaints)
if [ "$complaints_after" -gt "$complaints_before" ]; then pass "fw1 counts them"; else
	fail "fw1 counts them" "$(ctl fw1 -s network)"; fi
note "counted $((complaints_after - complaints_before)) of 800"
cache_flows fw1 -e >"$LAB_TMP/after"
only_ctsync "none of what it held is lost, and nothing has come to it" \
	same_lines "none of what it held is lost, and nothing has come to it" "$LAB_TMP/before" "$LAB_TMP/after"
equal "the kernel of fw1 has nothing of it" "" "$(kernel_flows fw1)"
in_ns fw2 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 500 50 >/dev/null
in_ns fw2 "$LAB_PYTHON" "$LAB_HERE/inject.py" delete 0 50 >/dev/null
if is_ctsync; then
	soon "connections that begin and end afterwards still reach fw1" 10 equal_now
else
	skip "connections that begin and end afterwards still reach fw1" "not the behaviour of ${LAB_DAEMON%% *}"
fi
if is_ctsync; then
	lines=$(daemon_log fw1 | wc -l)
	if [ "$lines" -lt 100 ]; then pass "its log is not flooded"; else fail "its log is not flooded" "$lines lines"; fi
fi
[ "$TAP_FAILED" -eq 0 ] || explain
finish
