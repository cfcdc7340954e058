import assert from "node:assert/strict";
import { isIPv4, isIPv6 } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { formatAddress, formatBytes, loadAddress, parseAddress, storeAddress } from "./address.ts";

/** Bytes of an address that inet_ntop(3) would write this way. */
const CANONICAL: readonly (readonly [text: string, hex: string])[] = [
	["0.0.0.0", "00000000"],
	["192.168.1.255", "c0a801ff"],
	["::", "00000000000000000000000000000000"],
	["::1", "00000000000000000000000000000001"],
	["1::", "00010000000000000000000000000000"],
	["fd00::2", "fd000000000000000000000000000002"],
	["2001:db8::1:0:0:1", "20010db8000000000001000000000001"],
	["2001:0:0:1::1", "20010000000000010000000000000001"],
	["::2:0:0:0", "00000000000000000002000000000000"],
	["1:0:0:2::", "00010000000000020000000000000000"],
	["1:0:2:3:4:5:6:7", "00010000000200030004000500060007"],
	["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffffffffffffffffffffffffffffffff"],
	["::ffff:1.2.3.4", "00000000000000000000ffff01020304"],
	["::ffff:0.0.0.1", "00000000000000000000ffff00000001"],
	["::1.2.3.4", "00000000000000000000000001020304"],
	["::304", "00000000000000000000000000000304"],
	["::1:0:0", "00000000000000000000000100000000"],
	["::fffe:102:304", "00000000000000000000fffe01020304"],
	["64:ff9b::102:304", "0064ff9b000000000000000001020304"],
];

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));

for (const [text, hex] of CANONICAL) {
	test(`${text} is written and read`, () => {
		assert.equal(formatBytes(bytesOf(hex)), text);
		assert.deepEqual(parseAddress(text), bytesOf(hex));
	});
}

test("other spellings of an IPv6 address are read too", () => {
	assert.deepEqual(parseAddress("FD00:0:0:0:0:0:0:2"), parseAddress("fd00::2"));
	assert.deepEqual(parseAddress("0064:ff9b::1.2.3.4"), parseAddress("64:ff9b::102:304"));
	assert.deepEqual(parseAddress("1:2:3:4:5:6:1.2.3.4"), parseAddress("1:2:3:4:5:6:102:304"));
	assert.deepEqual(parseAddress("1:2:3:4:5:6:7::"), parseAddress("1:2:3:4:5:6:7:0"));
});

test("what is no address is refused", () => {
	const bad = [
		"",
		"1",
		"1.2.3",
		"1.2.3.4.5",
		"1.2.3.256",
		"01.2.3.4",
		"1.2.3.4 ",
		"1.2.3.-4",
		"0x1.2.3.4",
		"a.b.c.d",
		":",
		":::",
		"1:2:3:4:5:6:7",
		"1:2:3:4:5:6:7:8:9",
		"1:2:3:4:5:6:7:8::",
		"::1::",
		"12345::",
		"g::",
		"fe80::1%eth0",
		"1.2.3.4::",
		"::1.2.3",
		"::1.2.3.4:5",
		"1:2:3:4:5:6:7:1.2.3.4",
	];
	for (const text of bad) assert.equal(parseAddress(text), undefined, `"${text}"`);
});

const v4 = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** With runs of zeroes, which decide how it is written. */
const v6 = fc
	.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff })), { minLength: 8, maxLength: 8 })
	.map((groups) => Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff])));

test("the text of any address is valid and leads back to its bytes", () => {
	fc.assert(
		fc.property(fc.oneof(v4, v6), (bytes) => {
			const text = formatBytes(bytes);
			assert.ok(bytes.length === 4 ? isIPv4(text) : isIPv6(text), text);
			assert.deepEqual(parseAddress(text), bytes);
		}),
	);
});

test("whatever is read is an address for everybody else, too", () => {
	const pieces = fc.array(fc.constantFrom(":", "::", ".", "0", "1", "ff", "1.2.3.4", "255", "256", "g"), {
		maxLength: 12,
	});
	fc.assert(
		fc.property(pieces, (parts) => {
			const text = parts.join("");
			const length = isIPv4(text) ? 4 : isIPv6(text) ? 16 : undefined;
			assert.equal(parseAddress(text)?.length, length, text);
		}),
		{ numRuns: 2000 },
	);
});

test("an address in a record keeps its bytes in network order and the rest zero", () => {
	fc.assert(
		fc.property(fc.oneof(v4, v6), fc.integer({ min: 0, max: 4 }), (bytes, at) => {
			const words = new Int32Array(8).fill(-1);
			const ipv6 = bytes.length === 16;
			storeAddress(words, at, bytes);
			const stored = new Uint8Array(words.buffer, at * 4, 16);
			assert.deepEqual(stored.slice(0, bytes.length), bytes);
			assert.ok(stored.slice(bytes.length).every((byte) => byte === 0));
			assert.equal(
				words.filter((_, i) => i < at || i >= at + 4).every((word) => word === -1),
				true,
			);
			assert.deepEqual(loadAddress(words, at, ipv6), bytes);
			assert.equal(formatAddress(words, at, ipv6), formatBytes(bytes));
		}),
	);
});

test("a loaded address is a copy", () => {
	const words = new Int32Array(4);
	storeAddress(words, 0, Uint8Array.of(1, 2, 3, 4));
	const copy = loadAddress(words, 0, false);
	words[0] = 0;
	assert.deepEqual(copy, Uint8Array.of(1, 2, 3, 4));
});

test("addresses work in a view that does not begin its buffer", () => {
	const words = new Int32Array(new ArrayBuffer(64), 16, 8);
	storeAddress(words, 2, Uint8Array.of(10, 0, 0, 1));
	assert.equal(formatAddress(words, 2, false), "10.0.0.1");
	assert.deepEqual([...new Uint8Array(words.buffer, 16 + 8, 4)], [10, 0, 0, 1]);
});
