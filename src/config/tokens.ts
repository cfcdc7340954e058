// Text -> words and braces with their places. Knows nothing of directives.
import type { Position, Report } from "./problem.ts";

/** A bare word or the inside of a quoted one. */
export interface Word extends Position {
	text: string;
	quoted: boolean;
}

/** `end` stands once, behind everything else. */
export type Token =
	| (Word & { kind: "word" })
	| (Position & { kind: "open" })
	| (Position & { kind: "close" })
	| (Position & { kind: "end" });

// In conntrackd.conf a path may contain `#`, any other word is ended by it.
const PATH = /\/[^\s{}"]*/y;
const WORD = /[^\s{}"#]+/y;
const QUOTED = /"([^"\n]*)"/y;

/**
 * Splits a configuration text. `#` starts a comment that runs to the end of the line. A quoted word has no escapes
 * and stays on its line. Errors (unfinished or misplaced quote, control character) go to the report.
 */
export function tokenize(text: string, report: Report): Token[] {
	const tokens: Token[] = [];
	let line = 1;
	let i = text.startsWith("\ufeff") ? 1 : 0;
	let lineStart = i;

	while (i < text.length) {
		const char = text[i]!;
		const at: Position = { line, column: i - lineStart + 1 };
		if (char === "\n") {
			i++;
			line++;
			lineStart = i;
		} else if (/\s/.test(char)) {
			i++;
		} else if (char === "#") {
			i = endOfLine(text, i);
		} else if (char === "{" || char === "}") {
			tokens.push({ kind: char === "{" ? "open" : "close", ...at });
			i++;
		} else {
			if (touchesWord(text, i)) report.error(at, "a quoted word needs a blank on both sides");
			const quoted = char === '"';
			const match = matchAt(quoted ? QUOTED : char === "/" ? PATH : WORD, text, i);
			if (!match) {
				report.error(at, "this quoted word has no end on its line");
				const end = endOfLine(text, i);
				tokens.push({ kind: "word", text: text.slice(i + 1, end), quoted, ...at });
				i = end;
				continue;
			}
			const word = quoted ? match[1]! : match[0];
			const bad = controlCharacter(word);
			if (bad >= 0) {
				const code = word.charCodeAt(bad).toString(16).toUpperCase().padStart(4, "0");
				report.error({ line, column: at.column + bad + (quoted ? 1 : 0) }, `control character U+${code}`);
			}
			tokens.push({ kind: "word", text: word, quoted, ...at });
			i += match[0].length;
		}
	}
	tokens.push({ kind: "end", line, column: i - lineStart + 1 });
	return tokens;
}

function endOfLine(text: string, from: number): number {
	const end = text.indexOf("\n", from);
	return end < 0 ? text.length : end;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
	pattern.lastIndex = at;
	return pattern.exec(text);
}

/** Whether a word starts at `i` with no blank or brace between it and the word before. */
function touchesWord(text: string, i: number): boolean {
	return i > 0 && !/[\s{}\ufeff]/.test(text[i - 1]!);
}

function controlCharacter(word: string): number {
	for (let i = 0; i < word.length; i++) {
		const code = word.charCodeAt(i);
		if (code < 0x20 || code === 0x7f) return i;
	}
	return -1;
}
