# shellcheck shell=bash
# screen.sh: how the demo looks; a part of demo.sh. Colours only on a terminal, and not if NO_COLOR is set.

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' cyan=$'\e[36m' plain=$'\e[0m'
else
	bold='' dim='' green='' red='' cyan='' plain=''
fi
columns=100
step=0

# What the operator would type.
client_name=${LAB_CLIENT%% *}
client_name=${client_name##*/}

title() {
	step=$((step + 1))
	printf '\n%s%d. %s%s\n\n' "$bold" $step "$1" "$plain"
}

text() { fold -s -w $((columns - 3)) <<<"$*" | sed 's/ *$//; s/^/   /'; }

done_with() { printf '   %s*%s %s\n' "$green" "$plain" "$1"; }

picture() {
	cat <<-PICTURE

		              +--- fw1  primary ---+
		   client ----+       | sync       +---- server
		  $CLIENT4  +--- fw2  backup  ---+     $SERVER4

	PICTURE
}

# shown NODE ARGS...: runs a client command and shows it with its answer, as on the operator's terminal
shown() {
	local fw=$1 status; shift
	printf '   %s%s#%s %s%s %s%s\n' "$cyan" "$fw" "$plain" "$bold" "$client_name" "$*" "$plain"
	ctl "$fw" "$@" >"$LAB_TMP/answer" 2>&1
	status=$?
	# of the statistics the caches are enough here
	sed '/^traffic processed/,$d; /^$/d' "$LAB_TMP/answer" | answer
	[ $status -eq 0 ] || give_up "$client_name $* on $fw: exit status $status"
	[ ! -s "$LAB_TMP/answer" ] || echo
}

answer() { expand | fold -s -w $((columns - 8)) | sed "s/ *\$//; s/^/        $dim/; s/\$/$plain/"; }

log_lines() { daemon_log "$1" | grep -E "$2" | sed 's/^\[[^]]*\] ([^)]*) //' | sed "s/^/$1 log: /" | answer; }

# ftp_lines: what the FTP client met after the failover
ftp_lines() {
	local name result detail what
	while read -r name result detail; do
		case $name in
		noop) what="a command on the control connection" ;;
		list) what="LIST over the announced data connection" ;;
		get) what="RETR over a new data connection" ;;
		*) continue ;;
		esac
		if [ "$result" = ok ]; then done_with "$what: ok${detail:+, ${detail#bytes=} bytes}"; else
			printf '   %sx%s %s: %s\n' "$red" "$plain" "$what" "$detail"
		fi
	done < <(sed '1,/^hold/d' "$LAB_TMP/ftp.out")
}

bytes() { awk -v n="${1:-0}" 'BEGIN { printf "%.1f MB", n / 1000000 }'; }

row() { printf '   %-36s%-16s%s\n' "$1" "${2:-}" "${3:-}"; }

# watch_download BYTES: waits until the client has as many, or nothing comes any more; shows how it goes
watch_download() {
	local end=$((SECONDS + 12))
	while [ "$(downloaded)" -lt "$1" ] && [ $SECONDS -lt $end ] && ! said download '^broken'; do
		[ -z "$bold" ] || printf '\r   %sdownload: %s%s ' "$dim" "$(bytes "$(downloaded)")" "$plain"
		sleep 0.1
	done
	[ -z "$bold" ] || printf '\r\e[K'
}

# verdict WHAT WITH WITHOUT: a row in which survival is green on the left, and its absence on the right
verdict() {
	local left=$red right=$red
	case $2 in survived | ok) left=$green ;; esac
	case $3 in broken | failed) right=$green ;; esac
	printf '   %-36s%s%-16s%s%s%s%s\n' "$1" "$left" "$2" "$plain" "$right" "$3" "$plain"
}
