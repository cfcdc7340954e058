import assert from "node:assert/strict";
import { test } from "node:test";
import { explainUnknown } from "./suggest.ts";

test("a word in another case gets its spelling", () => {
	const { message, suggestion } = explainUnknown("Lockfile", ["the top level", "General"]);
	assert.equal(suggestion, "LockFile");
	assert.match(message, /upper and lower case/);
});

test("a mistyped word gets the nearest word of its section", () => {
	const { message, suggestion } = explainUnknown("PurgeTimout", ["the top level", "Sync", "Mode FTFW"]);
	assert.equal(suggestion, "PurgeTimeout");
	assert.match(message, /unknown word "PurgeTimout" in Mode FTFW/);
});

test("a word of another section is sent there", () => {
	const { message, braceMissing } = explainUnknown("ErrorQueueLength", ["the top level", "Sync", "UDP"]);
	assert.equal(message, '"ErrorQueueLength" belongs in TCP, not in UDP');
	assert.equal(braceMissing, false);
});

test("a word with several homes names them all, without the places of old files", () => {
	const { message } = explainUnknown("PurgeTimeout", ["the top level", "General"]);
	assert.match(message, /belongs in Mode FTFW, Mode NOTRACK or Mode ALARM, not in General/);
	assert.match(
		explainUnknown("Checksum", ["the top level", "General"]).message,
		/in Multicast, UDP or TCP, not/,
	);
});

test("a word of the section around hints at a missing brace", () => {
	const { message, braceMissing } = explainUnknown("Multicast", ["the top level", "Sync", "Mode FTFW"]);
	assert.match(message, /belongs in Sync, not in Mode FTFW; is a "}" missing before it\?/);
	assert.equal(braceMissing, true);
});

test("a mistyped word of another section gets the word and its section", () => {
	const { message, suggestion } = explainUnknown("EventIterationLimt", ["the top level", "Sync"]);
	assert.equal(suggestion, "EventIterationLimit");
	assert.match(message, /would belong in General/);
});

test("a word like no other is only called unknown", () => {
	assert.deepEqual(explainUnknown("Nonsense", ["the top level", "Sync", "Mode FTFW"]), {
		message: 'unknown word "Nonsense" in Mode FTFW',
	});
});
