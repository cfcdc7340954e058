import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arbitraryExpectation, arbitraryNames } from "../conntrack/arbitrary.ts";
import * as X from "../conntrack/expectation-record.ts";
import { writeMasterKey } from "../conntrack/master.ts";
import * as R from "../conntrack/record.ts";
import { ExpectationFilter, type MasterLookup } from "./expectation-filter.ts";
import { Filter, type FilterPolicy } from "./filter.ts";

const unknown = (): undefined => undefined;
/** A master of which nothing but the key is known. */
function byKey(expectation: X.ExpectationRecord): R.ConntrackRecord {
	const master = R.newConntrackRecord();
	writeMasterKey(master, expectation, 0);
	return master;
}

test("the helper's name has to begin with one of the list, in any case of letters; no name is none", () => {
	const lists = fc.oneof(
		fc.constant(true as const),
		fc.array(fc.constantFrom("ftp", "q", "q.931", "net", "netbios-ns2", "sip"), { maxLength: 3 }),
	);
	fc.assert(
		fc.property(arbitraryExpectation(), lists, (record, list) => {
			const names = arbitraryNames();
			const filter = new ExpectationFilter(new Filter({}, []), names, list, byKey);
			const has = (record[X.EXP_HAS]! & X.X_HELPER) !== 0;
			const name = has ? names.name(record[X.EXP_HELPER]!).toLowerCase() : "";
			// whoever wants those of broadcasts has to name them
			let expected = list === true && !name.startsWith("netbios-ns") && !name.startsWith("snmp");
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
const passes = (policy: FilterPolicy, lookup: MasterLookup = byKey): boolean =>
	new ExpectationFilter(new Filter(policy, []), arbitraryNames(), true, lookup).passes(expectation());

test("an expectation passes if its master does: its own addresses do not count", () => {
	assert.equal(passes(ignore(10, 0, 0, 1)), false);
	assert.equal(passes(ignore(192, 0, 2, 9)), false);
	assert.equal(passes(ignore(172, 16, 0, 1)), true);
	assert.equal(passes({ protocol: { accept: false, protocols: [6] } }), false);
	assert.equal(passes({ protocol: { accept: true, protocols: [6] } }), true);
});

test("what is known of the master counts", () => {
	const lookup = (expectation: X.ExpectationRecord) => {
		const master = byKey(expectation);
		master[R.HAS] = R.H_REPLY | R.H_TCP;
		master[R.PROTOINFO] = 7;
		new Uint8Array(master.buffer).set([10, 9, 9, 9], R.REPLY_SRC * 4);
		return master;
	};
	assert.equal(passes(ignore(192, 0, 2, 9), lookup), true, "it is translated");
	assert.equal(passes(ignore(10, 9, 9, 9), lookup), false);
	assert.equal(passes({ state: { accept: true, tcpStates: [3] } }, lookup), false);
	assert.equal(passes({ state: { accept: true, tcpStates: [7] } }, lookup), true);
});

test("an expectation whose master is not known does not pass", () => {
	assert.equal(passes({}, unknown), false);
	assert.equal(passes({}), true);
});
