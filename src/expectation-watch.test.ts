import assert from "node:assert/strict";
import { test } from "node:test";
import { ExpectationWatch } from "./expectation-watch.ts";
import type { Clock } from "./system/clock.ts";

/** Time that the test moves. */
class Hand implements Clock {
	#now = 0;
	#timers: { at: number; callback: () => void }[] = [];
	now = (): number => this.#now;
	pause = async (): Promise<void> => {};
	wall = (): Date => new Date(0);
	after(milliseconds: number, callback: () => void): () => void {
		const timer = { at: this.#now + milliseconds, callback };
		this.#timers.push(timer);
		return () => {
			this.#timers = this.#timers.filter((other) => other !== timer);
		};
	}
	async run(milliseconds: number): Promise<void> {
		const end = this.#now + milliseconds;
		for (;;) {
			const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
			if (!next || next.at > end) break;
			this.#timers = this.#timers.filter((other) => other !== next);
			this.#now = next.at;
			next.callback();
			await new Promise((resolve) => setImmediate(resolve));
		}
		this.#now = end;
	}
}

function setUp(read: () => Promise<void> = async () => {}) {
	const clock = new Hand();
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
	await clock.run(5000);
	assert.equal(watch.reads, 5);
	state.isNeeded = false;
	watch.soon();
	await clock.run(60_000);
	assert.equal(watch.reads, 5);
	state.isNeeded = true;
	await clock.run(1000);
	assert.equal(watch.reads, 6);
});

test("masters that change have it read soon, however many they are, and nothing is read at the end", async () => {
	const { clock, watch } = setUp();
	for (let i = 0; i < 50; i++) {
		watch.soon();
		await clock.run(10);
	}
	assert.ok(watch.reads >= 4 && watch.reads <= 5, String(watch.reads));
	watch.soon();
	watch.close();
	const { reads } = watch;
	await clock.run(10_000);
	watch.soon();
	await clock.run(10_000);
	assert.equal(watch.reads, reads);
});

test("a reading that takes long is not joined by a second one; one that fails is told and tried again", async () => {
	let finish = (): void => {};
	const slow = setUp(() => new Promise((resolve) => (finish = resolve)));
	await slow.clock.run(5000);
	assert.equal(slow.watch.reads, 1);
	finish();
	await slow.clock.pause();
	await slow.clock.run(1000);
	assert.equal(slow.watch.reads, 2);
	const broken = setUp(() => Promise.reject(new Error("no")));
	await broken.clock.run(3000);
	assert.deepEqual([broken.watch.reads, broken.state.failures], [3, 3]);
});
