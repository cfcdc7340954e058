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
import { readWords } from "./verb-words.ts";

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
	/** `detail` is an option that only a rehearsal has. */
	const given: { isRehearsal?: true; detail?: string } = {};
	const file = readWords(rest, config, (word, next) => {
		switch (word) {
			case "--json":
				request.form = "json";
				return true;
			case "--dry-run":
				given.isRehearsal = true;
				return true;
			case "--verbose":
				given.detail = word;
				request.isVerbose = true;
				return true;
			case "--show": {
				given.detail = word;
				const count = countOf(next());
				if (count === undefined) return usageError("--show takes a number of entries, or all");
				request.show = count;
				return true;
			}
		}
		if (word.startsWith("-")) return false;
		const which = (["ct", "expect"] as const).find((half) => word !== "" && half.startsWith(word));
		if (!which || request.which !== "all") {
			return usageError(`commit takes ct or expect (without, it is both), not \`${word}'`);
		}
		request.which = which;
		return true;
	});
	if ("kind" in file) return file;
	const { isRehearsal, detail } = given;
	if (detail !== undefined && !isRehearsal) return usageError(`${detail} goes with --dry-run`);
	const op = isRehearsal ? Opcode.rehearse : Opcode.commit;
	return { kind: "client", op, ...file, argument: encodeCommitRequest(request) };
}

function countOf(word: string | undefined): number | undefined {
	if (word === "all") return SHOW_MAX;
	return word !== undefined && /^\d{1,6}$/.test(word) ? Math.min(SHOW_MAX, Number(word)) : undefined;
}
