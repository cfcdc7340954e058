// The command line of `ctsync verify`.
import { Opcode } from "../control/request.ts";
import type { Command } from "./argv.ts";
import { usageError } from "./usage-error.ts";

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
	let peer: string | undefined;
	let isJson = false;
	for (let i = 0; i < rest.length; i++) {
		const word = rest[i]!;
		if (word === "-v") return { kind: "version" };
		if (word === "-h") return { kind: "help" };
		if (word === "-C") {
			config = rest[++i];
			if (!config) return usageError("Missing config filename");
		} else if (word === "--json") isJson = true;
		else if (word === "--peer") {
			peer = rest[++i];
			if (!peer) return usageError("Missing node: its address, as -s shows it");
		} else
			return usageError(
				word.startsWith("-") ? `Unknown option: ${word}` : `verify takes --peer NODE, not \`${word}'`,
			);
	}
	const file = config === undefined ? {} : { config };
	const argument = peer === undefined ? {} : { argument: peer };
	return { kind: "client", op: Opcode.verify, ...file, ...argument, ...(isJson ? { form: "json" } : {}) };
}
