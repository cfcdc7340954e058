// The addon's ciphers against those of node:crypto, which is the oracle.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ciphersOf, loadNative, type NativeAead } from "../system/native.ts";
import { NONCE_SIZE, newAeadCipher, type Suite, TAG_SIZE } from "./aead-cipher.ts";

const native = ciphersOf(loadNative());
const fixed = (size: number) => fc.uint8Array({ minLength: size, maxLength: size });

test("Node exports its OpenSSL to the addon", () => {
	assert.ok(native);
});

test("both seal to the same bytes, open what the other has sealed, and refuse what was touched", () => {
	fc.assert(
		fc.property(
			fc.constantFrom<Suite>(1, 2),
			fixed(32),
			fc.array(
				fc.record({
					nonce: fixed(NONCE_SIZE),
					text: fc.uint8Array({ maxLength: 300 }),
					start: fc.nat(9),
					header: fc.nat(40),
					touched: fc.nat(1 << 16),
				}),
				{ maxLength: 6 },
			),
			(suite, key, datagrams) => {
				// one of each for all of them: nothing of one datagram may be left in the next
				const ours = newAeadCipher(suite, key, native);
				const nodes = newAeadCipher(suite, key, undefined);
				for (const { nonce, text, start, header, touched } of datagrams) {
					const body = start + header;
					const end = body + text.length;
					const plain = new Uint8Array(end + TAG_SIZE + 5).fill(7);
					plain.set(text, body);
					const [one, two] = [plain.slice(), plain.slice()];
					ours.seal(nonce, one, start, body, end);
					nodes.seal(nonce, two, start, body, end);
					assert.deepEqual(one, two);
					const broken = one.slice();
					broken[start + (touched % (end + TAG_SIZE - start))]! ^= 1 << (touched & 7);
					assert.equal(ours.open(nonce, broken, start, body, end), false);
					assert.equal(ours.open(nonce, one, start, body, end), true);
					assert.equal(nodes.open(nonce, two, start, body, end), true);
					for (const opened of [one, two]) assert.deepEqual(opened.subarray(0, end), plain.subarray(0, end));
				}
			},
		),
	);
});

test("arguments that would reach beyond the bytes, or are no cipher, are refused", () => {
	assert.ok(native);
	const refused = { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" };
	const { aeadCipher, aeadRun } = native;
	for (const [suite, size] of [
		[0, 32],
		[3, 32],
		[1, 31],
		[2, 33],
	] as const)
		assert.throws(() => aeadCipher(suite, new Uint8Array(size)), refused);
	const cipher = aeadCipher(1, new Uint8Array(32));
	const nonce = new Uint8Array(NONCE_SIZE);
	const bytes = new Uint8Array(64);
	assert.equal(aeadRun(cipher, true, nonce, bytes, 0, 24, 48), true);
	for (const [start, body, end] of [
		[-1, 24, 48],
		[0, 24, 49],
		[25, 24, 48],
		[0, 49, 48],
	] as const)
		assert.throws(() => aeadRun(cipher, true, nonce, bytes, start, body, end), refused);
	assert.throws(() => aeadRun(cipher, true, nonce.subarray(1), bytes, 0, 24, 48), refused);
	for (const other of [undefined, {}, "x"])
		assert.throws(() => aeadRun(other as unknown as NativeAead, true, nonce, bytes, 0, 24, 48), refused);
});
