# shellcheck shell=bash
# ftp-session.sh: an FTP session that has agreed on a data port and not yet used it; shared by the failover tests.

# session VERB ADDRESS: both daemons run, a session through fw1 has agreed on data port $PORT, fw2 should know
session() {
	local verb=$1 host=$2
	pair_up || return
	talk ftpd server ftp.py serve
	wait_until 3 said ftpd listening
	talk ftp client ftp.py client "$host" login "$verb" "$verb" "hold:$LAB_TMP/go" noop list "$verb" get:200000 quit
	# The first agreement only makes the rewriting of addresses shift sequence numbers; the second one is what counts.
	if ! wait_until 10 said ftp "^$verb ok" 2; then
		fail "a session is negotiated through fw1" "$(cat "$LAB_TMP"/ftp.*)"; return 1
	fi
	# shellcheck disable=SC2034 # for the file that sources this one
	PORT=$(sed -n "s/^$verb ok port=//p" "$LAB_TMP/ftp.out" | tail -n 1)
	sleep 0.7
}

# announced WORDS...: an FTP session through the primary has announced a data port, and does these words when $LAB_TMP/go is
# there. Says whether it came so far; no sentence is printed
announced() {
	talk ftpd server ftp.py serve
	wait_until 3 said ftpd listening
	talk ftp client ftp.py client "$SERVER4" login pasv "hold:$LAB_TMP/go" "$@"
	wait_until 8 said ftp '^pasv ok'
}

# download_begins: beside it a download, which goes on until $LAB_TMP/stop is there
download_begins() {
	talk streamd server stream.py serve "$STREAM_PORT"
	wait_until 3 said streamd listening
	talk talk client stream.py down "$SERVER4" "$STREAM_PORT" "$LAB_TMP/stop"
	wait_until 5 said talk ready
}

# port_announced: the data port of that session
port_announced() { sed -n 's/^pasv ok port=//p' "$LAB_TMP/ftp.out" | tail -n 1; }

# fw1_dies: daemon and cables; fw1 can neither say goodbye nor do any harm
fw1_dies() { daemon_stop fw1 KILL; unplug fw1; }

kernel_expectations() {
	local family
	for family in ipv4 ipv6; do in_ns "$1" conntrack -L expect -f "$family" 2>/dev/null; done | grep "dport=$2 "
}

ends() { touch "$LAB_TMP/go"; wait_until 30 said ftp '^end'; }
