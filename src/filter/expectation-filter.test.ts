import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arbitraryExpectation, arbitraryNames } from "../conntrack/arbitrary.ts";
import * as X from "../conntrack/expectation-record.ts";
import * as R from "../conntrack/record.ts";
import { ExpectationFilter } from "./expectation-filter.ts";
import { Filter, type FilterPolicy } from "./filter.ts";

const unknown = (): void => {};

test("the helper's name has to begin with one of the list, in any case of letters; no name is none", () => {
	const lists = fc.oneof(
		fc.constant(true as const),
		fc.array(fc.constantFrom("ftp", "q", "q.931", "net", "netbios-ns2", "sip"), { maxLength: 3 }),
	);
	fc.assert(
		fc.property(arbitraryExpectation(), lists, (record, list) => {
			const names = arbitraryNames();
			const filter = new ExpectationFilter(new Filter({}, []), names, list, unknown);
			const has = (record[X.EXP_HAS]! & X.X_HELPER) !== 0;
			const name = has ? names.name(record[X.EXP_HELPER]!).toLowerCase() : "";
			let expected = list === true;
			for (const beginning of list === true ? [] : list) {
				if (name !== "" && name.slice(0, beginning.length) === beginning) expected = true;
			}
			assert.equal(filter.passes(record), expected);
		}),
		{ numRuns: 500 },
	);
});

function expectation(): X.ExpectationRecord {
	const record = X.newExpectationRecord();
	const bytes = new Uint8Array(record.buffer);
	record[X.EXP_PROTOCOLS] = 2 | (6 << 8);
	record[X.EXP_ZONE] = 3;
	record[X.EXP_MASTER_PROTOCOLS] = 2 | (6 << 8);
	record[X.EXP_MASTER_PORTS] = 40000 | (21 << 16);
	bytes.set([10, 0, 0, 1], X.EXP_MASTER_SRC * 4);
	bytes.set([192, 0, 2, 9], X.EXP_MASTER_DST * 4);
	// the expected tuple itself is somewhere else altogether
	bytes.set([172, 16, 0, 1], X.EXP_SRC * 4);
	bytes.set([172, 16, 0, 2], X.EXP_DST * 4);
	return record;
}

const ignore = (...address: number[]): FilterPolicy => ({
	address: {
		accept: false,
		rules: [{ family: 4, address: Uint8Array.from(address), prefixLength: 32 }],
	},
});
const passes = (policy: FilterPolicy, lookup: (master: R.ConntrackRecord) => void = unknown): boolean =>
	new ExpectationFilter(new Filter(policy, []), arbitraryNames(), true, lookup).passes(expectation());

test("an expectation passes if its master does: its own addresses do not count", () => {
	assert.equal(passes(ignore(10, 0, 0, 1)), false);
	assert.equal(passes(ignore(192, 0, 2, 9)), false);
	assert.equal(passes(ignore(172, 16, 0, 1)), true);
	assert.equal(passes({ protocol: { accept: false, protocols: [6] } }), false);
	assert.equal(passes({ protocol: { accept: true, protocols: [6] } }), true);
});

test("the master is looked up by its whole key, and what is known of it counts", () => {
	const asked: Int32Array[] = [];
	const lookup = (master: R.ConntrackRecord) => {
		asked.push(master.slice());
		master[R.HAS] = R.H_REPLY | R.H_TCP;
		master[R.PROTOINFO] = 7;
		new Uint8Array(master.buffer).set([10, 9, 9, 9], R.REPLY_SRC * 4);
	};
	assert.equal(passes(ignore(192, 0, 2, 9), lookup), true, "it is translated");
	assert.equal(passes(ignore(10, 9, 9, 9), lookup), false);
	assert.equal(passes({ state: { accept: true, tcpStates: [3] } }, lookup), false);
	assert.equal(passes({ state: { accept: true, tcpStates: [7] } }, lookup), true);
	const key = R.newConntrackRecord();
	const record = expectation();
	key[R.PROTOCOLS] = record[X.EXP_MASTER_PROTOCOLS]!;
	key[R.ZONES] = 3 | (3 << 16);
	key[R.ORIG_PORTS] = record[X.EXP_MASTER_PORTS]!;
	key.set(record.subarray(X.EXP_MASTER_SRC, X.EXP_MASTER_SRC + 8), R.ORIG_SRC);
	const filter = new ExpectationFilter(new Filter({}, []), arbitraryNames(), true, lookup);
	for (let i = 0; i < 2; i++) filter.passes(record);
	assert.equal(asked.length, 6);
	for (const master of asked) assert.deepEqual(master, key, "nothing is left of the one before");
});
