#!/usr/bin/env bash
# Every command of conntrackd, run against conntrackd and against ctsync on the same traffic: what is printed, on which
# stream, with which exit status, and what the log says. The transcripts may differ in the lines of
# cli-diff.expected alone, which is the list of differences of docs/migration-from-conntrackd.md. With UPDATE=1 it is
# written anew, for a look at what has changed.
# shellcheck disable=SC2317 # functions are called by name
# shellcheck source=test/netns/tap.sh
. "$(dirname "$0")/tap.sh"
begin conntrackd
expected=$NETNS_HERE/cli-diff.expected
is_ctsync || { skip "beside itself" "this test runs conntrackd anyway"; finish; }

# What changes from run to run: dates, process ids, ages, ports that were chosen, names of the lab, and the lines of a
# dump, whose order is the one of a hash table, and the kernel's numbers of entries. Counts become # of the same width, so that columns are still compared.
#
# Two differences that many lines have are taken out here and named in cli-diff.expected: "mark=0", which conntrackd does
# not show before it has read the table, because events of the kernel do not tell of it; and the reply part of -e -x,
# which conntrackd leaves empty.
same_for_all() {
	sed -E -e "s#$LAB_TMP#LAB#g" -e 's/\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9:]+\] \(pid=[0-9]+\) //' \
		-e 's/^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9:]+\t[0-9]+ /DATE /' \
		-e 's/active since [0-9]+s/active since Ns/; s/( v|daemon v)[0-9]+(\.[0-9]+)*/\1N/; s/ mark=0\b//; s#<mark>0</mark>##; s#<id>[0-9]+<#<id>ID<#' \
		-e 's/has taken [0-9.]+ seconds/has taken S seconds/' \
		-e "s#$LAB_ROOT/bin/##g; s/^(control|object) -> .*/KIND -> .../; s/\\(len=[0-9]+\\)/(len=N)/" |
		awk '
			# figures that depend on timing, in their columns
			/^connections (created|updated|destroyed)|^ +[0-9]+ (Bytes|Pckts|Error|Malformed)|^\t(events|netlink|resync|flush)|^\t(update|creation|deletion|active)|elements:|^allocated/ {
				while (match($0, /[ 0-9]*[0-9]([^0-9]|$)/)) {
					hit = substr($0, RSTART, RLENGTH); digits = hit; sub(/[^0-9]$/, "", digits)
					line = line substr($0, 1, RSTART - 1); for (i = length(digits); i > 0; i--) line = line "#"
					$0 = substr($0, RSTART + length(digits))
				}
				$0 = line $0; line = ""
			}
			# blocks that conntrackd does not have
			/^(peers|security|expectation policy.*):$/ { sub(/ \(.*/, ""); sub(/:$/, ""); print "(a block of our own: " $0 ")"; skip = 1 }
			skip { if ($0 == "") skip = 0; next }
			{ print }' |
		sed -E 's/\b(3[2-9]|[45][0-9]|6[0-6])[0-9]{3}\b/PORT/g'
}

# entry NAME STDOUT STDERR STATUS: adds to the transcript; each line begins with the command
entry() {
	{
		if [ -s "$LAB_TMP/usage" ] && cmp -s "$2" "$LAB_TMP/usage"; then echo "(the usage text)"
		else case $1 in *" -i"* | *" -e"*) LC_ALL=C sort "$2" ;; *) cat "$2" ;; esac; fi
		sed 's/^/[stderr] /' "$3"
		echo "[exit $4]"
	} | same_for_all | {
		case $1 in
		*" -e"*" -x") sed -E 's#(<meta direction="reply">).*(<meta direction="indep)#\1...</meta>\2#' ;;
		*) cat ;;
		esac
	} | sed "s#^#${1//$LAB_TMP/LAB}| #" >>"$transcript"
}
# run NODE ARGS...: one command; log NODE ARGS...: one that does something, and what is logged of it
run() {
	local fw=$1 status; shift
	ctl "$fw" "$@" >"$LAB_TMP/o" 2>"$LAB_TMP/e" </dev/null
	status=$?
	[ "$*" != -h ] || cp "$LAB_TMP/o" "$LAB_TMP/usage"
	entry "$fw $*" "$LAB_TMP/o" "$LAB_TMP/e" $status
}
log() {
	local fw=$1 before; before=$(daemon_log "$fw" | wc -l)
	run "$@"
	shift
	sleep 0.4
	daemon_log "$fw" | tail -n +$((before + 1)) | same_for_all | sed -E "s#\bproto=[0-9]+ src=.*#(an expectation)#; s#^#$fw $* log| #" >>"$transcript"
}
# start NODE ARGS...: the daemon's command line, ended after two seconds
start() {
	local fw=$1 status; shift
	# shellcheck disable=SC2086 # a command with its arguments
	in_ns "$fw" timeout -s INT 2 ${LAB_DAEMON%% *} "$@" >"$LAB_TMP/o" 2>"$LAB_TMP/e" </dev/null
	status=$?
	entry "$fw start $*" "$LAB_TMP/o" "$LAB_TMP/e" $status
}

# record PROGRAM: everything, in one order
record() {
	LAB_DAEMON="$1 -C" LAB_CLIENT="$1 -C"
	local command
	lab_up snat
	transcript=$out/${1##*/}
	: >"$transcript"
	daemon_config fw1
	for command in -s -k -c; do run fw1 $command; done
	daemons_up || { fail "${1##*/} starts"; explain; return 1; }
	run fw1 -v
	run fw1 -h
	for command in -i -e "-i exp" "-e exp" "-i -x" -s "-s exp"; do run fw1 $command; done

	in_ns fw1 "$LAB_PYTHON" "$LAB_HERE/inject.py" create 0 8 >/dev/null
	talk ftpd server ftp.py serve
	wait_until 3 said ftpd listening
	talk ftp client ftp.py client "$SERVER4" login pasv "hold:$LAB_TMP/go" noop quit
	talk ftp6 client ftp.py client "$SERVER6" login epsv "hold:$LAB_TMP/go" noop quit
	wait_until 5 said ftp '^pasv ok'
	wait_until 5 said ftp6 '^epsv ok'
	wait_until 3 holds fw2 "src=$CLIENT6" -e exp
	sleep 1
	for command in -i "-i ct" "-i exp" "-i expect" "-i e" -e "-e exp" "-i -e" "-i -x" "-i exp -x" "-x -i"; do run fw1 $command; done
	for command in -i "-i exp" -e "-e ct" "-e exp" "-e -x" "-e exp -x"; do run fw2 $command; done
	for command in -s "-s ct" "-s exp" "-s network" "-s cache" "-s runtime" "-s link" "-s multicast" "-s process" "-s queue"; do
		run fw1 $command
	done
	run fw2 -s cache
	for command in -R "-R ct" "-R exp" -B; do log fw1 $command; done
	log fw2 -n

	log fw2 -c exp
	log fw2 -c ct
	log fw2 -c exp
	run fw2 -i
	run fw2 -i exp
	log fw2 -c
	for command in "-f internal" "-f external" -f "-f nonsense"; do log fw2 $command; done
	run fw2 -i
	run fw2 -e
	for command in "-F exp" "-F ct" -F -t -t; do log fw2 $command; done

	for command in -z --help "-s nonsense" "-i nonsense" "-c -i" -x "-d -s" "-c nonsense" nonsense -S; do run fw1 $command; done
	start fw1 -C /nonexistent.conf -s
	start fw1 -C "$(conf_of fw1)"
	start fw1 -C "$(conf_of fw1)" -d

	daemon_stop fw2
	rm -f "$LAB_TMP/fw2.log"
	LAB_EXPECT=Off
	daemon_start fw2
	# what is told of the start and of the other node is no answer to what follows
	wait_until 10 heard fw2
	! is_ctsync || wait_until 10 grep -q 'is in contact' "$LAB_TMP/fw2.log"
	sleep 1
	for command in "-i exp" "-e exp" "-s exp" "-c exp" "-F exp" "-R exp"; do log fw2 $command; done
	LAB_EXPECT=On
	log fw2 -k
	start fw2 -C "$(conf_of fw2)" -d
	sleep 0.5
	run fw2 -k
	printf 'Sync {\n\tMode FTFW {\n\t\tNonsense 3\n' >"$LAB_TMP/bad.conf"
	start fw2 -C "$LAB_TMP/bad.conf"
	touch "$LAB_TMP/go"
	lab_down
}

# recording PROGRAM: in a process and a laboratory of its own, so that both programs can be recorded at the same time
recording() {
	(
		LAB_ID=ctsync-$BASHPID
		lab_init
		record "$1"
	) &
}

out=$(mktemp -d)
trap 'rm -rf "$out"; lab_exit' EXIT
recording conntrackd
recording "$LAB_ROOT/bin/ctsync"
wait
check "the transcripts are whole" test "$(wc -l <"$out/conntrackd")" -gt 300 -a "$(wc -l <"$out/ctsync")" -gt 300
diff "$out/conntrackd" "$out/ctsync" | grep '^[<>]' >"$out/differences"
[ -z "${UPDATE:-}" ] || cp "$out/differences" "$expected.new"
[ -z "${KEEP:-}" ] || cp "$out/conntrackd" "$out/ctsync" "$KEEP"
grep '^[<>]' "$expected" >"$out/expected"
same_lines "conntrackd's command line and ours differ where it is intended, and nowhere else" "$out/expected" "$out/differences"
finish
