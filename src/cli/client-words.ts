// conntrackd's commands by words: `ctsync stats network` is `-s network`. Only the names are other ones; what they ask, and
// which parameters they take, is in the table of the options.
import { hasJson } from "../control/request.ts";
import type { Command } from "./argv.ts";
import {
	CLIENT_OPTIONS,
	type ClientOption,
	findParameter,
	type Parameter,
	xmlForm,
} from "./client-options.ts";
import { usageError } from "./usage-error.ts";
import { readWords } from "./verb-words.ts";

export const CLIENT_FORMS: readonly { words: string; help: string }[] = [
	{ words: "stats [network|cache|runtime|link|rsqueue|process|queue|ct|expect] [--json]", help: "as -s" },
	{ words: "dump internal|external [ct|expect] [--xml|--json]", help: "as -i and -e" },
	{ words: "flush internal|external|caches", help: "as -f" },
	{ words: "flush kernel [ct|expect]", help: "as -F" },
	{ words: "resync [ct|expect]", help: "as -R" },
	{ words: "request", help: "as -n" },
	{ words: "bulk", help: "as -B" },
	{ words: "purge", help: "as -t" },
	{ words: "stop", help: "as -k" },
];

/** A name: the option, and the parameter that the name implies; then no other may follow. */
interface Name {
	words: readonly [verb: string, object?: string];
	flag: string;
	parameter?: string;
	/** No parameter may follow. */
	isWhole?: true;
}

const NAMES: readonly Name[] = [
	{ words: ["stats"], flag: "-s" },
	{ words: ["dump", "internal"], flag: "-i" },
	{ words: ["dump", "external"], flag: "-e" },
	{ words: ["flush", "internal"], flag: "-f", parameter: "internal", isWhole: true },
	{ words: ["flush", "external"], flag: "-f", parameter: "external", isWhole: true },
	{ words: ["flush", "caches"], flag: "-f", isWhole: true },
	{ words: ["flush", "kernel"], flag: "-F" },
	{ words: ["resync"], flag: "-R" },
	{ words: ["request"], flag: "-n" },
	{ words: ["bulk"], flag: "-B" },
	{ words: ["purge"], flag: "-t" },
	{ words: ["stop"], flag: "-k" },
];

export const isClientVerb = (word: string): boolean => NAMES.some(({ words: [verb] }) => verb === word);

/**
 * Reads the words behind the verb. What is emptied has to be named: there is no bare `flush`.
 * @param config of a `-C` before the verb
 */
export function parseClientWords(rest: readonly string[], config: string | undefined, verb: string): Command {
	const words: string[] = [];
	const given: { form?: "xml" | "json" } = {};
	const file = readWords(rest, config, (word) => {
		if (word === "--json" || word === "--xml") {
			if (given.form !== undefined) return usageError("one of --xml and --json");
			given.form = word === "--xml" ? "xml" : "json";
		} else if (word.startsWith("-")) return false;
		else words.push(word);
		return true;
	});
	if ("kind" in file) return file;
	const { form } = given;
	const names = NAMES.filter(({ words: [first] }) => first === verb);
	let name = names[0]!;
	if (name.words[1] !== undefined) {
		const typed = words.shift();
		const meant = typed ? names.find(({ words: [, object] }) => object!.startsWith(typed)) : undefined;
		if (!meant) return usageError(`${verb} takes ${names.map(({ words }) => words[1]).join(", ")}`);
		name = meant;
	}
	const asked = ask(name, words);
	if (typeof asked === "string") return usageError(asked);
	const op = form === "xml" ? xmlForm(asked.op) : asked.op;
	if (op === undefined || (form === "json" && !hasJson(op))) {
		return usageError(`${name.words.join(" ")} has no --${form}`);
	}
	return {
		kind: "client",
		op,
		...file,
		...(asked.warning === undefined ? {} : { warning: asked.warning }),
		...(form === "json" ? { form } : {}),
	};
}

/** What is asked, or why these words are wrong. */
function ask(name: Name, words: readonly string[]): Pick<Parameter, "op" | "warning"> | string {
	const option = CLIENT_OPTIONS.find(({ flag }) => flag === name.flag)!;
	const [typed, surplus] = words;
	if (name.parameter !== undefined && typed === undefined) return findParameter(option, name.parameter)!;
	if (typed === undefined) return option;
	const parameter = name.isWhole ? undefined : findParameter(option, typed);
	if (parameter && surplus === undefined) return parameter;
	return `${name.words.join(" ")} takes ${parametersOf(name, option)}, not \`${parameter ? surplus : typed}'`;
}

function parametersOf({ isWhole }: Name, { parameters = [] }: ClientOption): string {
	const words = isWhole ? [] : parameters.filter(({ isHidden }) => !isHidden).map(({ word }) => word);
	return words.length === 0 ? "no parameter" : `one of ${words.join(", ")}`;
}
