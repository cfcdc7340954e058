import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { readArgument } from "./argument.ts";
import type { Place } from "./directives.ts";
import { DIRECTIVES, directivesIn, fieldOf, findDirective } from "./directives.ts";

test("a word is found in its section only", () => {
	assert.equal(findDirective("TCP", "ErrorQueueLength")?.default, 128);
	assert.equal(findDirective("UDP", "ErrorQueueLength"), undefined);
	assert.equal(findDirective("UDP", "toString"), undefined);
});

test("the typed configuration spells words in camelCase", () => {
	const field = (place: Place, word: string): string => fieldOf(findDirective(place, word)!);
	assert.equal(field("Mode FTFW", "ResendQueueSize"), "resendQueueSize");
	assert.equal(field("Mode FTFW", "ACKWindowSize"), "ackWindowSize");
	assert.equal(field("Options", "TCPWindowTracking"), "tcpWindowTracking");
	assert.equal(field("UNIX", "Path"), "unixPath");
	assert.equal(field("General", "Syslog"), "syslog");
});

test("every section that a row opens has rows of its own", () => {
	for (const { block } of DIRECTIVES) {
		if (!block || "list" in block) continue;
		const places = "place" in block ? [block.place] : Object.values(block.placeByArgument);
		for (const place of places) assert.ok(directivesIn(place).length > 0, place);
	}
});

test("every alias points at a word of the same section", () => {
	for (const { word, in: places, aliasOf } of DIRECTIVES) {
		if (aliasOf === undefined) continue;
		for (const place of places) assert.ok(findDirective(place, aliasOf), `${word} in ${place}`);
	}
});

test("every default is a value of its row's type", () => {
	for (const { word, args, default: value } of DIRECTIVES) {
		if (value === undefined) continue;
		const text = typeof value === "boolean" ? (value ? "on" : "off") : String(value);
		assert.deepEqual(readArgument(args[0]!, text), { value }, word);
	}
});

const manPage = "/usr/share/man/man5/conntrackd.conf.5.gz";

test("every directive that the manual page of conntrackd describes is in the table", {
	skip: existsSync(manPage) ? false : `${manPage} is not installed`,
}, () => {
	const known = new Set(DIRECTIVES.map((spec) => spec.word));
	const text = gunzipSync(readFileSync(manPage)).toString();
	const words = [...text.matchAll(/^\.BI "(\w+) </gm)].map((match) => match[1]!);
	assert.ok(words.length > 40);
	// the page itself misspells two: its own examples have LockFile and IPv6_Destination_Address
	const misspelled = ["Lockfile", "IPv6_Destionation_Address"];
	assert.deepEqual(
		words.filter((word) => !known.has(word) && !misspelled.includes(word)),
		[],
	);
});
