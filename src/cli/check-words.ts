// The command line of `ctsync --check`.
import type { Command } from "./argv.ts";
import { usageError } from "./usage-error.ts";

export const CHECK_FORMS: readonly { words: string; help: string }[] = [
	{
		words: "--check [-v] [--json]",
		help: "say what is wrong in the configuration; with -v print it with every value written; status 1 if it cannot be used",
	},
	{ words: "check [-v] [--json]", help: "the same" },
];

export const isCheckVerb = (word: string): boolean => word === "--check" || word === "check";

/**
 * Reads the words behind `--check`, where `-v` is no question for the version.
 * @param config of a `-C` before it
 */
export function parseCheckWords(rest: readonly string[], config: string | undefined): Command {
	let isVerbose = false;
	let isJson = false;
	for (let i = 0; i < rest.length; i++) {
		const word = rest[i]!;
		if (word === "-h") return { kind: "help" };
		if (word === "-v") isVerbose = true;
		else if (word === "--json") isJson = true;
		else if (word === "-C") {
			config = rest[++i];
			if (!config) return usageError("Missing config filename");
		} else
			return usageError(
				word.startsWith("-") ? `Unknown option: ${word}` : `name the file to be checked by -C ${word}`,
			);
	}
	return {
		kind: "check",
		isVerbose,
		...(config === undefined ? {} : { config }),
		...(isJson ? { form: "json" } : {}),
	};
}
