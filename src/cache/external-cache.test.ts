import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MARK } from "../conntrack/record.ts";
import { recordOf } from "../sync/simulation.ts";
import { newCacheCounters } from "./cache-counters.ts";
import { ConntrackLayout } from "./conntrack-layout.ts";
import { ExternalCache } from "./external-cache.ts";
import { CREATED, UPDATED } from "./record-layout.ts";
import { RecordStore } from "./record-store.ts";
import { SlotSet } from "./slot-set.ts";
import { VersionDigest } from "./version-digest.ts";

const newCache = (limit = 1000): ExternalCache =>
	new ExternalCache(new RecordStore(new ConntrackLayout(), 1, 16), limit);

/** The value held under a key, undefined if there is none that is live. */
function held(cache: ExternalCache, key: number): number | undefined {
	const slot = cache.store.find(recordOf(key, 0));
	if (slot < 0 || !cache.store.isLive(slot)) return undefined;
	const record = recordOf(0, 0);
	cache.store.read(slot, record);
	return record[MARK];
}

const versionOf = (cache: ExternalCache, key: number): number =>
	cache.store.version(cache.store.find(recordOf(key, 0)));

test("a newer version counts, an older one or the same again does not", () => {
	const cache = newCache();
	cache.set(recordOf(1, 10), 5, 100);
	cache.set(recordOf(1, 11), 4, 101);
	assert.deepEqual([held(cache, 1), versionOf(cache, 1)], [10, 5]);
	cache.set(recordOf(1, 12), 5, 102);
	assert.equal(held(cache, 1), 10);
	cache.set(recordOf(1, 13), 2 ** 40, 103);
	assert.deepEqual([held(cache, 1), versionOf(cache, 1)], [13, 2 ** 40]);
	cache.set(recordOf(1, 14), 2 ** 40 - 1, 104);
	assert.equal(held(cache, 1), 13);
	const slot = cache.store.find(recordOf(1, 0));
	assert.deepEqual([cache.store.header(slot, CREATED), cache.store.header(slot, UPDATED)], [100, 103]);
	assert.deepEqual({ ...cache.counters }, { ...newCacheCounters(), created: 1, updated: 1 });
});

test("a deletion that is older than what is held does nothing", () => {
	const cache = newCache();
	cache.set(recordOf(1, 10), 5, 0);
	cache.delete(recordOf(1, 0), 4, 1, 0);
	cache.delete(recordOf(1, 0), 5, 2, 0);
	assert.equal(held(cache, 1), 10);
	cache.delete(recordOf(1, 0), 6, 3, 0);
	assert.equal(held(cache, 1), undefined);
	cache.delete(recordOf(1, 0), 6, 4, 0);
	assert.deepEqual({ ...cache.counters }, { ...newCacheCounters(), created: 1, destroyed: 1 });
});

test("a deletion that comes before its entry leaves a grave, which the entry does not open", () => {
	const cache = newCache();
	cache.delete(recordOf(1, 0), 5, 10, 0);
	assert.deepEqual([cache.store.count, cache.store.live], [1, 0]);
	cache.set(recordOf(1, 10), 4, 0);
	assert.equal(held(cache, 1), undefined);
	assert.equal(cache.counters.destroyNotFound, 1);
	cache.set(recordOf(1, 11), 6, 0);
	assert.equal(held(cache, 1), 11, "a newer one is another connection");
	assert.equal(cache.counters.created, 1);
});

test("a grave lasts as long as a datagram may come that is older than its deletion", () => {
	const cache = newCache();
	cache.set(recordOf(1, 10), 1, 0);
	cache.set(recordOf(2, 10), 2, 0);
	cache.delete(recordOf(1, 0), 3, 10, 0);
	cache.delete(recordOf(2, 0), 4, 11, 0);
	cache.collect(10);
	assert.equal(cache.store.count, 2);
	cache.set(recordOf(1, 10), 1, 0);
	assert.equal(held(cache, 1), undefined);
	cache.collect(11);
	assert.equal(cache.store.count, 1);
	cache.collect(12);
	assert.equal(cache.store.count, 0);
});

test("collecting takes no grave that was opened since, nor one that was dug again later", () => {
	const cache = newCache();
	cache.delete(recordOf(1, 0), 3, 10, 0);
	cache.set(recordOf(1, 7), 4, 0);
	cache.delete(recordOf(2, 0), 5, 10, 0);
	cache.delete(recordOf(2, 0), 8, 20, 0);
	cache.collect(15);
	assert.equal(held(cache, 1), 7);
	cache.set(recordOf(2, 9), 7, 0);
	assert.equal(held(cache, 2), undefined);
	cache.collect(21);
	assert.deepEqual([cache.store.count, cache.store.live], [1, 1]);
});

test("graves cost nothing for long", () => {
	const cache = newCache();
	for (let i = 1; i <= 20_000; i++) {
		cache.delete(recordOf(i % 50, 0), i, i, 0);
		cache.collect(i - 10);
		assert.ok(cache.store.count <= 50);
	}
	cache.collect(20_001);
	assert.equal(cache.store.count, 0);
	assert.ok(cache.store.end <= 51, "their slots are used again");
});

test("after a new epoch what is held stays, and any version of the new epoch is newer", () => {
	const cache = newCache();
	cache.set(recordOf(1, 10), 500, 0);
	cache.set(recordOf(2, 10), 501, 0);
	cache.delete(recordOf(3, 0), 502, 9, 0);
	cache.beginEpoch();
	assert.equal(cache.store.count, 2, "graves are of the old epoch");
	assert.deepEqual([held(cache, 1), held(cache, 2)], [10, 10]);
	cache.set(recordOf(1, 11), 1, 0);
	assert.equal(held(cache, 1), 11);
	cache.delete(recordOf(2, 0), 2, 1, 0);
	assert.equal(held(cache, 2), undefined);
	cache.set(recordOf(3, 12), 3, 0);
	assert.equal(held(cache, 3), 12);
	cache.set(recordOf(1, 9), 0, 0);
	assert.equal(held(cache, 1), 11, "within the new epoch the order counts again");
});

test("a complete bulk drops what it did not confirm, in slices, and nothing before that", () => {
	const cache = newCache();
	for (let key = 0; key < 10; key++) cache.set(recordOf(key, 1), key + 1, 0);
	cache.delete(recordOf(9, 0), 11, 1, 0);
	cache.beginGeneration();
	cache.set(recordOf(2, 1), 3, 0); // the same again
	cache.set(recordOf(4, 2), 20, 0); // changed
	cache.set(recordOf(6, 1), 6, 0); // overtaken: confirms nothing
	cache.set(recordOf(77, 1), 21, 0); // new
	assert.equal(cache.store.live, 10);
	const stops: number[] = [];
	for (let at = 0; at >= 0; ) stops.push((at = cache.sweep(at, 4)));
	assert.deepEqual(stops, [4, 8, -1]);
	const left = Array.from({ length: 100 }, (_, key) => key).filter((key) => held(cache, key) !== undefined);
	assert.deepEqual(left, [2, 4, 77]);
	assert.equal(cache.counters.destroyed, 8);
	assert.equal(cache.store.count, 4, "graves are no affair of the sweep");
});

test("what was withdrawn while a bulk came is not brought back by an older datagram after the sweep", () => {
	const cache = newCache();
	cache.set(recordOf(1, 1), 1, 0);
	cache.beginGeneration();
	cache.withdraw(recordOf(1, 0), 3, 12, 0);
	assert.equal(held(cache, 1), 1, "it has not ended: a commit may still want it");
	cache.sweep(0, 100);
	cache.set(recordOf(1, 2), 2, 0);
	assert.equal(held(cache, 1), undefined, "version 2 is older than the withdrawal");
	cache.collect(12);
	assert.equal(cache.store.count, 1, "a datagram before the withdrawal may still come");
	cache.set(recordOf(1, 4), 4, 0);
	assert.equal(held(cache, 1), 4, "what the peer told afterwards counts");
	cache.collect(13);
	assert.equal(held(cache, 1), 4);
});

test("nothing is swept while a commit reads", () => {
	const cache = newCache();
	cache.set(recordOf(1, 1), 1, 0);
	cache.beginGeneration();
	const touched = new SlotSet();
	cache.touched = touched;
	assert.equal(cache.sweep(0, 100), 0, "the sweep stands where it was");
	assert.equal(held(cache, 1), 1);
	cache.touched = undefined;
	assert.equal(cache.sweep(0, 100), -1);
	assert.equal(held(cache, 1), undefined);
});

test("entries of two epochs ago are swept like those of one", () => {
	const cache = newCache();
	cache.set(recordOf(1, 1), 1, 0);
	cache.beginEpoch();
	cache.set(recordOf(2, 1), 1, 0);
	cache.beginEpoch();
	cache.beginGeneration();
	cache.set(recordOf(3, 1), 1, 0);
	cache.sweep(0, 100);
	assert.deepEqual(
		[1, 2, 3].map((key) => held(cache, key)),
		[undefined, undefined, 1],
	);
});

test("no more entries live than the limit allows, whichever way they come", () => {
	const cache = newCache(3);
	for (let key = 1; key <= 5; key++) cache.set(recordOf(key, 1), key, 0);
	assert.equal(cache.store.live, 3);
	const { createFailed, createNoSpace, created } = cache.counters;
	assert.deepEqual([createFailed, createNoSpace, created], [2, 2, 3]);
	cache.set(recordOf(1, 2), 6, 0);
	assert.equal(held(cache, 1), 2, "what is held may change");
	// a grave has a slot already, and is no way in either
	for (let key = 10; key < 20; key++) cache.delete(recordOf(key, 0), key, key, 0);
	for (let key = 10; key < 20; key++) cache.set(recordOf(key, 1), key + 100, 0);
	assert.equal(cache.store.live, 3);
	cache.delete(recordOf(1, 0), 200, 30, 0);
	cache.set(recordOf(10, 1), 201, 0);
	assert.deepEqual([cache.store.live, held(cache, 10)], [3, 1]);
});

test("a flush takes entries out; while a commit runs it hears of every slot that changes", () => {
	const cache = newCache();
	cache.set(recordOf(1, 1), 1, 0);
	cache.drop(cache.store.find(recordOf(1, 0)));
	assert.deepEqual([cache.store.count, cache.counters.destroyed], [0, 1]);
	const touched = new SlotSet();
	cache.touched = touched;
	cache.set(recordOf(2, 1), 2, 0);
	const slot = cache.store.find(recordOf(2, 0));
	assert.deepEqual([...touched], [slot]);
	touched.clear();
	cache.set(recordOf(2, 1), 2, 0);
	assert.deepEqual([...touched], [], "nothing has changed");
	cache.set(recordOf(2, 2), 3, 0);
	assert.deepEqual([...touched], [slot]);
});

/** Datagrams of one record each between an origin and the cache, and everything that may happen to them. */
const step = fc.oneof(
	{
		weight: 8,
		arbitrary: fc.record({
			do: fc.constant("change" as const),
			key: fc.nat(7),
			to: fc.constantFrom("set" as const, "set" as const, "delete" as const, "withdraw" as const),
		}),
	},
	{ weight: 16, arbitrary: fc.record({ do: fc.constant("deliver" as const), which: fc.nat(7) }) },
	{ weight: 1, arbitrary: fc.constantFrom({ do: "epoch" as const }, { do: "bulk" as const }) },
	{
		weight: 1,
		arbitrary: fc.record({ do: fc.constant("sweep" as const), slice: fc.integer({ min: 1, max: 9 }) }),
	},
);

test("however datagrams are lost, repeated and reordered, a key's newest version that has come counts", () => {
	const WINDOW = 8;
	interface Known {
		value: number | undefined;
		version: number;
		epoch: number;
		/** -1: withdrawn. */
		generation: number;
		withdrawnIn?: number;
	}
	fc.assert(
		fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
			const cache = newCache();
			const known = new Map<number, Known>();
			let sent: { key: number; to: "set" | "delete" | "withdraw"; value: number; version: number }[] = [];
			let accepted = new Set<number>();
			let highest = 0;
			let epoch = 0;
			let generation = 0;
			for (const [i, one] of steps.entries()) {
				if (one.do === "change") {
					sent.push({ key: one.key, to: one.to, value: i, version: sent.length + 1 });
				} else if (one.do === "deliver") {
					const sequence = sent.length - one.which;
					if (sequence < 1 || sequence <= highest - WINDOW || accepted.has(sequence)) continue;
					const { key, to, value, version } = sent[sequence - 1]!;
					accepted.add(sequence);
					highest = Math.max(highest, sequence);
					if (to === "set") cache.set(recordOf(key, value), version, 0);
					else cache[to](recordOf(key, 0), version, sequence, 0);
					cache.collect(highest - WINDOW + 1);
					const before = known.get(key);
					if (before && before.epoch === epoch && before.version >= version) continue;
					if (to === "set") known.set(key, { value, version, epoch, generation });
					else if (to === "withdraw" && before?.value !== undefined) {
						known.set(key, {
							value: before.value,
							version,
							epoch,
							generation: -1,
							withdrawnIn: generation,
						});
					} else known.set(key, { value: undefined, version, epoch, generation });
				} else if (one.do === "epoch") {
					cache.beginEpoch();
					epoch++;
					generation++;
					sent = [];
					accepted = new Set();
					highest = 0;
				} else if (one.do === "bulk") {
					cache.beginGeneration();
					generation++;
				} else {
					for (let at = 0; at >= 0; ) at = cache.sweep(at, one.slice);
					for (const [key, state] of known) {
						if (state.value === undefined || state.generation >= generation) continue;
						// what was sent before the withdrawal may still be on its way
						if (state.withdrawnIn === generation) known.set(key, { ...state, value: undefined });
						else known.delete(key);
					}
				}
				for (let key = 0; key < 8; key++) {
					assert.equal(held(cache, key), known.get(key)?.value, `key ${key} after step ${i}`);
				}
			}
			const live = [...known.values()].filter(({ value }) => value !== undefined);
			assert.equal(cache.store.live, live.length);
			const confirmed = live.filter((one) => one.generation === generation);
			const digest = new VersionDigest();
			for (const { version } of confirmed) digest.toggle(version);
			assert.equal(cache.confirmed, confirmed.length);
			assert.deepEqual(cache.digest.words, digest.words, "the digest is that of the confirmed versions");
			cache.collect(Number.POSITIVE_INFINITY);
			assert.equal(cache.store.count, live.length, "no grave is left");
		}),
		{ numRuns: 400 },
	);
});

test("what found no room is in the digest all the same, in its newest version, until it ends or finds room", () => {
	const cache = newCache(1);
	const expected = new VersionDigest();
	const check = (text: string) => assert.deepEqual(cache.digest.words, expected.words, text);
	cache.set(recordOf(1, 0), 1, 0);
	expected.toggle(1);
	cache.set(recordOf(2, 0), 2, 0);
	expected.toggle(2);
	check("refused, and counted");
	assert.equal(cache.refused, 1);
	cache.set(recordOf(2, 1), 5, 0);
	cache.set(recordOf(2, 0), 4, 0);
	expected.toggle(2);
	expected.toggle(5);
	check("the newest version counts");
	cache.delete(recordOf(2, 0), 3, 1, 0);
	check("a deletion that is overtaken changes nothing");
	cache.delete(recordOf(1, 0), 6, 2, 0);
	expected.toggle(1);
	cache.set(recordOf(2, 2), 7, 0);
	expected.toggle(5);
	expected.toggle(7);
	check("there is room now");
	assert.equal(cache.refused, 0);
	cache.set(recordOf(3, 0), 8, 0);
	cache.delete(recordOf(3, 0), 9, 3, 0);
	check("it ended without ever having been held");
	cache.beginGeneration();
	assert.ok(cache.digest.words.every((word) => word === 0));
});
