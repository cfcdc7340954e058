#!/usr/bin/env bash
# From conntrackd to ctsync and back, as docs/migration-from-conntrackd.md says: what the two make of each other on the
# wire, one in the other's place, both side by side, and the way back. An FTP session with an announced data connection
# is open all the time.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin conntrackd
is_ctsync || { skip "migration" "this test brings conntrackd itself"; finish; }
ours="$LAB_DAEMON" our_client="$LAB_CLIENT"

# as conntrackd|ctsync CMD...: with this program as the daemon and its client
as() {
	local which=$1; shift
	if [ "$which" = conntrackd ]; then LAB_DAEMON="conntrackd -C" LAB_CLIENT="conntrackd -C" "$@"
	else LAB_DAEMON=$ours LAB_CLIENT=$our_client "$@"; fi
}
# changes NODE OLD NEW: one program in the place of the other, with the same files
changes() {
	daemon_stop "$1"
	rm -f "$LAB_TMP/$1.log"
	as "$3" daemon_start "$1" 2>/dev/null
}
kernel_of() { kernel_flows "$1" | wc -l; }
malformed() { as "$2" ctl "$1" -s | awk '/Malformed msgs/ { print $1 }'; }
more_malformed() { [ "$(malformed "$1" "$2")" -gt "${3:-0}" ]; }
# learnt NODE OTHER: the external cache has as many as the other one's kernel
learnt() { [ "$(as "$3" cache_flows "$1" -e | wc -l)" = "$(kernel_of "$2")" ]; }
begins() { # begins NAME: an FTP session that has announced a port and waits
	talk "$1" client ftp.py client "$SERVER4" login pasv "hold:$LAB_TMP/go-$1" noop list quit
	soon "an FTP session begins" 8 said "$1" '^pasv ok'
}
goes_on() {
	touch "$LAB_TMP/go-$1"
	wait_until 20 said "$1" '^end'
	check "the FTP session goes on" said "$1" '^noop ok'
	check "and its announced data connection gets through" said "$1" '^list ok'
}
# second_file NODE: makes new-NODE.conf as the document says, with the lab's paths in the place of those that stand there
second_file() {
	local fw=$1 command
	command=$(sed -n '/ctsync --check -v -C/,/>\/etc\/ctsync\/ctsync.conf$/p' "$LAB_ROOT/docs/migration-from-conntrackd.md" |
		sed -e "s#/etc/conntrackd/conntrackd.conf#$(conf_of "$fw")#; s#/etc/ctsync/ctsync.conf#$LAB_TMP/new-$fw.conf#" \
			-e "s#/var/[a-z]*/conntrackd*\.\(lock\|ctl\|log\)#$LAB_TMP/$fw.\1#g" \
			-e "s#/var/[a-z]*/ctsync\.\(lock\|ctl\|log\)#$LAB_TMP/new-$fw.\1#g")
	ctsync() { in_ns "$fw" "${ours%% *}" "$@"; }
	[ -n "$command" ] && eval "$command" && ctsync --check -C "$LAB_TMP/new-$fw.conf"
}

lab_up snat
talk ftpd server ftp.py serve
wait_until 3 said ftpd listening

case_begins "one of each"
as conntrackd daemons_up
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 40 >/dev/null
begins ftp
soon "conntrackd has told its backup" 8 learnt fw2 fw1 conntrackd
before=$(kernel_of fw1)
changes fw1 conntrackd ctsync
equal "the kernel's table is as it was" "$before" "$(kernel_of fw1)"
soon "ctsync has read it" 5 sh -c "[ \"\$(ip netns exec $LAB_ID-fw1 $our_client $(conf_of fw1) -i | wc -l)\" = $before ]"
soon "ctsync counts what conntrackd sends as malformed" 8 more_malformed fw1 ctsync
soon "and conntrackd what ctsync sends" 8 more_malformed fw2 conntrackd
equal "ctsync takes nothing from it" 0 "$(as ctsync ctl fw1 -e | wc -l)"
equal "and the backup's conntrackd still holds what it had been told" "$before" "$(as conntrackd cache_flows fw2 -e | wc -l)"

case_begins "in its place"
changes fw2 conntrackd ctsync
soon "as soon as both are ctsync, the backup holds everything" 5 learnt fw2 fw1 ctsync
soon "with the expectation that was made before" 5 holds fw2 "helper=ftp" -e exp
check "everything is equal" as ctsync ctl fw1 verify
matches "a rehearsal says that all would be restored" '100 % would restore' "$(as ctsync ctl fw2 commit --dry-run)"
daemon_stop fw1 KILL
unplug fw1
as ctsync ctl fw2 -c
take_over fw2
goes_on ftp

case_begins "the way back"
in_ns fw1 conntrack -F 2>/dev/null
plug fw1
as conntrackd daemon_start fw1
begins ftp2
before=$(kernel_of fw2)
changes fw2 ctsync conntrackd
equal "the kernel's table is as it was" "$before" "$(kernel_of fw2)"
note "conntrackd holds $(as conntrackd ctl fw2 -i | wc -l) of $before at its start"
as conntrackd ctl fw2 -R
as conntrackd ctl fw2 -B
soon "after -R and -B the other one holds it" 8 learnt fw1 fw2 conntrackd
daemon_stop fw2 KILL
unplug fw2
as conntrackd ctl fw1 -c
take_over fw1
goes_on ftp2

case_begins "side by side"
in_ns fw2 conntrack -F 2>/dev/null
plug fw2
as conntrackd daemon_start fw2
as conntrackd ctl fw1 -f
as conntrackd ctl fw1 -R
as conntrackd ctl fw1 -B
begins ftp3
for fw in fw1 fw2; do
	check "the documented command makes a file that is valid" second_file $fw
	refute "with a group, a port and paths of its own" grep -E "225\.0\.0\.50|\b3780\b|$LAB_TMP/$fw\." "$LAB_TMP/new-$fw.conf"
	# shellcheck disable=SC2086
	spawn "new-$fw" $fw $ours "$LAB_TMP/new-$fw.conf"
done
new() { local fw=$1; shift; in_ns "$fw" $our_client "$LAB_TMP/new-$fw.conf" "$@"; }
new_learnt() { [ "$(new fw2 -e | same_form | wc -l)" = "$(kernel_of fw1)" ]; }
soon "beside conntrackd ctsync gets everything to the backup" 10 new_learnt
soon "conntrackd has it, too" 5 learnt fw2 fw1 conntrackd
equal "no datagram of one reaches the other" "0 0" "$(new fw2 -s | awk '/Malformed msgs/ { print $1 }') $(malformed fw2 conntrackd)"
check "everything is equal" new fw1 verify
for fw in fw1 fw2; do daemon_stop $fw; done
equal "after conntrackd's end the kernel has what it had" "$(kernel_of fw1)" "$(new fw1 -i | same_form | wc -l)"
stop new-fw1 KILL
unplug fw1
new fw2 -c
take_over fw2
goes_on ftp3
[ "$TAP_FAILED" -eq 0 ] || note "$(tail -n 15 "$LAB_TMP"/*.log "$LAB_TMP"/ftp*.out)"
finish
