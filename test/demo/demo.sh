#!/usr/bin/env bash
# demo.sh: a firewall pair loses its primary in the middle of a download and of an FTP session, and nobody notices.
# Everything happens in network namespaces on real kernel tables; nothing is left behind. Needs root, takes half a
# minute, exits with 0 only if all survived with ctsync's commit and nothing did without.
set -u
# shellcheck source=test/lab/lab.sh
. "$(dirname "$0")/../lab/lab.sh"
# shellcheck source=test/demo/screen.sh
. "$(dirname "$0")/screen.sh"

begun=$SECONDS

reason=$(lab_missing)
[ -z "$reason" ] || { echo "demo: $reason" >&2; exit 1; }
lab_init

# --- the traffic -------------------------------------------------------------------------------------------------

# traffic: a download that never ends, and an FTP session with a data port that was announced and not yet opened
traffic() {
	talk ftpd server ftp.py serve
	talk streamd server stream.py serve "$STREAM_PORT"
	wait_until 3 said ftpd listening && wait_until 3 said streamd listening
	talk download client stream.py down "$SERVER4" "$STREAM_PORT" "$LAB_TMP/enough" 4
	talk ftp client ftp.py client "$SERVER4" login pasv "hold:$LAB_TMP/go" noop list pasv get:4000000 quit
	if ! wait_until 5 said download '^progress' || ! wait_until 5 said ftp '^pasv ok'; then
		give_up "the client cannot work through fw1"
	fi
	data_port=$(sed -n 's/^pasv ok port=//p' "$LAB_TMP/ftp.out")
}

downloaded() { sed -n 's/.* bytes=\([0-9]*\).*/\1/p' "$LAB_TMP/download.out" | tail -n 1; }
replicated() { ctl fw2 -e exp | grep -q "dport=$data_port " && ctl fw2 -e | grep -q "dport=$STREAM_PORT .*ASSURED"; }

primary_dies() {
	daemon_stop fw1 KILL
	unplug fw1
}

give_up() {
	local fw
	echo "demo: $*" >&2
	for fw in fw1 fw2; do
		echo "demo: what the daemon on $fw said last:" >&2
		{ daemon_log "$fw"; cat "$LAB_TMP/$fw.err"; } 2>/dev/null | tail -n 10 >&2
	done
	exit 1
}

# result WHAT: the end of the download, or ok / failed for a step of the FTP session
result() {
	case $1 in
	download) sed -n 's/^\(survived\|broken\).*/\1/p' "$LAB_TMP/download.out" ;;
	*) awk -v step="$1" '$1 == step { r = $2 } END { print r == "ok" ? "ok" : "failed" }' "$LAB_TMP/ftp.out" ;;
	esac
}

# --- with ctsync -------------------------------------------------------------------------------------------------

title "A firewall pair"
text "A client reaches a server through fw1; fw2 stands by. Both run $client_name and talk over a cable of their own." \
	"The firewalls let a connection begin with a SYN and drop what belongs to no connection. Addresses are translated."
picture
lab_up snat
daemons_up || give_up "the daemons do not start"
done_with "two daemons run and hear each other"

title "Work for the primary"
traffic
wait_until 5 replicated || give_up "the backup does not learn of the connections"
done_with "an FTP session has been told data port $data_port (PASV) and has not opened it yet"
watch_download 15000000
done_with "the client downloads over one TCP connection: $(bytes "$(downloaded)") so far"

title "What the operator sees"
shown fw1 -s
shown fw1 -i exp
shown fw2 -s
shown fw2 -e
shown fw2 -e exp

title "The primary dies"
before=$(downloaded)
primary_dies
text "The daemon on fw1 is killed (SIGKILL) and all three cables of fw1 are pulled."
shown fw2 -c
take_over fw2
log_lines fw2 'commit|Commit'
done_with "fw2 has taken over the gateway addresses"
watch_download "$((before + 15000000))"
text "The download was at $(bytes "$before") when fw1 died; it is at $(bytes "$(downloaded)") now."
text "The client now opens the data connection that fw1 had announced, then asks for another one."
touch "$LAB_TMP/go"
wait_until 25 said ftp '^end'
touch "$LAB_TMP/enough"
wait_until 8 said download '^(survived|broken)'
ftp_lines

for what in download noop list get; do declare "with_$what=$(result $what)"; done
stall=$(sed -n 's/.*stall_ms=\([0-9]*\).*/\1/p' "$LAB_TMP/download.out" | tail -n 1)
checked=$(downloaded)
commit=$(commit_seconds fw2)

# --- and without -------------------------------------------------------------------------------------------------

title "The same without a commit"
text "To see that it was $client_name which kept them alive: everything again, but nobody calls $client_name -c."
lab_up snat
daemons_up || give_up "the daemons do not start"
traffic
wait_until 5 replicated
primary_dies
take_over fw2
touch "$LAB_TMP/go"
wait_until 10 said download '^(survived|broken)' || touch "$LAB_TMP/enough"
wait_until 25 said ftp '^end'
ftp_lines
for what in download noop list get; do declare "without_$what=$(result $what)"; done
text "The download is $(result download): fw2 drops segments of a connection that it has never seen."
lab_down

# --- what has come of it -----------------------------------------------------------------------------------------

title "Summary"
# shellcheck disable=SC2154 # declared above
{
	row "" "with commit" "without"
	verdict "TCP download" "$with_download" "$without_download"
	verdict "FTP control connection" "$with_noop" "$without_noop"
	verdict "data connection announced before" "$with_list" "$without_list"
	verdict "a new data connection" "$with_get" "$without_get"
	row "bytes downloaded and checked" "$(bytes "$checked")"
	row "longest silence of the download" "${stall:-?} ms"
	row "time for the commit (log)" "$commit s"
}
left=$(ip netns list | grep -c "^$LAB_ID-")
row "namespaces left behind" "$left"
row "seconds for all this" "$((SECONDS - begun))"
echo

expected="survived ok ok ok broken failed failed failed 0"
[ "$with_download $with_noop $with_list $with_get $without_download $without_noop $without_list $without_get $left" = "$expected" ] || {
	echo "demo: not everything went as it should" >&2
	exit 1
}
