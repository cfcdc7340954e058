# shellcheck shell=bash
# mesh.sh: three firewalls on one dedicated link, and nothing behind them. To be sourced after lab.sh.
#
#    fw1 sync0 ---+--- sync0 fw2        10.10.3.N and fd10:3::N on each; every node has a kernel table of its own,
#                 |                     which test/lab/inject.py fills
#               sync0
#                fw3
#
#   mesh_up              builds it; lab_down takes it away
#   mesh_start           a daemon on each of LAB_FIREWALLS, until each hears all others
#   mesh_stop            ends them, and empties the kernels' tables

LAB_NODES=(sw fw1 fw2 fw3)
LAB_FIREWALLS=(fw1 fw2 fw3)

mesh_up() {
	local node n
	lab_down
	for node in "${LAB_NODES[@]}"; do ip netns add "$LAB_ID-$node" || die "cannot create a network namespace"; done
	in_ns sw sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6'
	ip -n "$LAB_ID-sw" link add sync type bridge mcast_snooping 0 || die "cannot build the switch"
	ip -n "$LAB_ID-sw" link set sync up
	for n in 1 2 3; do
		ip -n "$LAB_ID-sw" link add "fw$n-sync" type veth peer name sync0 netns "$LAB_ID-fw$n" || die "cannot build fw$n"
		ip -n "$LAB_ID-sw" link set "fw$n-sync" master sync up
		# Events have to be on, not automatic: an entry made before a daemon listens would stay silent for ever.
		# shellcheck disable=SC2016 # the inner shell expands it
		in_ns "fw$n" sh -c '
			cd /proc/sys/net
			for dad in ipv6/conf/*/accept_dad; do echo 0 >$dad; done
			echo 1 >netfilter/nf_conntrack_events
			ip -batch -' <<-BATCH || die "cannot build fw$n"
			link set lo up
			link set sync0 up
			addr add 10.10.3.$n/24 dev sync0
			addr add fd10:3::$n/64 dev sync0 nodad
		BATCH
	done
}

# met NODE COUNT: have so many others shaken hands with it, as its log says?
met() { [ "$(daemon_log "$1" | grep -c 'is in contact')" -ge "$2" ]; }

mesh_start() {
	local fw
	for fw in "${LAB_FIREWALLS[@]}"; do
		daemon_config "$fw"
		# shellcheck disable=SC2086 # a command with its arguments
		spawn "$fw" "$fw" $LAB_DAEMON "$(conf_of "$fw")"
	done
	for fw in "${LAB_FIREWALLS[@]}"; do wait_until 10 met "$fw" $((${#LAB_FIREWALLS[@]} - 1)) || return 1; done
}

mesh_stop() {
	local fw
	for fw in fw1 fw2 fw3; do
		daemon_stop "$fw"
		in_ns "$fw" conntrack -F 2>/dev/null
		rm -f "$LAB_TMP/$fw.log"
	done
}
