import assert from "node:assert/strict";
import { test } from "node:test";
import { ExpectationWatch } from "./expectation-watch.ts";
import { HandClock } from "./system/hand-clock.ts";

function setUp(read: () => Promise<void> = async () => {}) {
	const clock = new HandClock();
	const state = { isNeeded: true, failures: 0 };
	const watch = new ExpectationWatch({
		clock,
		isNeeded: () => state.isNeeded,
		read,
		failed: () => state.failures++,
	});
	return { clock, state, watch };
}

test("the table is read once a second, and not at all while there is nothing in it", async () => {
	const { clock, state, watch } = setUp();
	await clock.live(5000);
	assert.equal(watch.reads, 5);
	state.isNeeded = false;
	watch.soon();
	await clock.live(60_000);
	assert.equal(watch.reads, 5);
	state.isNeeded = true;
	await clock.live(1000);
	assert.equal(watch.reads, 6);
});

test("masters that change have it read soon, however many they are, and nothing is read at the end", async () => {
	const { clock, watch } = setUp();
	for (let i = 0; i < 50; i++) {
		watch.soon();
		await clock.live(10);
	}
	assert.ok(watch.reads >= 4 && watch.reads <= 5, String(watch.reads));
	watch.soon();
	watch.close();
	const { reads } = watch;
	await clock.live(10_000);
	watch.soon();
	await clock.live(10_000);
	assert.equal(watch.reads, reads);
});

test("a reading that takes long is not joined by a second one; one that fails is told and tried again", async () => {
	let finish = (): void => {};
	const slow = setUp(() => new Promise((resolve) => (finish = resolve)));
	await slow.clock.live(5000);
	assert.equal(slow.watch.reads, 1);
	finish();
	await slow.clock.pause();
	await slow.clock.live(1000);
	assert.equal(slow.watch.reads, 2);
	const broken = setUp(() => Promise.reject(new Error("no")));
	await broken.clock.live(3000);
	assert.deepEqual([broken.watch.reads, broken.state.failures], [3, 3]);
});
