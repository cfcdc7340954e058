// The command line of `ctsync verify`.
import { Opcode } from "../control/request.ts";
import type { Command } from "./argv.ts";
import { usageError } from "./usage-error.ts";
import { readWords } from "./verb-words.ts";

export const VERIFY_FORMS: readonly { words: string; help: string }[] = [
	{
		words: "verify [--peer NODE] [--json]",
		help: "compare with the other nodes, or this one, now; status 1 if anything differs",
	},
];

export const isVerifyVerb = (word: string): boolean => word === "verify";

/**
 * Reads the words behind the verb.
 * @param config of a `-C` before the verb
 */
export function parseVerifyWords(rest: readonly string[], config: string | undefined): Command {
	const given: { argument?: string; form?: "json" } = {};
	const file = readWords(rest, config, (word, next) => {
		if (word === "--json") given.form = "json";
		else if (word === "--peer") {
			const peer = next();
			if (!peer) return usageError("Missing node: its address, as -s shows it");
			given.argument = peer;
		} else if (word.startsWith("-")) return false;
		else return usageError(`verify takes --peer NODE, not \`${word}'`);
		return true;
	});
	if ("kind" in file) return file;
	return { kind: "client", op: Opcode.verify, ...file, ...given };
}
