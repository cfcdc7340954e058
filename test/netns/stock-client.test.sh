#!/usr/bin/env bash
# Scripts, cluster resource agents and dashboards in the field call `conntrackd -C FILE ...`. Debian's own binary must
# be able to talk to our daemon: same configuration file, same control socket, answers in the form that it prints.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
begin conntrackd

# stock NODE ARGS...: Debian's client; sets SAID, COMPLAINT and STATUS
stock() {
	local fw=$1; shift
	SAID=$(in_ns "$fw" timeout 10 conntrackd -C "$(conf_of "$fw")" "$@" 2>"$LAB_TMP/complaint")
	STATUS=$?
	COMPLAINT=$(cat "$LAB_TMP/complaint")
}
# answered COMMAND REGEX...: status 0, no complaint, and a line for each pattern
answered() {
	local text="$1 is answered in the usual form" regex missing=; shift
	for regex; do grep -Eq -- "$regex" <<<"$SAID" || missing+=$'\n'"no line /$regex/"; done
	if [ "$STATUS" = 0 ] && [ -z "$COMPLAINT$missing" ]; then pass "$text"; else
		fail "$text" "exit status $STATUS, stderr '$COMPLAINT'$missing"$'\n'"$SAID"
	fi
}

lab_up snat
pair_up || finish
announced noop list quit
port=$(port_announced)
wait_until 3 holds fw2 "dport=$port" -e exp
ends='\[active since [0-9]+s\]$'
to_server="src=$CLIENT4 dst=$SERVER4 sport=[0-9]+ dport=21"

stock fw1 -s
answered "-s" '^cache internal:$' '^cache external:$' '^current active connections:' '^connections created:' \
	'^connections updated:' '^connections destroyed:' '^traffic processed:$' '^multicast traffic \(active device=sync0\):$' \
	'Bytes sent +[0-9]+ Bytes recv$' 'Pckts sent +[0-9]+ Pckts recv$' '^message tracking:$' 'Malformed msgs +[0-9]+ Lost msgs$'
stock fw1 -s network
answered "-s network" '^network statistics:$' '^sequence tracking statistics:$' 'Packets lost:' 'Malformed messages:'
stock fw1 -s cache
answered "-s cache" '^cache:internal' '^cache:external' 'active/total entries:' 'creation OK/failed:'
stock fw1 -s runtime
answered "-s runtime" '^daemon uptime: ' '^netlink stats:$' 'events received:' '^runtime stats:$'
stock fw1 -s link
answered "-s link" '^multicast traffic device=sync0 status=RUNNING role=ACTIVE:$'
stock fw1 -s expect
answered "-s expect" '^cache internal:$' 'current active connections:.* 1$'
stock fw1 -s queue
answered "-s queue"
stock fw1 -i
answered "-i" "^tcp +6 ESTABLISHED $to_server src=$SERVER4 dst=$WAN_VIP4 sport=21 dport=[0-9]+ \[ASSURED\] .*helper=ftp $ends"
stock fw1 -i -x
answered "-i -x" "^<flow><meta direction=\"original\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>$CLIENT4</src>.*</flow>$"
stock fw1 -i exp
answered "-i exp" "^proto=6 src=$CLIENT4 dst=$SERVER4 sport=0 dport=$port mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 master-src=$CLIENT4 master-dst=$SERVER4 sport=[0-9]+ dport=21 class=0 helper=ftp $ends"
stock fw1 -i exp -x
answered "-i exp -x" "^<flow><layer3 .*<helper-name>ftp</helper-name><class>0</class></meta></flow>$"
stock fw2 -e
answered "-e" "^tcp +6 ESTABLISHED $to_server \[ASSURED\] .*helper=ftp $ends"
stock fw2 -e exp
answered "-e exp" "^proto=6 .*dport=$port .*master-src=$CLIENT4 .*helper=ftp $ends"
stock fw2 -i
equal "-i of an empty cache prints nothing" "" "$SAID"
for command in -R -n -B "-f internal"; do
	# shellcheck disable=SC2086
	stock fw2 $command
	answered "$command"
done

daemon_stop fw1 KILL
unplug fw1
stock fw2 -c
answered "-c"
take_over fw2
check "after -c the connection is in the kernel" test -n "$(kernel_flows fw2 | grep 'dport=21 ')"
touch "$LAB_TMP/go"
wait_until 20 said ftp '^end'
check "after -c the FTP session goes on" said ftp '^list ok'
stock fw2 -k
answered "-k"
soon "after -k the daemon has ended" 5 gone "$(pid_of fw2)"
stock fw2 -s
equal "without a daemon: exit status 1" 1 "$STATUS"
[ "$TAP_FAILED" -eq 0 ] || explain
finish
