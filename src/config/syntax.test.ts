import assert from "node:assert/strict";
import { test } from "node:test";
import { Report } from "./problem.ts";
import type { Directive } from "./syntax.ts";
import { parseSyntax } from "./syntax.ts";

/** A tree in short: `name arg arg { ... }` with the places of the names. */
function outline(directives: readonly Directive[]): string {
	return directives
		.map(({ name, args, block, line, column }) => {
			const words = [`${name}@${line}:${column}`, ...args.map((arg) => arg.text)].join(" ");
			return block ? `${words} { ${outline(block)} }` : words;
		})
		.join(" ");
}

function parse(text: string): string {
	const report = new Report("f");
	const tree = parseSyntax(text, report);
	report.throwIfErrors();
	return outline(tree);
}

test("directives do not need lines of their own", () => {
	assert.equal(
		parse("Sync { Mode FTFW { ACKWindowSize 3 PurgeTimeout 4 } Options { } }"),
		"Sync@1:1 { Mode@1:8 FTFW { ACKWindowSize@1:20 3 PurgeTimeout@1:36 4 } Options@1:53 {  } }",
	);
});

test("a directive may be spread over lines", () => {
	assert.equal(
		parse("General\n{\nFilter\nFrom\nUserspace\n{\n}\nHashSize\n3\n}"),
		"General@1:1 { Filter@3:1 From Userspace {  } HashSize@8:1 3 }",
	);
});

test("lists keep the places of their words", () => {
	assert.equal(
		parse("General { Filter { State Accept {\nLISTEN CLOSED\nfor TCP } } }"),
		"General@1:1 { Filter@1:11 { State@1:20 Accept { LISTEN@2:1 CLOSED@2:8 for@3:1 TCP@3:5 } } }",
	);
});

test("optional arguments may be left out", () => {
	assert.equal(parse("Sync { UDP { } UDP Default { } }"), "Sync@1:1 { UDP@1:8 {  } UDP@1:16 Default {  } }");
});

test("a directive with a value or a list takes either", () => {
	assert.equal(
		parse("Sync { Options { ExpectationSync on ExpectationSync { ftp } } }"),
		"Sync@1:1 { Options@1:8 { ExpectationSync@1:18 on ExpectationSync@1:37 { ftp@1:55 } } }",
	);
});

test("the obsolete Replicate takes its states up to the protocol", () => {
	assert.equal(
		parse("Sync { Replicate ESTABLISHED CLOSED for TCP PurgeTimeout 3 }"),
		"Sync@1:1 { Replicate@1:8 ESTABLISHED CLOSED for TCP PurgeTimeout@1:45 3 }",
	);
});

test("a nest of misplaced sections ends in errors, not in a stack overflow", () => {
	assert.throws(() => parse("Sync { ".repeat(200_000)), { name: "ConfigError" });
	assert.throws(() => parse("{".repeat(200_000)), { name: "ConfigError" });
});

test("a file with very many sections is read", () => {
	assert.equal(parse("Stats { } ".repeat(200_000)).length > 0, true);
});
