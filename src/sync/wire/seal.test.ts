import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "./crc32c.ts";
import {
	bodyOffset,
	FLAG_ACK,
	FLAG_HELLO,
	Frame,
	HEADER_SIZE,
	KEY_GENERATION_AT,
	KEY_ID_AT,
	putU32,
	SUITE_AT,
	writeHeader,
} from "./frame.ts";
import { PlainSeal } from "./seal.ts";

const seal = new PlainSeal();
const epoch = new Uint8Array(16);

/** A sealed datagram with this payload, in a buffer that held something else before. */
function sealed(flags: number, payload: Uint8Array): Uint8Array {
	const body = bodyOffset(flags);
	const bytes = new Uint8Array(body + payload.length + seal.overhead).fill(0xee);
	writeHeader(bytes, flags, 1, 2, 3);
	bytes.set(payload, body);
	assert.equal(seal.seal(bytes, body, body + payload.length), bytes.length);
	return bytes;
}

/** The end of the records, or -1 as soon as one of frame and seal refuses. */
function opened(bytes: Uint8Array, start = 0, end = bytes.length): number {
	const frame = new Frame();
	return frame.parse(bytes, start, end) ? -1 : seal.unseal(frame, epoch, bytes, start, end);
}

const payloads = fc.uint8Array({ maxLength: 120 });
const flagBits = fc.constantFrom(0, FLAG_ACK, FLAG_HELLO);

test("what was sealed is opened up to its trailer, wherever it stands in the buffer", () => {
	fc.assert(
		fc.property(flagBits, payloads, fc.nat(9), (flags, payload, at) => {
			const datagram = sealed(flags, payload);
			const bytes = new Uint8Array(at + datagram.length + 3).fill(0xff);
			bytes.set(datagram, at);
			assert.equal(opened(bytes, at, at + datagram.length), at + datagram.length - seal.overhead);
		}),
	);
});

test("every single-bit flip inside a sealed datagram is refused", () => {
	fc.assert(
		fc.property(flagBits, payloads, (flags, payload) => {
			const bytes = sealed(flags, payload);
			const frame = new Frame();
			assert.equal(frame.parse(bytes, 0, bytes.length), undefined);
			for (let bit = 0; bit < bytes.length * 8; bit++) {
				bytes[bit >>> 3]! ^= 1 << (bit & 7);
				// the seal alone finds it, even where the header's own rules would, too
				assert.equal(seal.unseal(frame, epoch, bytes, 0, bytes.length), -1, `bit ${bit}`);
				bytes[bit >>> 3]! ^= 1 << (bit & 7);
			}
			assert.ok(opened(bytes) >= 0);
		}),
		{ numRuns: 30 },
	);
});

test("a sealed datagram that is cut or has grown is refused", () => {
	fc.assert(
		fc.property(flagBits, payloads, fc.nat(255), (flags, payload, tail) => {
			const bytes = sealed(flags, payload);
			for (let end = 0; end < bytes.length; end++) assert.equal(opened(bytes, 0, end), -1);
			assert.equal(opened(Uint8Array.of(...bytes, tail)), -1);
		}),
		{ numRuns: 30 },
	);
});

test("another suite, a key or a key generation is refused, whatever the checksum says", () => {
	for (const at of [SUITE_AT, KEY_ID_AT, KEY_GENERATION_AT, KEY_GENERATION_AT + 3]) {
		const bytes = sealed(0, new Uint8Array(5));
		bytes[at] = 1;
		const again = bytes.slice();
		new PlainSeal().seal(again, HEADER_SIZE, HEADER_SIZE + 5);
		// a checksum over the changed header, as whoever can change it can make one
		bytes.set(checksumOf(bytes), bytes.length - 4);
		assert.equal(opened(bytes), -1, `byte ${at}`);
		assert.ok(opened(again) >= 0);
	}
});

function checksumOf(bytes: Uint8Array): Uint8Array {
	const sum = new Uint8Array(4);
	putU32(sum, 0, crc32c(bytes, 0, bytes.length - 4));
	return sum;
}
