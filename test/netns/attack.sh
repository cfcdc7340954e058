# shellcheck shell=bash
# attack.sh: somebody else on the dedicated link, for the tests that need one. To be sourced behind tap.sh.
#
# The attacker is the switch itself (namespace sw), so he hears everything and can send as anybody; he has no key.
ATTACK=$NETNS_HERE/../attack
# shellcheck disable=SC2034 # for the tests
STRANGER=10.10.3.99              # nobody's address on the dedicated link
# shellcheck disable=SC2034
OUTSIDER=192.0.2.66              # nobody's address, and not of the link's network
export PYTHONPATH=$ATTACK:$LAB_HERE

# as_attacker SCRIPT ARGS...
as_attacker() { in_ns sw "$LAB_PYTHON" "$ATTACK/$1" "${@:2}"; }
# attack NAME NODE SCRIPT ARGS...: in the background
attack() { spawn "$1" "$2" "$LAB_PYTHON" "$ATTACK/$3" "${@:4}"; }

# ask NODE WORDS...: a question to its daemon; the client does the same, but takes longer to start
ask() { "$LAB_PYTHON" "$ATTACK/ask.py" "$LAB_TMP/$1.ctl" "${@:2}"; }

flows() { in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" "$@" >/dev/null; }

# external_is_kernel: does fw2 hold exactly what the kernel of fw1 has?
external_is_kernel() {
	kernel_flows fw1 >"$LAB_TMP/kernel1"
	ask fw2 -e | same_form >"$LAB_TMP/external2"
	[ -s "$LAB_TMP/kernel1" ] && cmp -s "$LAB_TMP/kernel1" "$LAB_TMP/external2"
}

FORGED='src=203\.0\.113\.9 dst=10\.1\.0\.22 .*dport=22 '
# is_shown, is_in_kernel NODE: is the forged connection in its caches, in its kernel's table?
is_shown() { { ask "$1" -e; ask "$1" -i; } | grep -E -- "$FORGED" >/dev/null; }
is_in_kernel() { kernel_flows "$1" | grep -E -- "$FORGED" >/dev/null; }

# refused_by NODE: how many datagrams it has counted as forged, spoilt, repeated, or from somebody who may not speak
refused_by() {
	ask "$1" -s network | awk '/send:/ && !n { sending = 1 }
		/Malformed messages:/ && !sending { n += $NF }
		/Packets before:/ { n += $NF }
		/datagrams of others dropped/ { sub(/ datagrams of others.*/, ""); n += $NF }
		END { print n + 0 }'
}

# overflowed NODE: datagrams for which its socket had no room
overflowed() { in_ns "$1" cat /proc/net/snmp | awk '$1 == "Udp:" { n = $6 } END { print n }'; }
# account_of NODE: datagrams that it has refused, and for which there was no room
account_of() { echo "$(refused_by "$1") $(overflowed "$1")"; }
# all_refused NODE ACCOUNT SENT [GREETINGS]: since that account each forged datagram was refused, if the kernel had room
# for it. Genuine greetings of an epoch that is over are answered with a challenge, and not counted.
all_refused() {
	local refused overflowed refused_before overflowed_before
	read -r refused_before overflowed_before <<<"$2"
	read -r refused overflowed <<<"$(account_of "$1")"
	refused=$((refused - refused_before)) overflowed=$((overflowed - overflowed_before))
	if [ $refused -le "$3" ] && [ $((refused + overflowed + ${4:-0})) -ge "$3" ]; then
		pass "$1 counts each forged datagram as refused"
		[ $overflowed -eq 0 ] || note "of $3 forged datagrams the kernel dropped $overflowed or less: no room in the socket buffer"
	else
		fail "$1 counts each forged datagram as refused" "of $3: refused $refused, dropped by the kernel $overflowed"
	fi
}

# created_at NODE: how many entries have ever come into its external cache
created_at() {
	ask "$1" -s cache | awk '/^cache:/ { side = $1 }
		side == "cache:external" && /creation OK/ { sub(/.*:/, ""); print $0 + 0; exit }'
}

# up NODE: does it know one peer, which hears it?
up() { ask "$1" -s | grep -E '^node=.* state=up ' >/dev/null; }
both_up() { up fw1 && up fw2; }

# no_leaks: no key of the files in $LAB_TMP stands in anything that was printed, logged or sent, or in an argument
no_leaks() {
	local fw pid file said
	for fw in fw1 fw2; do
		{ ctl "$fw" -s; ctl "$fw" -s network; ctl "$fw" -s runtime; ctl "$fw" keys; } >>"$LAB_TMP/asked.out" 2>&1
		pid=$(pid_of "$fw") && cat "/proc/$pid/cmdline" "/proc/$pid/environ" >>"$LAB_TMP/process.out"
	done
	for file in "$LAB_TMP"/*.keys; do
		said=$("$LAB_PYTHON" "$ATTACK/leaks.py" "$file" "$file")
		matches "the search for keys finds them where they belong" ' is in ' "$(head -n 1 <<<"$said")"
		said=$("$LAB_PYTHON" "$ATTACK/leaks.py" "$file" "$LAB_TMP")
		matches "no key of ${file##*/} is in the logs, the output, the statistics or on the wire" ', 0 hits$' "$said"
	done
}

# --- everything that can be forged ---------------------------------------------------------------------------------

# pair LINK KEY: both daemons and 200 connections that fw2 knows of
pair() {
	# shellcheck disable=SC2034 # for daemon.sh
	LAB_LINK=$1 LAB_KEY=$2
	lab_up none
	pair_up || finish
	flows create 0 200
	soon "fw2 holds what the kernel of fw1 has" 20 external_is_kernel
}

# attacked SOURCE: everything that can be forged, from this address, while connections come and go
attacked() {
	local before1 before2 sent to_fw1 to_fw2
	attack churn fw1 churn.py 300 1000
	sleep 1
	before1=$(account_of fw1) before2=$(account_of fw2)
	sent=$(as_attacker forge.py all "$1") || fail "the attacker sends" "$sent"
	note "forged datagrams: $sent"
	sleep 0.5
	read -r _ to_fw1 _ to_fw2 <<<"$sent"
	all_refused fw1 "$before1" "$to_fw1"
	all_refused fw2 "$before2" "$to_fw2"
	stop churn
	soon "no genuine update is lost, and nothing is there that is not genuine" 20 external_is_kernel
	diff "$LAB_TMP/kernel1" "$LAB_TMP/external2" | head -n 6 | sed 's/^/# /'
	refute "fw1 does not show the forged connection" is_shown fw1
	refute "fw2 does not show the forged connection" is_shown fw2
	flows delete 100 50
	flows create 300 50
	soon "what begins and ends afterwards reaches fw2" 20 external_is_kernel
	equal "no daemon knows of a node that is not there" "1 1" \
		"$(ask fw1 -s | grep -c '^node=') $(ask fw2 -s | grep -c '^node=')"
}

# nothing_committed: after a commit the kernel of fw2 has what fw1's has
nothing_committed() {
	check "a commit succeeds" ctl fw2 -c
	kernel_flows fw1 >"$LAB_TMP/kernel1"
	kernel_flows fw2 >"$LAB_TMP/kernel2"
	same_lines "the kernel of fw2 then has the connections of fw1 and no other one" "$LAB_TMP/kernel1" "$LAB_TMP/kernel2"
}
