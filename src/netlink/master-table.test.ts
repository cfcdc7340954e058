import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as R from "../conntrack/record.ts";
import { MasterTable } from "./master-table.ts";

/** IPv6 ones differ in the last word of the key only. */
function master(key: number): R.ConntrackRecord {
	const record = R.newConntrackRecord();
	record[R.PROTOCOLS] = (key % 2 ? 10 : 2) | (6 << 8);
	if (key % 2) record[R.ORIG_DST + 3] = key;
	else record[R.ORIG_PORTS] = key;
	record[R.MARK] = key;
	return record;
}

test("the table is a map in the order of addition, whatever is done to it", () => {
	const operation = fc.tuple(fc.constantFrom("add", "touch", "delete"), fc.nat(24));
	fc.assert(
		fc.property(fc.array(operation, { maxLength: 200 }), fc.integer(), (operations, seed) => {
			const table = new MasterTable(16, seed);
			let model: number[] = [];
			for (const [what, key] of operations) {
				const slot = table.find(master(key));
				assert.equal(slot >= 0, model.includes(key));
				if (what === "add" && slot < 0) {
					table.add(master(key));
					model = [...model, key].slice(-16);
				} else if (what === "touch" && slot >= 0) {
					table.touch(slot);
					model = [...model.filter((other) => other !== key), key];
				} else if (what === "delete" && slot >= 0) {
					table.delete(slot);
					model = model.filter((other) => other !== key);
				}
				const found = [...table.slots()].map((slot) => {
					const record = R.newConntrackRecord();
					table.read(slot, record);
					return record[R.PROTOCOLS]! & 8 ? record[R.ORIG_DST + 3] : record[R.ORIG_PORTS];
				});
				assert.deepEqual(found, model);
				assert.equal(table.size, model.length);
				assert.equal(
					Array.from({ length: 18 }, (_, i) => i - 1).filter((i) => table.has(i)).length,
					model.length,
				);
			}
			for (let key = 0; key <= 24; key++)
				assert.equal(table.find(master(key)) >= 0, model.includes(key), `${key}`);
		}),
	);
});

test("the key alone is read, and the rest of the record stays", () => {
	const table = new MasterTable(4, 1);
	const slot = table.add(master(7));
	const record = R.newConntrackRecord();
	record[R.MARK] = 5;
	table.read(slot, record);
	const expected = master(7);
	expected[R.MARK] = 5;
	assert.deepEqual(record, expected);
});
