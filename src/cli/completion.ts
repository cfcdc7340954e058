// Completion of the command line for bash and zsh, made from the tables that the command line is read by. The files in
// completion/ hold what these functions return; a test compares them.
import { CLIENT_OPTIONS, GENERAL_OPTIONS, JSON_OPTION, XML_OPTION } from "./client-options.ts";
import { OWN_FORMS } from "./usage.ts";

/** Words behind which the name of a file stands. */
const BEFORE_FILES = ["-C", "--out"];
const HEADER = "made from the tables of src/cli (completion.test.ts)";

/** What may follow a word: other words, and perhaps a file. */
interface Following {
	words: string[];
	files: boolean;
}

/** What may follow each verb, from all of its forms, wherever it may stand behind the verb. */
function verbs(): Map<string, Following> {
	const found = new Map<string, Following>();
	for (const { words: form } of OWN_FORMS) {
		const [verb, ...rest] = form.match(/-{0,2}[a-z]+(-[a-z]+)*|[A-Z]+/g)! as [string, ...string[]];
		const { words, files } = found.get(verb) ?? { words: [], files: false };
		const added = rest.filter((word) => /[a-z]$/.test(word) && !words.includes(word));
		// the FILE of --out is that word's own
		const takesFile = rest.some((word, i) => word === "FILE" && rest[i - 1] !== "--out");
		found.set(verb, { words: [...words, ...added], files: files || takesFile });
	}
	return found;
}

/** The parameters of the options that have some. */
const parameters = (): [flag: string, words: string[]][] =>
	CLIENT_OPTIONS.flatMap(({ flag, parameters = [] }) => {
		const words = parameters.filter(({ isHidden }) => !isHidden).map(({ word }) => word);
		return words.length === 0 ? [] : [[flag, words]];
	});

const options = (): { flag: string; help: string }[] => [
	...GENERAL_OPTIONS.flatMap(({ flag, word, help }) => [
		{ flag, help },
		...(word ? [{ flag: word, help }] : []),
	]),
	...CLIENT_OPTIONS,
	XML_OPTION,
	JSON_OPTION,
];

/** The first help of each verb. */
const verbHelp = (): [verb: string, help: string][] =>
	[...verbs().keys()].map((verb) => [
		verb,
		OWN_FORMS.find(({ words }) => words.split(" ")[0] === verb)!.help,
	]);

/** completion/ctsync.bash: to be sourced, or put into bash-completion's directory as `ctsync`. */
export function bashCompletion(): string {
	const flags = options().map(({ flag }) => flag);
	const arms = [...verbs()].map(([verb, { words, files }]) => {
		const fallback = files
			? '\n\t\t\tCOMPREPLY+=($(compgen -f -- "$now"))\n\t\t\tcompopt -o filenames 2>/dev/null'
			: "";
		return `\t\t${verb})\n\t\t\tCOMPREPLY=($(compgen -W "${[...words, "-C"].join(" ")}" -- "$now"))${fallback}\n\t\t\t;;`;
	});
	const after = parameters().map(([flag, words]) => `\t\t${flag}) more="${words.join(" ")}" ;;`);
	return `# Completion for bash, ${HEADER}.
# shellcheck shell=bash disable=SC2207 # no word has a blank, and names of files are the shell's own affair
_ctsync() {
	local now=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]} verb="" more="" i
	COMPREPLY=()
	case $before in
		${BEFORE_FILES.join(" | ")})
			COMPREPLY=($(compgen -f -- "$now"))
			compopt -o filenames 2>/dev/null
			return
			;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case \${COMP_WORDS[i]} in
			-C) ((i++)) ;;
			${[...verbs().keys()].join(" | ")})
				verb=\${COMP_WORDS[i]}
				break
				;;
		esac
	done
	case $verb in
${arms.join("\n")}
	esac
	[ -z "$verb" ] || return 0
	case $before in
${after.join("\n")}
	esac
	# a parameter or another option, but no word of our own can follow an option that has parameters
	[ -n "$more" ] || more="${[...verbs().keys()].join(" ")}"
	COMPREPLY=($(compgen -W "$more ${flags.join(" ")}" -- "$now"))
}
complete -F _ctsync ctsync
`;
}

/** completion/_ctsync: for a directory of zsh's fpath. */
export function zshCompletion(): string {
	const described = (word: string, help: string): string =>
		`'${word}:${help.replaceAll("'", "'\\''").replaceAll(":", "\\:")}'`;
	const first = [
		...options().map(({ flag, help }) => described(flag, help)),
		...verbHelp().map(([verb, help]) => described(verb, help)),
	];
	const arms = [...verbs()].map(
		([verb, { words, files }]) =>
			`\t${verb})\n\t\tcompadd -- ${[...words, "-C"].join(" ")}${files ? "\n\t\t_files" : ""}\n\t\treturn\n\t\t;;`,
	);
	const after = parameters().map(([flag, words]) => `\t${flag}) compadd -- ${words.join(" ")} ;;`);
	return `#compdef ctsync
# Completion for zsh, ${HEADER}.
local -a first
local verb="" i
first=(
${first.map((line) => `\t${line}`).join("\n")}
)
case $words[CURRENT-1] in
	${BEFORE_FILES.join(" | ")})
		_files
		return
		;;
esac
for ((i = 2; i < CURRENT; i++)); do
	case $words[i] in
		-C) ((i++)) ;;
		${[...verbs().keys()].join(" | ")})
			verb=$words[i]
			break
			;;
	esac
done
case $verb in
${arms.join("\n")}
esac
case $words[CURRENT-1] in
${after.join("\n")}
esac
_describe -t commands 'ctsync command' first
`;
}
