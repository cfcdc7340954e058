#!/usr/bin/env bash
# A dedicated link that loses every fifth datagram, both ways. What fw1 knows must reach fw2 all the same, soon enough
# for a failover in the middle of an FTP session.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin

LOSS=20
case_begins "$LOSS % loss, passive FTP, SNAT"
lab_up snat
pair_up || finish
sync_loss $LOSS

talk ftpd server ftp.py serve
wait_until 3 said ftpd listening
talk ftp client ftp.py client "$SERVER4" login pasv pasv "hold:$LAB_TMP/go" noop list pasv get:200000 quit
wait_until 10 said ftp '^pasv ok' 2
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 500 >/dev/null
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" finish 0 200 >/dev/null
in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" delete 400 100 >/dev/null

# equal_tables: does fw2 hold exactly what the kernel of fw1 has?
equal_tables() {
	kernel_flows fw1 >"$LAB_TMP/kernel1"
	cache_flows fw2 -e >"$LAB_TMP/external2"
	[ -s "$LAB_TMP/kernel1" ] && cmp -s "$LAB_TMP/kernel1" "$LAB_TMP/external2"
}
soon "fw2 holds what the kernel of fw1 has" 10 equal_tables
[ "$TAP_FAILED" -eq 0 ] || note "$(diff "$LAB_TMP/kernel1" "$LAB_TMP/external2" | head -n 10)"
port=$(sed -n 's/^pasv ok port=//p' "$LAB_TMP/ftp.out" | tail -n 1)
soon "the external cache of fw2 shows the expectation" 5 holds fw2 "^proto=6 .*dport=$port .*helper=ftp" -e exp
equal "and no older one beside it" 1 "$(ctl fw2 -e exp | grep -c .)"
check "something was lost indeed" sh -c "ip netns exec $LAB_ID-fw2 iptables -t raw -vnL LOSS | grep -Eq '^ *[1-9][0-9]* .*DROP'"

daemon_stop fw1 KILL
unplug fw1
check "the commit on fw2 succeeds" ctl fw2 -c
take_over fw2
touch "$LAB_TMP/go"
wait_until 30 said ftp '^end'
check "the control connection goes on" said ftp '^noop ok'
check "the announced data connection gets through" said ftp '^list ok'
check "a new data connection can be agreed on" said ftp '^get ok'
[ "$TAP_FAILED" -eq 0 ] || { explain; note "$(cat "$LAB_TMP"/ftp.*)"; }
finish
