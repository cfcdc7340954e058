#!/usr/bin/env bash
# A pair is upgraded one node after the other, while connections come and go: a later build, which speaks the present
# version of the protocol and its own, sends more elements in its HELLO and records that the present build has never
# heard of. Nothing may be lost on the way there, nor on the way back. A build that has nothing in common with ours is
# named, and changes nothing.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin
is_ctsync || { skip "rolling upgrade" "${LAB_DAEMON%% *} has no versions that can be negotiated"; finish; }

# build_of NAME LEAST VERSION: a copy of the program that speaks these versions, and more than this one knows
build_of() {
	local dir=$LAB_TMP/$1
	mkdir -p "$dir"
	cp -r "$LAB_ROOT"/{bin,dist,package.json} "$dir"
	mkdir "$dir/build" && cp "$LAB_ROOT/build/ctsync.node" "$dir/build/"
	local hello=$dir/dist/sync/handshake.js sending=$dir/dist/sync/outgoing.js
	patch "$hello" '^export const PROTOCOL_VERSION = 1;' "export const PROTOCOL_VERSION = $3;"
	patch "$hello" '^export const PROTOCOL_VERSION_MIN = 1;' "export const PROTOCOL_VERSION_MIN = $2;"
	# HELLO: two elements more at the end, an array and a string
	patch "$hello" '^\s*writer\.array\(ELEMENTS\);' 'writer.array(ELEMENTS + 2);'
	patch "$hello" '^\s*return list\.length === 0 ' \
		'writer.array(2); writer.uint(7); writer.uint(70000); writer.str("later");\n&'
	# every other datagram ends with a record of type 99
	patch "$sending" '^\s*const sequence = this\.nextSequence\+\+;' \
		'if (flags !== 1 \&\& this.writer.at + 16 < this.#options.datagramMax) {
			this.writer.array(3); this.writer.uint(99); this.writer.array(1); this.writer.uint(5); this.writer.str("x"); }\n&'
}
# patch FILE PATTERN REPLACEMENT: the pattern must be there
patch() {
	grep -Eq -- "$2" "$1" || die "nothing to patch in $1: $2"
	sed -Ei "s/$2/${3//$'\n'/\\n}/" "$1"
}

flows() { in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" "$@" >/dev/null; }
# equal_soon SENTENCE: the kernel of fw1 and what fw2 holds
equal_soon() {
	wait_until 10 equal_now fw1 fw2
	same_lines "$1" "$LAB_TMP/kernel" "$LAB_TMP/external"
}
# under_load CMD...: runs it while connections come, change and go on fw1
first=0
under_load() {
	(
		for step in 0 1 2 3 4 5; do
			flows create $((first + step * 100)) 100
			flows finish $((first + step * 100)) 50
			[ "$step" -eq 0 ] || flows delete $((first + (step - 1) * 100 + 50)) 30
		done
	) &
	local load=$!
	"$@"
	local status=$?
	wait "$load"
	first=$((first + 600))
	return "$status"
}
# replace NODE BUILD: the daemon of the node ends, and another build takes its place
replace() {
	daemon_stop "$1"
	LAB_DAEMON="$2/bin/ctsync -C" daemon_start "$1"
}

lab_up none
LAB_KEY=ours
build_of next 1 2
build_of far 3 4
pair_up || finish

case_begins "both nodes of the present build"
check "connections come and go" under_load true
equal_soon "the backup has them all"

case_begins "the backup is upgraded"
check "it starts again under load" under_load replace fw2 "$LAB_TMP/next"
equal_soon "it holds what the primary's kernel has"
check "what happens afterwards arrives" under_load true
equal_soon "all of it"

case_begins "the primary is upgraded, too"
check "it starts again under load" under_load replace fw1 "$LAB_TMP/next"
equal_soon "the backup holds what its kernel has"
check "what happens afterwards arrives" under_load true
equal_soon "all of it"

case_begins "the backup goes back to the build before"
check "it starts again under load" under_load replace fw2 "$LAB_ROOT"
equal_soon "it holds what the primary's kernel has"
check "both sides find each other equal" ctl fw2 verify
equal "and nothing was thrown away" 0 "$(ctl fw2 -s network | awk '/send:/ { exit } /Malformed payload|Bad message|Wrong|Truncated/ { n += $NF } END { print n + 0 }')"

case_begins "a build that speaks none of our versions"
check "it starts" replace fw1 "$LAB_TMP/far"
soon "the backup says which versions meet" 5 sh -c "grep -q 'speaks versions 3 to 4 .* this node 1 to 1' '$LAB_TMP/fw2.log'"
soon "so does the other" 5 sh -c "grep -q 'speaks versions 1 to 1 .* this node 3 to 4' '$LAB_TMP/fw1.log'"
same_lines "what the backup holds stays" "$LAB_TMP/external" <(cache_flows fw2 -e)
[ "$TAP_FAILED" -eq 0 ] || explain
finish
