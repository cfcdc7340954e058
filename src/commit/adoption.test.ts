// The main thread's half of a commit beside a worker that is played here.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../system/clock.ts";
import { adoptAhead } from "./adoption.ts";
import { CommitCursors } from "./cursors.ts";

const SLOTS = 100_000;
/** What a lead may be, and the slots between two looks at it. */
const LEAD = 16_384 + 256;

/** Time passes while something is waited for, and nothing else takes any. */
function virtualClock(each: () => void): Clock {
	let now = 0;
	return {
		now: () => now,
		after(milliseconds, callback) {
			setImmediate(() => {
				now += milliseconds;
				each();
				callback();
			});
			return () => {};
		},
		pause: () => new Promise((resolve) => setImmediate(resolve)),
		wall: () => new Date(0),
	};
}

/** A commit of two parts, whose worker does so many slots per wait, in the order of the parts. */
function setUp(perWait: number) {
	const cursors = CommitCursors.of(2);
	const adopted = [0, 0];
	const committed = [0, 0];
	let lead = 0;
	let waits = 0;
	const clock = virtualClock(() => {
		waits++;
		let part = committed[0]! < SLOTS ? 0 : 1;
		for (let i = 0; i < perWait; i++) {
			if (committed[part]! >= adopted[part]!) {
				if (part === 1 || committed[0]! < SLOTS) break;
				part = 1;
				continue;
			}
			committed[part]!++;
		}
		for (const p of [0, 1]) cursors.committed(p, committed[p]!);
	});
	const run = (done: Promise<unknown> = new Promise(() => {}), adopt: (slot: number) => void = () => {}) =>
		adoptAhead({
			cursors,
			ends: [SLOTS, SLOTS],
			done,
			adopt: (part, slot) => {
				adopt(slot);
				assert.equal(adopted[part]!++, slot);
				lead = Math.max(lead, slot - committed[part]!);
			},
			pump: () => {},
			clock,
		});
	return { cursors, adopted, run, lead: () => lead, waits: () => waits };
}

test("it adopts everything, a little ahead of the worker and no more", async () => {
	const { adopted, run, lead, waits } = setUp(2000);
	await run();
	assert.deepEqual(adopted, [SLOTS, SLOTS]);
	assert.ok(lead() <= LEAD, String(lead()));
	assert.ok(waits() > 50, String(waits()));
});

test("when the worker has failed nothing more is adopted, and nobody is waited for", async () => {
	const { adopted, run } = setUp(0);
	await run(Promise.reject(new Error("the worker has died")));
	assert.ok(adopted[0]! <= LEAD + 256, String(adopted[0]));
	assert.equal(adopted[1], 0);
});

test("when it fails the worker does not wait for the rest", async () => {
	const { cursors, run } = setUp(2000);
	const fail = (slot: number): void => {
		if (slot === 50_000) throw new Error("full");
	};
	await assert.rejects(run(undefined, fail), /full/);
	for (const part of [0, 1]) assert.equal(cursors.follow(part, SLOTS - 1), SLOTS);
});
