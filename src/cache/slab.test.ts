import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CHUNK_BLOCKS, Slab } from "./slab.ts";

function fill(slab: Slab, block: number, value: number): void {
	slab.words(block).fill(value, slab.offset(block), slab.offset(block) + slab.blockWords);
}

function content(slab: Slab, block: number): number[] {
	const at = slab.offset(block);
	return [...slab.words(block).subarray(at, at + slab.blockWords)];
}

test("no two allocated blocks share a word, and none moves", () => {
	const operation = fc.tuple(fc.boolean(), fc.nat(50));
	fc.assert(
		fc.property(fc.array(operation, { maxLength: 200 }), fc.nat(2), (operations, link) => {
			const slab = new Slab(3, link);
			const held = new Map<number, number>();
			let peak = 0;
			for (const [i, [allocates, which]] of operations.entries()) {
				if (allocates) {
					const block = slab.allocate();
					assert.ok(!held.has(block), `block ${block} is in use`);
					fill(slab, block, i + 1);
					held.set(block, i + 1);
					peak = Math.max(peak, held.size);
				} else if (held.size > 0) {
					const block = [...held.keys()][which % held.size]!;
					slab.free(block);
					held.delete(block);
				}
			}
			for (const [block, value] of held) assert.deepEqual(content(slab, block), [value, value, value]);
			assert.equal(slab.highWater, peak, "free blocks are used before new ones");
		}),
	);
});

test("a block that was never used is zero", () => {
	const slab = new Slab(4);
	assert.deepEqual(content(slab, slab.allocate()), [0, 0, 0, 0]);
});

test("chunks are added one at a time, announced once, and seen by whoever adopts them", () => {
	const slab = new Slab(2);
	const reader = new Slab(2);
	let announced = 0;
	slab.onChunk = (chunk) => {
		announced++;
		reader.adopt(chunk);
	};
	for (let i = 0; i < CHUNK_BLOCKS * 2 + 1; i++) fill(slab, slab.allocate(), i);
	assert.deepEqual([announced, slab.chunks.length, slab.highWater], [3, 3, CHUNK_BLOCKS * 2 + 1]);
	assert.equal(slab.bytes, 3 * CHUNK_BLOCKS * 2 * 4);
	for (const block of [0, CHUNK_BLOCKS - 1, CHUNK_BLOCKS, CHUNK_BLOCKS * 2]) {
		assert.deepEqual(content(reader, block), [block, block]);
	}
	fill(slab, 5, -1);
	assert.deepEqual(content(reader, 5), [-1, -1], "it is the same memory");
});

test("a reader that meets a block before its chunk fetches the chunk", () => {
	const slab = new Slab(2);
	fill(slab, slab.allocate(), 7);
	const reader = new Slab(2);
	let asked = 0;
	reader.onMissing = () => {
		asked++;
		for (const chunk of slab.chunks) reader.adopt(chunk);
	};
	assert.deepEqual(content(reader, 0), [7, 7]);
	assert.equal(asked, 1);
});
