# shellcheck shell=bash
# tap.sh: verdicts. To be sourced by the *.test.sh files; brings the lab with it.
#
# Every verdict is one line, "PASS text", "FAIL text" or "SKIP text # reason"; lines that begin with "#" explain. The
# text is a sentence about the behaviour. A file ends with "finish", whose status tells whether all was well.

NETNS_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/lab/lab.sh
. "$NETNS_HERE/../lab/lab.sh"

TAP_FAILED=0
TAP_CASE=

# case_begins NAME: what the following sentences are about
case_begins() { TAP_CASE="$1: "; echo "# $1"; }

pass() { echo "PASS $TAP_CASE$1"; }
skip() { echo "SKIP $TAP_CASE$1 # $2"; }
note() { printf '# %s\n' "${1//$'\n'/$'\n'# }"; }
# fail SENTENCE [EXPLANATION]
fail() {
	TAP_FAILED=$((TAP_FAILED + 1))
	echo "FAIL $TAP_CASE$1"
	[ -z "${2:-}" ] || note "$2"
}

# check SENTENCE CMD...: the command succeeds; refute: it does not
check() { local text=$1; shift; if "$@" >/dev/null 2>&1; then pass "$text"; else fail "$text" "failed: $*"; fi; }
refute() { local text=$1; shift; if "$@" >/dev/null 2>&1; then fail "$text" "succeeded: $*"; else pass "$text"; fi; }

# soon SENTENCE SECONDS CMD...: the command succeeds within that time
soon() {
	local text=$1 seconds=$2; shift 2
	if wait_until "$seconds" "$@"; then pass "$text"; else fail "$text" "not within $seconds s: $*"; fi
}

equal() { if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "expected: $2"$'\n'"seen:     $3"; fi; }

matches() { if grep -Eq -- "$2" <<<"$3"; then pass "$1"; else fail "$1" "expected: $2"$'\n'"seen:     $3"; fi; }

# same_lines SENTENCE FILE FILE: equal files; shows the first differences if not
same_lines() {
	local text=$1 differences
	if differences=$(diff "$2" "$3"); then pass "$text"; else
		fail "$text" "$(wc -l <"$2") and $(wc -l <"$3") lines; differences (< first, > second):"$'\n'"$(head -n 6 <<<"$differences")"
	fi
}

# only_ctsync SENTENCE CMD...: for what is meant to differ from the daemon that ctsync replaces
only_ctsync() {
	if is_ctsync; then "${@:2}"; else skip "$1" "not the behaviour of ${LAB_DAEMON%% *}"; fi
}

# pair_up: both daemons, or nothing that follows makes sense
pair_up() {
	daemons_up 2>"$LAB_TMP/pair_up.err" && return
	fail "the daemons start and hear each other" "$(cat "$LAB_TMP/pair_up.err")"
	explain
	return 1
}

# What helps to understand a failure.
explain() {
	local fw
	for fw in fw1 fw2; do
		note "the last lines of $fw:"
		note "$({ daemon_log "$fw"; cat "$LAB_TMP/$fw.err" 2>/dev/null; } | tail -n 12)"
	done
}

# begin: to be called first; a file that cannot run here says why and ends well
begin() {
	local reason name tool
	name=$(basename "$0" .test.sh)
	reason=$(lab_missing)
	for tool; do
		[ -n "$reason" ] || command -v "$tool" >/dev/null || reason="needs $tool (scripts/setup.sh test installs it)"
	done
	if [ -n "$reason" ]; then
		skip "$name" "$reason"
		exit 0
	fi
	lab_init
}

finish() { [ "$TAP_FAILED" -eq 0 ]; exit $?; }
