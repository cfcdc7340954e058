import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
	bodyOffset,
	EPOCH_SIZE,
	FLAG_ACK,
	FLAG_HELLO,
	Frame,
	HEADER_SIZE,
	putU32,
	u32,
	writeHeader,
} from "./frame.ts";

/** One header, in the columns of the drawing in frame.ts. */
const HEX = `
	c1       05       06       02       0a000001
	0b0c0d0e                            deadbeef
	00000007 00000009
`.replace(/\s/g, "");
const SEQUENCE = 7 * 2 ** 32 + 9;

const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, "hex"));
const parse = (bytes: Uint8Array) => new Frame().parse(bytes, 0, bytes.length);

test("a header is the bytes of the drawing, and what belongs to the seal is left to it", () => {
	const bytes = new Uint8Array(HEADER_SIZE);
	bytes.set([5, 6], 1);
	bytes.set([0x0b, 0x0c, 0x0d, 0x0e], 8);
	writeHeader(bytes, FLAG_ACK, 0x0a000001, 0xdeadbeef, SEQUENCE);
	assert.equal(Buffer.from(bytes).toString("hex"), HEX);
});

test("the bytes of the drawing are a header", () => {
	const frame = new Frame();
	assert.equal(frame.parse(bytesOf(HEX), 0, HEADER_SIZE), undefined);
	const { suite, keyId, flags, sender, keyGeneration, epochTag, sequence, body } = frame;
	assert.deepEqual([suite, keyId, flags, sender], [5, 6, FLAG_ACK, 0x0a000001]);
	assert.deepEqual(
		[keyGeneration, epochTag, sequence, body],
		[0x0b0c0d0e, 0xdeadbeef, SEQUENCE, HEADER_SIZE],
	);
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
			const header = new Uint8Array(bodyOffset(flags));
			writeHeader(header, flags, sender, epochTag, sequence);
			const bytes = new Uint8Array(at + header.length + 5).fill(0xff);
			bytes.set(header, at);
			const frame = new Frame();
			assert.equal(frame.parse(bytes, at, at + header.length), undefined);
			assert.equal(frame.body, at + header.length);
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

test("a HELLO has an epoch behind its header, and is short without all of it", () => {
	const bytes = new Uint8Array(HEADER_SIZE + EPOCH_SIZE);
	writeHeader(bytes, FLAG_HELLO, 1, 2, 3);
	const frame = new Frame();
	assert.equal(frame.parse(bytes, 0, bytes.length), undefined);
	assert.equal(frame.body, HEADER_SIZE + EPOCH_SIZE);
	for (let end = 0; end < bytes.length; end++) assert.equal(frame.parse(bytes, 0, end), "short");
});

test("every value of the first byte but one is refused, and every unknown flag", () => {
	const refused = (at: number, value: number) => {
		const bytes = new Uint8Array(HEADER_SIZE + EPOCH_SIZE);
		bytes.set(bytesOf(HEX));
		bytes[at] = value;
		return parse(bytes);
	};
	for (let value = 0; value < 256; value++) {
		assert.equal(refused(0, value), value === 0xc1 ? undefined : "version");
		assert.equal(refused(3, value), value < 4 ? undefined : "flags");
	}
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
