import assert from "node:assert/strict";
import { test } from "node:test";
import { PER_SECOND } from "./standing.ts";
import { Tally } from "./tally.ts";

test("counts by master and class, and forgets nothing that is there", () => {
	const tally = new Tally();
	tally.add(1, 0, true, 0);
	tally.add(1, 1, true, 0);
	tally.add(2, 1, true, 0);
	assert.deepEqual(tally.standing(1, 1, true, 0), { inClass: 1, ofMaster: 2, ofOrigin: 3, isTooFast: false });
	assert.deepEqual(tally.standing(3, 1, true, 0), { inClass: 0, ofMaster: 0, ofOrigin: 3, isTooFast: false });
	tally.remove(1, 1);
	assert.deepEqual(tally.standing(1, 1, true, 0), { inClass: 0, ofMaster: 1, ofOrigin: 2, isTooFast: false });
});

test("so many new ones of a master within a second, and no more", () => {
	const tally = new Tally();
	let allowed = 0;
	for (let i = 0; i < 1000; i++) {
		if (tally.standing(1, 0, true, i).isTooFast) continue;
		allowed++;
		tally.add(1, 0, true, i);
		tally.remove(1, 0);
	}
	assert.ok(allowed >= PER_SECOND && allowed <= 2 * PER_SECOND, `${allowed}`);
	assert.equal(tally.standing(2, 0, true, 1000).isTooFast, false, "another master has its own");
	assert.equal(tally.standing(1, 0, false, 1000).isTooFast, false, "what is not new does not count");
	assert.equal(tally.standing(1, 0, true, 1100).isTooFast, false, "after a while it may go on");
});

test("what it remembers of masters without expectations is bounded", () => {
	const tally = new Tally();
	for (let key = 0; key < 100_000; key++) {
		tally.add(key, 0, true, key);
		tally.remove(key, 0);
	}
	assert.equal(tally.total, 0);
	assert.deepEqual(tally.standing(99_999, 0, true, 99_999).ofMaster, 0);
});
