import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Ring } from "./ring.ts";

test("the ring is a queue, also while it grows and turns", () => {
	const bursts = fc.array(fc.tuple(fc.boolean(), fc.nat(700)), { maxLength: 20 });
	fc.assert(
		fc.property(bursts, (operations) => {
			const ring = new Ring();
			const naive: number[] = [];
			let next = -5;
			for (const [isPush, count] of operations) {
				for (let i = 0; i < count; i++) {
					if (isPush) {
						ring.push(next);
						naive.push(next++);
					} else if (naive.length > 0) {
						assert.equal(ring.peek(), naive.shift());
						ring.shift();
					}
				}
				assert.equal(ring.length, naive.length);
			}
			assert.equal(ring.tail, next + 5);
			assert.equal(ring.head, next + 5 - naive.length);
		}),
	);
});
