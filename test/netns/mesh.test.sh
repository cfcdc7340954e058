#!/usr/bin/env bash
# More than two nodes, and who may speak on the link. Three nodes by unicast and by multicast hold of each other what
# the kernels have, also when one of them is killed in a storm of new connections. Without a key and without Peers the
# first two have each other and nobody else.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "mesh" "${LAB_DAEMON%% *} has one destination, and no Peers"; finish; }
# shellcheck source=test/lab/mesh.sh
. "$LAB_HERE/mesh.sh"

# flows NODE ARGS...: each node has numbers of its own, so that no two have the same connection
flows() { in_ns "$1" "$LAB_PYTHON" "$LAB_HERE/inject.py" "$2" $(($3 + 20000 * (${1#fw} - 1))) "$4" >/dev/null; }

in_kernel() { in_ns "$1" conntrack -C; }
kernel_over() { [ "$(in_kernel "$1")" -gt "$2" ]; }

# counts_agree: does each hold as many as the kernels of the others have? all_equal then looks at the lines
counts_agree() {
	local fw other sum
	for fw in "${LAB_FIREWALLS[@]}"; do
		sum=0
		for other in $(others_of "$fw"); do sum=$((sum + $(in_kernel "$other"))); done
		[ "$(current "$fw" external)" = "$sum" ] || return 1
	done
}
all_equal() {
	local seconds=$1 failed=$TAP_FAILED fw other
	soon "within $seconds s every node holds as many as the others have" "$seconds" counts_agree
	for fw in "${LAB_FIREWALLS[@]}"; do kernel_flows "$fw" >"$LAB_TMP/$fw.kernel"; done
	for fw in "${LAB_FIREWALLS[@]}"; do
		for other in $(others_of "$fw"); do cat "$LAB_TMP/$other.kernel"; done | LC_ALL=C sort >"$LAB_TMP/$fw.others"
		cache_flows "$fw" -e >"$LAB_TMP/$fw.external"
		same_lines "$fw holds what the kernels of the others have" "$LAB_TMP/$fw.others" "$LAB_TMP/$fw.external"
	done
	[ "$TAP_FAILED" -eq "$failed" ] || explain_all
}
explain_all() {
	local fw
	for fw in "${LAB_FIREWALLS[@]}"; do
		note "$fw:"
		note "$(daemon_log "$fw" | tail -n 8; cat "$LAB_TMP/$fw.err"; ctl "$fw" -s network | tail -n 16)"
	done
}

# storm COUNT: fw1 makes so many; in the middle fw3 changes some and ends some, and fw2 is killed and starts again
storm() {
	local count=$1
	# shellcheck disable=SC2016 # the inner shell expands it
	spawn storm fw1 sh -c 'n=1000
		while [ $n -lt $1 ]; do
			while [ $n -ge $(($1 - 3000)) ] && [ ! -e "$2" ]; do sleep 0.05; done
			"$3" "$4" create $n 1000 || exit 1
			n=$((n + 1000))
		done
		echo over' sh "$count" "$LAB_TMP/go" "$LAB_PYTHON" "$LAB_HERE/inject.py"
	wait_until 10 kernel_over fw1 $((count / 5))
	flows fw3 finish 0 100
	daemon_stop fw2 KILL
	check "fw2 is killed in the middle and starts again" daemon_start fw2
	flows fw3 delete 50 50
	touch "$LAB_TMP/go"
	wait_until 20 said storm over || fail "the storm comes to its end" "$(cat "$LAB_TMP/storm.err")"
	equal "the kernel of fw1 has $count" "$count" "$(in_kernel fw1)"
	rm "$LAB_TMP/go"
}

meet() {
	mesh_start && pass "they hear each other" && return
	fail "they hear each other"
	explain_all
	finish
}

# stranger: 100 datagrams from an address of the link that is no node's
stranger() {
	ip -n "$LAB_ID-sw" addr add 10.10.3.99/24 dev sync 2>/dev/null
	ip -n "$LAB_ID-sw" route replace 225.0.0.50 dev sync
	# shellcheck disable=SC2016 # the inner shell expands it
	in_ns sw bash -c 'exec 3>/dev/udp/225.0.0.50/$1; for i in {1..100}; do echo "noise $i" >&3; done' bash "$sync_port"
}
dropped() { who_may_speak "$1" | sed -n 's/.* \([0-9]*\) datagrams of others dropped.*/\1/p'; }
dropped_are() { [ "$(dropped "$1")" = "$2" ]; }
who_may_speak() { ctl "$1" -s network | grep 'may speak'; }

mesh_up

case_begins "three nodes, UDP, each with each"
LAB_LINK=udp
meet
flows fw1 create 0 1000
flows fw2 create 0 200
flows fw3 create 0 100
storm 20000
all_equal 8
equal "a node says who may speak" "only the destinations may speak" "$(who_may_speak fw1)"
mesh_stop

case_begins "three nodes, multicast with a key"
LAB_LINK=multicast LAB_KEY=ours
meet
flows fw1 create 0 1000
flows fw2 create 0 200
flows fw3 create 0 100
storm 10000
all_equal 8
equal "a node says who may speak" "every node with a key may speak" "$(who_may_speak fw1)"
mesh_stop

case_begins "three nodes, multicast without a key, with Peers"
LAB_KEY='' LAB_SYNC_EXTRA=$(printf '%s\n' "Peers {" "IPv4_address 10.10.3."{1,2,3} "}")
meet
flows fw1 create 0 500
flows fw2 create 0 200
flows fw3 create 0 100
all_equal 8
equal "a node says who may speak" "only the Peers may speak" "$(who_may_speak fw1)"
stranger
soon "a stranger's 100 datagrams are dropped and counted" 5 dropped_are fw1 100
mesh_stop

case_begins "two nodes, multicast without a key and Peers"
LAB_SYNC_EXTRA='' LAB_FIREWALLS=(fw1 fw2)
meet
flows fw1 create 0 100
flows fw2 create 0 50
equal "each has settled on the other" "10.10.3.2 10.10.3.1" \
	"$(for fw in fw1 fw2; do daemon_log $fw | sed -n 's/.*listening to \(.*\) alone.*/\1/p'; done | xargs)"
flows fw3 create 0 30
check "a third one starts" daemon_start fw3
soon "it is dropped and counted" 5 holds fw1 'only 10.10.3.2 may speak,.* [0-9]+ datagrams of others dropped' -s network
sleep 1
check "the log says whom, and what lets it speak" grep -q 'dropped.*from 10.10.3.3.*Peers, or use a key' "$LAB_TMP/fw1.log"
daemon_stop fw3
before=$(dropped fw2)
stranger
soon "so are the 100 of a stranger with an address of the link" 5 dropped_are fw2 $((before + 100))
daemon_stop fw2 KILL
flows fw2 delete 0 10
check "the second node is killed and starts again" daemon_start fw2
all_equal 8
finish
