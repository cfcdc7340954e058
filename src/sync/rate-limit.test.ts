import assert from "node:assert/strict";
import { test } from "node:test";
import { RateLimit } from "./rate-limit.ts";

test("so many are let through in a second, spread over it", () => {
	const limit = new RateLimit(1000);
	const taken = [0, 0, 0, 0];
	for (let ms = 0; ms < 1000; ms++) {
		for (let i = 0; i < 50; i++) if (limit.take(ms)) taken[Math.floor(ms / 250)]!++;
	}
	for (const quarter of taken) assert.ok(Math.abs(quarter - 250) <= 20, String(taken));
});

test("a few may come at once after a pause, and a limit of less than that lets one through", () => {
	const limit = new RateLimit(1000);
	const burst = (now: number): number =>
		Array.from({ length: 100 }, () => limit.take(now)).filter(Boolean).length;
	assert.equal(burst(5), 20);
	assert.equal(burst(5), 0);
	assert.equal(burst(60_000), 20);
	const seldom = new RateLimit(2);
	assert.deepEqual([seldom.take(0), seldom.take(100), seldom.take(600)], [true, false, true]);
});
