// The directives of one section as typed values: what was written, else the default of the table.
import type { ArgumentValue } from "./argument.ts";
import { readArgument } from "./argument.ts";
import type { Place } from "./directives.ts";
import { findDirective } from "./directives.ts";
import type { Report } from "./problem.ts";
import { isBefore, show } from "./problem.ts";
import type { Directive, Word } from "./syntax.ts";

/** One value as written. */
export interface Entry {
	/** Absent: the word was no value of its type, which is reported. */
	value?: ArgumentValue;
	word: Word;
	directive: Directive;
}

/** The merged content of all blocks of one section (conntrackd merges them, and the last value counts). */
export class Section {
	readonly #place: Place;
	readonly #report: Report;
	readonly #entries = new Map<string, Entry[]>();
	readonly #blocks: Directive[] = [];

	constructor(place: Place, report: Report) {
		this.#place = place;
		this.#report = report;
	}

	/** Reads the directives of a block. Reports arguments of the wrong type; warns of old and repeated words. */
	add(directives: readonly Directive[]): this {
		for (const directive of directives) {
			const spec = directive.spec!;
			this.#warnIfOld(directive);
			if (directive.block || spec.words) this.#addBlock(directive);
			else if (directive.args.length === 1) this.#addEntry(directive);
		}
		return this;
	}

	/** The sections and lists with one of these names, in the order of the file. */
	blocks(...names: string[]): Directive[] {
		return this.#blocks.filter((block) => names.includes(block.name));
	}

	/** What was written for a word, the last time if it does not repeat. */
	entry(word: string): Entry | undefined {
		return this.#entries.get(word)?.at(-1);
	}

	/** Everything that was written for words which may be repeated, in the order of the file. */
	entries(...words: string[]): Entry[] {
		const all = words.flatMap((word) => this.#entries.get(word) ?? []);
		return all.toSorted((a, b) => (isBefore(a.directive, b.directive) ? -1 : 1));
	}

	number(word: string): number {
		return this.#value(word) as number;
	}

	/** The number, or undefined if it is neither written nor has a default; 0 where it stands for "not set". */
	optionalNumber(word: string): number | undefined {
		return this.#value(word) as number | undefined;
	}

	flag(word: string): boolean {
		return this.#value(word) as boolean;
	}

	text(word: string): string {
		return this.#value(word) as string;
	}

	/** Undefined if it is neither written nor has a default. */
	optionalText(word: string): string | undefined {
		return this.#value(word) as string | undefined;
	}

	textOrOff(word: string): string | false {
		return this.#value(word) as string | false;
	}

	numberOrOff(word: string): number | false {
		return this.#value(word) as number | false;
	}

	/** The type is that of the table's row, which readArgument has made sure of. */
	#value(word: string): ArgumentValue | undefined {
		const spec = findDirective(this.#place, word);
		if (!spec) throw new Error(`${word} is not in the table for ${this.#place}`);
		const value = this.entry(word)?.value;
		const isDefault = value === undefined || (value === 0 && spec.args[0]!.zeroIsDefault);
		return isDefault ? spec.default : value;
	}

	#warnIfOld({ name, spec, ...at }: Directive): void {
		if (spec!.obsolete !== undefined) this.#report.warn(at, `${name} is obsolete: ${spec!.obsolete}`);
		else if (spec!.advice !== undefined) this.#report.warn(at, `${name}: ${spec!.advice}`);
		else if (spec!.aliasOf !== undefined)
			this.#report.warn(at, `${name} is the old name of ${spec!.aliasOf}`);
	}

	#addBlock(directive: Directive): void {
		this.#blocks.push(directive);
		directive.spec!.args.forEach((arg, i) => {
			const word = directive.args[i];
			if (word) this.#read(arg, word);
		});
	}

	#addEntry(directive: Directive): void {
		const spec = directive.spec!;
		const word = directive.args[0]!;
		const key = spec.aliasOf ?? spec.word;
		const earlier = this.#entries.get(key) ?? [];
		if (earlier.length > 0 && !spec.obsolete && !spec.repeats) {
			const { line } = earlier.at(-1)!.directive;
			this.#report.warn(directive, `${directive.name} counts in place of the one in line ${line}`);
		}
		const value = this.#read(spec.args[0]!, word);
		if (value === 0 && spec.args[0]!.zeroIsDefault && spec.default !== undefined) {
			this.#report.warn(word, `${show(word.text)} stands for the default, ${spec.default}`);
		}
		const entry = { word, directive, ...(value === undefined ? {} : { value }) };
		this.#entries.set(key, spec.repeats ? [...earlier, entry] : [entry]);
	}

	#read(arg: Parameters<typeof readArgument>[0], word: Word): ArgumentValue | undefined {
		const read = readArgument(arg, word.text);
		if ("value" in read) return read.value;
		this.#report.badValue(word, read.problem, read.suggestion);
		return undefined;
	}
}
