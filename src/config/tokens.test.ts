import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError, Report } from "./problem.ts";
import { tokenize } from "./tokens.ts";

/** Tokens in short: `line:column text`, the kind where there is no text. */
function tokens(text: string): string[] {
	const report = new Report("f");
	const short = tokenize(text, report).map((token) => {
		const what = token.kind === "word" ? (token.quoted ? `"${token.text}"` : token.text) : token.kind;
		return `${token.line}:${token.column} ${what}`;
	});
	report.throwIfErrors();
	return short;
}

function failure(text: string): string {
	try {
		tokens(text);
	} catch (error) {
		assert.ok(error instanceof ConfigError);
		return error.message;
	}
	return assert.fail("no error");
}

test("words and braces know their line and column", () => {
	assert.deepEqual(tokens("Sync {\n\tMode FTFW{\n }}"), [
		"1:1 Sync",
		"1:6 open",
		"2:2 Mode",
		"2:7 FTFW",
		"2:11 open",
		"3:2 close",
		"3:3 close",
		"3:4 end",
	]);
});

test("a comment runs to the end of its line and may follow a word without a blank", () => {
	assert.deepEqual(tokens('# one { "\nA 3#two\n#three'), ["2:1 A", "2:3 3", "3:7 end"]);
});

test("a path may contain the comment sign, but no brace", () => {
	assert.deepEqual(tokens("Path /a#b}"), ["1:1 Path", "1:6 /a#b", "1:10 close", "1:11 end"]);
});

test("quotes hold blanks, braces and comment signs", () => {
	assert.deepEqual(tokens('LogFile "/a b{#}" ""'), ["1:1 LogFile", '1:9 "/a b{#}"', '1:19 ""', "1:21 end"]);
});

test("carriage returns, a byte order mark and no-break spaces are blanks", () => {
	assert.deepEqual(tokens("\ufeffA\u00a01\r\nB"), ["1:1 A", "1:3 1", "2:1 B", "2:2 end"]);
});

test("a quote that does not end on its line is an error at its place", () => {
	assert.match(failure('A\n  "/x\n"'), /^f:2:3: .*no end on its line\nf:3:1: /);
});

test("a quote in the middle of a word is an error at the quote", () => {
	assert.match(failure('A /x"y"'), /^f:1:5: .*blank on both sides$/);
	assert.match(failure('A "x"y'), /^f:1:6: .*blank on both sides$/);
});

test("a control character is an error at its place", () => {
	assert.match(failure("A b\x00c"), /^f:1:4: control character U\+0000$/);
	assert.match(failure('A "b\x1bc"'), /^f:1:5: control character U\+001B$/);
});
