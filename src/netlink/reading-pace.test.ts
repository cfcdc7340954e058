// When to read at once and when in bursts, under loads that a virtual clock plays.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BURST_MAX_MS, ReadingPace } from "./reading-pace.ts";

/** Milliseconds from the moment at which an event has come until its reader runs. */
const WAKE_UP = 0.05;

/** A reader at this pace, and how long events wait for it, in milliseconds. */
class Reader {
	now = 1000;
	readonly pace: ReadingPace;
	#nextRead = 0;

	constructor(intervalMax?: number) {
		this.pace = new ReadingPace(this.now, intervalMax);
	}

	/** Plays events at these times, which ascend; how long each has waited. */
	play(times: readonly number[]): number[] {
		const waits: number[] = [];
		for (let i = 0; i < times.length; ) {
			// at once, or at the end of the interval; bursts that find nothing are read, too
			const isAtOnce = this.pace.interval === 0;
			const at = isAtOnce ? Math.max(this.now, times[i]! + WAKE_UP) : this.#nextRead;
			let events = 0;
			for (; i < times.length && times[i]! <= at; i++, events++) waits.push(at - times[i]!);
			this.now = at;
			this.pace.read(events, at);
			this.#nextRead = at + this.pace.interval;
		}
		return waits;
	}

	/** Events at this rate over so many milliseconds, evenly, or as often as a second in bunches. */
	run(perSecond: number, milliseconds: number, bunch = 1): number[] {
		const count = Math.round((perSecond * milliseconds) / 1000);
		return this.play(
			Array.from({ length: count }, (_, i) => this.now + ((i - (i % bunch)) * 1000) / perSecond),
		);
	}
}

const longest = (waits: readonly number[]): number => waits.reduce((a, b) => Math.max(a, b), 0);
/** After a change of load its first events may still find the other pace. */
const after = (milliseconds: number, perSecond: number, waits: readonly number[]): number[] =>
	waits.slice(Math.ceil((milliseconds * perSecond) / 1000));

test("few events are read at once, evenly or in bunches of what a browser opens", () => {
	for (const perSecond of [100, 1000, 1900]) {
		for (const bunch of [1, 10, 40]) {
			const reader = new Reader();
			assert.ok(longest(reader.run(perSecond, 5000, bunch)) < 0.1, `${perSecond}/s, ${bunch} at once`);
			assert.equal(reader.pace.interval, 0);
		}
	}
});

test("a single bunch after a silence does not make the next events wait", () => {
	for (const bunch of [63, 64, 100, 1000]) {
		const reader = new Reader();
		reader.run(100, 1000);
		reader.play(new Array<number>(bunch).fill(reader.now + 100));
		assert.equal(reader.pace.interval, 0, `${bunch}`);
	}
});

test("many events are read in bursts, which are shorter the more there are", () => {
	for (const [perSecond, least, most] of [
		[6000, 20, 20],
		[10_000, 20, 20],
		[50_000, 10, 10],
		[100_000, 5, 5],
		[200_000, 2, 3],
		[400_000, 1, 1],
	] as const) {
		const wait = longest(after(100, perSecond, new Reader().run(perSecond, 2000)));
		assert.ok(wait > least - 0.2 && wait < most + 0.1, `${perSecond}/s: ${wait} ms`);
	}
	const bounded = new Reader(2);
	bounded.run(10_000, 1000);
	assert.equal(bounded.pace.interval, 2);
	assert.equal(new ReadingPace(0, 0.5).interval, 0);
});

test("once the load has fallen events are read at once again, however little below the threshold it is", () => {
	for (const perSecond of [0, 100, 1000, 1900]) {
		const reader = new Reader();
		reader.run(300_000, 500);
		assert.ok(reader.pace.interval > 0);
		const quiet = reader.run(perSecond, 3000);
		if (perSecond === 0) {
			// nothing wakes a reader by the clock but the clock
			for (let i = 0; i < 20; i++) {
				reader.now += BURST_MAX_MS;
				reader.pace.read(0, reader.now);
			}
		}
		assert.equal(reader.pace.interval, 0, `${perSecond}/s`);
		assert.ok(longest(after(150, perSecond, quiet)) < 0.1, `${perSecond}/s`);
	}
});

test("a load just above the threshold stays in bursts, and leaves them when it falls", () => {
	const reader = new Reader();
	reader.run(20_000, 200);
	reader.run(2200, 10_000);
	assert.ok(reader.pace.interval > 0);
	const quiet = reader.run(1800, 1000);
	assert.equal(reader.pace.interval, 0);
	assert.ok(longest(after(150, 1800, quiet)) < 0.1);
});

test("a load between the thresholds does not change a reader that reads at once", () => {
	const reader = new Reader();
	assert.ok(longest(reader.run(4500, 10_000)) < 0.1);
});

test("readings in no time at all, and of nothing, are borne", () => {
	const pace = new ReadingPace(0);
	pace.read(100, 0);
	assert.equal(pace.interval, 1);
	pace.read(0, 0);
	assert.equal(pace.interval, 1);
	pace.read(0, 1);
	assert.equal(pace.interval, 5);
});

test("when a load is over whoever comes meanwhile waits for five milliseconds, not for a whole burst", () => {
	const reader = new Reader();
	reader.run(10_000, 500);
	assert.equal(reader.pace.interval, BURST_MAX_MS);
	const quiet = reader.run(1000, 200);
	assert.ok(longest(after(BURST_MAX_MS, 1000, quiet)) <= 5);
	assert.ok(longest(after(100, 1000, quiet)) < 0.1);
});
