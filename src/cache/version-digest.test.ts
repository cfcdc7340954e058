import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BUCKETS, bucketOf, VersionDigest } from "./version-digest.ts";

const version = fc.oneof(fc.nat(5000), fc.maxSafeNat());

function digestOf(versions: readonly number[]): Int32Array {
	const digest = new VersionDigest();
	for (const one of versions) digest.toggle(one);
	return digest.words;
}

test("the same versions make the same digest in any order, and other versions another", () => {
	fc.assert(
		fc.property(fc.uniqueArray(version, { minLength: 1, maxLength: 50 }), version, (versions, other) => {
			assert.deepEqual(digestOf(versions), digestOf(versions.toReversed()));
			assert.notDeepEqual(digestOf(versions), digestOf(versions.slice(1)));
			if (!versions.includes(other)) {
				assert.notDeepEqual(digestOf(versions), digestOf([...versions.slice(1), other]));
			}
		}),
	);
});

test("a version that is put in and taken out leaves no trace, and touches its bucket alone", () => {
	fc.assert(
		fc.property(version, (one) => {
			const words = digestOf([one]);
			const bucket = bucketOf(one);
			assert.ok(bucket >= 0 && bucket < BUCKETS);
			words.forEach((word, i) => {
				if (i >> 1 !== bucket) assert.equal(word, 0);
			});
			assert.ok(digestOf([one, one]).every((word) => word === 0));
		}),
	);
});

test("versions that differ by whole turns of a word differ in their bucket's words", () => {
	const seen = new Set<string>();
	for (let turn = 0; turn < 1000; turn++) {
		const words = digestOf([7 + turn * 2 ** 32]);
		seen.add(`${words[14]} ${words[15]}`);
	}
	assert.equal(seen.size, 1000);
});

test("versions that are numbered through fill the buckets evenly", () => {
	const counts = new Map<number, number>();
	for (let one = 1_000_000; one < 1_000_000 + BUCKETS * 5; one++) {
		counts.set(bucketOf(one), (counts.get(bucketOf(one)) ?? 0) + 1);
	}
	assert.deepEqual(new Set(counts.values()), new Set([5]));
});
