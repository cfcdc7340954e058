import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Conntrack, conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { IP_CT_TCP_FLAG_BE_LIBERAL, tcpFlagsOrig, tcpScaleOrig, tcpState } from "../conntrack/protoinfo.ts";
import * as R from "../conntrack/record.ts";
import { joinConntrack, type LocalView } from "./join.ts";

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

function join(
	local: Conntrack,
	committed: Conntrack,
	windowTracking = false,
	view: LocalView = "alive",
	hasMaster = true,
) {
	const names = new NameTable();
	const record = conntrackToRecord(committed, names);
	const verdict = joinConntrack(conntrackToRecord(local, names), record, view, windowTracking, hasMaster);
	return { verdict, record };
}
const overwrite = (local: Conntrack, committed: Conntrack, windowTracking = false, hasMaster = true) =>
	join(local, committed, windowTracking, "left over", hasMaster);

test("two equal views need no change", () => {
	assert.equal(join(CONTROL, CONTROL).verdict, "keep");
	const related = { ...CONTROL, master: MASTER };
	assert.equal(join(related, related).verdict, "keep");
});

const { helper: _helper, ...withoutHelper } = CONTROL;
const TRANSLATED_OTHERWISE: [name: string, committed: Conntrack][] = [
	["translated address", { ...CONTROL, reply: { ...CONTROL.reply!, dst: "203.0.113.10" } }],
	["translated port", { ...CONTROL, reply: { ...CONTROL.reply!, dport: 40001 } }],
	["server behind it", { ...CONTROL, reply: { ...CONTROL.reply!, src: "10.0.0.5" } }],
];
const BOUND_OTHERWISE: [name: string, local: Conntrack, committed: Conntrack][] = [
	["helper", CONTROL, { ...CONTROL, helper: "irc" }],
	["no helper there", withoutHelper, CONTROL],
	["no helper any more", CONTROL, withoutHelper],
	["no master there", CONTROL, { ...CONTROL, master: MASTER }],
	["no master any more", { ...CONTROL, master: MASTER }, CONTROL],
	["master", { ...CONTROL, master: MASTER }, { ...CONTROL, master: { ...MASTER, sport: 40001 } }],
	["master", { ...CONTROL, master: MASTER }, { ...CONTROL, master: { ...MASTER, src: "192.0.2.2" } }],
];

test("a left-over with other NAT, helper or master is another connection, and is replaced", () => {
	for (const [name, committed] of TRANSLATED_OTHERWISE) {
		assert.equal(overwrite(CONTROL, committed).verdict, "replace", name);
	}
	for (const [name, local, committed] of BOUND_OTHERWISE) {
		assert.equal(overwrite(local, committed).verdict, "replace", name);
	}
	// one that was made without its master, because that is not here, is as good as it can be
	const related = { ...CONTROL, master: MASTER };
	assert.equal(overwrite(CONTROL, related, false, false).verdict, "keep");
});

test("a live entry with other NAT stays, with another helper or master it is joined", () => {
	for (const view of ["alive", "later"] as const) {
		for (const [name, committed] of TRANSLATED_OTHERWISE) {
			assert.equal(join(CONTROL, committed, false, view).verdict, "taken", name);
		}
		for (const [name, local, committed] of BOUND_OTHERWISE) {
			assert.equal(join(local, committed, false, view).verdict, "keep", name);
		}
	}
});

test("a live entry gives way to an assured one with other NAT while nothing has answered it, or when it is over", () => {
	const other = TRANSLATED_OTHERWISE[0]![1];
	const verdict = (status: number, state: string, committed = other) =>
		join({ ...CONTROL, status, tcp: { ...CONTROL.tcp!, state } }, committed).verdict;
	assert.equal(verdict(0x8, "SYN_SENT"), "replace");
	assert.equal(verdict(0x8, "ESTABLISHED"), "replace"); // picked up in mid-stream
	assert.equal(verdict(0xa, "CLOSE"), "replace");
	assert.equal(verdict(0xa, "TIME_WAIT"), "replace");
	assert.equal(verdict(0xa, "SYN_RECV"), "taken");
	assert.equal(verdict(0xe, "CLOSE"), "taken");
	assert.equal(verdict(0x8, "SYN_SENT", { ...other, status: 0xa }), "taken");
	const { tcp: _, ...udp } = CONTROL;
	assert.equal(join({ ...udp, status: 0xa }, other).verdict, "taken");
});

test("a left-over becomes what the peer's entry is, also where that is less far", () => {
	const later = { correctionPosition: 2000, offsetBefore: 2, offsetAfter: 5 };
	const local = { ...CONTROL, mark: 9, timeout: 90, seqOrig: later };
	const earlier = { ...SEQ, correctionPosition: 1000 };
	const young = { ...CONTROL, status: 0x8, timeout: 120, tcp: { ...CONTROL.tcp!, state: "SYN_SENT" } };
	const { verdict, record } = overwrite(local, { ...young, mark: 0, seqReply: earlier });
	assert.equal(verdict, "update");
	assert.equal(tcpState(record), 1);
	assert.deepEqual([record[R.TIMEOUT], record[R.MARK]], [120, 0]);
	// the kernel takes no status bit back, and nothing may go on shifting the stream
	assert.equal(record[R.STATUS], 0x219e);
	assert.deepEqual([...record.subarray(R.SEQ_ORIG, R.SEQ_ORIG + 3)], [0, 0, 0]);
	assert.deepEqual([...record.subarray(R.SEQ_REPLY, R.SEQ_REPLY + 3)], [1000, 2, 4]);
});

test("a left-over that is as it should be is kept, a timeout that has run down is renewed", () => {
	assert.equal(overwrite(CONTROL, CONTROL).verdict, "keep");
	assert.equal(overwrite({ ...CONTROL, timeout: 998 }, CONTROL).verdict, "keep");
	const renewed = overwrite({ ...CONTROL, timeout: 30 }, CONTROL);
	assert.deepEqual([renewed.verdict, renewed.record[R.TIMEOUT]], ["update", 1000]);
	assert.equal(overwrite({ ...CONTROL, timeout: 5000 }, CONTROL).record[R.TIMEOUT], 1000);
});

test("a left-over without room for sequence adjustments, or with windows of long ago, is made anew", () => {
	assert.equal(overwrite(withoutHelper, { ...withoutHelper, seqReply: SEQ }).verdict, "replace");
	assert.equal(overwrite(CONTROL, { ...CONTROL, seqReply: SEQ }).verdict, "update");
	const strict = { ...CONTROL, tcp: { ...CONTROL.tcp!, flagsOrig: 3, flagsReply: 3 } };
	assert.equal(overwrite(strict, strict, true).verdict, "replace");
	assert.equal(overwrite(strict, strict, false).verdict, "update");
});

test("an attribute that the committed record does not have is no reason for anything", () => {
	const { reply: _, timeout: __, mark: ___, tcp: ____, status: _____, ...bare } = CONTROL;
	assert.equal(join(CONTROL, bare).verdict, "keep");
});

test("a mark, and a status bit that is missing here, are brought; a mark that was set here stays", () => {
	const { mark: _, ...unmarked } = CONTROL;
	const marked = join(unmarked, { ...CONTROL, mark: 6 });
	assert.deepEqual([marked.verdict, marked.record[R.MARK]], ["update", 6]);
	assert.equal(join(unmarked, { ...CONTROL, mark: 0 }).verdict, "keep");
	assert.equal(join(CONTROL, { ...CONTROL, mark: 6 }).verdict, "keep");
	const longer = join({ ...CONTROL, status: 0x2188 }, { ...CONTROL, mark: 6 });
	assert.deepEqual([longer.verdict, longer.record[R.MARK]], ["update", 5]);
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

test("an end that the peer told of before the last packet here was another connection's", () => {
	for (const state of ["FIN_WAIT", "TIME_WAIT", "CLOSE"]) {
		const committed = { ...CONTROL, timeout: 30, tcp: { ...CONTROL.tcp!, state } };
		const { verdict, record } = join(CONTROL, committed, false, "later");
		assert.deepEqual([verdict, tcpState(record), record[R.TIMEOUT]], ["keep", 3, 1000], state);
	}
	const opening = { ...CONTROL, tcp: { ...CONTROL.tcp!, state: "SYN_RECV" } };
	assert.equal(join(opening, CONTROL, false, "later").verdict, "update");
});

test("what is over there and not here gets the time of what is over", () => {
	const over = { ...CONTROL, timeout: 10, tcp: { ...CONTROL.tcp!, state: "CLOSE" } };
	const { verdict, record } = join({ ...CONTROL, timeout: 432_000 }, over);
	assert.deepEqual([verdict, tcpState(record), record[R.TIMEOUT]], ["update", 8, 10]);
});

test("of two that are as far, window scales that are known here are not lost", () => {
	const bare = {
		...CONTROL,
		status: 0x2008,
		tcp: { ...CONTROL.tcp!, scaleOrig: 0, scaleReply: 0, flagsOrig: 8, flagsReply: 8 },
	};
	const { record } = join({ ...CONTROL, status: 0x200a }, { ...bare, status: 0x200e });
	assert.deepEqual([tcpFlagsOrig(record), tcpScaleOrig(record)], [0xb, 7]);
	const learnt = join(bare, { ...CONTROL, status: 0x200e });
	assert.deepEqual([tcpFlagsOrig(learnt.record), tcpScaleOrig(learnt.record)], [0xb, 7]);
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
	const ended = { ...CONTROL, status: 0x2188, timeout: 9, tcp: { ...CONTROL.tcp!, state: "CLOSE" } };
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
		// an update never makes an entry check windows
		const wasLiberal = local[R.PROTOINFO]! & liberal;
		out[R.PROTOINFO] = (out[R.PROTOINFO]! & ~liberal) | (windowTracking ? wasLiberal : liberal);
	}
	return out;
}

const SEEN_REPLY_AND_ASSURED = 0x6;
const markOf = (record: Int32Array): number => ((record[R.HAS]! & R.H_MARK) !== 0 ? record[R.MARK]! : 0);
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
		fc.property(
			attributes,
			attributes,
			fc.boolean(),
			fc.boolean(),
			fc.constantFrom<LocalView>("alive", "later"),
			(a, b, isSame, windowTracking, view) => {
				const names = new NameTable();
				const local = conntrackToRecord(conntrackOf(a), names);
				const shared = isSame ? { port: a.port, isTcp: a.isTcp } : {};
				const committed = conntrackToRecord(conntrackOf({ ...b, ...shared }), names);
				const before = local.slice();
				const record = committed.slice();
				const verdict = joinConntrack(local, record, view, windowTracking);
				assert.deepEqual(local, before);
				const isOther = (isSame ? a.port : b.port) !== a.port;
				assert.equal(verdict === "replace" || verdict === "taken", isOther);
				if (isOther) {
					assert.deepEqual(record, committed);
					if (verdict === "replace") assert.equal(local[R.STATUS]! & 4, 0);
					return;
				}
				const kernel = verdict === "update" ? updated(local, record, windowTracking) : local;
				assert.ok(rank(kernel) >= rank(local));
				const isOutdated = view === "later" && rank(committed) > ORDER.indexOf("ESTABLISHED");
				if (rank(local) >= 0 && !isOutdated) assert.ok(rank(kernel) >= rank(committed));
				// the timeout goes with the state
				if (rank(kernel) === rank(local)) assert.ok(record[R.TIMEOUT]! >>> 0 >= local[R.TIMEOUT]! >>> 0);
				const wanted = (local[R.STATUS]! | committed[R.STATUS]!) & SEEN_REPLY_AND_ASSURED;
				assert.equal(kernel[R.STATUS]! & SEEN_REPLY_AND_ASSURED, wanted);
				assert.equal((kernel[R.STATUS]! & local[R.STATUS]!) >>> 0, local[R.STATUS]! >>> 0);
				if (markOf(local) !== 0) assert.equal(markOf(kernel), markOf(local));
				else if (verdict === "update") assert.equal(markOf(kernel), markOf(committed));
				assert.equal(joinConntrack(kernel, record.slice(), view, windowTracking), "keep");
				assert.equal(joinConntrack(kernel, committed.slice(), view, windowTracking), "keep");
			},
		),
		{ numRuns: 3000 },
	);
});

test("of two live views it does not matter which is here: state and SEEN_REPLY, ASSURED come out the same", () => {
	fc.assert(
		fc.property(attributes, attributes, (a, b) => {
			const names = new NameTable();
			const make = (from: Attributes) =>
				conntrackToRecord(conntrackOf({ ...from, port: a.port, isTcp: true }), names);
			const joined = (local: Int32Array, committed: Int32Array) => {
				const record = committed.slice();
				const verdict = joinConntrack(local, record, "alive", false);
				const kernel = verdict === "update" ? updated(local, record, false) : local;
				return [tcpState(kernel), kernel[R.STATUS]! & SEEN_REPLY_AND_ASSURED];
			};
			assert.deepEqual(joined(make(a), make(b)), joined(make(b), make(a)));
		}),
		{ numRuns: 3000 },
	);
});

test("what has replaced a left-over, or been written over it, is kept the next time", () => {
	fc.assert(
		fc.property(attributes, attributes, fc.boolean(), (a, b, windowTracking) => {
			const names = new NameTable();
			const local = conntrackToRecord(conntrackOf(a), names);
			const committed = conntrackToRecord(conntrackOf({ ...b, isTcp: a.isTcp }), names);
			const record = committed.slice();
			const verdict = joinConntrack(local, record, "left over", windowTracking);
			if (verdict === "replace") return;
			const kernel = verdict === "update" ? updated(local, record, windowTracking) : local;
			if (a.isTcp) assert.equal(tcpState(kernel), tcpState(committed));
			if ((local[R.HAS]! & R.H_MARK) !== 0 || b.mark !== undefined) {
				assert.equal(markOf(kernel), markOf(committed));
			}
			// from now on it is alive, and joins
			assert.equal(joinConntrack(kernel, committed.slice(), "later", windowTracking), "keep");
		}),
		{ numRuns: 3000 },
	);
});
