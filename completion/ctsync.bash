# Completion for bash, made from the tables of src/cli (completion.test.ts).
# shellcheck shell=bash disable=SC2207 # no word has a blank, and names of files are the shell's own affair
_ctsync() {
	local now=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb="" more="" i
	COMPREPLY=()
	case $before in
		-C | --out)
			COMPREPLY=($(compgen -f -- "$now"))
			compopt -o filenames 2>/dev/null
			return
			;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
			-C) ((i++)) ;;
			stats | dump | flush | resync | request | bulk | purge | stop | commit | verify | policy | keygen | keys | --check | check)
				verb=${COMP_WORDS[i]}
				break
				;;
		esac
	done
	case $verb in
		stats)
			COMPREPLY=($(compgen -W "network cache runtime link rsqueue process queue ct expect --json -C" -- "$now"))
			;;
		dump)
			COMPREPLY=($(compgen -W "internal external ct expect --xml --json -C" -- "$now"))
			;;
		flush)
			COMPREPLY=($(compgen -W "internal external caches kernel ct expect -C" -- "$now"))
			;;
		resync)
			COMPREPLY=($(compgen -W "ct expect -C" -- "$now"))
			;;
		request)
			COMPREPLY=($(compgen -W "-C" -- "$now"))
			;;
		bulk)
			COMPREPLY=($(compgen -W "-C" -- "$now"))
			;;
		purge)
			COMPREPLY=($(compgen -W "-C" -- "$now"))
			;;
		stop)
			COMPREPLY=($(compgen -W "-C" -- "$now"))
			;;
		commit)
			COMPREPLY=($(compgen -W "ct expect --json --dry-run --show all --verbose -C" -- "$now"))
			;;
		verify)
			COMPREPLY=($(compgen -W "--peer --json -C" -- "$now"))
			;;
		policy)
			COMPREPLY=($(compgen -W "rejected --json test -C" -- "$now"))
			COMPREPLY+=($(compgen -f -- "$now"))
			compopt -o filenames 2>/dev/null
			;;
		keygen)
			COMPREPLY=($(compgen -W "--out -C" -- "$now"))
			;;
		keys)
			COMPREPLY=($(compgen -W "use --force remove -C" -- "$now"))
			COMPREPLY+=($(compgen -f -- "$now"))
			compopt -o filenames 2>/dev/null
			;;
		--check)
			COMPREPLY=($(compgen -W "-v --json -C" -- "$now"))
			;;
		check)
			COMPREPLY=($(compgen -W "-v --json -C" -- "$now"))
			;;
	esac
	[ -z "$verb" ] || return 0
	case $before in
		-c) more="ct expect" ;;
		-f) more="internal external" ;;
		-F) more="ct expect" ;;
		-i) more="ct expect" ;;
		-e) more="ct expect" ;;
		-s) more="network cache runtime link rsqueue process queue ct expect" ;;
		-R) more="ct expect" ;;
	esac
	# a parameter or another option, but no word of our own can follow an option that has parameters
	[ -n "$more" ] || more="stats dump flush resync request bulk purge stop commit verify policy keygen keys --check check"
	COMPREPLY=($(compgen -W "$more -d -C -v --version -h --help -c -f -F -i -e -k -s -R -n -B -t -x --json" -- "$now"))
}
complete -F _ctsync ctsync
