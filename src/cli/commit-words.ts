// The command line of `ctsync commit`.
import {
	type CommitRequest,
	encodeCommitRequest,
	SHOW_DEFAULT,
	SHOW_MAX,
} from "../control/commit-request.ts";
import { Opcode } from "../control/request.ts";
import type { Command } from "./argv.ts";
import { usageError } from "./usage-error.ts";

export const COMMIT_FORMS: readonly { words: string; help: string }[] = [
	{
		words: "commit [ct|expect] [--json]",
		help: "as -c, and say what came of it",
	},
	{
		words: "commit --dry-run [ct|expect] [--json] [--show N|all] [--verbose]",
		help: "say what a commit would restore, and name what it would not; status 1 if anything would be left",
	},
];

export const isCommitVerb = (word: string): boolean => word === "commit";

/** What `-c --json` asks for; undefined if the command before `--json` is another. */
export function jsonCommit(op: Opcode): string | undefined {
	const which = (
		{ [Opcode.commitAll]: "all", [Opcode.commitCt]: "ct", [Opcode.commitExpect]: "expect" } as const
	)[op as 46 | 18 | 42];
	return which && encodeCommitRequest({ which, form: "json", show: 0, isVerbose: false });
}

/**
 * Reads the words behind the verb.
 * @param config of a `-C` before the verb
 */
export function parseCommitWords(rest: readonly string[], config: string | undefined): Command {
	const request: CommitRequest = { which: "all", form: "text", show: SHOW_DEFAULT, isVerbose: false };
	let isRehearsal = false;
	/** An option that only a rehearsal has. */
	let detail: string | undefined;
	for (let i = 0; i < rest.length; i++) {
		const word = rest[i]!;
		switch (word) {
			case "-v":
				return { kind: "version" };
			case "-h":
				return { kind: "help" };
			case "-C":
				config = rest[++i];
				if (!config) return usageError("Missing config filename");
				break;
			case "--json":
				request.form = "json";
				break;
			case "--dry-run":
				isRehearsal = true;
				break;
			case "--verbose":
				detail = word;
				request.isVerbose = true;
				break;
			case "--show": {
				detail = word;
				const count = countOf(rest[++i]);
				if (count === undefined) return usageError("--show takes a number of entries, or all");
				request.show = count;
				break;
			}
			default: {
				const which = (["ct", "expect"] as const).find((half) => word !== "" && half.startsWith(word));
				if (!which || request.which !== "all") {
					return usageError(
						word.startsWith("-")
							? `Unknown option: ${word}`
							: `commit takes ct or expect (without, it is both), not \`${word}'`,
					);
				}
				request.which = which;
			}
		}
	}
	if (detail !== undefined && !isRehearsal) return usageError(`${detail} goes with --dry-run`);
	const file = config === undefined ? {} : { config };
	const op = isRehearsal ? Opcode.rehearse : Opcode.commit;
	return { kind: "client", op, ...file, argument: encodeCommitRequest(request) };
}

function countOf(word: string | undefined): number | undefined {
	if (word === "all") return SHOW_MAX;
	return word !== undefined && /^\d{1,6}$/.test(word) ? Math.min(SHOW_MAX, Number(word)) : undefined;
}
