// msgpackr is the oracle: what our writer writes it must read, what it writes our reader must read.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Packr } from "msgpackr";
import { MsgpackReader, MsgpackWriter } from "./msgpack.ts";

/** What the wire can say. */
type Value = number | Uint8Array | string | Value[];

const oracle = new Packr({ useRecords: false, int64AsType: "number" });

const uints = fc.oneof(
	fc.constantFrom(0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0xffffffff, 2 ** 32, 2 ** 53 - 1),
	fc.nat(300),
	fc.integer({ min: 0, max: 0xffffffff }),
	fc.maxSafeNat(),
);
const bins = fc.uint8Array({ maxLength: 255 });
const strings = fc.string({ minLength: 1, maxLength: 31, unit: "grapheme-ascii" });
const { value: values } = fc.letrec<{ value: Value }>((tie) => ({
	value: fc.oneof({ maxDepth: 4 }, uints, bins, strings, fc.array(tie("value"), { maxLength: 40 })),
}));

function write(writer: MsgpackWriter, value: Value): void {
	if (typeof value === "number") writer.uint(value);
	else if (typeof value === "string") writer.str(value);
	else if (value instanceof Uint8Array) writer.bin(value);
	else {
		writer.array(value.length);
		for (const element of value) write(writer, element);
	}
}

function written(value: Value): Uint8Array {
	const writer = new MsgpackWriter(new Uint8Array(1 << 20));
	write(writer, value);
	return writer.bytes.slice(0, writer.at);
}

/** Reads what has the shape of `like`. */
function read(reader: MsgpackReader, like: Value): Value {
	if (typeof like === "number") return reader.uint(Number.MAX_SAFE_INTEGER);
	if (typeof like === "string") {
		const at = reader.str();
		return Buffer.from(reader.bytes.subarray(at, at + reader.length)).toString("latin1");
	}
	if (like instanceof Uint8Array) {
		const at = reader.bin(like.length);
		return reader.bytes.slice(at, at + like.length);
	}
	const count = reader.array();
	assert.equal(count, like.length);
	return like.map((element) => read(reader, element));
}

function readerOf(bytes: Uint8Array): MsgpackReader {
	const reader = new MsgpackReader();
	reader.reset(bytes, 0, bytes.length);
	return reader;
}

/** msgpackr answers Buffers for bin. */
function plain(value: unknown): unknown {
	if (value instanceof Uint8Array) return Uint8Array.from(value);
	return Array.isArray(value) ? value.map(plain) : value;
}
/** msgpackr writes what does not fit 32 bits as a float or as a signed number, which the reader does not take. */
function small(value: Value): Value {
	if (typeof value === "number") return value % 2 ** 32;
	return Array.isArray(value) ? value.map(small) : value;
}

test("msgpackr reads everything that the writer writes, to the same values", () => {
	fc.assert(
		fc.property(values, (value) => {
			assert.deepEqual(plain(oracle.unpack(written(value))), value);
		}),
	);
});

test("the reader reads everything that msgpackr writes, to the same values and to the end", () => {
	fc.assert(
		fc.property(values.map(small), (value) => {
			const bytes = Uint8Array.from(oracle.pack(value));
			const reader = readerOf(bytes);
			assert.deepEqual(read(reader, value), value);
			assert.deepEqual([reader.failed, reader.at], [false, bytes.length]);
		}),
	);
});

test("what msgpackr writes for other kinds of values is refused", () => {
	const others = [null, true, false, -1, -200, 1.5, 2 ** 40, 2n ** 40n, { a: 1 }, new Map(), new Date(0)];
	for (const other of others) {
		const bytes = Uint8Array.from(oracle.pack(other));
		for (const call of CALLS) {
			const reader = readerOf(bytes);
			assert.equal(perform(reader, call), 0);
			assert.ok(reader.failed, `${call} of ${Buffer.from(bytes).toString("hex")}`);
		}
	}
});

test("integers take their shortest form, byte for byte that of the specification", () => {
	const forms: [number, string][] = [
		[0, "00"],
		[0x7f, "7f"],
		[0x80, "cc80"],
		[0xff, "ccff"],
		[0x100, "cd0100"],
		[0xffff, "cdffff"],
		[0x10000, "ce00010000"],
		[0xffffffff, "ceffffffff"],
		[2 ** 32, "cf0000000100000000"],
		[2 ** 53 - 1, "cf001fffffffffffff"],
	];
	for (const [value, hex] of forms) assert.equal(Buffer.from(written(value)).toString("hex"), hex);
	const writer = new MsgpackWriter(new Uint8Array(5));
	writer.uint32(-1);
	assert.equal(Buffer.from(writer.bytes).toString("hex"), "ceffffffff", "a word is unsigned");
});

test("longer forms than needed are read, too", () => {
	for (const hex of ["05", "cc05", "cd0005", "ce00000005", "cf0000000000000005"]) {
		assert.equal(readerOf(Buffer.from(hex, "hex")).uint(5), 5);
	}
	assert.equal(readerOf(Buffer.from("dc0001c0", "hex")).array(), 1);
});

test("each kind is recognised by its first byte alone: no map, extension, float, negative or nil passes", () => {
	const accepted = (call: (reader: MsgpackReader) => void): number[] =>
		Array.from({ length: 256 }, (_, first) => first).filter((first) => {
			// enough zeros for any length or number that the byte announces
			const reader = readerOf(Uint8Array.of(first, ...new Uint8Array(64)));
			call(reader);
			return !reader.failed;
		});
	const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
	assert.deepEqual(
		accepted((reader) => reader.uint(Number.MAX_SAFE_INTEGER)),
		[...range(0, 0x7f), ...range(0xcc, 0xcf)],
	);
	assert.deepEqual(
		accepted((reader) => reader.array()),
		[...range(0x90, 0x9f), 0xdc],
	);
	assert.deepEqual(
		accepted((reader) => reader.bin(0)),
		[0xc4],
	);
	assert.deepEqual(
		accepted((reader) => reader.binUpTo(255)),
		[0xc4],
	);
	assert.deepEqual(
		accepted((reader) => reader.str()),
		range(0xa1, 0xbf),
	);
});

test("a number beyond the limit fails, also where it does not fit a double", () => {
	const uint = (hex: string, max: number) => {
		const reader = readerOf(Buffer.from(hex, "hex"));
		return [reader.uint(max), reader.failed];
	};
	assert.deepEqual(uint("05", 5), [5, false]);
	assert.deepEqual(uint("06", 5), [0, true]);
	assert.deepEqual(uint("cf0020000000000000", Number.MAX_SAFE_INTEGER), [0, true]);
	assert.deepEqual(uint("cf0020000000000001", Number.MAX_SAFE_INTEGER), [0, true]);
	assert.deepEqual(uint("cfffffffffffffffff", Number.MAX_SAFE_INTEGER), [0, true]);
});

test("an array that has more elements than bytes behind it is a lie", () => {
	const array = (hex: string) => {
		const reader = readerOf(Buffer.from(hex, "hex"));
		return [reader.array(), reader.failed];
	};
	assert.deepEqual(array("930102"), [0, true]);
	assert.deepEqual(array("92"), [0, true]);
	assert.deepEqual(array("90"), [0, false]);
	assert.deepEqual(array("dcffff00"), [0, true]);
	assert.deepEqual(array("dc0002c0c0"), [2, false]);
	assert.deepEqual(array("dd00000001c0"), [0, true], "array 32 is not of the wire");
});

test("a bin or string of another length, or one that runs over the end, fails", () => {
	const call = (hex: string, use: (reader: MsgpackReader) => number) => {
		const reader = readerOf(Buffer.from(hex, "hex"));
		return [use(reader), reader.failed];
	};
	assert.deepEqual(
		call("c40211", (r) => r.bin(2)),
		[0, true],
	);
	assert.deepEqual(
		call("c4031122", (r) => r.bin(2)),
		[0, true],
	);
	assert.deepEqual(
		call("c4021122", (r) => r.bin(2)),
		[2, false],
	);
	assert.deepEqual(
		call("c4021122", (r) => r.binUpTo(1)),
		[0, true],
	);
	assert.deepEqual(
		call("c4ff1122", (r) => r.binUpTo(255)),
		[0, true],
	);
	assert.deepEqual(
		call("a0", (r) => r.str()),
		[0, true],
		"an empty name",
	);
	assert.deepEqual(
		call("a26d", (r) => r.str()),
		[0, true],
	);
	assert.deepEqual(
		call("d9016d", (r) => r.str()),
		[0, true],
		"str 8 is not of the wire",
	);
});

test("a word is the integer of up to 32 bits that stands there, wherever it stands", () => {
	fc.assert(
		fc.property(uints, fc.nat(6), (value, behind) => {
			const bytes = Uint8Array.from([...written(value), ...new Uint8Array(behind)]);
			const [word, uint] = [readerOf(bytes), readerOf(bytes)];
			assert.equal(word.word(), uint.uint(0xffffffff) | 0);
			assert.deepEqual([word.failed, word.at], [uint.failed, uint.at]);
		}),
	);
	for (const hex of ["05", "cc05", "cd0005", "ce00000005", "cf0000000000000005"])
		assert.equal(readerOf(Buffer.from(`${hex}c0c0c0c0c0`, "hex")).word(), 5);
});

test("a raw word is what memory holds", () => {
	const words = new Int32Array([1, -2, 0x1234_5678]);
	const reader = readerOf(new Uint8Array(words.buffer));
	assert.deepEqual([reader.raw(0), reader.raw(4), reader.raw(8)], [...words]);
});

const CALLS = ["array", "uint", "small", "word", "bin", "binUpTo", "str"] as const;

function perform(reader: MsgpackReader, call: (typeof CALLS)[number]): number {
	switch (call) {
		case "array":
			return reader.array();
		case "uint":
			return reader.uint(Number.MAX_SAFE_INTEGER);
		case "small":
			return reader.uint(9);
		case "word":
			return reader.word();
		case "bin":
			return reader.bin(4);
		case "binUpTo":
			return reader.binUpTo(16);
		case "str":
			return reader.str();
	}
}

test("whatever the bytes and the calls, nothing throws, nothing outside is read, and a failure lasts", () => {
	fc.assert(
		fc.property(
			fc.oneof(
				fc.uint8Array({ maxLength: 60 }),
				values.map((value) => written(value).slice(0, 60)),
			),
			fc.array(fc.constantFrom(...CALLS), { maxLength: 30 }),
			fc.nat(255),
			(inside, calls, outside) => {
				// the same bytes in two surroundings: reading beyond the end would tell them apart
				const answers = [0, outside].map((around) => {
					const bytes = new Uint8Array(inside.length + 40).fill(around);
					bytes.set(inside, 20);
					const reader = new MsgpackReader();
					reader.reset(bytes, 20, 20 + inside.length);
					let hasFailed = false;
					return calls.map((call) => {
						const before = reader.at;
						const answer = perform(reader, call);
						assert.ok(reader.at >= before && reader.at <= reader.end);
						if (hasFailed) assert.deepEqual([reader.failed, answer, reader.at], [true, 0, before]);
						hasFailed = reader.failed;
						return [answer, reader.failed, reader.at];
					});
				});
				assert.deepEqual(answers[0], answers[1]);
			},
		),
		{ numRuns: 1000 },
	);
});

test("every truncation of a value fails", () => {
	fc.assert(
		fc.property(values, (value) => {
			const bytes = written(value);
			const ends = bytes.length <= 50 ? [...bytes.keys()] : [0, 1, bytes.length >> 1, bytes.length - 1];
			for (const end of ends) {
				const reader = new MsgpackReader();
				reader.reset(bytes, 0, end);
				try {
					read(reader, value);
				} catch (error) {
					// an array's count that is refused for want of bytes
					assert.ok(error instanceof assert.AssertionError);
				}
				assert.equal(reader.failed, true, `cut at ${end} of ${bytes.length}`);
			}
		}),
	);
});
