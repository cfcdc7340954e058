import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ReplayWindow, WINDOW } from "./replay-window.ts";

/** Remembers every number; slow and obvious. */
class NaiveWindow {
	highest = 0;
	#below = 0;
	#seen = new Set<number>();

	reset(highest: number): void {
		this.highest = this.#below = highest;
		this.#seen = new Set();
	}

	isFresh(sequence: number): boolean {
		if (sequence <= this.#below || sequence <= this.highest - WINDOW) return false;
		return !this.#seen.has(sequence);
	}

	mark(sequence: number): void {
		this.#seen.add(sequence);
		this.highest = Math.max(this.highest, sequence);
	}
}

/** Where the next number is, seen from the highest so far. */
const step = fc.oneof(
	{ weight: 6, arbitrary: fc.integer({ min: -20, max: 20 }) },
	{ weight: 2, arbitrary: fc.integer({ min: -WINDOW - 40, max: -WINDOW + 40 }) },
	{ weight: 2, arbitrary: fc.integer({ min: WINDOW - 40, max: WINDOW + 40 }) },
	{ weight: 1, arbitrary: fc.integer({ min: -3 * WINDOW, max: 3 * WINDOW }) },
);

test("the window answers as if it remembered every number", () => {
	const starts = fc.constantFrom(0, 5, WINDOW - 1, 2 ** 31 - 3, 2 ** 32 - 3, 2 ** 52);
	fc.assert(
		fc.property(starts, fc.array(step, { maxLength: 200 }), (start, steps) => {
			const window = new ReplayWindow();
			const naive = new NaiveWindow();
			if (start > 0) {
				window.reset(start);
				naive.reset(start);
			}
			for (const [i, by] of steps.entries()) {
				const sequence = naive.highest + by;
				if (sequence < 1) continue;
				assert.equal(window.isFresh(sequence), naive.isFresh(sequence), `step ${i}: ${sequence}`);
				assert.equal(window.isSeen(sequence), sequence <= naive.highest && !naive.isFresh(sequence));
				if (!naive.isFresh(sequence)) continue;
				window.mark(sequence);
				naive.mark(sequence);
				assert.equal(window.highest, naive.highest);
				assert.equal(window.low, naive.highest - WINDOW + 1);
				for (let n = naive.highest; n > Math.max(0, naive.highest - 50); n--) {
					assert.equal(window.isFresh(n), naive.isFresh(n), `${n} after ${sequence}`);
				}
			}
		}),
		{ numRuns: 300 },
	);
});

test("a number is fresh once, and one as old as the window is wide never", () => {
	const window = new ReplayWindow();
	window.mark(1);
	assert.equal(window.isFresh(1), false);
	window.mark(WINDOW);
	assert.equal(window.isFresh(2), true);
	window.mark(WINDOW + 1);
	assert.equal(window.isFresh(1), false);
	window.mark(WINDOW + 2);
	assert.equal(window.isFresh(2), false, "never seen, but too old to tell");
	assert.equal(window.isFresh(3), true);
});

test("after a reset only higher numbers are fresh, however many were missing before", () => {
	const window = new ReplayWindow();
	window.mark(9000);
	window.reset(20);
	for (const seen of [1, 19, 20]) assert.equal(window.isFresh(seen), false);
	assert.equal(window.isFresh(21), true);
	window.mark(25);
	assert.deepEqual(
		[20, 21, 24, 25].map((n) => window.isSeen(n)),
		[true, false, false, true],
	);
});
