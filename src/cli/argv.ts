// The command line: conntrackd's options and words, from one table that also makes the usage text.
//
// What conntrackd does not have is called by words, which cannot meet its letters; and what it has by words as well
// (client-words.ts).
//
// Stricter than conntrackd in three points: what is not understood always ends with status 1, an option is its whole
// word (`-ix` is not `-i`), and `-C` without a file name starts nothing.
import { hasJson, Opcode } from "../control/request.ts";
import { isCheckVerb, parseCheckWords } from "./check-words.ts";
import {
	CLIENT_OPTIONS,
	findParameter,
	JSON_OPTION,
	type Parameter,
	XML_OPTION,
	xmlForm,
} from "./client-options.ts";
import { isClientVerb, parseClientWords } from "./client-words.ts";
import { isCommitVerb, jsonCommit, parseCommitWords } from "./commit-words.ts";
import { isKeyVerb, type KeyCommand, parseKeyWords } from "./key-words.ts";
import { isPolicyVerb, parsePolicyWords } from "./policy-words.ts";
import { usageError } from "./usage-error.ts";
import { isVerifyVerb, parseVerifyWords } from "./verify-words.ts";

/** What to do. */
export type Command =
	| { kind: "daemon"; background: boolean; config?: string }
	| ClientCommand
	| { kind: "keys"; command: KeyCommand; config?: string }
	| { kind: "check"; isVerbose: boolean; config?: string; form?: "json" }
	| { kind: "policy test"; input: string; config?: string; form?: "json" }
	| { kind: "version" }
	| { kind: "help" }
	| { kind: "error"; message: string; pointsToHelp: boolean };

/** What the running daemon is asked. */
export interface ClientCommand {
	kind: "client";
	op: Opcode;
	config?: string;
	warning?: string;
	argument?: string;
	/** The answer is to be JSON. */
	form?: "json";
}

/** Words that take all words behind them. */
const VERBS: readonly {
	isVerb: (word: string) => boolean;
	parse: (rest: readonly string[], config: string | undefined, verb: string) => Command;
}[] = [
	{ isVerb: isCheckVerb, parse: parseCheckWords },
	{ isVerb: isClientVerb, parse: parseClientWords },
	{ isVerb: isCommitVerb, parse: parseCommitWords },
	{ isVerb: isPolicyVerb, parse: parsePolicyWords },
	{ isVerb: isVerifyVerb, parse: parseVerifyWords },
	{ isVerb: isKeyVerb, parse: parseKeyWords },
];

const INVALID = usageError("Invalid parameters");

/**
 * Reads the words after the program's name, from left to right: the first `-v`, `-h` or mistake decides, and of
 * several commands for the daemon the last counts. A verb takes all words behind it. Without a command the daemon is
 * to run in the foreground.
 */
export function parseArgv(argv: readonly string[]): Command {
	let config: string | undefined;
	let background = false;
	let client: (Pick<Parameter, "op" | "warning"> & Pick<ClientCommand, "argument" | "form">) | undefined;
	for (let i = 0; i < argv.length; i++) {
		const word = argv[i]!;
		switch (word) {
			case "-v":
			case "--version":
				return { kind: "version" };
			case "-h":
			case "--help":
				return { kind: "help" };
			case "-d":
				background = true;
				continue;
			case "-C":
				config = argv[++i];
				if (!config) return usageError("Missing config filename");
				continue;
			case XML_OPTION.flag: {
				const op = client && xmlForm(client.op);
				if (op === undefined || client?.form) return INVALID;
				client = { op };
				continue;
			}
			case JSON_OPTION.flag: {
				if (!client) return INVALID;
				const argument = jsonCommit(client.op);
				if (argument !== undefined) client = { op: Opcode.commit, argument };
				else if (!hasJson(client.op)) return INVALID;
				else {
					const { op, warning } = client;
					client = { op, form: "json", ...(warning === undefined ? {} : { warning }) };
				}
				continue;
			}
		}
		const verb = VERBS.find(({ isVerb }) => isVerb(word));
		if (verb) return client || background ? INVALID : verb.parse(argv.slice(i + 1), config, word);
		const option = CLIENT_OPTIONS.find((candidate) => candidate.flag === word);
		if (!option) return usageError(`Unknown option: ${word}`);
		client = option;
		const next = argv[i + 1];
		if (!option.parameters || next === undefined || next.startsWith("-")) continue;
		const parameter = findParameter(option, next);
		if (parameter) {
			client = parameter;
			i++;
		} else if (option.isParameterStrict) {
			return {
				kind: "error",
				message: `unknown parameter \`${next}' for option \`${word}'`,
				pointsToHelp: false,
			};
		}
	}
	if (client && background) return INVALID;
	const file = config === undefined ? {} : { config };
	if (!client) return { kind: "daemon", background, ...file };
	const { op, warning, argument, form } = client;
	return {
		kind: "client",
		op,
		...file,
		...(warning === undefined ? {} : { warning }),
		...(argument === undefined ? {} : { argument }),
		...(form === undefined ? {} : { form }),
	};
}
