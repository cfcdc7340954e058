import assert from "node:assert/strict";
import { test } from "node:test";
import { recordOf } from "./sync/simulation.ts";
import { YoungEntries } from "./young-entries.ts";

test("others have their turn while many are handed over", async () => {
	let now = 0;
	let round: () => void = () => {};
	let matured = 0;
	const atPause: number[] = [0];
	let isOver = false;
	const young = new YoungEntries({
		minimumAge: 1,
		limit: 10_000,
		seed: 1,
		clock: {
			now: () => now,
			after: (_, callback) => {
				round = callback;
				return () => {};
			},
			pause: async () => void atPause.push(matured),
			wall: () => new Date(0),
		},
		full: () => assert.fail("there is room"),
		matured: () => void matured++,
		roundEnd: () => {
			isOver = true;
		},
	});
	for (let key = 0; key < 3000; key++) young.take(recordOf(key, 0), true, 0, true);
	now = 5000;
	round();
	while (!isOver) await new Promise((resolve) => setImmediate(resolve));
	atPause.push(matured);
	assert.equal(matured, 3000);
	assert.equal(young.size, 0);
	const atOnce = atPause.slice(1).map((count, i) => count - atPause[i]!);
	assert.ok(Math.max(...atOnce) <= 256, `${Math.max(...atOnce)} in one turn`);
	young.close();
});
