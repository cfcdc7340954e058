// What can be wrong with a configuration file, and where. Errors and warnings are gathered in a Report, so that one
// run shows all of them.

/** A place in the text; both numbers start at 1, a column is one UTF-16 unit (a tab counts as one). */
export interface Position {
	line: number;
	column: number;
}

/** Whether `a` stands before `b` in the text. */
export function isBefore(a: Position, b: Position): boolean {
	return byPosition(a, b) < 0;
}

function byPosition(a: Position, b: Position): number {
	return a.line - b.line || a.column - b.column;
}

/** One error or warning. Line 0 means the file as a whole. */
export interface ConfigProblem extends Position {
	file: string;
	message: string;
	/** A word that was probably meant. */
	suggestion?: string;
}

/**
 * `FILE:LINE:COL: message (did you mean "Word"?)`, the place left out when it is the whole file.
 * @param kind stands before the message, as compilers have it
 */
export function formatProblem(problem: ConfigProblem, kind?: "error" | "warning"): string {
	const place = problem.line === 0 ? "" : `${problem.file}:${problem.line}:${problem.column}: `;
	const hint = problem.suggestion === undefined ? "" : ` (did you mean "${problem.suggestion}"?)`;
	return `${place}${kind === undefined ? "" : `${kind}: `}${problem.message}${hint}`;
}

/** A configuration that cannot be used. The message has one line per problem, in the order of the file. */
export class ConfigError extends Error {
	override readonly name = "ConfigError";
	readonly problems: readonly ConfigProblem[];

	constructor(problems: readonly ConfigProblem[], options?: ErrorOptions) {
		super(problems.map((problem) => formatProblem(problem)).join("\n"), options);
		this.problems = problems;
	}
}

/** More errors than this say nothing new about one file. */
const ERRORS_MAX = 20;

/** Gathers the problems of one file. Errors beyond the first 20 are dropped; warnings are all kept. */
export class Report {
	readonly #warnings: ConfigProblem[] = [];
	readonly #errors: ConfigProblem[] = [];
	readonly #file: string;
	/** The braces are wrong, or the words: what stands where cannot be told. */
	isTorn = false;
	#isIncomplete = false;

	constructor(file: string) {
		this.#file = file;
	}

	get hasErrors(): boolean {
		return this.#errors.length > 0;
	}

	/** From now on only what is wrong in itself counts: parts of the file were not understood, so others may seem to be missing. */
	setIncomplete(): void {
		this.#isIncomplete = true;
	}

	/** Whether further errors would be dropped. */
	get isFull(): boolean {
		return this.#errors.length >= ERRORS_MAX;
	}

	/** Something is wrong, or seems to be by what stands elsewhere, or does not. */
	error(at: Position, message: string, suggestion?: string): void {
		if (!this.#isIncomplete) this.badValue(at, message, suggestion);
	}

	/** A word is wrong, whatever else stands in the file. */
	badValue(at: Position, message: string, suggestion?: string): void {
		if (this.isFull) return;
		// what decides where a block goes is judged by whoever reads the words, and again as a value
		const isTold = this.#isIncomplete && this.#errors.some((told) => byPosition(told, at) === 0);
		if (!isTold) this.#errors.push(this.#problem(at, message, suggestion));
	}

	warn(at: Position, message: string, suggestion?: string): void {
		this.#warnings.push(this.#problem(at, message, suggestion));
	}

	/** In the order of the file. */
	get warnings(): ConfigProblem[] {
		return this.#warnings.toSorted(byPosition);
	}

	/** @throws ConfigError with every error so far, if there is one. */
	throwIfErrors(): void {
		if (this.#errors.length === 0) return;
		throw new ConfigError(this.#errors.toSorted(byPosition));
	}

	#problem({ line, column }: Position, message: string, suggestion: string | undefined): ConfigProblem {
		const problem = { file: this.#file, line, column, message };
		return suggestion === undefined ? problem : { ...problem, suggestion };
	}
}

/** A word for a message: in quotes, cut when long. */
export function show(text: string): string {
	return text.length > 60 ? `"${text.slice(0, 57)}..."` : `"${text}"`;
}

/** `a`, `a or b`, `a, b or c`. */
export function listWords(words: readonly string[]): string {
	return words.length === 1 ? words[0]! : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
