// The command line of `ctsync policy`.
import { Opcode } from "../control/request.ts";
import type { Command } from "./argv.ts";
import { usageError } from "./usage-error.ts";
import { readWords } from "./verb-words.ts";

export const POLICY_FORMS: readonly { words: string; help: string }[] = [
	{
		words: "policy rejected [--json]",
		help: "list the expectations of the other nodes that are kept back, and why",
	},
	{
		words: "policy test FILE|- [--json]",
		help: "judge the expectations in a file (lines of conntrack -L, or JSON); status 1 if any is rejected",
	},
];

export const isPolicyVerb = (word: string): boolean => word === "policy";

/**
 * Reads the words behind the verb.
 * @param config of a `-C` before the verb
 */
export function parsePolicyWords(rest: readonly string[], config: string | undefined): Command {
	const words: string[] = [];
	const form: { form?: "json" } = {};
	const file = readWords(rest, config, (word) => {
		if (word === "--json") form.form = "json";
		else if (word.startsWith("-") && word !== "-") return false;
		else words.push(word);
		return true;
	});
	if ("kind" in file) return file;
	const [action, input, ...more] = words;
	if (action === "rejected" && input === undefined)
		return { kind: "client", op: Opcode.policyRejected, ...file, ...form };
	if (action !== "test" || more.length > 0) return usageError("policy takes rejected, or test and one file");
	if (input === undefined)
		return usageError("Missing file: lines of conntrack -L expect, or - for standard input");
	return { kind: "policy test", input, ...file, ...form };
}
