import assert from "node:assert/strict";
import { test } from "node:test";
import { BUCKETS, VersionDigest } from "../cache/version-digest.ts";
import { hasBucket, PeerEquality, SLICE_BUCKETS, SLICES } from "./peer-equality.ts";
import { putU32 } from "./wire/frame.ts";

/** The peer's digest, as it stands in a datagram. */
function bytesOf(digest: VersionDigest): Uint8Array {
	const bytes = new Uint8Array(BUCKETS * 8);
	digest.words.forEach((word, i) => {
		putU32(bytes, i * 4, word);
	});
	return bytes;
}

/** Compares everything at this time. @returns whether anything was suspect */
function sweep(equality: PeerEquality, theirs: VersionDigest, now: number): boolean {
	const bytes = bytesOf(theirs);
	let isSuspect = false;
	for (let slice = 0; slice < SLICES; slice++) {
		if (equality.compare(slice, bytes, slice * SLICE_BUCKETS * 8, now)) isSuspect = true;
	}
	return isSuspect;
}

test("all is verified when every bucket was found equal, as of the one that was looked at first", () => {
	const equality = new PeerEquality();
	const theirs = new VersionDigest();
	for (const version of [1, 2, 3000]) {
		theirs.toggle(version);
		equality.digest.toggle(version);
	}
	const bytes = bytesOf(theirs);
	for (let slice = 0; slice < SLICES; slice++) {
		assert.equal(equality.verifiedAt, Number.NEGATIVE_INFINITY);
		assert.equal(equality.compare(slice, bytes, slice * SLICE_BUCKETS * 8, 100 + slice), false);
	}
	assert.equal(equality.verifiedAt, 100);
	equality.compare(0, bytes, 0, 500);
	assert.equal(equality.verifiedAt, 101);
});

test("a bucket that differs at rest is suspect, one that moves is not yet", () => {
	const equality = new PeerEquality();
	const theirs = new VersionDigest();
	theirs.toggle(5);
	assert.equal(sweep(equality, theirs, 1000), false, "it may be on its way");
	assert.equal(sweep(equality, theirs, 1200), false);
	assert.equal(equality.differing, 1);
	theirs.toggle(5 + BUCKETS);
	assert.equal(sweep(equality, theirs, 1400), false, "it has moved there");
	equality.digest.toggle(5);
	assert.equal(sweep(equality, theirs, 1600), false, "and here");
	assert.equal(sweep(equality, theirs, 1900), true);
	const bits = equality.suspects(1900);
	assert.deepEqual(
		Array.from({ length: BUCKETS }, (_, bucket) => bucket).filter((bucket) => hasBucket(bits, bucket)),
		[5],
	);
	equality.digest.toggle(5 + BUCKETS);
	assert.equal(sweep(equality, theirs, 2200), false, "it is equal now");
	assert.deepEqual([equality.differing, equality.verifiedAt], [0, 2200]);
});

test("a bucket that is never seen at rest is suspect in the end", () => {
	const equality = new PeerEquality();
	const theirs = new VersionDigest();
	theirs.toggle(7);
	let sweeps = 0;
	do {
		theirs.toggle(7 + BUCKETS * (sweeps + 1));
		sweeps++;
	} while (!sweep(equality, theirs, sweeps) && sweeps < 100);
	assert.equal(sweeps, 16);
});

test("a new bulk makes everything unknown again", () => {
	const equality = new PeerEquality();
	const theirs = new VersionDigest();
	equality.suspend();
	sweep(equality, theirs, 5);
	assert.deepEqual([equality.verifiedAt, equality.isSuspended], [5, true], "it is still being emptied");
	theirs.toggle(7);
	equality.emptied();
	sweep(equality, theirs, 10);
	assert.deepEqual([equality.differing, equality.isSuspended], [1, true]);
	equality.reset();
	assert.deepEqual([equality.verifiedAt, equality.isSuspended], [Number.NEGATIVE_INFINITY, false]);
	equality.emptied();
	assert.equal(equality.isSuspended, false, "a bulk that began while the cache was emptied counts");
});

test("what an operator has emptied is looked after again when all of it is equal", () => {
	const equality = new PeerEquality();
	const theirs = new VersionDigest();
	equality.suspend();
	equality.emptied();
	theirs.toggle(7);
	sweep(equality, theirs, 5);
	assert.equal(equality.isSuspended, true);
	equality.digest.toggle(7);
	sweep(equality, theirs, 10);
	assert.deepEqual([equality.verifiedAt, equality.isSuspended], [10, false]);
});

test("the same when each part of it was equal once, whatever has changed in the others meanwhile", () => {
	const equality = new PeerEquality();
	const theirs = new VersionDigest();
	equality.suspend();
	equality.emptied();
	theirs.toggle(7);
	sweep(equality, theirs, 5);
	equality.digest.toggle(7);
	theirs.toggle(8);
	sweep(equality, theirs, 10);
	assert.deepEqual([equality.differing, equality.isSuspended], [1, false]);
});
