import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, nearest } from "./nearest.ts";

test("the edit distance counts insertions, deletions, replacements and swaps", () => {
	assert.equal(editDistance("purge", "purge"), 0);
	assert.equal(editDistance("prge", "purge"), 1);
	assert.equal(editDistance("puurge", "purge"), 1);
	assert.equal(editDistance("purgr", "purge"), 1);
	assert.equal(editDistance("pruge", "purge"), 1);
	assert.equal(editDistance("", "abc"), 3);
	assert.equal(editDistance("kitten", "sitting"), 3);
});

test("the nearest candidate is one that few edits lead to", () => {
	const words = ["PurgeTimeout", "CommitTimeout", "Port"];
	assert.equal(nearest("PurgeTimout", words), "PurgeTimeout");
	assert.equal(nearest("purgetimeout", words), "PurgeTimeout");
	assert.equal(nearest("Prot", words), "Port");
});

test("nothing is suggested for a word far from all candidates", () => {
	assert.equal(nearest("Nonsense", ["PurgeTimeout", "Port"]), undefined);
	assert.equal(nearest("x", ["on", "a"]), undefined);
	assert.equal(nearest("P".repeat(5000), ["Port"]), undefined);
});
