import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CONNTRACK, EXPECTATION } from "../conntrack/kind.ts";
import { DirtySet, keyOf, kindOf, slotOf } from "./dirty-set.ts";

test("a key holds a kind and a slot", () => {
	for (const kind of [CONNTRACK, EXPECTATION] as const) {
		for (const slot of [0, 1, 4095, 2 ** 30 - 1]) {
			const key = keyOf(kind, slot);
			assert.deepEqual([kindOf(key), slotOf(key)], [kind, slot]);
		}
	}
});

test("a thousand changes of a slot are one place in the queue", () => {
	const dirty = new DirtySet();
	for (let i = 0; i < 1000; i++) dirty.mark(CONNTRACK, 7, i % 2 ? 0b01 : 0b10);
	assert.equal(dirty.queue.length, 1);
	assert.equal(dirty.queue.peek(), keyOf(CONNTRACK, 7));
	assert.equal(dirty.peers(CONNTRACK, 7), 0b11);
	assert.equal(dirty.peers(EXPECTATION, 7), 0, "the halves have slots of their own");
});

test("a slot that changes after it has left the queue is queued again", () => {
	const dirty = new DirtySet();
	dirty.mark(CONNTRACK, 7, 1);
	dirty.shift();
	assert.equal(dirty.peers(CONNTRACK, 7), 1, "leaving the queue does not clean");
	dirty.clean(CONNTRACK, 7);
	assert.deepEqual([dirty.queue.length, dirty.peers(CONNTRACK, 7)], [0, 0]);
	dirty.mark(CONNTRACK, 7, 2);
	assert.deepEqual([dirty.queue.length, dirty.peers(CONNTRACK, 7)], [1, 2]);
});

test("a slot that was cleaned in the queue keeps its one place there", () => {
	const dirty = new DirtySet();
	dirty.mark(CONNTRACK, 7, 1);
	dirty.clean(CONNTRACK, 7);
	dirty.mark(CONNTRACK, 7, 2);
	assert.deepEqual([dirty.queue.length, dirty.peers(CONNTRACK, 7)], [1, 2]);
});

test("the set behaves like a map and a list without repetitions", () => {
	const kinds = fc.constantFrom(CONNTRACK, EXPECTATION);
	const slots = fc.oneof(fc.nat(9), fc.nat(20_000));
	const what = fc.constantFrom("mark", "mark", "markUnqueued", "clean", "shift");
	const operation = fc.tuple(what, kinds, slots, fc.nat(0xffff));
	fc.assert(
		fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
			const dirty = new DirtySet();
			const peers = new Map<number, number>();
			const queue: number[] = [];
			for (const [name, kind, slot, mask] of operations) {
				const key = keyOf(kind, slot);
				if (name === "mark" || name === "markUnqueued") {
					dirty[name](kind, slot, mask);
					peers.set(key, (peers.get(key) ?? 0) | mask);
					if (name === "mark" && !queue.includes(key)) queue.push(key);
				} else if (name === "clean") {
					dirty.clean(kind, slot);
					peers.delete(key);
				} else if (queue.length > 0) {
					assert.equal(dirty.queue.peek(), queue.shift());
					dirty.shift();
				}
				assert.equal(dirty.queue.length, queue.length);
				assert.equal(dirty.peers(kind, slot), peers.get(key) ?? 0);
			}
			for (const [key, mask] of peers) assert.equal(dirty.peers(kindOf(key), slotOf(key)), mask);
		}),
	);
});
