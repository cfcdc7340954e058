import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arbitraryExpectation } from "../conntrack/arbitrary.ts";
import * as X from "../conntrack/expectation-record.ts";
import { ExpectationLayout } from "./expectation-layout.ts";

const AT = 8;
const layout = new ExpectationLayout();
const newSlot = (): Int32Array => new Int32Array(AT + layout.packedWords + 8).fill(-7);

test("an expectation of any shape is unpacked as it was packed, and no word beside the slot is touched", () => {
	fc.assert(
		fc.property(arbitraryExpectation({ id: true }), arbitraryExpectation(), (first, second) => {
			const slot = newSlot();
			const out = X.newExpectationRecord();
			layout.pack(slot, AT, first);
			layout.unpack(slot, AT, out);
			assert.deepEqual(out, first);
			layout.repack(slot, AT, second);
			layout.unpack(slot, AT, out);
			assert.deepEqual(out, second);
			const beside = [...slot.subarray(0, AT), ...slot.subarray(AT + layout.packedWords)];
			assert.ok(beside.every((word) => word === -7));
		}),
	);
});

test("an expectation is found by tuple, zone, class and mask, and by nothing else", () => {
	const anyWord = fc.nat(X.EXPECTATION_WORDS - 1);
	fc.assert(
		fc.property(arbitraryExpectation(), anyWord, fc.nat(31), (record, word, bit) => {
			const slot = newSlot();
			layout.pack(slot, AT, record);
			const changed = record.slice();
			changed[word]! ^= 1 << bit;
			const isKey = word >= X.EXP_PROTOCOLS && word < X.EXP_MASTER_PROTOCOLS;
			assert.equal(layout.same(slot, AT, changed), !isKey, `word ${word}`);
			assert.equal(layout.hash(changed, 9) === layout.hash(record, 9), !isKey);
		}),
		{ numRuns: 1000 },
	);
});
