import assert from "node:assert/strict";
import { test } from "node:test";
import { Pace, SteadyPace } from "./pace.ts";

/** How many of `count` datagrams at one instant ask, after one that did. */
function asking(limit: number, count: number): number {
	const pace = new Pace();
	pace.asks(1, limit, true, true, 0);
	let asks = 0;
	for (let i = 0; i < count; i++) if (pace.asks(i + 2, limit, false, true, 0)) asks++;
	return asks;
}

test("one datagram in sixteen asks, or one in a quarter of what may be in flight", () => {
	assert.equal(asking(1024, 160), 10);
	assert.equal(asking(64, 160), 10);
	assert.equal(asking(16, 160), 40);
	assert.equal(asking(8, 160), 80);
	assert.equal(asking(1, 160), 160);
});

test("the first datagram asks, the next ones after ten milliseconds, and what somebody waits for at once", () => {
	const pace = new Pace();
	assert.equal(pace.asks(1, 64, false, true, 1000), true);
	assert.equal(pace.asks(2, 64, false, true, 1009), false);
	assert.equal(pace.asks(3, 64, true, true, 1009), true);
	assert.equal(pace.asks(4, 64, false, true, 1018), false);
	assert.equal(pace.asks(5, 64, false, true, 1019), true);
});

test("of datagrams that go together the last one asks, and is answered for all", () => {
	const pace = new Pace();
	const burst = (first: number, count: number, now: number): boolean[] =>
		Array.from({ length: count }, (_, i) => pace.asks(first + i, 64, false, i === count - 1, now));
	assert.deepEqual(burst(1, 3, 1000), [false, false, true]);
	assert.equal(pace.questionAt, 1000 + pace.patience / 3, "nothing is unasked for");
	assert.deepEqual(burst(4, 3, 1005), [false, false, false]);
	assert.deepEqual(burst(7, 3, 1010), [false, false, true]);
	assert.equal(burst(10, 20, 1011).indexOf(true), 15, "a long one is not waited for");
});

test("when no datagram follows a question goes out alone, and again before patience ends", () => {
	const pace = new Pace();
	pace.asks(6, 64, false, true, 1000);
	pace.asks(7, 64, false, true, 1001);
	assert.equal(pace.questionAt, 1015);
	pace.asked(9, 1015);
	assert.equal(Math.round(pace.questionAt), 1028, "the answer, or the question, is lost");
	assert.ok(1028 < 1001 + pace.patience);
});

test("patience covers the time until a datagram is asked for, and four round trips", () => {
	const pace = new Pace();
	assert.equal(pace.patience, 40);
	for (let i = 0; i < 200; i++) pace.sample(50);
	assert.equal(Math.round(pace.patience), 225);
	pace.expired();
	assert.equal(Math.round(pace.patience), 450);
	pace.acknowledged(1);
	assert.equal(Math.round(pace.patience), 225);
});

test("the window doubles with each round trip up to 256, then grows by one; after a loss by one from the start", () => {
	const pace = new Pace();
	const roundTrip = (): number => {
		pace.acknowledged(Math.floor(pace.window));
		return Math.floor(pace.window);
	};
	assert.deepEqual([roundTrip(), roundTrip(), roundTrip()], [128, 256, 257]);
	pace.lost(1000);
	assert.equal(Math.floor(pace.window), 179);
	assert.equal(roundTrip(), 180);
});

test("what was sent well before a datagram that has come is lost, what was sent with it may be late", () => {
	const pace = new Pace();
	pace.asked(7, 1000);
	assert.equal(pace.isLate(995, 7), true);
	assert.equal(pace.isLate(996, 7), false);
	assert.equal(pace.isLate(900, 6), false, "an answer to an earlier question says nothing");
});

test("what nobody acknowledges goes in bursts of half the smallest buffer, and then at a steady pace", () => {
	const pace = new SteadyPace();
	const take = (now: number, credit: number): number => {
		const room = pace.room(now, credit);
		for (let i = 0; i < room; i++) pace.sent();
		return room;
	};
	assert.equal(take(1000, 64), 32);
	assert.equal(take(1000, 64), 0);
	assert.equal(take(1001, 64), 16);
	assert.equal(take(1100, 64), 32);
	assert.equal(take(2000, 10_000), 256);
	assert.equal(take(2000, 1), 0);
	assert.equal(take(2001, 1), 1);
});
