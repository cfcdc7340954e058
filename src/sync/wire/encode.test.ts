// Records on the wire: there and back, and what the decoder refuses.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { arbitraryConntrack, arbitraryExpectation, arbitraryNames } from "../../conntrack/arbitrary.ts";
import * as X from "../../conntrack/expectation-record.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "../../conntrack/kind.ts";
import { NameTable } from "../../conntrack/names.ts";
import * as R from "../../conntrack/record.ts";
import { invertTuple } from "../../conntrack/tuple.ts";
import { RecordDecoder } from "./decode.ts";
import { RecordEncoder } from "./encode.ts";
import { MsgpackReader, MsgpackWriter } from "./msgpack.ts";
import { RECORD_MAX, RecordType } from "./record-type.ts";

const oracle = new Packr({ useRecords: false, int64AsType: "number" });
const versions = fc.oneof(fc.nat(1000), fc.maxSafeNat());

function encoded(write: (encoder: RecordEncoder) => void, names: NameTable): Uint8Array {
	const writer = new MsgpackWriter(new Uint8Array(2048));
	write(new RecordEncoder(writer, names));
	return writer.bytes.slice(0, writer.at);
}

interface Read {
	type: number;
	record: Int32Array;
	version: number;
	isWhole: boolean;
}

/** One record decoded; undefined if it is refused. */
function decoded(bytes: Uint8Array, names: NameTable, end = bytes.length): Read | undefined {
	const reader = new MsgpackReader();
	reader.reset(bytes, 0, end);
	const decoder = new RecordDecoder(reader, names);
	const elements = reader.array();
	const type = reader.uint(0xff);
	const isConntrack = type === RecordType.conntrackSet || type === RecordType.conntrackDelete;
	// what the record held before must not shine through
	const record = new Int32Array(isConntrack ? R.CONNTRACK_WORDS : X.EXPECTATION_WORDS).fill(-1);
	if (type === RecordType.conntrackSet) decoder.conntrackSet(elements, record);
	else if (type === RecordType.conntrackDelete) decoder.conntrackNamed(elements, record);
	else if (type === RecordType.expectationSet) decoder.expectationSet(elements, record);
	else if (type === RecordType.expectationDelete) decoder.expectationNamed(elements, record);
	else return undefined;
	if (reader.failed) return undefined;
	return { type, record, version: decoder.version, isWhole: reader.at === end };
}

function roundTrip(kind: Kind, record: Int32Array, version: number): void {
	const bytes = encoded((encoder) => encoder.set(kind, record, version), arbitraryNames());
	assert.ok(bytes.length <= RECORD_MAX, `${bytes.length} bytes`);
	assert.deepEqual(decoded(bytes, arbitraryNames()), {
		type: kind === CONNTRACK ? RecordType.conntrackSet : RecordType.expectationSet,
		record,
		version,
		isWhole: true,
	});
}

test("a conntrack of any shape comes out as it went in", () => {
	fc.assert(
		fc.property(arbitraryConntrack(), versions, (record, version) => roundTrip(CONNTRACK, record, version)),
		{ numRuns: 500 },
	);
});

test("a class that is not told is none: otherwise those who count by class and the kernel would differ", () => {
	const record = X.newExpectationRecord();
	record[X.EXP_PROTOCOLS] = record[X.EXP_MASK_PROTOCOLS] = record[X.EXP_MASTER_PROTOCOLS] = 2 | (6 << 8);
	const read = (): Read | undefined =>
		decoded(
			encoded((encoder) => encoder.set(EXPECTATION, record, 1), arbitraryNames()),
			arbitraryNames(),
		);
	assert.deepEqual(read()?.record, record);
	record[X.EXP_CLASS] = 7;
	assert.equal(read(), undefined);
	record[X.EXP_HAS] = X.X_CLASS;
	assert.deepEqual(read()?.record, record);
});

test("an expectation of any shape comes out as it went in", () => {
	fc.assert(
		fc.property(arbitraryExpectation(), versions, (record, version) =>
			roundTrip(EXPECTATION, record, version),
		),
		{ numRuns: 500 },
	);
});

test("a deletion carries the key, the whole key and nothing but the key", () => {
	fc.assert(
		fc.property(arbitraryConntrack(), arbitraryExpectation(), versions, (conntrack, expectation, version) => {
			const names = arbitraryNames();
			const ofConntrack = decoded(
				encoded((encoder) => encoder.delete(CONNTRACK, conntrack, version), names),
				names,
			);
			const key = R.newConntrackRecord();
			key.set(conntrack.subarray(R.PROTOCOLS, R.REPLY_PORTS), R.PROTOCOLS);
			assert.deepEqual(ofConntrack, {
				type: RecordType.conntrackDelete,
				record: key,
				version,
				isWhole: true,
			});
			const ofExpectation = decoded(
				encoded((encoder) => encoder.delete(EXPECTATION, expectation, version), names),
				names,
			);
			const expectationKey = X.newExpectationRecord();
			expectationKey.set(expectation.subarray(X.EXP_KEY_FIRST, X.EXP_KEY_FIRST + X.EXP_KEY_WORDS), 1);
			assert.deepEqual(ofExpectation?.record, expectationKey);
			assert.equal(ofExpectation?.version, version);
		}),
	);
});

test("names go as text: the two sides number them differently", () => {
	const sender = new NameTable();
	const receiver = new NameTable();
	for (const name of ["sip", "ftp"]) sender.intern(name);
	receiver.intern("ftp");
	const record = R.newConntrackRecord();
	record[R.HAS] = R.H_HELPER;
	record[R.PROTOCOLS] = 2 | (6 << 8);
	record[R.HELPER] = 2;
	const bytes = encoded((encoder) => encoder.set(CONNTRACK, record, 1), sender);
	assert.equal(decoded(bytes, receiver)!.record[R.HELPER], 1);
});

test("a name that the peers would refuse, or that found no room, is left out and its record is sent", () => {
	const names = new NameTable();
	for (const bad of ["my helper", "a/b", "\u00e9", "x".repeat(32), ""]) {
		const number = names.intern(bad);
		const conntrack = R.newConntrackRecord();
		conntrack[R.HAS] = R.H_HELPER | R.H_MARK;
		conntrack[R.PROTOCOLS] = 2 | (6 << 8);
		conntrack[R.HELPER] = number;
		const bytes = encoded((encoder) => encoder.set(CONNTRACK, conntrack, 1), names);
		assert.equal(decoded(bytes, new NameTable())?.record[R.HAS], R.H_MARK, bad);
		const expectation = X.newExpectationRecord();
		expectation[X.EXP_HAS] = X.X_HELPER | X.X_FN | X.X_FLAGS;
		expectation[X.EXP_PROTOCOLS] = expectation[X.EXP_MASTER_PROTOCOLS] = 2 | (6 << 8);
		expectation[X.EXP_HELPER] = expectation[X.EXP_FN] = number;
		const more = encoded((encoder) => encoder.set(EXPECTATION, expectation, 1), names);
		assert.equal(decoded(more, new NameTable())?.record[X.EXP_HAS], X.X_FLAGS, bad);
	}
});

test("msgpackr sees the elements of docs/protocol.md: a plain TCP entry in hex and as an array", () => {
	const record = R.newConntrackRecord();
	record[R.HAS] = R.H_REPLY | R.H_STATUS | R.H_TIMEOUT | R.H_TCP;
	record[R.PROTOCOLS] = 2 | (6 << 8);
	record[R.ORIG_PORTS] = 4711 | (443 << 16);
	new Uint8Array(record.buffer).set([10, 0, 0, 1], R.ORIG_SRC * 4);
	new Uint8Array(record.buffer).set([192, 0, 2, 9], R.ORIG_DST * 4);
	invertTuple(record);
	record[R.STATUS] = 0xe;
	record[R.TIMEOUT] = 432000;
	record[R.PROTOINFO] = 3;
	const bytes = encoded((encoder) => encoder.set(CONNTRACK, record, 300), new NameTable());
	const hex = `
		9a 02 cd012c cd2026
		cd0602 00 ce01bb1267 c408 0a000001 c0000209
		0e ce00069780 03
	`.replace(/\s/g, "");
	assert.equal(Buffer.from(bytes).toString("hex"), hex);
	assert.deepEqual(oracle.unpack(bytes), [
		RecordType.conntrackSet,
		300,
		0x2000 | R.H_STATUS | R.H_TIMEOUT | R.H_TCP,
		2 | (6 << 8),
		0,
		443 * 65536 + 4711,
		Uint8Array.of(10, 0, 0, 1, 192, 0, 2, 9),
		0xe,
		432000,
		3,
	]);
});

test("msgpackr can take a record apart and put it together again, and the decoder reads that", () => {
	const records = fc.oneof(
		arbitraryConntrack().map((record) => [CONNTRACK, record] as const),
		arbitraryExpectation().map((record) => [EXPECTATION, record] as const),
	);
	fc.assert(
		fc.property(records, fc.nat(0xffffffff), ([kind, record], version) => {
			const names = arbitraryNames();
			const elements = oracle.unpack(encoded((encoder) => encoder.set(kind, record, version), names));
			assert.ok(Array.isArray(elements));
			assert.deepEqual(decoded(Uint8Array.from(oracle.pack(elements)), names)?.record, record);
		}),
	);
});

test("a record that is used again keeps nothing of what it held", () => {
	const writes = fc.tuple(arbitraryConntrack(), fc.boolean());
	fc.assert(
		fc.property(fc.array(writes, { minLength: 2, maxLength: 5 }), (all) => {
			const names = arbitraryNames();
			const used = R.newConntrackRecord();
			for (const [record, isWhole] of all) {
				const bytes = encoded((encoder) => {
					if (isWhole) encoder.set(CONNTRACK, record, 7);
					else encoder.delete(CONNTRACK, record, 7);
				}, names);
				for (const into of [used, R.newConntrackRecord()]) {
					const reader = new MsgpackReader();
					reader.reset(bytes, 0, bytes.length);
					const decoder = new RecordDecoder(reader, names);
					const elements = reader.array();
					reader.uint(0xff);
					if (isWhole) decoder.conntrackSet(elements, into);
					else decoder.conntrackNamed(elements, into);
					assert.ok(!reader.failed);
					if (into !== used) assert.deepEqual(used, into);
				}
			}
		}),
	);
});

const anyRecord = fc
	.tuple(arbitraryConntrack(), arbitraryExpectation(), fc.nat(3))
	.map(([conntrack, expectation, which]) =>
		encoded((encoder) => {
			if (which === 0) encoder.set(CONNTRACK, conntrack, 7);
			else if (which === 1) encoder.delete(CONNTRACK, conntrack, 7);
			else if (which === 2) encoder.set(EXPECTATION, expectation, 7);
			else encoder.delete(EXPECTATION, expectation, 7);
		}, arbitraryNames()),
	);

test("every truncation of a record is refused", () => {
	fc.assert(
		fc.property(anyRecord, (bytes) => {
			for (let end = 0; end < bytes.length; end++) {
				assert.equal(decoded(bytes, arbitraryNames(), end), undefined, `cut at ${end}`);
			}
		}),
	);
});

test("an element more or fewer than the attribute bits announce is refused", () => {
	fc.assert(
		fc.property(anyRecord, (bytes) => {
			const elements = oracle.unpack(bytes) as unknown[];
			const isRefused = (changed: unknown[]) =>
				decoded(Uint8Array.from(oracle.pack(changed)), arbitraryNames()) === undefined;
			assert.ok(!isRefused(elements));
			assert.ok(isRefused([...elements, 0]));
			assert.ok(isRefused(elements.slice(0, -1)));
		}),
	);
});

test("no element of a record may be a map, an extension, a float, a negative number, nil or nested", () => {
	const strangers = [{ a: 1 }, new Date(0), 1.5, -1, null, true, [1], [[[[]]]], "%", 2n ** 60n];
	fc.assert(
		fc.property(anyRecord, fc.nat(100), fc.constantFrom(...strangers), (bytes, at, stranger) => {
			const elements = oracle.unpack(bytes) as unknown[];
			elements[at % elements.length] = stranger;
			assert.equal(decoded(Uint8Array.from(oracle.pack(elements)), arbitraryNames()), undefined);
		}),
		{ numRuns: 500 },
	);
});

/** A plain TCP entry with a helper, as elements to be spoiled. */
function goodElements(): unknown[] {
	const record = R.newConntrackRecord();
	record[R.HAS] = R.H_TCP | R.H_HELPER;
	record[R.PROTOCOLS] = 2 | (6 << 8);
	record[R.HELPER] = 1;
	return oracle.unpack(encoded((encoder) => encoder.set(CONNTRACK, record, 7), arbitraryNames()));
}

test("a conntrack with an impossible value is refused", () => {
	const refused = (change: (elements: unknown[]) => void) => {
		const elements = goodElements();
		change(elements);
		return decoded(Uint8Array.from(oracle.pack(elements)), arbitraryNames()) === undefined;
	};
	const VERSION = 1;
	const BITS = 2;
	const PROTOCOLS = 3;
	const ADDRESSES = 6;
	const TCP = 7;
	const HELPER = 8;
	assert.ok(!refused(() => {}));
	assert.ok(
		refused((e) => (e[VERSION] = 2n ** 53n)),
		"a version beyond 2^53 - 1",
	);
	assert.ok(
		refused((e) => (e[BITS] = R.H_TCP | R.H_ID)),
		"the sender's id",
	);
	assert.ok(
		refused((e) => (e[BITS] = (e[BITS] as number) | 0x4000)),
		"an unknown attribute",
	);
	assert.ok(
		refused((e) => {
			e[BITS] = (e[BITS] as number) | 0x2001;
			e.splice(TCP, 0, 0, new Uint8Array(8));
		}),
		"a reply tuple that is plain and translated",
	);
	assert.ok(
		refused((e) => {
			e[BITS] = R.H_TCP | R.H_SCTP;
			e.splice(TCP, 2, 3, 3, 0, 0);
		}),
		"TCP and SCTP",
	);
	assert.ok(
		refused((e) => (e[PROTOCOLS] = 3 | (6 << 8))),
		"a family that is neither IPv4 nor IPv6",
	);
	assert.ok(
		refused((e) => (e[PROTOCOLS] = 0x10000 | 2)),
		"a protocol beyond 255",
	);
	assert.ok(
		refused((e) => (e[PROTOCOLS] = 10 | (6 << 8))),
		"IPv6 with addresses of IPv4",
	);
	assert.ok(
		refused((e) => (e[ADDRESSES] = new Uint8Array(32))),
		"IPv4 with addresses of IPv6",
	);
	assert.ok(
		refused((e) => (e[TCP] = 10)),
		"a TCP state that the kernel does not have",
	);
	for (const name of ["", "a b", "a/b", "../x", "x\n", "\u0000", "%s", "x".repeat(32)]) {
		assert.ok(
			refused((e) => (e[HELPER] = name)),
			JSON.stringify(name),
		);
	}
});

test("a random change of a record is refused or decodes to something that encodes and decodes to itself", () => {
	fc.assert(
		fc.property(anyRecord, fc.nat(2000), fc.nat(255), (original, at, value) => {
			const bytes = original.slice();
			bytes[at % bytes.length] = value;
			const names = arbitraryNames();
			const read = decoded(bytes, names);
			if (!read?.isWhole) return;
			const { type, record, version } = read;
			const kind =
				type === RecordType.conntrackSet || type === RecordType.conntrackDelete ? CONNTRACK : EXPECTATION;
			const isSet = type === RecordType.conntrackSet || type === RecordType.expectationSet;
			const again = encoded((encoder) => encoder[isSet ? "set" : "delete"](kind, record, version), names);
			assert.deepEqual(decoded(again, names), read);
		}),
		{ numRuns: 2000 },
	);
});
