import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { crc32c } from "./crc32c.ts";

const sum = (bytes: Iterable<number>): number => {
	const array = Uint8Array.from(bytes);
	return crc32c(array, 0, array.length);
};

/** RFC 3720, appendix B.4; the RFC prints the four bytes in the order in which they are sent, lowest first. */
const VECTORS: readonly (readonly [name: string, bytes: Uint8Array, crc: string])[] = [
	["32 bytes of zeroes", new Uint8Array(32), "aa36918a"],
	["32 bytes of ones", new Uint8Array(32).fill(0xff), "43aba862"],
	["32 bytes of incrementing 00..1f", Uint8Array.from({ length: 32 }, (_, i) => i), "4e79dd46"],
	["32 bytes of decrementing 1f..00", Uint8Array.from({ length: 32 }, (_, i) => 31 - i), "5cdb3f11"],
	[
		"an iSCSI SCSI Read (10) command PDU",
		Buffer.from(
			`01c00000 00000000 00000000 00000000 14000000 00000400
			 00000014 00000018 28000000 00000000 02000000 00000000`.replace(/\s/g, ""),
			"hex",
		),
		"563a96d9",
	],
];

for (const [name, bytes, crc] of VECTORS) {
	test(`CRC-32C of ${name} is that of RFC 3720`, () => {
		const sent = Buffer.alloc(4);
		sent.writeUInt32LE(sum(bytes));
		assert.equal(sent.toString("hex"), crc);
	});
}

test("the check value of the CRC catalogue comes out, and nothing gives zero", () => {
	assert.equal(sum(Buffer.from("123456789")), 0xe3069283);
	assert.equal(sum([]), 0);
});

test("four bytes a step give what one bit a step gives, wherever the bytes begin and end", () => {
	const slow = (bytes: Uint8Array): number => {
		let crc = 0xffffffff;
		for (const byte of bytes) {
			crc ^= byte;
			for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
		}
		return (crc ^ 0xffffffff) >>> 0;
	};
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), fc.nat(100), (bytes, a, b) => {
			const start = Math.min(a, b, bytes.length);
			const end = Math.min(Math.max(a, b), bytes.length);
			assert.equal(crc32c(bytes, start, end), slow(bytes.subarray(start, end)));
		}),
	);
});
