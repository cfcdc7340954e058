// Two configurations -> the directives in which they differ, and which of them a running daemon can take over.
import { printConfig } from "./print.ts";
import { Report } from "./problem.ts";
import { type Directive, parseSyntax } from "./syntax.ts";
import type { Config } from "./types.ts";

export interface Change {
	/** With its sections: `General HashLimit`. */
	directive: string;
	/** As in a normalized file, `not set` without a value. */
	before: string;
	after: string;
	/** SIGHUP puts it into force (the table of directives says so). */
	reload: boolean;
}

const NOT_SET = "not set";
/** Lists can be long; what is longer is cut in the middle of a word. */
const VALUE_MAX = 120;

/**
 * What a normalized file of `after` has otherwise than one of `before`: section by section, what is new last. Where a section is in one of them only,
 * or is another (`Mode`), that is one change, and none of it can be taken over.
 */
export function changes(before: Config, after: Config): Change[] {
	const found: Change[] = [];
	compare(treeOf(before), treeOf(after), [], found);
	return found;
}

function treeOf(config: Config): Directive[] {
	return parseSyntax(printConfig(config), new Report(config.file));
}

function compare(
	before: readonly Directive[],
	after: readonly Directive[],
	path: readonly string[],
	found: Change[],
): void {
	const [olds, news] = [keyed(before), keyed(after)];
	for (const key of new Set([...olds.keys(), ...news.keys()])) {
		const [old, now] = [olds.get(key), news.get(key)];
		const place = [...path, key];
		const [section, other] = [old?.[0], now?.[0]];
		if (section?.place && section.place === other?.place && argumentsOf(old!) === argumentsOf(now!)) {
			compare(section.block!, other.block!, place, found);
			continue;
		}
		const [was, is] = [textOf(old), textOf(now)];
		if (was === is) continue;
		const either = (section ?? other)!;
		const reload = either.place === undefined && either.spec!.reload;
		found.push({ directive: place.join(" "), before: was, after: is, reload });
	}
}

/** The directives of a section by name; each section is for itself, the second of a name is called `UDP (2)`. */
function keyed(directives: readonly Directive[]): Map<string, Directive[]> {
	const groups = new Map<string, Directive[]>();
	for (const directive of directives) {
		const { name, place, args } = directive;
		// the rules for a helper have its name
		const key = place?.startsWith("Helper ") ? `${name} ${args[0]!.text}` : name;
		let count = 1;
		while (place && groups.has(count === 1 ? key : `${key} (${count})`)) count++;
		const unique = count === 1 ? key : `${key} (${count})`;
		groups.set(unique, [...(groups.get(unique) ?? []), directive]);
	}
	return groups;
}

const argumentsOf = (group: readonly Directive[]): string =>
	group.flatMap(({ args }) => args.map(({ text }) => text)).join(" ");

function textOf(group: readonly Directive[] | undefined): string {
	if (!group) return NOT_SET;
	const words = argumentsOf(group);
	const [{ place, block }] = group as [Directive];
	if (place) return `${words}${words === "" ? "" : " "}{ ... }`;
	const list = block ? `{ ${block.map(({ name }) => name).join(" ")} }` : "";
	const text = [words, list].filter((part) => part !== "").join(" ");
	return text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}...` : text;
}
