import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arbitraryConntrack } from "../conntrack/arbitrary.ts";
import { packTcp, TCP_ESTABLISHED } from "../conntrack/protoinfo.ts";
import * as R from "../conntrack/record.ts";
import { invertTuple, isPlainReply } from "../conntrack/tuple.ts";
import { ConntrackLayout } from "./conntrack-layout.ts";

const AT = 8;

/** A slot's words with garbage in them, and room on both sides. */
const newSlot = (layout: ConntrackLayout): Int32Array => new Int32Array(AT + layout.packedWords + 8).fill(-7);

function unpacked(layout: ConntrackLayout, slot: Int32Array): Int32Array {
	// what the record held before must not shine through
	const record = R.newConntrackRecord().fill(-9);
	layout.unpack(slot, AT, record);
	return record;
}

test("a record of any shape is unpacked as it was packed, and no word beside the slot is touched", () => {
	fc.assert(
		fc.property(arbitraryConntrack({ id: true }), (record) => {
			const layout = new ConntrackLayout();
			const slot = newSlot(layout);
			layout.pack(slot, AT, record);
			assert.deepEqual(unpacked(layout, slot), record);
			const beside = [...slot.subarray(0, AT), ...slot.subarray(AT + layout.packedWords)];
			assert.ok(beside.every((word) => word === -7));
		}),
		{ numRuns: 300 },
	);
});

test("only what needs them has blocks of its own", () => {
	const layout = new ConntrackLayout();
	const pack = (protocols: number, has: number, nat = 0) => {
		const record = R.newConntrackRecord();
		record[R.PROTOCOLS] = protocols;
		record[R.HAS] = has;
		record[R.ORIG_SRC] = 0x0100000a;
		record[R.ORIG_DST] = 0x0200000a;
		record[R.ORIG_PORTS] = 0x1bb0400;
		invertTuple(record);
		record[R.REPLY_DST]! ^= nat;
		layout.pack(newSlot(layout), AT, record);
		return layout.slabs.map((slab) => slab.highWater);
	};
	const plain = R.H_WIRE & ~R.H_RARE;
	assert.deepEqual(pack(2 | (6 << 8), plain | R.H_ID), [0, 0, 0]);
	assert.deepEqual(pack(2 | (1 << 8), plain), [0, 0, 0], "ICMP");
	assert.deepEqual(pack(10 | (6 << 8), plain), [0, 1, 0]);
	assert.deepEqual(pack(2 | (6 << 8), R.H_MASTER), [0, 1, 1]);
	assert.deepEqual(pack(2 | (6 << 8), plain, 0x0f000000), [1, 1, 1], "NAT");
	assert.deepEqual(pack(10 | (132 << 8), R.H_SCTP, 0x0f000000), [1, 2, 2]);
});

/** The record with another's attributes under its own key. */
function withKeyOf(key: Int32Array, attributes: Int32Array): Int32Array {
	const record = attributes.slice();
	record.set(key.subarray(R.PROTOCOLS, R.REPLY_PORTS), R.PROTOCOLS);
	if ((key[R.PROTOCOLS]! & 0xff) === 2) {
		record.fill(0, R.REPLY_SRC + 1, R.REPLY_SRC + 4);
		record.fill(0, R.REPLY_DST + 1, R.REPLY_DST + 4);
	}
	if (isPlainReply(attributes)) invertTuple(record);
	return record;
}

test("a slot that is written again and again holds the last record, and leaks no block", () => {
	const changes = fc.array(arbitraryConntrack({ id: true }), { minLength: 1, maxLength: 8 });
	fc.assert(
		fc.property(changes, (records) => {
			const layout = new ConntrackLayout();
			const slot = newSlot(layout);
			for (let round = 0; round < 3; round++) {
				layout.pack(slot, AT, records[0]!);
				for (const attributes of records) {
					const record = withKeyOf(records[0]!, attributes);
					layout.repack(slot, AT, record);
					assert.deepEqual(unpacked(layout, slot), record);
				}
				layout.release(slot, AT);
			}
			for (const slab of layout.slabs) assert.ok(slab.highWater <= 1, `blocks of ${slab.blockWords} words`);
		}),
	);
});

/** The words that make the key. */
function keyWords(record: Int32Array): number[] {
	const words = [R.PROTOCOLS, R.ZONES, R.ORIG_PORTS];
	const length = (record[R.PROTOCOLS]! & 0xff) === 10 ? 4 : 1;
	for (let i = 0; i < length; i++) words.push(R.ORIG_SRC + i, R.ORIG_DST + i);
	return words;
}

test("a slot is found by its key, the whole key and nothing but the key", () => {
	fc.assert(
		fc.property(arbitraryConntrack(), arbitraryConntrack(), fc.nat(31), (record, other, bit) => {
			const layout = new ConntrackLayout();
			const slot = newSlot(layout);
			layout.pack(slot, AT, record);
			const same = withKeyOf(record, other);
			assert.equal(layout.same(slot, AT, same), true);
			assert.equal(layout.hash(same, 5), layout.hash(record, 5));
			for (const word of keyWords(record)) {
				const different = record.slice();
				// protocols have sixteen bits, and another family would be another key altogether
				different[word]! ^= word === R.PROTOCOLS ? 0x100 << (bit & 7) : 1 << bit;
				assert.equal(layout.same(slot, AT, different), false, `word ${word}, bit ${bit}`);
				assert.notEqual(layout.hash(different, 5), layout.hash(record, 5));
			}
		}),
		{ numRuns: 300 },
	);
});

test("the hash follows the seed", () => {
	const layout = new ConntrackLayout();
	const record = R.newConntrackRecord();
	const hashes = new Set(Array.from({ length: 100 }, (_, seed) => layout.hash(record, seed)));
	assert.equal(hashes.size, 100);
});

test("what is confirmed is what merging would have left, and no news", () => {
	const difference = fc.record({
		word: fc.integer({ min: R.REPLY_PORTS, max: R.CONNTRACK_WORDS - 1 }),
		xor: fc.integer(),
	});
	let confirmed = 0;
	fc.assert(
		fc.property(
			arbitraryConntrack({ id: true }),
			fc.array(difference, { maxLength: 2 }),
			fc.integer(),
			(known, changes, left) => {
				const layout = new ConntrackLayout();
				const slot = newSlot(layout);
				layout.pack(slot, AT, known);
				const shown = known.slice();
				shown[R.TIMEOUT] = left;
				for (const { word, xor } of changes) shown[word]! ^= xor;
				const change = withKeyOf(known, shown);
				const merged = known.slice();
				const isNews = R.mergeConntrack(merged, change, R.H_WIRE & ~R.H_TIMEOUT);
				if (!layout.confirm(slot, AT, change)) {
					assert.deepEqual(unpacked(layout, slot), known, "nothing was touched");
					return;
				}
				confirmed++;
				assert.ok(!isNews);
				assert.deepEqual(unpacked(layout, slot), merged);
			},
		),
		{ numRuns: 2000 },
	);
	assert.ok(confirmed > 100, String(confirmed));
});

test("a timeout is noted, but not that of a moment in which data waits for its acknowledgement", () => {
	const layout = new ConntrackLayout();
	for (const flags of [0, 0x10]) {
		const record = R.newConntrackRecord();
		record[R.HAS] = R.H_TCP | R.H_TIMEOUT;
		record[R.PROTOCOLS] = 2 | (6 << 8);
		record[R.PROTOINFO] = packTcp(TCP_ESTABLISHED, 0, 0, flags, 0);
		record[R.TIMEOUT] = 432_000;
		const slot = newSlot(layout);
		layout.pack(slot, AT, record);
		record[R.TIMEOUT] = 300;
		assert.equal(layout.confirm(slot, AT, record), flags === 0);
		assert.equal(unpacked(layout, slot)[R.TIMEOUT], flags === 0 ? 300 : 432_000);
	}
});
