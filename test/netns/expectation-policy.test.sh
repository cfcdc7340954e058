#!/usr/bin/env bash
# Forged expectations, in the kernel of the primary and on the dedicated link: none of them comes into the kernel of the
# backup, while a genuine one of FTP does.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
# shellcheck source=test/netns/ftp-session.sh
. "$(dirname "$0")/ftp-session.sh"
begin
is_ctsync || { skip "expectation policy" "not a thing of ${LAB_DAEMON%% *}"; finish; }

CLIENT_OF_MASTERS='master-src=10\.10\.1\.50'
# forged NODE: expectations in its kernel under the forged masters, but for the lawful one of each kind
forged() {
	in_ns "$1" conntrack -L expect 2>/dev/null | grep -E "$CLIENT_OF_MASTERS" | grep -Ev 'dport=45000 |helper=irc'
}
count() { grep -c . || true; }

case_begins "in the kernel of the primary"
lab_defaults
lab_up none
session pasv "$SERVER4" || finish
soon "fw2 holds the genuine expectation" 10 holds fw2 "^proto=6 .*dport=$PORT " -e exp
taken=$(in_ns fw1 "$LAB_PYTHON" "$ATTACK/expectations.py" kernel) || fail "expectations are made in the kernel of fw1" "$taken"
check "the kernel of fw1 has taken forged ones" [ "${taken:-0}" -gt 10 ]
counted() { ctl fw1 -s expect | grep -E '^helper=ftp at=export .*rejected=[1-9]' >/dev/null; }
soon "fw1 counts what it does not tell its peer" 10 counted
sleep 1
equal "fw1 replicates none of them" "" \
	"$(ctl fw1 -i exp | grep -E "$CLIENT_OF_MASTERS" | grep -Ev 'dport=45000 |helper=irc')"
equal "fw2 hears of none of them" "" \
	"$(ctl fw2 -e exp | grep -E "$CLIENT_OF_MASTERS" | grep -Ev 'dport=45000 |helper=irc')"
matches "the log of fw1 says why" 'not replicating an expectation of this kernel, by rule X' "$(daemon_log fw1)"
fw1_dies
check "the commit on fw2 succeeds: what the policy keeps out is no failure" ctl fw2 -c
take_over fw2
equal "none of them is in the kernel of fw2" "" "$(forged fw2)"
check "the genuine one is" kernel_expectations fw2 "$PORT"
ends
check "its data connection gets through" said ftp '^list ok'

case_begins "on the dedicated link"
lab_defaults
lab_up none
session pasv "$SERVER4" || finish
soon "fw2 holds the genuine expectation" 10 holds fw2 "^proto=6 .*dport=$PORT " -e exp
sent=$(as_attacker expectations.py wire) || fail "the attacker sends" "$sent"
# what fw1 would say of them is not the matter here
fw1_dies
lawful() { ctl fw2 -e exp | grep -E "$CLIENT_OF_MASTERS.*" | grep -E 'dport=45000 ' >/dev/null; }
soon "a lawful one is believed: the others are well-formed, too" 10 lawful
equal "of 20 offers of IRC as many count as IRC may have" 8 \
	"$(ctl fw2 -e exp | grep -E "$CLIENT_OF_MASTERS" | grep -c helper=irc)"
equal "no other one counts" "" \
	"$(ctl fw2 -e exp | grep -E "$CLIENT_OF_MASTERS" | grep -Ev 'dport=45000 |helper=irc')"
rejected=$(ctl fw2 policy rejected)
genuine=$(ctl fw2 -e exp | grep "dport=$PORT ")
equal "the others can be looked at" $((sent - 1 - 8)) "$(grep -E "$CLIENT_OF_MASTERS" <<<"$rejected" | count)"
for code in X04 X05 X06 X07 X08 X09 X10 X11 X12 X13 X14 X15; do
	matches "one of them breaks $code" "\[$code " "$rejected"
done
matches "one of them waits for its master" 'waiting for its master' "$rejected"
matches "-s tells how many are refused, and by which rules" 'its entries here: .* refused: .*X07 [0-9]+' "$(ask fw2 -s)"
matches "-s expect tells it by helper" '^helper=ftp at=receipt accepted=[0-9]+ rejected=[0-9]+ \(.*X07 ' "$(ctl fw2 -s expect)"
check "the commit on fw2 succeeds" ctl fw2 -c
take_over fw2
equal "none of them is in the kernel of fw2" "" "$(forged fw2)"
check "the genuine one is" kernel_expectations fw2 "$PORT"
matches "the log tells what was kept out" 'expectations are refused by the policy' "$(daemon_log fw2)"
ends
check "its data connection gets through" said ftp '^list ok'

case_begins "a decision explained"
line=$(grep -E "$CLIENT_OF_MASTERS.*\[X09 " <<<"$rejected" | head -n 1)
said=$(echo "$line" | ctl fw2 policy test -) && fail "the status is 1 for one that is rejected"
matches "ctsync policy test says which rule" '  rejected: .*X09' "$said"
echo "$genuine" >"$LAB_TMP/genuine"
check "and has status 0 for the genuine one" ctl fw2 policy test "$LAB_TMP/genuine"

[ "$TAP_FAILED" -eq 0 ] || explain
finish
