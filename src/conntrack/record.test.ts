import assert from "node:assert/strict";
import { test } from "node:test";
import { packTcp } from "./protoinfo.ts";
import * as R from "./record.ts";

const ESTABLISHED = 3;
const CLOSE_WAIT = 5;
const UNACKNOWLEDGED = 0x13;
const CALM = 0x03;

function tcp(timeout: number, state: number, flagsOrig: number, flagsReply = CALM): R.ConntrackRecord {
	const record = R.newConntrackRecord();
	record[R.HAS] = R.H_TCP | R.H_TIMEOUT;
	record[R.TIMEOUT] = timeout;
	record[R.PROTOINFO] = packTcp(state, 7, 7, flagsOrig, flagsReply);
	return record;
}

const CASES: [what: string, known: R.ConntrackRecord, change: R.ConntrackRecord, timeout: number][] = [
	["a shorter one is taken over", tcp(432000, ESTABLISHED, CALM), tcp(431000, ESTABLISHED, CALM), 431000],
	[
		"the one of data that waits for its acknowledgement is not",
		tcp(432000, ESTABLISHED, CALM),
		tcp(300, ESTABLISHED, UNACKNOWLEDGED),
		432000,
	],
	[
		"nor when the other direction waits",
		tcp(432000, ESTABLISHED, CALM),
		tcp(300, ESTABLISHED, CALM, UNACKNOWLEDGED),
		432000,
	],
	[
		"a longer one is, whatever waits",
		tcp(300, ESTABLISHED, UNACKNOWLEDGED),
		tcp(432000, ESTABLISHED, UNACKNOWLEDGED),
		432000,
	],
	[
		"that of another state is, whatever waits",
		tcp(432000, ESTABLISHED, CALM),
		tcp(60, CLOSE_WAIT, UNACKNOWLEDGED),
		60,
	],
];

test("an update that is not about the state tells no timeout that is right for long", () => {
	const mark = tcp(300, 0, 0);
	mark[R.HAS] = R.H_TIMEOUT | R.H_MARK;
	for (const [state, timeout] of [
		[ESTABLISHED, 432000],
		[CLOSE_WAIT, 300],
	] as const) {
		const known = tcp(432000, state, CALM);
		assert.ok(R.mergeConntrack(known, mark, R.H_WIRE), "the mark is news");
		assert.equal(known[R.TIMEOUT], timeout);
	}
});

for (const [what, known, change, timeout] of CASES) {
	test(`of timeouts: ${what}`, () => {
		R.mergeConntrack(known, change, R.H_WIRE);
		assert.equal(known[R.TIMEOUT], timeout);
		assert.equal(known[R.PROTOINFO], change[R.PROTOINFO], "the rest is");
	});
}
