// Whatever a record holds: the decoder reads what the encoder wrote.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { conntrackFromRecord, expectationFromRecord } from "../conntrack/conntrack.ts";
import * as X from "../conntrack/expectation-record.ts";
import { NameTable } from "../conntrack/names.ts";
import { AF_INET, AF_INET6, hasPorts, IPPROTO_GRE, isIcmp } from "../conntrack/protocol.ts";
import * as R from "../conntrack/record.ts";
import { invertPorts } from "../conntrack/tuple.ts";
import type { AttributeWriter } from "./attribute.ts";
import { ConntrackDecoder } from "./decode-conntrack.ts";
import { ExpectationDecoder } from "./decode-expectation.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder } from "./encode-conntrack.ts";
import { EXPECTATION_REQUEST_MAX, ExpectationEncoder } from "./encode-expectation.ts";
import { dirtyWriter } from "./request-lines.ts";

const LONG_NAME = "a-name-that-nobody-would-give-to-a-helper";
const NAMES = ["ftp", LONG_NAME];

function makeNames(): NameTable {
	const names = new NameTable();
	for (const name of NAMES) names.intern(name);
	return names;
}

const family = fc.constantFrom(AF_INET, AF_INET6);
const protocolNumber = fc.oneof(fc.constantFrom(1, 6, 17, 47, 58, 132, 136), fc.nat(255));
const protocols = fc.tuple(family, protocolNumber).map(([l3, l4]) => l3 | (l4 << 8));

/** Zeroes what a tuple of such protocols does not have. */
function trimTuple(words: Int32Array, proto: number, ports: number, src: number, dst: number): void {
	if (!hasPorts(proto >>> 8) && !isIcmp(proto >>> 8)) words[ports] = 0;
	if ((proto & 0xff) === AF_INET6) return;
	words.fill(0, src + 1, src + 4);
	words.fill(0, dst + 1, dst + 4);
}

const conntracks = fc
	.tuple(
		fc.int32Array({ minLength: R.CONNTRACK_WORDS, maxLength: R.CONNTRACK_WORDS }),
		protocols,
		fc.tuple(fc.nat(0xffff), fc.constantFrom("both", "orig", "reply", "none")),
	)
	.map(([words, proto, [zone, direction]]) => {
		const record = Int32Array.from(words);
		record[R.HAS] = record[R.HAS]! & R.H_WIRE;
		if ((record[R.HAS]! & R.H_TCP) !== 0) record[R.HAS] = record[R.HAS]! & ~R.H_SCTP;
		record[R.PROTOCOLS] = proto;
		record[R.MASTER_PROTOCOLS] = proto;
		record[R.MASTER_ZONE] = 0;
		record[R.ZONES] =
			(direction === "both" || direction === "orig" ? zone : 0) |
			(direction === "both" || direction === "reply" ? zone << 16 : 0);
		record[R.HELPER] = 1 + (record[R.HELPER]! & 1);
		trimTuple(record, proto, R.ORIG_PORTS, R.ORIG_SRC, R.ORIG_DST);
		trimTuple(record, proto, R.REPLY_PORTS, R.REPLY_SRC, R.REPLY_DST);
		trimTuple(record, proto, R.MASTER_PORTS, R.MASTER_SRC, R.MASTER_DST);
		R.canonicalizeConntrack(record);
		return record;
	});

function decodeConntrack(writer: AttributeWriter, names: NameTable): Int32Array {
	const out = R.newConntrackRecord();
	assert.equal(new ConntrackDecoder(names).decode(writer.wire, 20, writer.at, out), true);
	R.canonicalizeConntrack(out);
	return out;
}

test("what create, update, delete and get say of a conntrack is what the decoder reads, whatever it is", () => {
	fc.assert(
		fc.property(conntracks, fc.boolean(), (record, windowTracking) => {
			const names = makeNames();
			const sent = conntrackFromRecord(record, names);
			const read = (encode: (encoder: ConntrackEncoder) => void) => {
				const writer = dirtyWriter();
				encode(new ConntrackEncoder(writer, names));
				assert.ok(writer.at <= CONNTRACK_REQUEST_MAX);
				return decodeConntrack(writer, names);
			};
			const created = read((encoder) => encoder.create(record, 1, 0, { windowTracking }));
			const { orig, zoneOrig, zoneReply, mark, timeout = 120, master, seqOrig, seqReply, sctp } = sent;
			const got = conntrackFromRecord(created, names);
			assert.deepEqual(got.orig, orig);
			assert.deepEqual([got.zoneOrig, got.zoneReply], [zoneOrig, zoneReply]);
			const keepsKeys = sent.protocol === IPPROTO_GRE && sent.reply !== undefined;
			const plain = invertPorts(sent.protocol, record[R.ORIG_PORTS]!);
			assert.equal(created[R.REPLY_PORTS], keepsKeys ? record[R.REPLY_PORTS] : plain);
			assert.deepEqual([got.reply!.src, got.reply!.dst], [orig.dst, orig.src]);
			assert.deepEqual([got.mark, got.timeout], [mark, timeout]);
			// the zone that the decoder adds is the entry's own
			assert.deepEqual(got.master && { ...got.master, zone: 0 }, master && { ...master, zone: 0 });
			assert.deepEqual([got.seqOrig, got.seqReply, got.sctp], [seqOrig, seqReply, sctp]);
			assert.equal(got.helper, sent.helper?.slice(0, 31));
			if (sent.tcp && Number.isNaN(Number(sent.tcp.state))) {
				assert.equal(got.tcp!.state, sent.tcp.state);
				assert.deepEqual(
					[got.tcp!.scaleOrig, got.tcp!.scaleReply],
					[sent.tcp.scaleOrig, sent.tcp.scaleReply],
				);
			}
			const updated = conntrackFromRecord(
				read((encoder) => encoder.update(record, 1, 0, { windowTracking })),
				names,
			);
			assert.deepEqual(updated.orig, orig);
			const isFixed = ((sent.status ?? 0) & 0x400) !== 0;
			assert.deepEqual([updated.status, updated.timeout], [sent.status, isFixed ? undefined : sent.timeout]);
			for (const encode of [
				(encoder: ConntrackEncoder) => encoder.delete(record, 1, 0),
				(encoder: ConntrackEncoder) => encoder.get(record, 1),
			]) {
				const key = conntrackFromRecord(read(encode), names);
				// a zone of the reply direction is not part of the original tuple
				const reads = zoneOrig === 0 ? 0 : zoneReply;
				assert.deepEqual([key.orig, key.zoneOrig, key.zoneReply], [orig, zoneOrig, reads]);
			}
		}),
		{ numRuns: 300 },
	);
});

const expectations = fc
	.tuple(fc.int32Array({ minLength: X.EXPECTATION_WORDS, maxLength: X.EXPECTATION_WORDS }), protocols)
	.map(([words, proto]) => {
		const record = Int32Array.from(words);
		record[X.EXP_HAS] = (record[X.EXP_HAS]! & X.X_WIRE) | X.X_TIMEOUT;
		for (const at of [X.EXP_PROTOCOLS, X.EXP_MASK_PROTOCOLS, X.EXP_MASTER_PROTOCOLS, X.EXP_NAT_PROTOCOLS]) {
			record[at] = proto;
		}
		record[X.EXP_ZONE] = record[X.EXP_ZONE]! & 0xffff;
		record[X.EXP_FLAGS] = record[X.EXP_FLAGS]! & 3;
		record[X.EXP_HELPER] = 1;
		record[X.EXP_FN] = 1;
		trimTuple(record, proto, X.EXP_PORTS, X.EXP_SRC, X.EXP_DST);
		trimTuple(record, proto, X.EXP_MASK_PORTS, X.EXP_MASK_SRC, X.EXP_MASK_DST);
		trimTuple(record, proto, X.EXP_MASTER_PORTS, X.EXP_MASTER_SRC, X.EXP_MASTER_DST);
		trimTuple(record, proto, X.EXP_NAT_PORTS, X.EXP_NAT_SRC, X.EXP_NAT_DST);
		X.canonicalizeExpectation(record);
		return record;
	});

test("what create says of an expectation is what the decoder reads, whatever it is", () => {
	fc.assert(
		fc.property(expectations, (record) => {
			const names = makeNames();
			const writer = dirtyWriter();
			new ExpectationEncoder(writer, names).create(record, 1);
			const out = X.newExpectationRecord();
			assert.equal(new ExpectationDecoder(names).decode(writer.wire, 20, writer.at, out), true);
			X.canonicalizeExpectation(out);
			assert.deepEqual(expectationFromRecord(out, names), expectationFromRecord(record, names));
		}),
		{ numRuns: 300 },
	);
});

test("no expectation exceeds the room that is kept for a request", () => {
	fc.assert(
		fc.property(expectations, (record) => {
			const names = makeNames();
			const writer = dirtyWriter();
			record[X.EXP_HELPER] = record[X.EXP_FN] = NAMES.indexOf(LONG_NAME) + 1;
			record[X.EXP_HAS] = X.X_WIRE;
			new ExpectationEncoder(writer, names).create(record, 1);
			assert.ok(writer.at <= EXPECTATION_REQUEST_MAX);
		}),
	);
});
