import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../sync/simulation.ts";
import { SlotSet } from "./slot-set.ts";

test("members are held once, in the order of their addition, over many pages", () => {
	const set = new SlotSet();
	const slots = Array.from({ length: 20_000 }, (_, i) => (i * 7919) % 50_000);
	for (const slot of slots) {
		set.add(slot);
		set.add(slot);
	}
	assert.equal(set.size, slots.length);
	assert.deepEqual([...set], slots);
	const taken: number[] = [];
	for (let slot = set.take(); slot >= 0; slot = set.take()) taken.push(slot);
	assert.deepEqual(taken, slots);
	assert.equal(set.size, 0);
	assert.equal(set.take(), -1);
});

test("any mixture of operations agrees with a Set", () => {
	for (let seed = 1; seed <= 20; seed++) {
		const random = new Random(seed);
		const set = new SlotSet();
		const model = new Set<number>();
		for (let i = 0; i < 20_000; i++) {
			const slot = random.below(9000);
			const dice = random.next();
			if (dice < 0.5) {
				set.add(slot);
				model.add(slot);
			} else if (dice < 0.7) assert.equal(set.delete(slot), model.delete(slot));
			else if (dice < 0.9) {
				const taken = set.take();
				assert.equal(taken >= 0, model.size > 0);
				if (taken >= 0) assert.ok(model.delete(taken), "what is taken was a member");
			} else assert.equal(set.has(slot), model.has(slot));
			if (dice > 0.9999) {
				set.clear();
				model.clear();
			}
			assert.equal(set.size, model.size);
		}
		assert.deepEqual(
			[...set].sort((a, b) => a - b),
			[...model].sort((a, b) => a - b),
		);
	}
});

test("what is added during a walk is part of it, what is deleted is not", () => {
	const set = new SlotSet();
	for (const slot of [5, 6, 7]) set.add(slot);
	const seen: number[] = [];
	for (const slot of set) {
		seen.push(slot);
		if (slot === 5) {
			set.delete(6);
			set.add(9000);
		}
	}
	assert.deepEqual(seen, [5, 7, 9000]);
});

test("a slot that is deleted and comes back is not walked over twice", () => {
	const set = new SlotSet();
	set.add(1);
	set.add(2);
	set.delete(1);
	set.add(1);
	assert.deepEqual([...set], [1, 2]);
	assert.equal(set.take(), 1);
	assert.equal(set.take(), 2);
	assert.equal(set.take(), -1);
});
