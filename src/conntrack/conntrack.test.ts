import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
	type Conntrack,
	conntrackFromRecord,
	conntrackToRecord,
	type Expectation,
	expectationFromRecord,
	expectationToRecord,
} from "./conntrack.ts";
import * as X from "./expectation-record.ts";
import { NameTable } from "./names.ts";
import { AF_INET, AF_INET6, hasPorts, isIcmp } from "./protocol.ts";
import * as R from "./record.ts";
import {
	EXP_MASTER_AT,
	EXPECTED_AT,
	MASK_AT,
	MASTER_AT,
	NAT_AT,
	ORIG_AT,
	REPLY_AT,
	type TuplePlace,
} from "./tuple-object.ts";

const NAMES = ["ftp", "sip", "nat-follow-master"];

function makeNames(): NameTable {
	const names = new NameTable();
	NAMES.forEach((name) => {
		names.intern(name);
	});
	return names;
}

/** Zeroes what a tuple of such protocols does not have. */
function trimTuple(words: Int32Array, protocols: number, at: TuplePlace): void {
	const protocol = protocols >>> 8;
	if (!hasPorts(protocol) && !isIcmp(protocol)) words[at.ports] = 0;
	if ((protocols & 0xff) === AF_INET6) return;
	words.fill(0, at.src + 1, at.src + 4);
	words.fill(0, at.dst + 1, at.dst + 4);
}

const families = fc.constantFrom(AF_INET, AF_INET6);
const protocolNumbers = fc.oneof(
	fc.constantFrom(1, 6, 17, 33, 47, 58, 132, 136),
	fc.integer({ min: 0, max: 255 }),
);
const protocolsWord = fc
	.tuple(families, protocolNumbers)
	.map(([family, protocol]) => family | (protocol << 8));
const nameNumber = fc.integer({ min: 0, max: NAMES.length });

/** Canonical records with every word of every attribute at random. */
const conntrackRecords = fc
	.record({
		words: fc.int32Array({ minLength: R.CONNTRACK_WORDS, maxLength: R.CONNTRACK_WORDS }),
		protocols: protocolsWord,
		master: protocolsWord,
		helper: nameNumber,
	})
	.map(({ words, protocols, master, helper }) => {
		const record = Int32Array.from(words);
		record[R.HAS] = record[R.HAS]! & (R.H_WIRE | R.H_ID);
		if ((record[R.HAS]! & R.H_TCP) !== 0) record[R.HAS] = record[R.HAS]! & ~R.H_SCTP;
		else record[R.PROTOINFO] = record[R.PROTOINFO]! & 0xff;
		record[R.PROTOCOLS] = protocols;
		record[R.MASTER_PROTOCOLS] = master;
		record[R.MASTER_ZONE] = record[R.MASTER_ZONE]! & 0xffff;
		record[R.HELPER] = helper;
		trimTuple(record, protocols, ORIG_AT);
		trimTuple(record, protocols, REPLY_AT);
		trimTuple(record, master, MASTER_AT);
		R.canonicalizeConntrack(record);
		return record;
	});

const expectationRecords = fc
	.record({
		words: fc.int32Array({ minLength: X.EXPECTATION_WORDS, maxLength: X.EXPECTATION_WORDS }),
		protocols: fc.tuple(protocolsWord, protocolsWord, protocolsWord, protocolsWord),
		names: fc.tuple(nameNumber, nameNumber),
	})
	.map(({ words, protocols: [expected, mask, master, nat], names: [helper, fn] }) => {
		const record = Int32Array.from(words);
		record[X.EXP_HAS] = record[X.EXP_HAS]! & (X.X_WIRE | X.X_ID);
		record[X.EXP_PROTOCOLS] = expected;
		record[X.EXP_MASK_PROTOCOLS] = mask;
		record[X.EXP_MASTER_PROTOCOLS] = master;
		record[X.EXP_NAT_PROTOCOLS] = nat;
		record[X.EXP_ZONE] = record[X.EXP_ZONE]! & 0xffff;
		record[X.EXP_HELPER] = helper;
		record[X.EXP_FN] = fn;
		trimTuple(record, expected, EXPECTED_AT);
		trimTuple(record, expected, MASK_AT);
		trimTuple(record, master, EXP_MASTER_AT);
		trimTuple(record, nat, NAT_AT);
		X.canonicalizeExpectation(record);
		return record;
	});

test("a conntrack record survives the way to an object and JSON and back", () => {
	fc.assert(
		fc.property(conntrackRecords, (record) => {
			const names = makeNames();
			const text = JSON.stringify(conntrackFromRecord(record, names));
			assert.deepEqual(conntrackToRecord(JSON.parse(text), names), record);
		}),
	);
});

test("an expectation record survives the way to an object and JSON and back", () => {
	fc.assert(
		fc.property(expectationRecords, (record) => {
			const names = makeNames();
			const text = JSON.stringify(expectationFromRecord(record, names));
			assert.deepEqual(expectationToRecord(JSON.parse(text), names), record);
		}),
	);
});

const related: Conntrack = {
	family: "ipv4",
	protocol: 6,
	zoneOrig: 7,
	zoneReply: 0,
	orig: { src: "192.168.0.2", dst: "192.168.1.2", sport: 40001, dport: 40515 },
	reply: { src: "192.168.1.2", dst: "192.168.1.100", sport: 40515, dport: 40001 },
	status: 0x8000000f,
	timeout: 432000,
	mark: 0xffffffff,
	id: 1,
	tcp: { state: "ESTABLISHED", scaleOrig: 7, scaleReply: 14, flagsOrig: 0x23, flagsReply: 0xff },
	helper: "ftp",
	master: { family: "ipv6", protocol: 6, zone: 3, src: "fd00::2", dst: "fd00::3", sport: 59856, dport: 21 },
	seqOrig: { correctionPosition: 0xfffffffe, offsetBefore: -3, offsetAfter: 5 },
	labels: [1, 2, 3, 0xffffffff],
	synproxy: { isn: 1, its: 2, tsoff: 0xffffffff },
};

test("an object is what its record says", () => {
	const names = new NameTable();
	const record = conntrackToRecord(related, names);
	assert.equal(record[R.PROTOCOLS], AF_INET | (6 << 8));
	assert.equal(record[R.ZONES], 7);
	assert.equal(record[R.ORIG_PORTS]! >>> 0, ((40515 << 16) >>> 0) + 40001);
	assert.equal(record[R.MARK], -1);
	assert.equal(record[R.PROTOINFO], 3 | (7 << 8) | (14 << 12) | (0x23 << 16) | (0xff << 24));
	assert.equal(names.name(record[R.HELPER]!), "ftp");
	assert.equal(record[R.MASTER_PROTOCOLS], AF_INET6 | (6 << 8));
	assert.deepEqual([...record.subarray(R.SEQ_ORIG, R.SEQ_ORIG + 3)], [-2, -3, 5]);
	assert.equal(record[R.HAS], (R.H_WIRE & ~(R.H_SCTP | R.H_SEQ_REPLY)) | R.H_ID);
	assert.deepEqual(conntrackFromRecord(record, names), related);
});

test("what an object lacks is zero in its record", () => {
	const names = new NameTable();
	const record = conntrackToRecord(
		{ family: "ipv4", protocol: 89, zoneOrig: 0, zoneReply: 0, orig: { src: "1.1.1.1", dst: "2.2.2.2" } },
		names,
	);
	const canonical = record.slice();
	R.canonicalizeConntrack(canonical);
	assert.deepEqual(record, canonical);
	assert.equal(record.filter((word) => word !== 0).length, 3, "protocols and two addresses");
});

test("a bad field is named", () => {
	const names = new NameTable();
	const refused = (changes: object, message: RegExp) => {
		assert.throws(() => conntrackToRecord({ ...related, ...changes } as Conntrack, names), message);
	};
	refused({ orig: { ...related.orig, src: "fd00::1" } }, /^Error: orig\.src: not an IPv4 address: fd00::1$/);
	refused({ orig: { ...related.orig, dst: "1.2.3" } }, /^Error: orig\.dst: not an IPv4 address: 1\.2\.3$/);
	refused({ family: "ipv6" }, /^Error: orig\.src: not an IPv6 address/);
	refused({ family: "ipx" }, /^Error: family: unknown family ipx$/);
	refused({ protocol: 256 }, /^Error: protocol: not a number of 8 bits: 256$/);
	refused({ protocol: 1 }, /^Error: orig\.icmpId: missing$/);
	refused(
		{ reply: { ...related.reply, sport: 65536 } },
		/^Error: reply\.sport: not a number of 16 bits: 65536$/,
	);
	refused({ zoneReply: -1 }, /^Error: zoneReply: not a number of 16 bits: -1$/);
	refused({ mark: 1.5 }, /^Error: mark: not a number of 32 bits: 1\.5$/);
	refused({ tcp: { ...related.tcp, state: "OPEN" } }, /^Error: tcp\.state: unknown state OPEN$/);
	refused(
		{ tcp: { ...related.tcp, scaleReply: 16 } },
		/^Error: tcp\.scaleReply: not a number of 4 bits: 16$/,
	);
	refused({ master: { ...related.master, dport: undefined } }, /^Error: master\.dport: missing$/);
	refused(
		{ seqOrig: { ...related.seqOrig, offsetAfter: 2 ** 31 } },
		/^Error: seqOrig\.offsetAfter: not a signed number of 32 bits: 2147483648$/,
	);
	refused({ labels: [1, 2, 3] }, /^Error: labels: not four words$/);
});

test("a bad field of an expectation is named", () => {
	const names = new NameTable();
	const tuple = { family: "ipv4" as const, protocol: 6, src: "1.1.1.1", dst: "2.2.2.2", sport: 0, dport: 21 };
	const good: Expectation = {
		...tuple,
		zone: 0,
		mask: tuple,
		master: tuple,
		nat: { ...tuple, direction: 1 },
	};
	assert.deepEqual(expectationFromRecord(expectationToRecord(good, names), names), good);
	const refused = (changes: object, message: RegExp) => {
		assert.throws(() => expectationToRecord({ ...good, ...changes } as Expectation, names), message);
	};
	refused({ src: "x" }, /^Error: src: not an IPv4 address: x$/);
	refused({ mask: { ...tuple, dst: "::" } }, /^Error: mask\.dst: not an IPv4 address: ::$/);
	refused({ master: { ...tuple, protocol: -1 } }, /^Error: master\.protocol: not a number of 8 bits: -1$/);
	refused({ nat: { ...tuple, direction: 0.5 } }, /^Error: nat\.direction: not a number of 32 bits: 0\.5$/);
	refused({ class: 2 ** 32 }, /^Error: class: not a number of 32 bits: 4294967296$/);
});
