// What stands behind every verb: `-v`, `-h`, `-C FILE`.
import type { Command } from "./argv.ts";
import { usageError } from "./usage-error.ts";

/**
 * Takes a word if it is one of the verb's own.
 *
 * @param next the word behind it, which is then taken, too; undefined if there is none
 * @returns false if it is none of its own; an error that ends the reading
 */
export type TakeWord = (word: string, next: () => string | undefined) => boolean | Command;

/**
 * Reads the words behind a verb, from left to right: the first `-v`, `-h` or mistake decides. The verb is asked first.
 *
 * @param config of a `-C` before the verb; of several the last counts
 * @returns the configuration file, as a command has it, if there is nothing against the words
 */
export function readWords(
	rest: readonly string[],
	config: string | undefined,
	take: TakeWord,
): { config?: string } | Command {
	let at = 0;
	const next = (): string | undefined => rest[at++];
	while (at < rest.length) {
		const word = rest[at++]!;
		const taken = take(word, next);
		if (taken === true) continue;
		if (taken !== false) return taken;
		if (word === "-v") return { kind: "version" };
		if (word === "-h") return { kind: "help" };
		if (word !== "-C") return usageError(`Unknown option: ${word}`);
		config = next();
		if (!config) return usageError("Missing config filename");
	}
	return config === undefined ? {} : { config };
}
