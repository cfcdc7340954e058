import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SlotIndex } from "./slot-index.ts";

/** Slots found under a hash. */
function found(index: SlotIndex, hash: number): number[] {
	const slots: number[] = [];
	for (let at = index.first(hash); at >= 0; at = index.next(at, hash)) slots.push(index.slotAt(at));
	return slots.sort((a, b) => a - b);
}

test("it finds what was placed and not what was removed, also where many fall together", () => {
	// hashes of a few low bits only, so that places are taken by others all the time
	const operation = fc.tuple(fc.boolean(), fc.nat(11), fc.nat(20));
	fc.assert(
		fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
			const index = new SlotIndex(32);
			const model = new Map<number, number>();
			for (const [isPlaced, low, slot] of operations) {
				// the same low bits with other high ones: the same place, another hash
				const hash = model.get(slot) ?? low | ((slot % 3) << 20);
				if (!isPlaced) assert.equal(index.remove(slot, hash), model.delete(slot));
				else if (!model.has(slot)) {
					index.place(slot, hash);
					model.set(slot, hash);
				}
				for (const wanted of new Set([hash, ...model.values()])) {
					const expected = [...model].filter(([, one]) => one === wanted).map(([one]) => one);
					assert.deepEqual(
						found(index, wanted),
						expected.sort((a, b) => a - b),
					);
				}
			}
		}),
	);
});

test("a table that is emptied place by place still finds what is left, and the larger one the rest", () => {
	const [old, larger] = [new SlotIndex(16), new SlotIndex(32)];
	// all in one run of places
	for (let slot = 0; slot < 10; slot++) old.place(slot, 3);
	for (let at = 0; at < 8; at++) old.moveTo(larger, at);
	old.removeFromOld(7, 3);
	const left = found(old, 3);
	assert.deepEqual(
		[...left, ...found(larger, 3)].sort((a, b) => a - b),
		[0, 1, 2, 3, 4, 5, 6, 8, 9],
	);
	assert.deepEqual(left, [5, 6, 8, 9]);
	for (let at = 8; at < 16; at++) old.moveTo(larger, at);
	assert.deepEqual(found(old, 3), []);
	assert.equal(found(larger, 3).length, 9);
});
