#!/usr/bin/env bash
# setup.sh: installs what building and testing ctsync needs beyond Node.js, on Debian 12 or later.
#
# usage: scripts/setup.sh [demo|test]        default: test
#
#   demo    a C compiler, make, and what the laboratory of network namespaces is made of
#   test    the same, and the programs that the tests compare ctsync with or run beside it
#
# Says nothing and takes no time if nothing is missing. Without root nothing is installed: it lists what is missing and
# fails only for what cannot be done without (for "test" that is the compiler; tests that need more are skipped).
# No service that comes with a package is left running or enabled.
# shellcheck disable=SC2317 # functions are called by name
set -u
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C

purpose=${1:-test}
case $purpose in
demo | test) ;;
*) sed -n '2,/^# shellcheck/{/^# shellcheck/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 1 ;;
esac

fail() { echo "setup: $*" >&2; exit 1; }

# --- Node.js comes from elsewhere: Debian 12 has one that is too old ---------------------------------------------

command -v node >/dev/null || fail "node is missing: install Node.js 20.12 or later"
command -v npm >/dev/null || fail "npm is missing: it comes with Node.js, or in Debian's package npm"
node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 12) ? 0 : 1)' ||
	fail "Node.js is too old: 20.12 or later is needed, this is $(node --version)"

# --- what is missing ---------------------------------------------------------------------------------------------

build=() lab=()
want() { # want LIST PACKAGE TEST...: the package is needed if the test fails
	local -n list=$1
	local package=$2; shift 2
	"$@" >/dev/null 2>&1 || list+=("$package")
}
has_header() { echo "#include <$1>" | cc -E - >/dev/null 2>&1; }
has_node_api() {
	local prefix
	prefix=$(node -p 'path.dirname(path.dirname(fs.realpathSync(process.execPath)))')
	[ -e "${CTSYNC_NODE_INCLUDE:-/nonexistent}/node_api.h" ] || [ -e "$prefix/include/node/node_api.h" ] ||
		[ -e /usr/include/node/node_api.h ]
}
has_python() { python3 -c 'import select, socket, struct, threading'; }

want build gcc command -v cc
want build libc6-dev has_header stdio.h
want build make command -v make
want build libnode-dev has_node_api

want lab iproute2 command -v ip
want lab iptables command -v iptables-restore
want lab conntrack command -v conntrack
want lab procps command -v sysctl
want lab util-linux command -v setpriv
want lab python3-minimal has_python
if [ "$purpose" = test ]; then
	want lab nftables command -v nft
	want lab conntrackd command -v conntrackd
	want lab keepalived command -v keepalived
fi

missing=("${build[@]}" "${lab[@]}")
[ ${#missing[@]} -gt 0 ] || exit 0

# --- without the means to install it -----------------------------------------------------------------------------

command="apt-get install --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null; then
	echo "setup: missing (names of Debian's packages): ${missing[*]}" >&2
	[ "$purpose" = test ] && [ ${#build[@]} -eq 0 ]
	exit
fi
if [ "$(id -u)" != 0 ]; then
	echo "setup: not root, so nothing is installed. Missing: ${missing[*]}" >&2
	echo "setup: as root: $command" >&2
	[ "$purpose" = test ] && [ ${#build[@]} -eq 0 ]
	exit
fi

# --- installing, without starting anything -----------------------------------------------------------------------

policy=/usr/sbin/policy-rc.d
ours=
withdraw_policy() { [ -z "$ours" ] || rm -f "$policy"; }
trap withdraw_policy EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ ! -e "$policy" ]; then
	ours=yes
	# 101: the action is forbidden by policy. Debian's packages ask here before they start a service.
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

echo "setup: installing ${missing[*]}"
log=$(mktemp)
export DEBIAN_FRONTEND=noninteractive
quietly() { "$@" </dev/null >>"$log" 2>&1; }
if ! quietly apt-get -q update; then
	echo "setup: warning: apt-get update failed, going on with the lists that are there" >&2
fi
if ! quietly apt-get -q -y --no-install-recommends install "${missing[@]}"; then
	tail -n 20 "$log" >&2
	rm -f "$log"
	fail "could not install: ${missing[*]}"
fi

# A policy that was there before ours may allow services to start, and a package enables its own for the next boot.
for service in conntrackd keepalived; do
	case " ${missing[*]} " in *" $service "*) ;; *) continue ;; esac
	if [ -d /run/systemd/system ]; then
		systemctl stop "$service"
	elif [ -x "/etc/init.d/$service" ]; then
		"/etc/init.d/$service" stop
	fi >/dev/null 2>&1
	quietly update-rc.d "$service" disable
	quietly deb-systemd-helper disable "$service.service"
done
rm -f "$log"
