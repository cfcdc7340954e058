import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { bodyOffset, FLAG_ACK, FLAG_HELLO, Frame, writeHeader } from "../sync/wire/frame.ts";
import { PlainSeal, type Seal } from "../sync/wire/seal.ts";
import { ciphersOf, loadNative, type NativeCiphers } from "../system/native.ts";
import {
	type AeadOptions,
	AeadSeal,
	SUITE_AES_256_GCM,
	SUITE_CHACHA20_POLY1305,
	type Suite,
} from "./aead-seal.ts";
import { generateKeyLine, parseKeyFile } from "./key-ring.ts";

const EPOCH = randomBytes(16);
const LINE1 = generateKeyLine(1, false);
const LINE2 = generateKeyLine(2, false);
const ring = parseKeyFile(LINE1, "one");
const NODE = 7;
const native = ciphersOf(loadNative());

const sealOf = (options: Partial<AeadOptions> = {}): AeadSeal =>
	new AeadSeal({
		ring: () => ring,
		cluster: "c",
		node: NODE,
		epoch: EPOCH,
		suite: SUITE_AES_256_GCM,
		ciphers: native,
		...options,
	});

/** A sealed datagram of NODE. */
function sealed(seal: Seal, sequence = 5, flags = FLAG_ACK, text = "records of any kind"): Uint8Array {
	const bytes = new Uint8Array(200);
	const body = bodyOffset(flags);
	writeHeader(bytes, flags, NODE, 0x01020304, sequence);
	bytes.set(new TextEncoder().encode(text), body);
	return bytes.slice(0, seal.seal(bytes, body, body + text.length, sequence));
}

/** The text of a datagram, or undefined if it does not open. */
function open(seal: Seal, datagram: Uint8Array, epoch: Uint8Array = EPOCH): string | undefined {
	const bytes = datagram.slice();
	const frame = new Frame();
	if (frame.parse(bytes, 0, bytes.length) !== undefined) return undefined;
	const stop = seal.unseal(frame, epoch, bytes, 0, bytes.length);
	return stop < 0 ? undefined : new TextDecoder().decode(bytes.subarray(frame.body, stop));
}

for (const [suite, ciphers] of [
	[SUITE_AES_256_GCM, native],
	[SUITE_AES_256_GCM, undefined],
	[SUITE_CHACHA20_POLY1305, native],
	[SUITE_CHACHA20_POLY1305, undefined],
] as [Suite, NativeCiphers | undefined][]) {
	const by = ciphers ? "the addon" : "node:crypto";
	test(`suite ${suite}, ${by}: what one node seals another with the same ring opens`, () => {
		const datagram = sealed(sealOf({ suite, ciphers }));
		assert.equal(
			open(sealOf({ node: 9, epoch: randomBytes(16), suite, ciphers }), datagram),
			"records of any kind",
		);
		assert.equal(Buffer.from(datagram).includes("records"), false);
	});

	test(`suite ${suite}, ${by}: no datagram with a flipped bit opens, whichever bit`, () => {
		const datagram = sealed(sealOf({ suite, ciphers }), 5, FLAG_HELLO);
		const seal = sealOf({ suite, ciphers });
		for (let bit = 0; bit < datagram.length * 8; bit++) {
			const flipped = datagram.slice();
			flipped[bit >>> 3]! ^= 1 << (bit & 7);
			assert.equal(open(seal, flipped), undefined, `bit ${bit}`);
		}
		assert.notEqual(open(seal, datagram), undefined);
	});
}

test("another key, cluster, epoch or sender opens nothing", () => {
	const datagram = sealed(sealOf());
	assert.equal(
		open(sealOf({ ring: () => parseKeyFile(generateKeyLine(1, false), "other") }), datagram),
		undefined,
	);
	assert.equal(open(sealOf({ ring: () => parseKeyFile(LINE2, "two") }), datagram), undefined);
	assert.equal(open(sealOf({ cluster: "d" }), datagram), undefined);
	assert.equal(open(sealOf(), datagram, randomBytes(16)), undefined);
});

test("a datagram that is cut short does not open, at any length", () => {
	const datagram = sealed(sealOf());
	for (let length = 0; length < datagram.length; length++) {
		assert.equal(open(sealOf(), datagram.subarray(0, length)), undefined);
	}
});

test("a node with keys takes nothing unsealed, and one without takes nothing sealed", () => {
	assert.equal(open(sealOf(), sealed(new PlainSeal())), undefined);
	assert.equal(open(new PlainSeal(), sealed(sealOf())), undefined);
});

test("a key is changed without a datagram that the other side cannot open", () => {
	const both1 = parseKeyFile(LINE1.replace("\n", " primary\n") + LINE2, "1 primary");
	const both2 = parseKeyFile(LINE1 + LINE2.replace("\n", " primary\n"), "2 primary");
	const only2 = parseKeyFile(LINE2, "2 only");
	let a = ring;
	let b = ring;
	const sealA = sealOf({ ring: () => a });
	const sealB = sealOf({ ring: () => b });
	for (const [ringA, ringB] of [
		[both1, ring],
		[both1, both1],
		[both2, both1],
		[both2, both2],
		[only2, both2],
		[only2, only2],
	] as const) {
		a = ringA;
		b = ringB;
		assert.notEqual(open(sealB, sealed(sealA)), undefined);
		assert.notEqual(open(sealA, sealed(sealB)), undefined);
	}
	// and the retired key opens nothing any more
	assert.equal(open(sealB, sealed(sealOf({ ring: () => ring }))), undefined);
});

test("the same text under two sequence numbers gives different ciphertexts", () => {
	const one = sealed(sealOf(), 1);
	const two = sealed(sealOf(), 2);
	assert.notDeepEqual(one.subarray(24, 43), two.subarray(24, 43));
});

test("beyond 2^32 datagrams another key is derived, and both ends know which", () => {
	const datagram = sealed(sealOf(), 2 ** 32 + 5);
	assert.deepEqual([...datagram.subarray(8, 12)], [0, 0, 0, 1]);
	assert.notEqual(open(sealOf(), datagram), undefined);
	datagram[11] = 0;
	assert.equal(open(sealOf(), datagram), undefined);
});

test("a suite that this host's OpenSSL does not have opens nothing, and nothing is thrown", () => {
	const poor: NativeCiphers = {
		aeadCipher: (suite, key) => {
			if (suite === SUITE_CHACHA20_POLY1305) throw new Error("the cipher cannot be made");
			return native!.aeadCipher(suite, key);
		},
		aeadRun: (...call) => native!.aeadRun(...call),
	};
	const receiver = sealOf({ ciphers: poor });
	assert.equal(open(receiver, sealed(sealOf({ suite: SUITE_CHACHA20_POLY1305 }))), undefined);
	assert.equal(open(receiver, sealed(sealOf())), "records of any kind");
});
