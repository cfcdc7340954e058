#!/usr/bin/env bash
# SIGHUP: what is new in the configuration is taken over where a running daemon can, told where it cannot, and a file that is
# wrong changes nothing. The log goes on under its name after it was moved away.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "reload" "${LAB_DAEMON%% *} ends on SIGHUP"; finish; }

lab_up
daemon_start fw1 || { fail "the daemon of fw1 starts"; explain; finish; }
conf=$(conf_of fw1)
log=$(sed -n 's/^[[:space:]]*LogFile //p' "$conf")
pid=$(pid_of fw1)
cp "$conf" "$LAB_TMP/first.conf"

# hup REGEX: after a SIGHUP a new line of the log is like this
hup() {
	local lines
	lines=$(wc -l <"$log")
	kill -HUP "$pid"
	wait_until 5 told "$lines" "$1"
}
told() { tail -n "+$(($1 + 1))" "$log" | grep -Eq -- "$2"; }

check "the same file" hup 'configuration reloaded: nothing has changed'

sed -e 's/^HashLimit .*/HashLimit 54321/' "$LAB_TMP/first.conf" >"$conf"
printf 'Sync { PurgeTimeout 7 }\nGeneral { NetlinkOverrunResync off }\n' >>"$conf"
check "what can be taken over is" hup 'reloaded: Sync Mode PurgeTimeout [0-9]+ -> 7$'
check "all of it" grep -q 'reloaded: General NetlinkOverrunResync [0-9]* -> off$' "$log"
check "what cannot is told" grep -Eq 'not in force before a restart: General HashLimit [0-9]+ -> 54321$' "$log"
ctl fw1 -t
check "the new PurgeTimeout is in force" wait_until 5 grep -q 'flushing conntrack table in 7 secs' "$log"
check "what waits is told again" hup 'not in force before a restart: General HashLimit'

sed 's/^HashLimit .*/HashLimit many/' "$LAB_TMP/first.conf" >"$conf"
check "a file with a mistake is told" hup 'configuration not reloaded: .*fw1\.conf:[0-9]+:[0-9]+: "many" is not a number'
cp "$LAB_TMP/first.conf" "$conf"
check "and the daemon goes on" ctl fw1 -s

mv "$log" "$log.1"
kill -HUP "$pid"
check "the log is begun anew" wait_until 5 grep -q 'keys reloaded' "$log"
equal "with its rights" 600 "$(stat -c %a "$log")"
check "nothing goes into the old one" eval '! grep -q "keys reloaded" <(tail -n 1 "$log.1")'

daemon_stop fw1
finish
