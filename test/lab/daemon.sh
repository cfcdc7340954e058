# shellcheck shell=bash
# daemon.sh: configuration and control of the daemon under test; a part of lab.sh.
#
#   daemon_config NODE           writes $LAB_TMP/NODE.conf from the settings below
#   daemon_start NODE            starts it there and waits until it answers
#   daemons_up                   both, and waits until they have heard of each other
#   daemon_stop NODE [SIGNAL]    ends it
#   ctl NODE ARGS...             a client command
#   daemon_log NODE              what it has logged so far

# Settings; a test changes them before daemon_start. LAB_DEFAULT_MODE, _MODE_EXTRA and _POLL in the environment have any test
# run in another mode.
lab_defaults() {
	LAB_MODE=${LAB_DEFAULT_MODE:-FTFW}              # FTFW, NOTRACK or ALARM, in any case
	LAB_POLL=${LAB_DEFAULT_POLL:-}                  # seconds: PollSecs instead of the kernel's events
	LAB_LINK=multicast              # multicast, udp or tcp; with a 6 behind it over IPv6
	LAB_EXPECT=On                   # On, Off, or { ftp }
	LAB_FIREWALLS=(fw1 fw2)         # who is on the link; mesh.sh has three
	LAB_PROTOCOLS='TCP UDP'         # what is replicated
	LAB_FILTER=Userspace            # or Kernelspace: where events are filtered
	LAB_MODE_EXTRA=${LAB_DEFAULT_MODE_EXTRA:-}      # more lines for Mode { }, as DisableExternalCache On
	LAB_SYNC_EXTRA=                 # more lines for Sync { }
	LAB_OPTIONS_EXTRA=              # more lines for Options { }
	LAB_GENERAL_EXTRA=              # more lines for General { }
	LAB_OWN=ignored                 # or replicated: connections of the firewall itself are not in the Filter
	LAB_KEY=                        # a name: the link is sealed with the key of that name, made when it is first used
	LAB_TEMPLATE=                   # a file from conf/ to use instead of all this, adapted to the lab
}
lab_defaults

sync_port=3780

# Which program this is: some messages and exit statuses differ on purpose.
is_ctsync() { case ${LAB_DAEMON%% *} in *conntrackd) false ;; *) true ;; esac; }

conf_of() { echo "$LAB_TMP/$1.conf"; }

# others_of NODE: the other firewalls on the link
others_of() { local fw; for fw in "${LAB_FIREWALLS[@]}"; do [ "$fw" = "$1" ] || echo "$fw"; done; }

# link_sections NODE: the dedicated link, and the second one where there is a cable for it
link_sections() {
	if has_spare; then
		link_section "$1" sync0 3 | sed "1s/{/Default {/"
		link_section "$1" spare0 9
	else
		link_section "$1" sync0 3
	fi
}

# link_section NODE DEVICE NET
link_section() {
	local n=${1#fw} fw link
	case $LAB_LINK in
	multicast) printf '%s\n' "Multicast {" "IPv4_address 225.0.0.50" "IPv4_interface 10.10.$3.$n" "Group $sync_port" ;;
	multicast6) printf '%s\n' "Multicast {" "IPv6_address ff15::50" "Group $sync_port" ;;
	udp | tcp)
		printf '%s\n' "${LAB_LINK^^} {" "IPv4_address 10.10.$3.$n" "Port $sync_port"
		for fw in $(others_of "$1"); do echo "IPv4_Destination_Address 10.10.$3.${fw#fw}"; done
		;;
	udp6 | tcp6)
		link=${LAB_LINK%6}
		printf '%s\n' "${link^^} {" "IPv6_address fd10:$3::$n" "Port $sync_port"
		for fw in $(others_of "$1"); do echo "IPv6_Destination_Address fd10:$3::${fw#fw}"; done
		;;
	*) die "unknown LAB_LINK $LAB_LINK" ;;
	esac
	printf '%s\n' "Interface $2" "SndSocketBuffer 1249280" "RcvSocketBuffer 1249280" "Checksum on" "}"
}

# key_file NAME: the path of this key file, which is made if need be
key_file() {
	local file=$LAB_TMP/$1.keys
	[ -e "$file" ] || ! is_ctsync || "${LAB_DAEMON%% *}" keygen --out "$file" 2>/dev/null
	echo "$file"
}

daemon_config() {
	local fw=$1 n=${1#fw}
	if [ -n "$LAB_TEMPLATE" ]; then
		from_template "$fw" <"$LAB_ROOT/conf/$LAB_TEMPLATE" >"$(conf_of "$fw")"
		return
	fi
	cat >"$(conf_of "$fw")" <<-CONF
		Sync {
			Mode ${LAB_MODE^^} {
				$LAB_MODE_EXTRA
			}
			$(link_sections "$fw")
			$LAB_SYNC_EXTRA
			$([ -z "$LAB_KEY" ] || echo "Security { KeyFile $(key_file "$LAB_KEY") }")
			Options {
				$([ "$LAB_EXPECT" = Off ] || echo "ExpectationSync $LAB_EXPECT")
				$LAB_OPTIONS_EXTRA
			}
		}
		General {
			HashSize 32768
			HashLimit 131072
			LogFile $LAB_TMP/$fw.log
			Syslog off
			LockFile $LAB_TMP/$fw.lock
			UNIX {
				Path $LAB_TMP/$fw.ctl
			}
			NetlinkBufferSize 2097152
			NetlinkBufferSizeMaxGrowth 8388608
			$([ -z "$LAB_POLL" ] || echo "PollSecs $LAB_POLL")
			$LAB_GENERAL_EXTRA
			$([ "$LAB_OWN" = replicated ] || filter_section "$n")
		}
	CONF
}

filter_section() {
	cat <<-CONF
		Filter From $LAB_FILTER {
			Protocol Accept {
				${LAB_PROTOCOLS// /$'\n'}
			}
			Address Ignore {
				IPv4_address 127.0.0.1
				IPv4_address $LAN_VIP4
				IPv4_address $WAN_VIP4
				IPv4_address 10.10.1.$1
				IPv4_address 10.10.2.$1
				IPv4_address 10.10.3.0/24
				IPv4_address 10.10.9.0/24
				IPv6_address ::1
			}
		}
	CONF
}

# Files in conf/ are written for the node 192.168.100.1, which has the other node's cable on eth3 and the gateway
# addresses 192.168.0.100 and 192.168.1.100.
from_template() {
	local fw=$1 n=${1#fw}
	ip -n "$LAB_ID-$fw" addr add "192.168.100.$n/24" dev sync0 2>/dev/null
	# conntrackd knows no keys, and no addresses of its own
	{ if is_ctsync; then cat; else sed '/^\s*Security {/,/}/d; /^\s*OwnConnections/d'; fi; } | sed -E \
		-e "s/192\\.168\\.100\\.1\\b/192.168.100.own/; s/192\\.168\\.100\\.2\\b/192.168.100.$((3 - n))/; s/\\.own/.$n/" \
		-e "s/^(\\s*Interface) .*/\\1 sync0/" \
		-e "s/192\\.168\\.0\\.100/$LAN_VIP4/; s/192\\.168\\.1\\.100/$WAN_VIP4/" \
		-e "s/192\\.168\\.0\\.11/10.10.1.$n/; s/192\\.168\\.1\\.11/10.10.2.$n/" \
		-e "s|^(\\s*LockFile) .*|\\1 $LAB_TMP/$fw.lock\n\tLogFile $LAB_TMP/$fw.log|" \
		-e "s|^(\\s*Path) .*|\\1 $LAB_TMP/$fw.ctl|" -e "s/^(\\s*Syslog) .*/\\1 off/" \
		-e "s|/var/log/|$LAB_TMP/$fw-|" \
		-e "s|^(\\s*KeyFile) .*|\\1 $(key_file shipped)|"
}

daemon_start() {
	local fw=$1
	daemon_config "$fw"
	# conntrackd does not look whether the owner of a lock is still alive.
	is_ctsync || rm -f "$LAB_TMP/$fw.lock" "$LAB_TMP/$fw.ctl"
	# shellcheck disable=SC2086 # a command with its arguments
	spawn "$fw" "$fw" $LAB_DAEMON "$(conf_of "$fw")"
	wait_until 10 answers_or_ended "$fw"
	ctl "$fw" -s >/dev/null 2>&1 && return
	{
		echo "lab: the daemon on $fw does not answer. It said:"
		cat "$LAB_TMP/$fw.out" "$LAB_TMP/$fw.err"
		echo "lab: and the client:"
		ctl "$fw" -s 2>&1 | tail -n 3
	} >&2
	return 1
}

answers_or_ended() { ! alive "$1" || ctl "$1" -s; }

daemon_stop() { stop "$1" "${2:-TERM}"; }

daemons_up() {
	daemon_start fw1 && daemon_start fw2 && wait_until 5 heard fw1 && wait_until 5 heard fw2
}

# heard NODE: has anything come in on the dedicated link?
heard() { [ "$(ctl "$1" -s network | awk '/Pckts recv/ { n = $4 } END { print n + 0 }')" -gt 0 ]; }

ctl() {
	local fw=$1; shift
	# shellcheck disable=SC2086 # a command with its arguments
	in_ns "$fw" $LAB_CLIENT "$(conf_of "$fw")" "$@"
}

daemon_log() { cat "$LAB_TMP/$1.log" 2>/dev/null; }
log_has() { daemon_log "$1" | grep -Eq -- "$2"; }

# current NODE internal|external: how many entries -s says are in this cache
current() { ctl "$1" -s 2>/dev/null | awk -v cache="cache $2:" '$0 == cache { found = 1 } found && /current active/ { print $4; exit }'; }

# holds NODE REGEX ARGS...: does the output of this client command have such a line?
holds() { local fw=$1 regex=$2; shift 2; ctl "$fw" "$@" 2>/dev/null | grep -E -- "$regex" >/dev/null; }

# commit_seconds NODE: how long all commits of this daemon took together, as its log says
commit_seconds() { daemon_log "$1" | sed -n 's/.*commit has taken \([0-9.]*\) seconds.*/\1/p' | awk '{ s += $1 } END { printf "%.6f", s }'; }

# Connections in one form, whether they come from the kernel (conntrack -L) or from a cache (-i, -e): protocol, state,
# original direction, answered or not, assured or not, helper. One a line, sorted.
same_form() {
	awk '
		$1 != "tcp" && $1 != "udp" { next }
		{
			state = "-"; flags = ""; helper = ""; seen = 0; tuple = ""
			for (i = 3; i <= NF; i++) {
				if ($i ~ /^[A-Z][A-Z_0-9]*$/) state = $i
				else if ($i == "[UNREPLIED]" || $i == "[ASSURED]") flags = flags " " $i
				else if ($i ~ /^helper=/) helper = " " $i
				else if ($i ~ /^(src|dst|sport|dport)=/ && ++seen <= 4) tuple = tuple " " $i
			}
			print $1, state tuple flags helper
		}' | LC_ALL=C sort
}
kernel_flows() {
	local family
	for family in ipv4 ipv6; do in_ns "$1" conntrack -L -f $family 2>/dev/null; done | same_form
}
cache_flows() { ctl "$1" "$2" 2>/dev/null | same_form; }
# equal_now NODE OTHER: the OTHER holds what the NODE's kernel has, and that is not nothing. Leaves both in files.
equal_now() {
	kernel_flows "$1" >"$LAB_TMP/kernel"
	cache_flows "$2" -e >"$LAB_TMP/external"
	[ -s "$LAB_TMP/kernel" ] && cmp -s "$LAB_TMP/kernel" "$LAB_TMP/external"
}
