// The command line of the key commands. Only the words: what is a key's number, or a usable file, is judged by whoever
// runs the command, so that a client command does not load cryptography.
import type { Command } from "./argv.ts";
import { usageError } from "./usage-error.ts";
import { readWords } from "./verb-words.ts";

/** Ids are as typed. */
export type KeyCommand =
	| { action: "generate"; id?: string; out?: string }
	/** Without a file that of the configuration. */
	| { action: "list"; file?: string }
	| { action: "use" | "remove"; id: string; isForced?: true };

type KeyVerb = "keygen" | "keys";

/** The forms of the commands, for the usage text. */
export const KEY_FORMS: readonly { words: string; help: string }[] = [
	{ words: "keygen [ID]", help: "print a line for a key file, with a new key (ID is 1)" },
	{ words: "keygen --out FILE [ID]", help: "create a key file, or add a new key to it" },
	{
		words: "keys [FILE]",
		help: "list the fingerprints of the keys, those of the configuration without FILE",
	},
	{ words: "keys use ID [--force]", help: "seal with this key of the configuration's key file" },
	{ words: "keys remove ID [--force]", help: "remove this key from the configuration's key file" },
];

export function isKeyVerb(word: string): word is KeyVerb {
	return word === "keygen" || word === "keys";
}

/**
 * Reads the words behind the verb.
 * @param config of a `-C` before the verb
 */
export function parseKeyWords(rest: readonly string[], config: string | undefined, verb: string): Command {
	const words: string[] = [];
	const given: { out?: string; isForced?: true } = {};
	const file = readWords(rest, config, (word, next) => {
		if (word === "--out" && verb === "keygen") {
			const out = next();
			if (!out) return usageError("Missing key filename");
			given.out = out;
		} else if (word === "--force" && verb === "keys") given.isForced = true;
		else if (word.startsWith("-") || word === "") return false;
		else words.push(word);
		return true;
	});
	if ("kind" in file) return file;
	const command = verb === "keygen" ? generate(words, given) : manage(words, given);
	if (!command || (file.config !== undefined && !takesConfig(command))) {
		return usageError("Invalid parameters");
	}
	return { kind: "keys", command, ...file };
}

function generate([id, ...surplus]: readonly string[], given: { out?: string }): KeyCommand | undefined {
	if (surplus.length > 0) return undefined;
	return { action: "generate", ...(id === undefined ? {} : { id }), ...given };
}

function manage(
	[first, second, ...surplus]: readonly string[],
	given: { isForced?: true },
): KeyCommand | undefined {
	if (surplus.length > 0) return undefined;
	if (first === "use" || first === "remove") {
		if (second === undefined) return undefined;
		return { action: first, id: second, ...given };
	}
	if (second !== undefined || given.isForced) return undefined;
	return first === undefined ? { action: "list" } : { action: "list", file: first };
}

function takesConfig(command: KeyCommand): boolean {
	return command.action === "list" ? command.file === undefined : command.action !== "generate";
}
