import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Prefix, PrefixSet } from "./prefix-set.ts";

const AF = { 4: 2, 6: 10 } as const;

/** Few different bytes, so that addresses meet prefixes. */
const byte = fc.oneof(
	{ weight: 4, arbitrary: fc.constantFrom(0, 1, 10, 0x80, 0xff) },
	{ weight: 1, arbitrary: fc.nat(255) },
);
const addressOf = (family: 4 | 6): fc.Arbitrary<Uint8Array> => {
	const length = family === 4 ? 4 : 16;
	return fc.array(byte, { minLength: length, maxLength: length }).map((bytes) => Uint8Array.from(bytes));
};
const family = fc.constantFrom(4 as const, 6 as const);
/** Bits behind the prefix may be set. */
const prefix: fc.Arbitrary<Prefix> = family.chain((of) =>
	fc.record({
		family: fc.constant(of),
		address: addressOf(of),
		prefixLength: fc.oneof(fc.nat(of === 4 ? 32 : 128), fc.constantFrom(0, 8, 24, 32)),
	}),
);

/** As the definition says: the first bits are equal. Slow and obvious. */
function isIn(prefixes: readonly Prefix[], of: 4 | 6, address: Uint8Array): boolean {
	const bits = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(2).padStart(8, "0")).join("");
	return prefixes.some(
		(one) =>
			one.family === of &&
			bits(one.address).slice(0, one.prefixLength) === bits(address).slice(0, one.prefixLength),
	);
}

/** The address as words of a record, at an offset, among words of other things. */
function wordsOf(address: Uint8Array, at: number): Int32Array {
	const words = new Int32Array(at + 6).fill(-1);
	words.fill(0, at, at + 4);
	new Uint8Array(words.buffer).set(address, at * 4);
	return words;
}

test("an address is in the set if and only if one of the prefixes has its first bits", () => {
	const lookups = fc.array(
		family.chain((of) => fc.tuple(fc.constant(of), addressOf(of))),
		{ maxLength: 20 },
	);
	fc.assert(
		fc.property(fc.array(prefix, { maxLength: 30 }), lookups, fc.nat(5), (prefixes, addresses, at) => {
			const set = new PrefixSet(prefixes);
			const own = prefixes.map((one) => [one.family, one.address] as const);
			for (const [of, address] of [...addresses, ...own]) {
				const expected = isIn(prefixes, of, address);
				assert.equal(set.has(AF[of], wordsOf(address, at), at), expected, `${of}: ${address}`);
			}
		}),
		{ numRuns: 500 },
	);
});

test("the address next to each end of a prefix is outside", () => {
	const set = new PrefixSet([{ family: 4, address: Uint8Array.of(10, 1, 16, 0), prefixLength: 20 }]);
	const has = (...address: number[]) => set.has(2, wordsOf(Uint8Array.from(address), 0), 0);
	assert.deepEqual(
		[has(10, 1, 15, 255), has(10, 1, 16, 0), has(10, 1, 31, 255), has(10, 1, 32, 0)],
		[false, true, true, false],
	);
});

test("a prefix of length 0 holds every address of its family and none of the other", () => {
	const set = new PrefixSet([{ family: 6, address: new Uint8Array(16), prefixLength: 0 }]);
	assert.equal(set.has(10, wordsOf(new Uint8Array(16).fill(0xfe), 0), 0), true);
	assert.equal(set.has(2, wordsOf(new Uint8Array(4), 0), 0), false);
	assert.equal(new PrefixSet([]).has(2, wordsOf(new Uint8Array(4), 0), 0), false);
});

test("the caller's addresses are left as they are", () => {
	const address = Uint8Array.of(10, 1, 2, 3);
	new PrefixSet([{ family: 4, address, prefixLength: 8 }]);
	assert.deepEqual(address, Uint8Array.of(10, 1, 2, 3));
});
