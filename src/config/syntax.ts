// Text -> tree of directives. How many words a directive takes, and whether braces follow, is in the table: the
// language of conntrackd.conf is not bound to lines.
import type { ArgumentSpec } from "./argument.ts";
import { describeArgument, readArgument } from "./argument.ts";
import type { DirectiveSpec, Place } from "./directives.ts";
import { findDirective } from "./directives.ts";
import type { Position, Report } from "./problem.ts";
import { show } from "./problem.ts";
import { explainUnknown } from "./suggest.ts";
import type { Token, Word } from "./tokens.ts";
import { tokenize } from "./tokens.ts";

export type { Word } from "./tokens.ts";

export interface Directive extends Position {
	name: string;
	args: Word[];
	/** What stands in its braces; the words of a list are directives without arguments. */
	block?: Directive[];
	/** The section that the block is. */
	place?: Place;
	/** Its row of the table; absent for the words of a list. */
	spec?: DirectiveSpec;
}

/**
 * Parses a configuration text into its directives. Braces, unknown words and missing arguments are judged here;
 * what the arguments mean is not. Problems go to the report; the tree is then incomplete.
 */
export function parseSyntax(text: string, report: Report): Directive[] {
	const tokens = tokenize(text, report);
	report.isTorn = report.hasErrors;
	return new SyntaxParser(tokens, report).parseFile();
}

/** The directives of a tree that have everything that the table asks for, down to the innermost. */
export function wholeOnes(tree: readonly Directive[]): Directive[] {
	return tree.flatMap((directive): Directive[] => {
		const { spec, block, args } = directive;
		if (!spec) return [directive];
		const needed = spec.words ? 1 : spec.args.filter(({ optional }) => !optional).length;
		const isWhole =
			args.length >= needed && (block || !spec.block || (spec.blockOptional && args.length > 0));
		if (!isWhole) return [];
		return [block ? { ...directive, block: wholeOnes(block) } : directive];
	});
}

/** Deeper than any nesting that the table allows. */
const DEPTH_MAX = 8;

class SyntaxParser {
	readonly #tokens: Token[];
	readonly #report: Report;
	#next = 0;
	/** Sections from the outermost to the one being read. */
	readonly #places: Place[] = ["the top level"];
	/** The braces are known to be wrong: what follows from that is not reported again. */
	#bracesAreWrong = false;

	constructor(tokens: Token[], report: Report) {
		this.#tokens = tokens;
		this.#report = report;
	}

	parseFile(): Directive[] {
		const directives: Directive[] = [];
		while (this.#peek().kind !== "end") {
			this.#parseDirectives(directives);
			const stray = this.#peek();
			if (stray.kind === "close") {
				this.#braceError(stray, 'this "}" closes nothing');
				this.#next++;
			}
		}
		return directives;
	}

	/** Reads directives up to a closing brace or the end, which is left. */
	#parseDirectives(directives: Directive[] = []): Directive[] {
		let previous: Directive | undefined;
		let previousEnd = 0;
		for (;;) {
			const token = this.#peek();
			if (token.kind === "end" || token.kind === "close") return directives;
			if (token.kind === "open") {
				this.#report.error(token, 'a directive is missing before this "{"');
				this.#skipBlock();
				continue;
			}
			const spec = token.quoted ? undefined : findDirective(this.#place, token.text);
			if (spec) {
				previous = this.#parseDirective(spec);
				previousEnd = this.#tokens[this.#next - 1]!.line;
				directives.push(previous);
			} else {
				const isSurplus = previous?.block === undefined && previousEnd === token.line;
				this.#unknownWord(token, isSurplus ? previous : undefined);
			}
		}
	}

	#parseDirective(spec: DirectiveSpec): Directive {
		const { text: name, line, column } = this.#take() as Word;
		const directive: Directive = { name, args: [], line, column, spec };
		if (spec.words) {
			directive.args = this.#takeStates();
			if (directive.args.length === 0) this.#report.error(directive, `${name} needs ${spec.words}`);
		}
		let isJudged = false;
		for (const arg of spec.args) {
			const word = this.#takeArgument();
			if (word) {
				directive.args.push(word);
				if (arg.optional && !this.#isValid(arg, word)) isJudged = true;
			} else if (arg.optional || isJudged) {
				break;
			} else {
				this.#report.error(directive, `${name} needs ${describeArgument(arg)}`);
				if (this.#peek().kind === "open") this.#skipBlock();
				return directive;
			}
		}
		this.#parseBlock(directive, spec);
		return directive;
	}

	/** The next word, unless a brace or a new line with another directive comes instead. */
	#takeArgument(): Word | undefined {
		const token = this.#peek();
		if (token.kind !== "word") return undefined;
		const isOnNewLine = token.line !== this.#tokens[this.#next - 1]!.line;
		if (isOnNewLine && !token.quoted && findDirective(this.#place, token.text)) return undefined;
		this.#next++;
		return token;
	}

	/** Judges an optional argument at once: what should follow it depends on it. */
	#isValid(arg: ArgumentSpec, word: Word): boolean {
		const read = readArgument(arg, word.text);
		if ("value" in read) return true;
		this.#report.error(word, read.problem, read.suggestion);
		return false;
	}

	/** The words of `Replicate`: up to and with `for TCP`. */
	#takeStates(): Word[] {
		const words: Word[] = [];
		for (let token = this.#peek(); token.kind === "word"; token = this.#peek()) {
			words.push(token);
			this.#next++;
			if (words.at(-2)?.text === "for") break;
		}
		return words;
	}

	#parseBlock(directive: Directive, spec: DirectiveSpec): void {
		const open = this.#peek();
		if (open.kind !== "open") {
			const isOptional = spec.blockOptional && directive.args.length > 0;
			if (!spec.block || isOptional) return;
			const needed = spec.blockOptional ? `${describeArgument(spec.args[0]!)}, or { ... }` : "{ ... }";
			this.#report.error(directive, `${wordsOf(directive)} needs ${needed}`);
			this.#skipRestOfLine(directive.line);
			return;
		}
		if (!spec.block || (spec.blockOptional && directive.args.length > 0)) {
			this.#report.error(open, `"{" cannot follow ${wordsOf(directive)}`);
			this.#skipBlock();
			return;
		}
		if ("list" in spec.block) {
			this.#next++;
			directive.block = this.#parseList();
		} else {
			const place =
				"place" in spec.block
					? spec.block.place
					: this.#placeByArgument(directive, spec.block.placeByArgument);
			if (!place) return;
			this.#next++;
			directive.place = place;
			this.#places.push(place);
			directive.block = this.#parseDirectives();
			this.#places.pop();
		}
		if (this.#peek().kind === "close") this.#next++;
		else this.#braceError(open, `this "{" of ${spec.word} is never closed`);
	}

	/** The section that the first argument chooses. When it is none, says so and skips the block. */
	#placeByArgument(directive: Directive, places: Readonly<Record<string, Place>>): Place | undefined {
		const word = directive.args[0]!;
		const read = readArgument(directive.spec!.args[0]!, word.text);
		if ("value" in read) return places[String(read.value)];
		this.#report.error(word, read.problem, read.suggestion);
		this.#skipBlock();
		return undefined;
	}

	#parseList(): Directive[] {
		const items: Directive[] = [];
		for (;;) {
			const token = this.#peek();
			if (token.kind === "word") {
				items.push({ name: token.text, args: [], line: token.line, column: token.column });
				this.#next++;
			} else if (token.kind === "open") {
				this.#braceError(token, 'a list ends with "}" before the next section starts');
				this.#skipBlock();
			} else return items;
		}
	}

	/** Reports a word that is no directive here, and goes on behind what belongs to it. */
	#unknownWord(word: Word & Token, before: Directive | undefined): void {
		if (word.quoted) {
			this.#report.error(word, `${show(word.text)} in quotes is no directive`);
			this.#skipRestOfLine(word.line);
			return;
		}
		// misplaced sections could nest without end
		if (this.#report.isFull || this.#places.length > DEPTH_MAX) {
			this.#skipRestOfLine(word.line);
			return;
		}
		const { message, suggestion, belongs, braceMissing } = explainUnknown(word.text, this.#places);
		if (belongs) {
			if (!braceMissing) this.#report.error(word, message);
			else this.#braceError(word, message);
			this.#parseDirective(belongs);
			return;
		}
		const isSurplus = before !== undefined && suggestion === undefined;
		this.#report.error(
			word,
			isSurplus ? `${show(word.text)} is too much after ${before.name}` : message,
			suggestion,
		);
		this.#skipRestOfLine(word.line);
	}

	#skipRestOfLine(line: number): void {
		for (let token = this.#peek(); token.kind === "word" && token.line === line; token = this.#peek())
			this.#next++;
		if (this.#peek().kind === "open") this.#skipBlock();
	}

	/** Skips from an opening brace to behind the closing one. */
	#skipBlock(): void {
		const open = this.#take();
		for (let depth = 1; depth > 0; ) {
			const token = this.#take();
			if (token.kind === "open") depth++;
			else if (token.kind === "close") depth--;
			else if (token.kind === "end") {
				this.#next--;
				this.#braceError(open, 'this "{" is never closed');
				return;
			}
		}
	}

	#braceError(at: Position, message: string): void {
		if (!this.#bracesAreWrong) this.#report.error(at, message);
		this.#bracesAreWrong = this.#report.isTorn = true;
	}

	get #place(): Place {
		return this.#places.at(-1)!;
	}

	#peek(): Token {
		return this.#tokens[this.#next]!;
	}

	#take(): Token {
		return this.#tokens[this.#next++]!;
	}
}

/** A directive as written, for a message. */
function wordsOf({ name, args }: Directive): string {
	return [name, ...args.map((arg) => arg.text)].join(" ");
}
