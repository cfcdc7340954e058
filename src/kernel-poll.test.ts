import assert from "node:assert/strict";
import { test } from "node:test";
import { KernelPoll } from "./kernel-poll.ts";

test("the table is read again so long after it was read, whether that worked or not, until it is closed", async () => {
	const waits: number[] = [];
	let tick: () => void = () => {};
	let isCancelled = false;
	const failures: string[] = [];
	let reads = 0;
	let finish: () => void = () => {};
	const poll = new KernelPoll({
		clock: {
			now: () => 0,
			pause: async () => {},
			wall: () => new Date(0),
			after: (milliseconds, callback) => {
				waits.push(milliseconds);
				tick = callback;
				return () => {
					isCancelled = true;
				};
			},
		},
		seconds: 15,
		read: async () => {
			if (++reads === 1) throw new Error("no");
			await new Promise<void>((resolve) => {
				finish = resolve;
			});
		},
		failed: ({ message }) => failures.push(message),
	});
	const settled = () => new Promise((resolve) => setImmediate(resolve));
	assert.deepEqual(waits, [15_000]);
	tick();
	await settled();
	assert.deepEqual([failures, waits.length], [["no"], 2]);
	tick();
	await settled();
	assert.deepEqual([reads, waits.length], [2, 2], "one reading at a time");
	finish();
	await settled();
	assert.equal(waits.length, 3);
	poll.close();
	assert.ok(isCancelled);
});
