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
			commit | verify | policy | keygen | keys | --check)
				verb=${COMP_WORDS[i]}
				break
				;;
		esac
	done
	case $verb in
		commit)
			COMPREPLY=($(compgen -W "ct expect --json --dry-run --show all --verbose -C" -- "$now"))
			;;
		verify)
			COMPREPLY=($(compgen -W "--peer -C" -- "$now"))
			;;
		policy)
			COMPREPLY=($(compgen -W "rejected test -C" -- "$now"))
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
			COMPREPLY=($(compgen -W "-v -C" -- "$now"))
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
	COMPREPLY=($(compgen -W "$more -d -C -v -h -c -f -F -i -e -k -s -R -n -B -t -x commit verify policy keygen keys --check" -- "$now"))
}
complete -F _ctsync ctsync
