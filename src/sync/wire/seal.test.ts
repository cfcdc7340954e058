import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HEADER_SIZE, writeHeader } from "./frame.ts";
import { PlainSeal } from "./seal.ts";

const seal = new PlainSeal();

/** A sealed frame with this payload. */
function sealed(payload: Uint8Array): Uint8Array {
	const bytes = new Uint8Array(HEADER_SIZE + payload.length + seal.overhead);
	writeHeader(bytes, 0, 1, 2, 3);
	bytes.set(payload, HEADER_SIZE);
	assert.equal(seal.seal(bytes, HEADER_SIZE + payload.length), bytes.length);
	return bytes;
}

const payloads = fc.uint8Array({ maxLength: 120 });

test("what was sealed is unsealed up to its trailer, wherever it stands in the buffer", () => {
	fc.assert(
		fc.property(payloads, fc.nat(9), (payload, at) => {
			const frame = sealed(payload);
			const bytes = new Uint8Array(at + frame.length + 3).fill(0xff);
			bytes.set(frame, at);
			assert.equal(seal.unseal(bytes, at, at + frame.length), at + HEADER_SIZE + payload.length);
		}),
	);
});

test("every single-bit flip inside a sealed datagram is refused", () => {
	fc.assert(
		fc.property(payloads, (payload) => {
			const bytes = sealed(payload);
			for (let bit = 0; bit < bytes.length * 8; bit++) {
				bytes[bit >>> 3]! ^= 1 << (bit & 7);
				assert.equal(seal.unseal(bytes, 0, bytes.length), -1, `bit ${bit}`);
				bytes[bit >>> 3]! ^= 1 << (bit & 7);
			}
			assert.ok(seal.unseal(bytes, 0, bytes.length) >= 0);
		}),
		{ numRuns: 30 },
	);
});

test("a sealed datagram that is cut or has grown is refused", () => {
	fc.assert(
		fc.property(payloads, fc.nat(255), (payload, tail) => {
			const bytes = sealed(payload);
			for (let end = 0; end < bytes.length; end++) assert.equal(seal.unseal(bytes, 0, end), -1);
			assert.equal(seal.unseal(Uint8Array.of(...bytes, tail), 0, bytes.length + 1), -1);
		}),
		{ numRuns: 30 },
	);
});
