// The command line of `ctsync --check`.
import type { Command } from "./argv.ts";
import { usageError } from "./usage-error.ts";
import { readWords } from "./verb-words.ts";

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
	const given: { isVerbose: boolean; form?: "json" } = { isVerbose: false };
	const file = readWords(rest, config, (word) => {
		if (word === "-v") given.isVerbose = true;
		else if (word === "--json") given.form = "json";
		else if (word.startsWith("-")) return false;
		else return usageError(`name the file to be checked by -C ${word}`);
		return true;
	});
	if ("kind" in file) return file;
	return { kind: "check", ...given, ...file };
}
