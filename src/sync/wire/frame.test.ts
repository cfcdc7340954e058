import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FLAG_ACK, FLAG_HELLO, Frame, HEADER_SIZE, putU32, u32, writeHeader } from "./frame.ts";

/** One header, in the columns of the drawing in frame.ts. */
const HEX = `
	c1       00       00       02       0a000001
	00000000                            deadbeef
	00000007 00000009
`.replace(/\s/g, "");
const SEQUENCE = 7 * 2 ** 32 + 9;

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
const parse = (bytes: Uint8Array) => new Frame().parse(bytes, 0, bytes.length);

test("a header is the bytes of the drawing", () => {
	const bytes = new Uint8Array(HEADER_SIZE).fill(0xee);
	writeHeader(bytes, FLAG_ACK, 0x0a000001, 0xdeadbeef, SEQUENCE);
	assert.equal(Buffer.from(bytes).toString("hex"), HEX);
});

test("the bytes of the drawing are a header", () => {
	const frame = new Frame();
	assert.equal(frame.parse(bytesOf(HEX), 0, HEADER_SIZE), undefined);
	const { flags, sender, epochTag, sequence } = frame;
	assert.deepEqual([flags, sender, epochTag, sequence], [FLAG_ACK, 0x0a000001, 0xdeadbeef, SEQUENCE]);
});

test("what is written is read again, wherever it stands in the buffer", () => {
	const u32s = fc.integer({ min: 0, max: 0xffffffff });
	const sequences = fc.oneof(
		fc.integer({ min: 1, max: 2 ** 33 }),
		fc.maxSafeNat().map((n) => Math.max(1, n)),
	);
	const flagBits = fc.constantFrom(0, FLAG_HELLO, FLAG_ACK, FLAG_HELLO | FLAG_ACK);
	fc.assert(
		fc.property(flagBits, u32s, u32s, sequences, fc.nat(9), (flags, sender, epochTag, sequence, at) => {
			const header = new Uint8Array(HEADER_SIZE);
			writeHeader(header, flags, sender, epochTag, sequence);
			const bytes = new Uint8Array(at + HEADER_SIZE + 5).fill(0xff);
			bytes.set(header, at);
			const frame = new Frame();
			assert.equal(frame.parse(bytes, at, at + HEADER_SIZE), undefined);
			const read = [frame.flags, frame.sender, frame.epochTag, frame.sequence];
			assert.deepEqual(read, [flags, sender, epochTag, sequence]);
		}),
	);
});

test("a header that is cut is short", () => {
	for (let length = 0; length < HEADER_SIZE; length++) {
		assert.equal(parse(bytesOf(HEX).subarray(0, length)), "short");
	}
});

test("every value of the first three bytes but one is refused, every other flag, and a key generation", () => {
	const refused = (at: number, value: number) => {
		const bytes = bytesOf(HEX);
		bytes[at] = value;
		return parse(bytes);
	};
	for (let value = 0; value < 256; value++) {
		assert.equal(refused(0, value), value === 0xc1 ? undefined : "version");
		assert.equal(refused(1, value), value === 0 ? undefined : "suite");
		assert.equal(refused(2, value), value === 0 ? undefined : "suite");
		assert.equal(refused(3, value), value < 4 ? undefined : "flags");
	}
	for (let at = 8; at < 12; at++) assert.equal(refused(at, 1), "suite");
});

test("a sequence number is neither 0 nor beyond 2^53 - 1", () => {
	const withSequence = (hex: string) => parse(bytesOf(HEX.slice(0, 32) + hex));
	assert.equal(withSequence("0000000000000000"), "sequence");
	assert.equal(withSequence("0000000000000001"), undefined);
	assert.equal(withSequence("001fffffffffffff"), undefined);
	assert.equal(withSequence("0020000000000000"), "sequence");
	assert.equal(withSequence("ffffffffffffffff"), "sequence");
});

test("32-bit numbers are big-endian and unsigned", () => {
	const bytes = new Uint8Array(6);
	putU32(bytes, 1, 0xfe010203);
	assert.deepEqual([...bytes], [0, 0xfe, 1, 2, 3, 0]);
	assert.equal(u32(bytes, 1), 0xfe010203);
});
