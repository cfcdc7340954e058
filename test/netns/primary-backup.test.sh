#!/usr/bin/env bash
# Debian's own primary-backup.sh, byte for byte, driven by real keepalived: it calls /usr/sbin/conntrackd with
# /etc/conntrackd/conntrackd.conf and removes /var/lock/conntrack.lock. On each firewall these are mounted over, in a mount
# namespace of its own: our program in the place of that one, this lab's configuration, a folder of its own for locks.
# A TCP stream and an FTP session live through a failover and the way back.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
begin keepalived conntrackd

script=/usr/share/doc/conntrackd/examples/sync/primary-backup.sh
[ -f "$script" ] || { skip "Debian's primary-backup.sh" "$script is not installed"; finish; }

# Programs are found relative to where they really are, so what is mounted is a wrapper of two lines.
program=${LAB_CLIENT%% *}

# Mounts a node's files where Debian has them, then runs a command.
# shellcheck disable=SC2016 # the inner shell expands it
mounted='
	root=$1; shift
	mount --bind "$root/conntrackd" /usr/sbin/conntrackd &&
	mount --bind "$root/etc" /etc/conntrackd &&
	mount --bind "$root/lock" "$(readlink -f /var/lock)" || exit 9
	exec "$@"'
# machine NODE CMD...: as in_ns, on a machine where our program is conntrackd
machine() {
	local fw=$1; shift
	in_ns "$fw" unshare --mount --propagation private sh -c "$mounted" sh "$LAB_TMP/$fw.root" "$@"
}
# machine_files NODE: what machine mounts
machine_files() {
	local fw=$1 root=$LAB_TMP/$1.root priority=$((200 - 50 * ${1#fw}))
	mkdir -p "$root/etc" "$root/lock"
	case $program in
	*conntrackd) cp /usr/sbin/conntrackd "$root/conntrackd" ;;
	*) printf '#!/bin/sh\nexec %s "$@"\n' "$program" >"$root/conntrackd" ;;
	esac
	chmod 755 "$root/conntrackd"
	daemon_config "$fw"
	sed -E "s|^(\s*LockFile) .*|\1 /var/lock/conntrack.lock|" "$(conf_of "$fw")" >"$root/etc/conntrackd.conf"
	cp "$script" "$root/etc/primary-backup.sh"
	chmod 755 "$root/etc/primary-backup.sh"
	# what keepalived calls, so that its output and status can be looked at
	cat >"$root/etc/notify.sh" <<-NOTIFY
		#!/bin/sh
		/etc/conntrackd/primary-backup.sh "\$1" >>$LAB_TMP/$fw.role.out 2>&1
		echo "\$1 status \$?" >>$LAB_TMP/$fw.role.out
	NOTIFY
	chmod 755 "$root/etc/notify.sh"
	sed -e "s|^\$LAN_INTERFACE=.*|\$LAN_INTERFACE=lan0|" -e "s|^\$LAN_ADDRESS=.*|\$LAN_ADDRESS=$LAN_VIP4/24|" \
		-e "s|^\$WAN_INTERFACE=.*|\$WAN_INTERFACE=wan0|" -e "s|^\$WAN_ADDRESS=.*|\$WAN_ADDRESS=$WAN_VIP4/24|" \
		-e "s|^\$PRIORITY=.*|\$PRIORITY=$priority|" -e "s|^\$ROLE_SCRIPT=.*|\$ROLE_SCRIPT=/etc/conntrackd/notify.sh|" \
		"$LAB_ROOT/conf/keepalived/keepalived.conf" >"$root/etc/keepalived.conf"
}
# boot NODE: keepalived alone; the script itself has to find that no daemon runs, and start one
boot() {
	local fw=$1
	: >"$LAB_TMP/$fw.role.out"
	spawn "$fw-vrrp" "$fw" unshare --mount --propagation private sh -c "$mounted" sh "$LAB_TMP/$fw.root" \
		keepalived --dont-fork --log-console --vrrp \
		--use-file /etc/conntrackd/keepalived.conf --pid "$LAB_TMP/$fw.ka1" --vrrp_pid "$LAB_TMP/$fw.ka2"
}
daemon_pid() {
	local pid
	pid=$(cat "$LAB_TMP/$1.root/lock/conntrack.lock" 2>/dev/null)
	[ -n "$pid" ] || pid=$(ip netns pids "$LAB_ID-$1" | while read -r one; do
		grep -qs conntrackd "/proc/$one/comm" && echo "$one"; done | head -n 1)
	echo "$pid"
}
# crash NODE: everything is gone at once
crash() {
	local fw=$1 pid
	unplug "$fw"
	for pid in "$(daemon_pid "$fw")" "$(cat "$LAB_TMP/$fw.ka2" 2>/dev/null)"; do [ -z "$pid" ] || kill -KILL "$pid"; done
	stop "$fw-vrrp" KILL
	rm -f "$LAB_TMP/$fw".ka?
	in_ns "$fw" conntrack -F 2>/dev/null
	vip_batch del | ip -n "$LAB_ID-$fw" -force -batch - 2>/dev/null
}
owns() { [ "$(ip -n "$LAB_ID-$1" -4 -o addr show | grep -cE "$LAN_VIP4/|$WAN_VIP4/")" = 2 ]; }
is_now() { [ "$(grep -E '^(primary|backup|fault) status' "$LAB_TMP/$1.role.out" 2>/dev/null | tail -n 1)" = "$2 status 0" ]; }
said_by_script() { cat "$LAB_TMP/$1.role.out" 2>/dev/null; }
# in_sync NODE OTHER: it holds what the other one's kernel has
in_sync() {
	kernel_flows "$2" >"$LAB_TMP/kernel"
	cache_flows "$1" -e >"$LAB_TMP/external"
	[ -s "$LAB_TMP/kernel" ] && cmp -s "$LAB_TMP/kernel" "$LAB_TMP/external"
}
look() { note "$(tail -n 15 "$LAB_TMP"/fw?.role.out "$LAB_TMP"/fw?-vrrp.* "$LAB_TMP"/ftp*.out "$LAB_TMP"/talk.*; explain)"; }

lab_up snat
vip_batch del | ip -n "$LAB_ID-fw1" -force -batch - 2>/dev/null
machine_files fw1
machine_files fw2
check "the script is the one of the package" cmp "$script" "$LAB_TMP/fw1.root/etc/primary-backup.sh"
if dpkg-query -W conntrackd >/dev/null 2>&1 && [ -s /var/lib/dpkg/info/conntrackd.md5sums ]; then
	sum=$(awk -v file="${script#/}" '$2 == file { print $1 }' /var/lib/dpkg/info/conntrackd.md5sums)
	[ -z "$sum" ] || equal "and the package's is unchanged" "$sum" "$(md5sum <"$script" | cut -d' ' -f1)"
fi
matches "in its place answers our program" "${program##*/}" "$(machine fw1 /usr/sbin/conntrackd -v | tr '\n' ' ')"

case_begins "start"
boot fw1
soon "fw1 takes the addresses" 10 owns fw1
soon "the script has started the daemon on its way through backup, and succeeds as primary" 15 is_now fw1 primary
check "the daemon answers" ctl fw1 -s
# a daemon that was killed leaves its lock; the script removes it and starts one
echo 999999 >"$LAB_TMP/fw2.root/lock/conntrack.lock"
boot fw2
soon "fw2 becomes backup, and the script has started the daemon" 15 is_now fw2 backup
check "it answers" ctl fw2 -s
refute "the backup has no address" owns fw2

case_begins "failover"
check "an FTP session begins through fw1" announced noop list pasv get:200000 quit
check "and a download" download_begins
soon "fw2 holds them" 5 in_sync fw2 fw1
crash fw1
soon "fw2 takes the addresses" 10 owns fw2
soon "and the script succeeds" 10 is_now fw2 primary
touch "$LAB_TMP/go"
wait_until 30 said ftp '^end'
check "the FTP control connection goes on" said ftp '^noop ok'
check "the announced data connection gets through" said ftp '^list ok'
check "a new one can be agreed on" said ftp '^get ok'
refute "the download is not broken" said talk '^broken'

case_begins "fail-back"
plug fw1
boot fw1
soon "fw1 comes back as backup, and the script has started the daemon" 15 is_now fw1 backup
talk ftp2 client ftp.py client "$SERVER4" login pasv "hold:$LAB_TMP/go2" noop list pasv get:100000 quit
wait_until 8 said ftp2 '^pasv ok'
soon "it learns what fw2 has" 10 in_sync fw1 fw2
port=$(sed -n 's/^pasv ok port=//p' "$LAB_TMP/ftp2.out")
soon "and what the FTP session announces" 5 holds fw1 "^proto=6 .*dport=${port:-none} .*helper=ftp" -e exp
crash fw2
soon "fw1 takes the addresses back" 10 owns fw1
soon "and the script succeeds" 10 is_now fw1 primary
touch "$LAB_TMP/go2" "$LAB_TMP/stop"
wait_until 30 said ftp2 '^end'
check "the session that began meanwhile goes on" said ftp2 '^noop ok'
check "and its announced data connection gets through" said ftp2 '^list ok'
check "and a new one" said ftp2 '^get ok'
wait_until 15 said talk '^(survived|broken)'
matches "the download has come through both, with all data in order" '^survived' "$(tail -n 1 "$LAB_TMP/talk.out")"
note "$(tail -n 1 "$LAB_TMP/talk.out")"
equal "no step of the script has failed but its question whether a daemon runs" "" \
	"$(cat "$LAB_TMP"/fw?.role.out | grep 'ERROR' | grep -v "can't connect")"
[ "$TAP_FAILED" -eq 0 ] || look
for fw in fw1 fw2; do pid=$(daemon_pid $fw); [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null; done
finish
