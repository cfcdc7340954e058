// The command line: conntrackd's options and words, from one table that also makes the usage text.
//
// What conntrackd does not have is called by words, which cannot meet its letters (key-words.ts).
//
// Stricter than conntrackd in three points: what is not understood always ends with status 1, an option is its whole
// word (`-ix` is not `-i`), and `-C` without a file name starts nothing.
import { Opcode } from "../control/request.ts";
import { isCheckVerb, parseCheckWords } from "./check-words.ts";
import { isCommitVerb, jsonCommit, parseCommitWords } from "./commit-words.ts";
import { isKeyVerb, type KeyCommand, parseKeyWords } from "./key-words.ts";
import { isPolicyVerb, parsePolicyWords } from "./policy-words.ts";
import { isVerifyVerb, parseVerifyWords } from "./verify-words.ts";

/** What to do. */
export type Command =
	| { kind: "daemon"; background: boolean; config?: string }
	| { kind: "client"; op: Opcode; config?: string; warning?: string; argument?: string }
	| { kind: "keys"; command: KeyCommand; config?: string }
	| { kind: "check"; isVerbose: boolean; config?: string }
	| { kind: "policy test"; input: string; config?: string }
	| { kind: "version" }
	| { kind: "help" }
	| { kind: "error"; message: string; showUsage: boolean };

/** A word that may follow an option. Of several that begin as typed, the first in the table is meant. */
export interface Parameter {
	word: string;
	op: Opcode;
	/** Still understood, but no longer told. */
	isHidden?: true;
	warning?: string;
}

/** A command for the running daemon. `op` is meant when no parameter follows. */
export interface ClientOption {
	flag: string;
	help: string;
	op: Opcode;
	parameters?: readonly Parameter[];
	/** The parameter is the only word that can follow, so that a wrong one is called by that name. */
	isParameterStrict?: true;
}

export interface GeneralOption {
	flag: string;
	help: string;
	argument?: string;
}

export const GENERAL_OPTIONS: readonly GeneralOption[] = [
	{ flag: "-d", help: "run in the background, return when the daemon is ready" },
	{ flag: "-C", argument: "configfile", help: "read this configuration file" },
	{ flag: "-v", help: "show the version" },
	{ flag: "-h", help: "show this text" },
];

const halves = (ct: Opcode, expect: Opcode): readonly Parameter[] => [
	{ word: "ct", op: ct },
	{ word: "expect", op: expect },
];

export const CLIENT_OPTIONS: readonly ClientOption[] = [
	{
		flag: "-c",
		help: "put the external cache into the kernel",
		op: Opcode.commitAll,
		parameters: halves(Opcode.commitCt, Opcode.commitExpect),
	},
	{
		flag: "-f",
		help: "empty the caches",
		op: Opcode.flushCachesAll,
		parameters: [
			{ word: "internal", op: Opcode.flushInternal },
			{ word: "external", op: Opcode.flushExternal },
		],
		isParameterStrict: true,
	},
	{
		flag: "-F",
		help: "empty the kernel's tables",
		op: Opcode.flushKernelAll,
		parameters: halves(Opcode.flushKernelCt, Opcode.flushKernelExpect),
	},
	{
		flag: "-i",
		help: "print the internal cache",
		op: Opcode.dumpInternalCt,
		parameters: halves(Opcode.dumpInternalCt, Opcode.dumpInternalExpect),
	},
	{
		flag: "-e",
		help: "print the external cache",
		op: Opcode.dumpExternalCt,
		parameters: halves(Opcode.dumpExternalCt, Opcode.dumpExternalExpect),
	},
	{ flag: "-k", help: "stop the daemon", op: Opcode.kill },
	{
		flag: "-s",
		help: "print statistics",
		op: Opcode.stats,
		parameters: [
			{ word: "network", op: Opcode.statsNetwork },
			{ word: "cache", op: Opcode.statsCache },
			{ word: "runtime", op: Opcode.statsRuntime },
			{
				word: "multicast",
				op: Opcode.statsLink,
				isHidden: true,
				warning: "use `link' instead of `multicast' as parameter.",
			},
			{ word: "link", op: Opcode.statsLink },
			{ word: "rsqueue", op: Opcode.statsResendQueue },
			{ word: "process", op: Opcode.statsProcess },
			{ word: "queue", op: Opcode.statsQueue },
			{ word: "ct", op: Opcode.stats },
			{ word: "expect", op: Opcode.statsExpect },
		],
		isParameterStrict: true,
	},
	{
		flag: "-R",
		help: "read the kernel's tables into the internal cache",
		op: Opcode.resyncKernelAll,
		parameters: halves(Opcode.resyncKernelCt, Opcode.resyncKernelExpect),
	},
	{ flag: "-n", help: "ask the other nodes for all their state", op: Opcode.requestResync },
	{ flag: "-B", help: "send all our state to the other nodes", op: Opcode.sendBulk },
	{
		flag: "-t",
		help: "after PurgeTimeout, have the kernel forget what a peer has taken over",
		op: Opcode.resetTimers,
	},
];

/** `-x` is no command: it changes the `-i` or `-e` before it. */
export const XML_OPTION: GeneralOption = { flag: "-x", help: "print as XML; stands after -i or -e" };

/** Nor is `--json`: it changes the `-c` before it. */
const JSON_FLAG = "--json";

const XML_FORMS: ReadonlyMap<Opcode, Opcode> = new Map([
	[Opcode.dumpInternalCt, Opcode.dumpInternalCtXml],
	[Opcode.dumpExternalCt, Opcode.dumpExternalCtXml],
	[Opcode.dumpInternalExpect, Opcode.dumpInternalExpectXml],
	[Opcode.dumpExternalExpect, Opcode.dumpExternalExpectXml],
]);

const INVALID: Command = { kind: "error", message: "Invalid parameters", showUsage: true };

/**
 * Reads the words after the program's name, from left to right: the first `-v`, `-h` or mistake decides, and of
 * several commands for the daemon the last counts. A verb takes all words behind it. Without a command the daemon is
 * to run in the foreground.
 */
export function parseArgv(argv: readonly string[]): Command {
	let config: string | undefined;
	let background = false;
	let client: (Pick<Parameter, "op" | "warning"> & { argument?: string }) | undefined;
	for (let i = 0; i < argv.length; i++) {
		const word = argv[i]!;
		switch (word) {
			case "-v":
				return { kind: "version" };
			case "-h":
				return { kind: "help" };
			case "-d":
				background = true;
				continue;
			case "-C":
				config = argv[++i];
				if (!config) return { kind: "error", message: "Missing config filename", showUsage: true };
				continue;
			case XML_OPTION.flag: {
				const op = client && XML_FORMS.get(client.op);
				if (op === undefined) return INVALID;
				client = { op };
				continue;
			}
			case JSON_FLAG: {
				const argument = client && jsonCommit(client.op);
				if (argument === undefined) return INVALID;
				client = { op: Opcode.commit, argument };
				continue;
			}
		}
		if (isCheckVerb(word)) {
			return client || background ? INVALID : parseCheckWords(argv.slice(i + 1), config);
		}
		if (isCommitVerb(word)) {
			return client || background ? INVALID : parseCommitWords(argv.slice(i + 1), config);
		}
		if (isPolicyVerb(word)) {
			return client || background ? INVALID : parsePolicyWords(argv.slice(i + 1), config);
		}
		if (isVerifyVerb(word)) {
			return client || background ? INVALID : parseVerifyWords(argv.slice(i + 1), config);
		}
		if (isKeyVerb(word)) {
			return client || background ? INVALID : parseKeyWords(word, argv.slice(i + 1), config);
		}
		const option = CLIENT_OPTIONS.find((candidate) => candidate.flag === word);
		if (!option) return { kind: "error", message: `Unknown option: ${word}`, showUsage: true };
		client = option;
		const next = argv[i + 1];
		if (!option.parameters || next === undefined || next.startsWith("-")) continue;
		const parameter = next === "" ? undefined : option.parameters.find(({ word }) => word.startsWith(next));
		if (parameter) {
			client = parameter;
			i++;
		} else if (option.isParameterStrict) {
			return {
				kind: "error",
				message: `unknown parameter \`${next}' for option \`${word}'`,
				showUsage: false,
			};
		}
	}
	if (client && background) return INVALID;
	const file = config === undefined ? {} : { config };
	if (!client) return { kind: "daemon", background, ...file };
	const { op, warning, argument } = client;
	return {
		kind: "client",
		op,
		...file,
		...(warning === undefined ? {} : { warning }),
		...(argument === undefined ? {} : { argument }),
	};
}
