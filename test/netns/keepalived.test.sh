#!/usr/bin/env bash
# The pair as it is installed: real keepalived (VRRP version 3) with the shipped keepalived.conf, role script and
# ctsync.conf, of which only addresses and paths are adapted. The
# primary is killed under a TCP stream and an open FTP session; later it comes back and has to learn everything again.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
begin keepalived

conf=$LAB_ROOT/conf/keepalived

# keepalived_start NODE: the shipped file with this lab's settings. Which daemon the role script talks to is in the
# environment; a program with an argument needs a wrapper to be one word.
keepalived_start() {
	local fw=$1 priority=$((200 - 50 * ${1#fw}))
	printf '#!/bin/sh\nshift 2\nexec %s %s "$@"\n' "$LAB_CLIENT" "$(conf_of "$fw")" >"$LAB_TMP/$fw.client"
	cat >"$LAB_TMP/$fw.role" <<-ROLE
		#!/bin/sh
		export CTSYNC_BIN=$LAB_TMP/$fw.client CTSYNC_CONFIG=$(conf_of "$fw")
		"$conf/primary-backup.sh" "\$1" >>"$LAB_TMP/$fw.role.out" 2>&1
		echo "\$1 status \$?" >>"$LAB_TMP/$fw.role.out"
	ROLE
	chmod +x "$LAB_TMP/$fw.client" "$LAB_TMP/$fw.role"
	sed -e "s|^\$LAN_INTERFACE=.*|\$LAN_INTERFACE=lan0|" -e "s|^\$LAN_ADDRESS=.*|\$LAN_ADDRESS=$LAN_VIP4/24|" \
		-e "s|^\$WAN_INTERFACE=.*|\$WAN_INTERFACE=wan0|" -e "s|^\$WAN_ADDRESS=.*|\$WAN_ADDRESS=$WAN_VIP4/24|" \
		-e "s|^\$PRIORITY=.*|\$PRIORITY=$priority|" -e "s|^\$ROLE_SCRIPT=.*|\$ROLE_SCRIPT=$LAB_TMP/$fw.role|" \
		"$conf/keepalived.conf" >"$LAB_TMP/$fw.keepalived"
	spawn "$fw-vrrp" "$fw" keepalived --dont-fork --log-console --vrrp --use-file "$LAB_TMP/$fw.keepalived" \
		--pid "$LAB_TMP/$fw.ka1" --vrrp_pid "$LAB_TMP/$fw.ka2"
}
keepalived_kill() {
	local child
	child=$(cat "$LAB_TMP/$1.ka2" 2>/dev/null)
	[ -z "$child" ] || kill -KILL "$child"
	stop "$1-vrrp" KILL
	rm -f "$LAB_TMP/$1".ka?
}

owns() { [ "$(ip -n "$LAB_ID-$1" -4 -o addr show | grep -cE "$LAN_VIP4/|$WAN_VIP4/")" = 2 ]; }
role_of() { grep -E '^(primary|backup|fault) status' "$LAB_TMP/$1.role.out" 2>/dev/null | tail -n 1; }
is_now() { [ "$(role_of "$1")" = "$2 status 0" ]; }

lab_up snat
LAB_TEMPLATE=ctsync.conf
# keepalived is to give out the addresses itself
vip_batch del | ip -n "$LAB_ID-fw1" -force -batch - 2>/dev/null

case_begins "start"
pair_up || finish
keepalived_start fw1
soon "the first node becomes primary, and its role script succeeds" 8 is_now fw1 primary
keepalived_start fw2
soon "the second one becomes backup, and its role script succeeds" 8 is_now fw2 backup
check "the primary has both addresses" owns fw1
refute "the backup has none" owns fw2
[ "$TAP_FAILED" -eq 0 ] || note "$(tail -n 20 "$LAB_TMP"/fw?-vrrp.* "$LAB_TMP"/*.role.out)"

case_begins "failover"
check "an FTP session begins through the first node" announced noop list pasv get:200000 quit
check "and a download" download_begins
sleep 1
daemon_stop fw1 KILL
keepalived_kill fw1
unplug fw1
soon "the addresses move to the second node" 8 owns fw2
soon "its role script succeeds" 8 is_now fw2 primary
matches "the script has committed" 'Committed [1-9][0-9]* new entries' "$(daemon_log fw2)"
touch "$LAB_TMP/go"
wait_until 30 said ftp '^end'
check "the control connection goes on" said ftp '^noop ok'
check "the announced data connection gets through" said ftp '^list ok'
check "a new data connection can be agreed on" said ftp '^get ok'
refute "the download is not broken" said talk '^broken'
[ "$TAP_FAILED" -eq 0 ] || { explain; note "$(cat "$LAB_TMP"/ftp.* "$LAB_TMP"/talk.err; tail -n 20 "$LAB_TMP"/fw?-vrrp.* "$LAB_TMP"/*.role.out)"; }

case_begins "return"
# The machine has booted: its kernel knows nothing, and has no longer the addresses that a killed keepalived has left.
in_ns fw1 conntrack -F 2>/dev/null
vip_batch del | ip -n "$LAB_ID-fw1" -force -batch - 2>/dev/null
plug fw1
rm -f "$LAB_TMP/fw1.role.out"
daemon_start fw1 || { fail "the daemon starts again after SIGKILL"; explain; }
keepalived_start fw1
soon "the old node becomes backup, and its role script succeeds" 8 is_now fw1 backup
talk ftp2 client ftp.py client "$SERVER4" login pasv "hold:$LAB_TMP/go2" list quit
wait_until 8 said ftp2 '^pasv ok'

# equal_again: what the old node holds of the new primary is what that one has
equal_again() {
	kernel_flows fw2 >"$LAB_TMP/kernel2"
	cache_flows fw1 -e >"$LAB_TMP/external1"
	[ -s "$LAB_TMP/kernel2" ] && cmp -s "$LAB_TMP/kernel2" "$LAB_TMP/external1"
}
wait_until 10 equal_again
same_lines "it holds what the kernel of the new primary has" "$LAB_TMP/kernel2" "$LAB_TMP/external1"
port=$(sed -n 's/^pasv ok port=//p' "$LAB_TMP/ftp2.out")
soon "and the expectation of a session that began meanwhile" 5 holds fw1 "^proto=6 .*dport=${port:-none} .*helper=ftp" -e exp
check "the new primary keeps the addresses" owns fw2
refute "the old one does not take them back" owns fw1

touch "$LAB_TMP/stop" "$LAB_TMP/go2"
wait_until 10 said talk '^(survived|broken)'
matches "the download survives it all, with all data in order" '^survived' "$(tail -n 1 "$LAB_TMP/talk.out")"
note "$(tail -n 1 "$LAB_TMP/talk.out")"
wait_until 10 said ftp2 '^end'
check "and so does the session that began meanwhile" said ftp2 '^quit ok'
[ "$TAP_FAILED" -eq 0 ] || { explain; note "$(tail -n 20 "$LAB_TMP"/fw?-vrrp.* "$LAB_TMP"/*.role.out)"; }
finish
