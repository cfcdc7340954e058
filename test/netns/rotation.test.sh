#!/usr/bin/env bash
# A new key for a pair that works: two thousand events a second and five percent of loss both ways, and nobody notices.
# The old key is worth nothing afterwards.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
# shellcheck source=test/netns/attack.sh
. "$(dirname "$0")/attack.sh"
begin
is_ctsync || { skip "rotation" "${LAB_DAEMON%% *} has no keys"; finish; }

EVENTS=${ROTATION_EVENTS:-2000}         # a second
LOSS=5                                  # percent, both ways

# start NODE KEYS: with the key file of this name
start() { local LAB_KEY=$2; daemon_start "$1" || { fail "the daemon of $1 starts"; explain; finish; }; }
keys() { ctl "$1" keys "${@:2}" >>"$LAB_TMP/asked.out" 2>&1; }
# reload NODE TEXT: has it read its keys again, and does its log say so in these words?
reload() {
	local lines
	lines=$(daemon_log "$1" | wc -l)
	kill -HUP "$(pid_of "$1")"
	wait_until 5 reloaded "$1" "$lines" "$2"
}
reloaded() { daemon_log "$1" | tail -n "+$(($2 + 1))" | grep -Eq -- "$3"; }
malformed() { ask "$1" -s network | awk '/Malformed messages:/ { print $NF; exit }'; }
# wire_keys: the numbers of the keys with which they seal just now
wire_keys() {
	sleep 0.3               # what is on its way
	in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/listen.py" sync0 3780 1 | awk '
		{ node = substr($0, 9, 8) == "0a0a0301" ? "fw1" : "fw2"; print node, substr($0, 5, 2) }' | sort -u | xargs
}

lab_up none
LAB_LINK=udp
case_begins "rotation"
file1=$(key_file ring1)
cp -p "$file1" "$LAB_TMP/ring2.keys"
cp -p "$file1" "$LAB_TMP/retired.keys"
attack record sw record.py "$LAB_TMP/session"
start fw1 ring1
start fw2 ring2
wait_until 10 both_up
refused=$(malformed fw1)-$(malformed fw2)
sync_loss $LOSS
attack churn fw1 churn.py "$EVENTS" 1000
sleep 1

check "install: a second key" "${LAB_DAEMON%% *}" keygen --out "$file1"
cp -p "$file1" "$LAB_TMP/ring2.keys"
for fw in fw1 fw2; do check "$fw accepts both" reload $fw 'also accepted'; done
equal "both seal with the first still" "fw1 01 fw2 01" "$(wire_keys)"
soon "use: fw1" 10 keys fw1 use 2
check "fw1 has noticed" reload fw1 'key 2 \(\w+\), also accepted: key 1'
equal "one seals with the first, the other one with the second" "fw1 02 fw2 01" "$(wire_keys)"
soon "use: fw2" 10 keys fw2 use 2
check "fw2 has noticed" reload fw2 'key 2 \(\w+\), also accepted: key 1'
equal "both seal with the second" "fw1 02 fw2 02" "$(wire_keys)"
for fw in fw1 fw2; do
	soon "remove: $fw" 10 keys $fw remove 1
	check "$fw has noticed" reload $fw 'key 2 \(\w+\)$'
done
sleep 1
stop churn
note "$(cat "$LAB_TMP/churn.out" "$LAB_TMP/churn.err")"
check "something was lost indeed" \
	sh -c "ip netns exec $LAB_ID-fw2 iptables -t raw -vnL LOSS | grep -Eq '^ *[1-9][0-9]* .*DROP'"
soon "no update is lost: fw2 holds what the kernel of fw1 has" 20 external_is_kernel
equal "no genuine datagram was refused at any time" "$refused" "$(malformed fw1)-$(malformed fw2)"
sync_loss 0

case_begins "the removed key"
# fw1 goes back to it, as if it had been left out of the rotation
cp -p "$LAB_TMP/retired.keys" "$LAB_TMP/ring1.keys"
before=$(malformed fw2)
check "fw1 has the old key only" reload fw1 'key 1 \(\w+\)$'
flows create 50000 50
soon "fw2 counts what is sealed with it" 5 eval "[ \"\$(malformed fw2)\" -gt $before ]"
soon "and so does fw1 with what is sealed with the new one" 5 eval "[ \"\$(malformed fw1)\" -gt ${refused%-*} ]"
sleep 1
refute "fw2 learns nothing from it" external_is_kernel
cp -p "$LAB_TMP/ring2.keys" "$LAB_TMP/ring1.keys"
check "fw1 has the new key again" reload fw1 'key 2 \(\w+\)$'
soon "fw2 learns what it has missed" 20 external_is_kernel

case_begins "removed too early"
# fw2 removes a key while fw1 still seals with it: from that moment on not one datagram is accepted
"${LAB_DAEMON%% *}" keygen --out "$LAB_TMP/ring2.keys" 2>>"$LAB_TMP/asked.out"
cp -p "$LAB_TMP/ring2.keys" "$LAB_TMP/ring1.keys"
check "both have a third key" eval "reload fw1 'also accepted' && reload fw2 'also accepted'"
soon "fw2 is to seal with it" 10 keys fw2 use 3
check "and does" reload fw2 'key 3 \(\w+\), also accepted'
refute "it does not let go of a key that fw1 seals with" keys fw2 remove 2
check "unless it has to" keys fw2 remove 2 --force
check "fw2 has removed it" reload fw2 'key 3 \(\w+\)$'
sleep 1
flows create 51000 50
before=$(created_at fw2)
sleep 2
equal "a second after the removal nothing sealed with it is accepted" "$before" "$(created_at fw2)"
refute "what is new is not there" external_is_kernel
check "fw1 seals with the third key, too" keys fw1 use 3 --force
check "fw1 has noticed" reload fw1 'key 3 \(\w+\), also accepted'
soon "nothing was lost meanwhile" 20 external_is_kernel

case_begins "a node that has the removed key only"
daemon_stop fw2
start fw2 retired
sleep 3
equal "it learns nothing" "" "$(ask fw2 -e | same_form)"
if [ "$(malformed fw2)" -gt 0 ]; then pass "it counts what it cannot open"; else fail "it counts what it cannot open"; fi

case_begins "keys"
stop record
no_leaks
[ "$TAP_FAILED" -eq 0 ] || explain
finish
