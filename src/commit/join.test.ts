import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Conntrack, conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { IP_CT_TCP_FLAG_BE_LIBERAL, tcpState } from "../conntrack/protoinfo.ts";
import * as R from "../conntrack/record.ts";
import { joinConntrack } from "./join.ts";

const CONTROL: Conntrack = {
	family: "ipv4",
	protocol: 6,
	zoneOrig: 0,
	zoneReply: 0,
	orig: { src: "192.0.2.1", dst: "198.51.100.2", sport: 40000, dport: 21 },
	reply: { src: "198.51.100.2", dst: "203.0.113.9", sport: 21, dport: 40000 },
	status: 0x219e,
	timeout: 1000,
	mark: 5,
	helper: "ftp",
	tcp: { state: "ESTABLISHED", scaleOrig: 7, scaleReply: 7, flagsOrig: 0xb, flagsReply: 0xb },
};
const MASTER = { family: "ipv4", protocol: 6, ...CONTROL.orig, zone: 0 } as const;

/** Of the states of TCP, from the beginning of a connection to its end. */
const ORDER = [
	"NONE",
	"SYN_SENT",
	"SYN_SENT2",
	"SYN_RECV",
	"ESTABLISHED",
	"FIN_WAIT",
	"CLOSE_WAIT",
	"LAST_ACK",
	"TIME_WAIT",
	"CLOSE",
];

function join(local: Conntrack, committed: Conntrack, windowTracking = false) {
	const names = new NameTable();
	const record = conntrackToRecord(committed, names);
	const verdict = joinConntrack(conntrackToRecord(local, names), record, windowTracking);
	return { verdict, record };
}

test("two equal views need no change", () => {
	assert.equal(join(CONTROL, CONTROL).verdict, "keep");
	const related = { ...CONTROL, master: MASTER };
	assert.equal(join(related, related).verdict, "keep");
});

test("NAT, helper or master of another kind mean another connection", () => {
	const { helper: _, ...withoutHelper } = CONTROL;
	const different: [name: string, local: Conntrack, committed: Conntrack][] = [
		["translated address", CONTROL, { ...CONTROL, reply: { ...CONTROL.reply!, dst: "203.0.113.10" } }],
		["translated port", CONTROL, { ...CONTROL, reply: { ...CONTROL.reply!, dport: 40001 } }],
		["server behind it", CONTROL, { ...CONTROL, reply: { ...CONTROL.reply!, src: "10.0.0.5" } }],
		["helper", CONTROL, { ...CONTROL, helper: "irc" }],
		["no helper there", withoutHelper, CONTROL],
		["no helper any more", CONTROL, withoutHelper],
		["no master there", CONTROL, { ...CONTROL, master: MASTER }],
		["no master any more", { ...CONTROL, master: MASTER }, CONTROL],
		["master", { ...CONTROL, master: MASTER }, { ...CONTROL, master: { ...MASTER, sport: 40001 } }],
		["master", { ...CONTROL, master: MASTER }, { ...CONTROL, master: { ...MASTER, src: "192.0.2.2" } }],
	];
	for (const [name, local, committed] of different)
		assert.equal(join(local, committed).verdict, "replace", name);
});

test("an attribute that the committed record does not have is no reason for anything", () => {
	const { reply: _, timeout: __, mark: ___, tcp: ____, status: _____, ...bare } = CONTROL;
	assert.equal(join(CONTROL, bare).verdict, "keep");
});

test("a mark, and a status bit that is missing here, are brought up to date", () => {
	const marked = join(CONTROL, { ...CONTROL, mark: 6 });
	assert.deepEqual([marked.verdict, marked.record[R.MARK]], ["update", 6]);
	const { mark: _, ...unmarked } = CONTROL;
	assert.equal(join(unmarked, { ...CONTROL, mark: 0 }).verdict, "keep");
	const assured = join({ ...CONTROL, status: 0x2188 }, { ...CONTROL, status: 0x210e });
	assert.deepEqual([assured.verdict, assured.record[R.STATUS]], ["update", 0x218e]);
});

test("status bits that are one kernel's own business stay as they are here", () => {
	// EXPECTED, SRC_NAT, SEQ_ADJUST, DYING, HELPER, OFFLOAD
	const joined = join({ ...CONTROL, status: 0xe }, { ...CONTROL, status: 0x625f });
	assert.deepEqual([joined.verdict, joined.record[R.STATUS]], ["keep", 0xe]);
});

test("the state goes forward and never back, along the life of a connection", () => {
	ORDER.forEach((here, i) => {
		ORDER.forEach((there, j) => {
			const local = { ...CONTROL, tcp: { ...CONTROL.tcp!, state: here } };
			const { verdict, record } = join(local, { ...CONTROL, tcp: { ...CONTROL.tcp!, state: there } });
			assert.equal(verdict, j > i ? "update" : "keep", `${here}, ${there}`);
			const expected = conntrackToRecord(
				{ ...CONTROL, tcp: { ...CONTROL.tcp!, state: j > i ? there : here } },
				new NameTable(),
			);
			assert.equal(tcpState(record), tcpState(expected), `${here}, ${there}`);
		});
	});
});

test("an entry that checks windows is updated, unless windows are to be checked", () => {
	const strict = { ...CONTROL, tcp: { ...CONTROL.tcp!, flagsReply: 0x3 } };
	assert.equal(join(strict, CONTROL, false).verdict, "update");
	assert.equal(join(strict, CONTROL, true).verdict, "keep");
});

test("the longer timeout counts, and a shorter one here is no reason for an update", () => {
	const longer = join({ ...CONTROL, timeout: 5 }, CONTROL);
	assert.deepEqual([longer.verdict, longer.record[R.TIMEOUT]], ["keep", 1000]);
	assert.equal(join({ ...CONTROL, timeout: 2000 }, CONTROL).record[R.TIMEOUT], 2000);
	assert.equal(join({ ...CONTROL, timeout: 0xffffffff }, CONTROL).record[R.TIMEOUT]! >>> 0, 0xffffffff);
});

test("an entry that has ended here is not given the time of an established connection", () => {
	const ended = { ...CONTROL, mark: 1, timeout: 9, tcp: { ...CONTROL.tcp!, state: "CLOSE" } };
	const { verdict, record } = join(ended, { ...CONTROL, timeout: 432000 });
	assert.deepEqual([verdict, record[R.TIMEOUT]], ["update", 9]);
});

const SEQ = { correctionPosition: 0xfffffff0, offsetBefore: 2, offsetAfter: 4 };

test("sequence adjustments are those that were made further on in the stream, also past zero", () => {
	const later = { correctionPosition: 0x10, offsetBefore: 4, offsetAfter: 7 };
	const forward = join({ ...CONTROL, seqOrig: SEQ }, { ...CONTROL, seqOrig: later });
	assert.equal(forward.verdict, "update");
	assert.deepEqual([...forward.record.subarray(R.SEQ_ORIG, R.SEQ_ORIG + 3)], [0x10, 4, 7]);
	const back = join({ ...CONTROL, seqOrig: later }, { ...CONTROL, seqOrig: SEQ });
	assert.equal(back.verdict, "keep");
	assert.deepEqual([...back.record.subarray(R.SEQ_ORIG, R.SEQ_ORIG + 3)], [0x10, 4, 7]);
});

test("sequence adjustments that are not here at all are brought here", () => {
	assert.equal(join(CONTROL, { ...CONTROL, seqReply: SEQ }).verdict, "update");
	const zero = { correctionPosition: 0, offsetBefore: 0, offsetAfter: 0 };
	const { verdict, record } = join({ ...CONTROL, seqReply: zero }, { ...CONTROL, seqReply: SEQ });
	assert.deepEqual([verdict, record[R.SEQ_REPLY + 2]], ["update", 4]);
});

const attributes = fc.record({
	isTcp: fc.boolean(),
	state: fc.constantFrom(...ORDER),
	flags: fc.integer({ min: 0, max: 15 }),
	status: fc.integer({ min: 0, max: 0xffff }),
	timeout: fc.integer({ min: 0, max: 0xffffffff }),
	mark: fc.option(fc.constantFrom(0, 1, 0xffffffff), { nil: undefined }),
	seq: fc.option(
		fc.record({
			correctionPosition: fc.integer({ min: 0, max: 0xffffffff }),
			offsetBefore: fc.integer({ min: -9, max: 9 }),
			offsetAfter: fc.integer({ min: -9, max: 9 }),
		}),
		{ nil: undefined },
	),
	port: fc.constantFrom(40000, 40000, 40000, 40001),
	helper: fc.constantFrom(undefined, "ftp"),
	hasMaster: fc.boolean(),
});
type Attributes = typeof attributes extends fc.Arbitrary<infer T> ? T : never;

function conntrackOf(a: Attributes): Conntrack {
	const { helper: _, mark: __, tcp, ...base } = CONTROL;
	return {
		...base,
		reply: { ...CONTROL.reply!, dport: a.port },
		status: a.status,
		timeout: a.timeout,
		...(a.isTcp ? { tcp: { ...tcp!, state: a.state, flagsOrig: a.flags, flagsReply: a.flags } } : {}),
		...(a.mark === undefined ? {} : { mark: a.mark }),
		...(a.seq === undefined ? {} : { seqOrig: a.seq, seqReply: a.seq }),
		...(a.helper === undefined ? {} : { helper: a.helper }),
		...(a.hasMaster ? { master: MASTER } : {}),
	};
}

/** What the kernel has after the update: it keeps what the request does not name. */
function updated(local: Int32Array, request: Int32Array, windowTracking: boolean): Int32Array {
	const out = local.slice();
	R.mergeConntrack(out, request, 0);
	const liberal = IP_CT_TCP_FLAG_BE_LIBERAL * 0x01010000;
	if ((request[R.HAS]! & R.H_TCP) !== 0) {
		out[R.PROTOINFO] = windowTracking ? out[R.PROTOINFO]! & ~liberal : out[R.PROTOINFO]! | liberal;
	}
	return out;
}

const SEEN_REPLY_AND_ASSURED = 0x6;
const rank = (record: Int32Array): number =>
	(record[R.HAS]! & R.H_TCP) === 0
		? -1
		: ORDER.findIndex(
				(state) =>
					tcpState(conntrackToRecord({ ...CONTROL, tcp: { ...CONTROL.tcp!, state } }, new NameTable())) ===
					tcpState(record),
			);

test("a join is never behind the local entry, and joining again changes nothing, whatever the two are", () => {
	fc.assert(
		fc.property(attributes, attributes, fc.boolean(), fc.boolean(), (a, b, isSame, windowTracking) => {
			const names = new NameTable();
			const local = conntrackToRecord(conntrackOf(a), names);
			const shared = isSame ? { port: a.port, helper: a.helper, hasMaster: a.hasMaster, isTcp: a.isTcp } : {};
			const committed = conntrackToRecord(conntrackOf({ ...b, ...shared }), names);
			const before = local.slice();
			const record = committed.slice();
			const verdict = joinConntrack(local, record, windowTracking);
			assert.deepEqual(local, before);
			const isOther = !isSame && (a.port !== b.port || a.helper !== b.helper || a.hasMaster !== b.hasMaster);
			assert.equal(verdict === "replace", isOther);
			if (verdict === "replace") {
				assert.deepEqual(record, committed);
				return;
			}
			const kernel = verdict === "update" ? updated(local, record, windowTracking) : local;
			assert.ok(rank(kernel) >= rank(local));
			if (rank(local) >= 0) assert.ok(rank(kernel) >= rank(committed));
			assert.ok(record[R.TIMEOUT]! >>> 0 >= local[R.TIMEOUT]! >>> 0);
			const wanted = (local[R.STATUS]! | committed[R.STATUS]!) & SEEN_REPLY_AND_ASSURED;
			assert.equal(kernel[R.STATUS]! & SEEN_REPLY_AND_ASSURED, wanted);
			assert.equal((kernel[R.STATUS]! & local[R.STATUS]!) >>> 0, local[R.STATUS]! >>> 0);
			if (b.mark !== undefined)
				assert.equal((kernel[R.MARK]! >>> 0) * Number((kernel[R.HAS]! & R.H_MARK) !== 0), b.mark);
			assert.equal(joinConntrack(kernel, record.slice(), windowTracking), "keep");
			assert.equal(joinConntrack(kernel, committed.slice(), windowTracking), "keep");
		}),
		{ numRuns: 2000 },
	);
});
