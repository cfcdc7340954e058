import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import * as R from "../conntrack/record.ts";
import { ConntrackLayout } from "./conntrack-layout.ts";
import { DEAD, LIVE } from "./record-layout.ts";
import { RecordStore } from "./record-store.ts";

const newStore = () => new RecordStore(new ConntrackLayout(), 12345, 16);

/** A record whose key and attributes follow from two small numbers. */
function sample(key: number, variant: number): Int32Array {
	const record = R.newConntrackRecord();
	const ipv6 = key % 3 === 0;
	record[R.PROTOCOLS] = (ipv6 ? 10 : 2) | (6 << 8);
	record[R.ORIG_SRC] = 0x0100000a;
	record[R.ORIG_DST] = 0x0200000a;
	record[R.REPLY_SRC] = 0x0200000a;
	record[R.REPLY_DST] = 0x0100000a;
	// IPv6 entries differ in the last word of an address only
	if (ipv6) record[R.ORIG_DST + 3] = key;
	else record[R.ORIG_PORTS] = key;
	record[R.HAS] = R.H_REPLY | R.H_STATUS | R.H_TCP;
	record[R.STATUS] = variant;
	if (variant % 2) {
		record[R.HAS]! |= R.H_MASTER;
		record[R.MASTER_PROTOCOLS] = 2 | (6 << 8);
		record[R.MASTER_PORTS] = variant;
	}
	return record;
}

test("a packed record comes out as it went in", () => {
	const store = newStore();
	for (const [key, variant] of [
		[1, 0],
		[2, 1],
		[3, 0],
		[6, 7],
	] as const) {
		const slot = store.insert(sample(key, variant), 0);
		const out = R.newConntrackRecord();
		store.read(slot, out);
		assert.deepEqual(out, sample(key, variant));
	}
});

test("the store behaves like a map, whatever the order of operations, also while the index grows", () => {
	const operation = fc.tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 120 }), fc.nat(9));
	fc.assert(
		fc.property(fc.array(operation, { maxLength: 600 }), (operations) => {
			const store = newStore();
			const model = new Map<number, { slot: number; variant: number; dead: boolean }>();
			for (const [what, key, variant] of operations) {
				const record = sample(key, variant);
				const slot = store.find(record);
				const known = model.get(key);
				assert.equal(slot, known?.slot ?? -1);
				// whoever looks ahead computes the hash once
				const hash = store.hash(record);
				store.fetch(hash);
				assert.equal(store.find(record, hash), slot);
				if (!known) {
					const inserted = variant % 2 ? store.insert(record, 0) : store.insert(record, 0, 0, hash);
					model.set(key, { slot: inserted, variant, dead: false });
				} else if (what === 0) {
					store.remove(slot);
					model.delete(key);
				} else if (what === 1) {
					store.bury(slot, 0);
					known.dead = true;
				} else {
					store.replace(slot, record, 0);
					Object.assign(known, { variant, dead: false });
				}
			}
			assert.equal(store.count, model.size);
			assert.equal(store.live, [...model.values()].filter((entry) => !entry.dead).length);
			const out = R.newConntrackRecord();
			for (const [key, { slot, variant, dead }] of model) {
				assert.equal(store.find(sample(key, 0)), slot);
				assert.equal(store.state(slot), dead ? DEAD : LIVE);
				store.read(slot, out);
				assert.deepEqual(out, sample(key, variant));
			}
		}),
		{ numRuns: 300 },
	);
});

test("growing to many entries keeps every one of them reachable", () => {
	const store = newStore();
	const slots: number[] = [];
	for (let key = 1; key <= 60_000; key++) slots.push(store.insert(sample(key * 3 + 1, 0), 0));
	for (let key = 1; key <= 60_000; key += 2) store.remove(slots[key - 1]!);
	for (let key = 1; key <= 60_000; key++) {
		assert.equal(store.find(sample(key * 3 + 1, 0)), key % 2 ? -1 : slots[key - 1]);
	}
	assert.equal(store.count, 30_000);
});

test("a version beyond 32 bits survives", () => {
	const store = newStore();
	const slot = store.insert(sample(1, 0), 0);
	for (const version of [1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 45 + 7]) {
		store.setVersion(slot, version);
		assert.equal(store.version(slot), version);
	}
});
