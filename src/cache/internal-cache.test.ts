import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as X from "../conntrack/expectation-record.ts";
import * as R from "../conntrack/record.ts";
import { IPS_ASSURED, IPS_OFFLOAD } from "../conntrack/status.ts";
import { recordOf } from "../sync/simulation.ts";
import { newCacheCounters } from "./cache-counters.ts";
import { type ChangeListener, type InternalCache, NEVER_SEEN, newInternalCaches } from "./internal-cache.ts";
import { CREATED, DEAD, UPDATED } from "./record-layout.ts";
import { VersionDigest } from "./version-digest.ts";

/** What the listener was told, in order: "+slot" and "-slot". The dead are kept until the test forgets them. */
class Told implements ChangeListener {
	readonly log: string[] = [];
	changed(slot: number): void {
		this.log.push(`+${slot}`);
	}
	destroyed(slot: number): void {
		this.log.push(`-${slot}`);
	}
}

function setUp(limit = 1000): { cache: InternalCache; told: Told } {
	const cache = newInternalCaches(1, limit).conntracks;
	const told = new Told();
	cache.listener = told;
	return { cache, told };
}

const slotOf = (cache: InternalCache, key: number): number => cache.store.find(recordOf(key, 0));

function held(cache: InternalCache, key: number): number | undefined {
	const slot = slotOf(cache, key);
	if (slot < 0 || !cache.store.isLive(slot)) return undefined;
	const record = recordOf(0, 0);
	cache.store.read(slot, record);
	return record[R.MARK];
}

test("the first sight of an entry and every change of what is replicated are news, with a version of their own", () => {
	const { cache, told } = setUp();
	const slot = cache.apply(recordOf(1, 10), true, 5);
	assert.equal(cache.store.version(slot), 1);
	assert.equal(cache.apply(recordOf(1, 10), false, 6), slot);
	assert.deepEqual([told.log, cache.store.version(slot)], [[`+${slot}`], 1]);
	cache.apply(recordOf(1, 11), false, 7);
	assert.deepEqual([told.log.length, cache.store.version(slot)], [2, 2]);
	assert.deepEqual([cache.store.header(slot, CREATED), cache.store.header(slot, UPDATED)], [5, 7]);
	assert.deepEqual({ ...cache.counters }, { ...newCacheCounters(), created: 1, updated: 2 });
});

test("timeout, id and the status bits that are this kernel's affair are kept, and are no news", () => {
	const { cache, told } = setUp();
	const slot = cache.apply(recordOf(1, 10), true, 0);
	const changed = recordOf(1, 10);
	changed[R.HAS]! |= R.H_ID;
	changed[R.ID] = 77;
	changed[R.TIMEOUT] = 5;
	changed[R.STATUS]! |= IPS_OFFLOAD;
	cache.apply(changed, false, 0);
	assert.equal(told.log.length, 1);
	const record = R.newConntrackRecord();
	cache.store.read(slot, record);
	assert.deepEqual(record, changed);
	changed[R.STATUS]! ^= IPS_ASSURED;
	cache.apply(changed, false, 0);
	assert.equal(told.log.length, 2, "ASSURED is news");
});

test("an update keeps what it does not repeat; a creation under the same key is another connection", () => {
	const { cache, told } = setUp();
	const first = recordOf(1, 10);
	first[R.HAS]! |= R.H_MASTER;
	first[R.MASTER_PROTOCOLS] = 2 | (6 << 8);
	first[R.MASTER_PORTS] = 21;
	const slot = cache.apply(first, true, 0);
	const update = recordOf(1, 10);
	update[R.HAS] = R.H_TCP;
	update[R.PROTOINFO] = 7;
	cache.apply(update, false, 0);
	const record = R.newConntrackRecord();
	cache.store.read(slot, record);
	assert.deepEqual([record[R.MASTER_PORTS], record[R.MARK], record[R.PROTOINFO]], [21, 10, 7]);
	cache.apply(recordOf(1, 10), true, 0);
	cache.store.read(slot, record);
	assert.deepEqual(record, recordOf(1, 10));
	assert.equal(told.log.length, 3, "also if it looks the same");
});

test("of an expectation everything but id and a second of the timeout is news", () => {
	const cache = newInternalCaches(1, 10).expectations;
	const told = new Told();
	cache.listener = told;
	const record = X.newExpectationRecord();
	record[X.EXP_HAS] = X.X_TIMEOUT | X.X_ID;
	record[X.EXP_PROTOCOLS] = 2 | (6 << 8);
	const slot = cache.apply(record, true, 0);
	record[X.EXP_TIMEOUT] = 1;
	record[X.EXP_ID] = 9;
	cache.apply(record, false, 0);
	assert.equal(told.log.length, 1);
	for (const word of [X.EXP_FLAGS, X.EXP_MASTER_PORTS, X.EXP_NAT_DIR, X.EXP_HELPER]) {
		const before: number = told.log.length;
		record[word] = 1;
		cache.apply(record, false, 0);
		assert.equal(told.log.length, before + 1, `word ${word}`);
	}
	const out = X.newExpectationRecord();
	cache.store.read(slot, out);
	assert.deepEqual(out, record);
});

test("an expectation's time that runs down is no news, one that was set anew is", () => {
	const cache = newInternalCaches(1, 10).expectations;
	const record = X.newExpectationRecord();
	record[X.EXP_HAS] = X.X_TIMEOUT;
	record[X.EXP_PROTOCOLS] = 2 | (6 << 8);
	record[X.EXP_TIMEOUT] = 100;
	const slot = cache.apply(record, true, 1000);
	const seenAt = (now: number, timeout: number): boolean => {
		const version = cache.store.version(slot);
		record[X.EXP_TIMEOUT] = timeout;
		cache.applyDumped(record, now);
		cache.beginResync();
		return cache.store.version(slot) !== version;
	};
	cache.beginResync();
	for (let second = 1; second <= 90; second++) assert.equal(seenAt(1000 + second, 100 - second), false);
	// both clocks are read in whole seconds
	assert.equal(seenAt(1090, 9), false);
	assert.equal(seenAt(1092, 8), false);
	assert.equal(cache.counters.updated, 0);
	assert.equal(seenAt(1093, 180), true, "a registration that was renewed");
	assert.equal(seenAt(1094, 179), false);
	assert.equal(seenAt(1095, 5), true, "shortened");
	assert.equal(cache.counters.updated, 2);
	const held = X.newExpectationRecord();
	cache.store.read(slot, held);
	assert.deepEqual([held[X.EXP_TIMEOUT], cache.store.header(slot, UPDATED)], [5, 1095]);
});

test("both halves number their changes with one counter", () => {
	const { conntracks, expectations, versions } = newInternalCaches(1, 10);
	const expectation = X.newExpectationRecord();
	expectation[X.EXP_PROTOCOLS] = 2;
	const a = conntracks.apply(recordOf(1, 1), true, 0);
	const b = expectations.apply(expectation, true, 0);
	conntracks.apply(recordOf(1, 2), false, 0);
	assert.deepEqual([expectations.store.version(b), conntracks.store.version(a), versions.value], [2, 3, 3]);
});

test("an entry that ends is dead, with a version, until it is forgotten", () => {
	const { cache, told } = setUp();
	const slot = cache.apply(recordOf(1, 10), true, 0);
	cache.destroy(recordOf(1, 0), 3);
	assert.deepEqual([cache.store.state(slot), cache.store.version(slot)], [DEAD, 2]);
	assert.deepEqual(told.log, [`+${slot}`, `-${slot}`]);
	cache.destroy(recordOf(1, 0), 4);
	cache.destroy(recordOf(2, 0), 4);
	const { destroyed, destroyFailed, destroyNotFound } = cache.counters;
	assert.deepEqual([destroyed, destroyFailed, destroyNotFound, told.log.length], [1, 2, 2, 2]);
	cache.forget(slot);
	assert.equal(cache.store.count, 0);
});

test("an entry that comes back before it is forgotten has its slot and a newer version", () => {
	const { cache } = setUp();
	const slot = cache.apply(recordOf(1, 10), true, 5);
	cache.destroy(recordOf(1, 0), 6);
	assert.equal(cache.apply(recordOf(1, 11), false, 7), slot);
	assert.deepEqual([held(cache, 1), cache.store.version(slot)], [11, 3]);
	assert.equal(cache.store.header(slot, CREATED), 7);
	assert.equal(cache.counters.created, 2);
});

test("no more entries live than the limit allows, whichever way they come", () => {
	const { cache } = setUp(2);
	for (let key = 1; key <= 4; key++) cache.apply(recordOf(key, 1), true, 0);
	assert.equal(cache.store.live, 2);
	assert.deepEqual([cache.counters.createFailed, cache.counters.createNoSpace], [2, 2]);
	assert.equal(cache.apply(recordOf(4, 1), true, 0), -1);
	assert.equal(cache.apply(recordOf(1, 2), false, 0), slotOf(cache, 1), "what is held may change");
	cache.destroy(recordOf(1, 0), 0);
	cache.apply(recordOf(3, 1), true, 0);
	assert.equal(cache.apply(recordOf(1, 1), true, 0), -1, "nor does a dead one come back beyond it");
	assert.equal(cache.store.live, 2);
});

test("a flush withdraws: the entry is gone here, and whoever is told can see that it has not ended", () => {
	const { cache, told } = setUp();
	const slot = cache.apply(recordOf(1, 10), true, 0);
	cache.withdraw(slot, 0);
	assert.deepEqual([cache.store.live, cache.store.isWithdrawn(slot), cache.counters.destroyed], [0, true, 1]);
	assert.deepEqual(told.log, [`+${slot}`, `-${slot}`]);
	cache.destroy(recordOf(1, 0), 0);
	assert.equal(told.log.length, 2, "its end is no news");
	cache.apply(recordOf(1, 10), false, 0);
	assert.equal(cache.store.isWithdrawn(slot), false);
	cache.destroy(recordOf(1, 0), 0);
	assert.equal(cache.store.isWithdrawn(slot), false, "this time it has ended");
});

test("a peer's belief in an entry that is not here gets a grave with a version of its own, for that peer alone", () => {
	const { cache, told } = setUp(2);
	cache.apply(recordOf(1, 10), true, 0);
	const grave = cache.deny(recordOf(2, 0), 1 << 3, 0);
	assert.deepEqual(
		[cache.store.state(grave), cache.store.peers(grave), cache.store.version(grave)],
		[DEAD, 8, 2],
	);
	assert.equal(cache.store.live, 1);
	assert.equal(told.log.length, 1);
	assert.ok(cache.deny(recordOf(3, 0), 1, 0) >= 0);
	assert.equal(cache.deny(recordOf(4, 0), 1, 0), -1, "there are never more graves than entries may be");
});

/** A dump that shows these keys with these values. */
function dump(cache: InternalCache, shown: Record<number, number>, meanwhile: () => void = () => {}): void {
	cache.beginResync();
	meanwhile();
	for (const [key, value] of Object.entries(shown)) cache.applyDumped(recordOf(Number(key), value), 0);
	for (let at = 0; at >= 0; ) at = cache.sweepResync(at, 2, 0);
}

test("a resync brings what is new, changes what differs, ends what is not shown, and leaves the rest alone", () => {
	const { cache, told } = setUp();
	for (const key of [1, 2, 3]) cache.apply(recordOf(key, 0), true, 0);
	const slots = [1, 2, 3].map((key) => slotOf(cache, key));
	told.log.length = 0;
	dump(cache, { 2: 0, 3: 5, 4: 0 });
	assert.deepEqual(told.log, [`+${slots[2]}`, `+${slotOf(cache, 4)}`, `-${slots[0]}`]);
	assert.deepEqual(
		[1, 2, 3, 4].map((key) => held(cache, key)),
		[undefined, 0, 5, 0],
	);
	assert.equal(cache.store.version(slots[1]!), 2, "what is equal costs nothing on the wire");
});

test("a dead entry that is forgotten while the graveyard is emptied bit by bit is forgotten once", () => {
	const { cache, told } = setUp();
	cache.beginResync();
	for (const key of [1, 2, 3]) cache.apply(recordOf(key, 0), true, 0);
	const slots = [1, 2, 3].map((key) => slotOf(cache, key));
	for (const key of [1, 2, 3]) cache.destroy(recordOf(key, 0), 0);
	for (const slot of slots) cache.forget(slot);
	assert.equal(cache.sweepResync(0, 1, 0), 0, "two of them are still to go");
	// it was still in the queue of what is to be sent, and nobody has to hear of it
	cache.forget(slots[2]!);
	cache.apply(recordOf(4, 44), true, 0);
	assert.equal(slotOf(cache, 4), slots[2], "its slot is another entry's");
	told.log.length = 0;
	for (let at = 0; at >= 0; ) at = cache.sweepResync(at, 1, 0);
	assert.equal(held(cache, 4), 44);
	assert.deepEqual([cache.store.count, cache.store.live, told.log.length], [1, 1, 0]);
});

test("what ends while a dump is read does not come back by it, known before or not", () => {
	const { cache } = setUp();
	cache.apply(recordOf(1, 0), true, 0);
	dump(cache, { 1: 0, 2: 0 }, () => {
		cache.destroy(recordOf(1, 0), 0);
		cache.destroy(recordOf(2, 0), 0);
	});
	assert.deepEqual([held(cache, 1), held(cache, 2)], [undefined, undefined]);
	cache.forget(slotOf(cache, 1));
	assert.equal(cache.store.count, 0);
});

test("what changes, or is new, while a dump is read is as its event says", () => {
	const { cache } = setUp();
	cache.apply(recordOf(1, 0), true, 0);
	dump(cache, { 1: 0, 2: 0 }, () => {
		cache.apply(recordOf(1, 9), false, 0);
		cache.apply(recordOf(2, 9), true, 0);
		cache.apply(recordOf(3, 9), true, 0);
	});
	assert.deepEqual(
		[1, 2, 3].map((key) => held(cache, key)),
		[9, 9, 9],
	);
});

test("an entry that ended before the dump and is shown by it has come back", () => {
	const { cache } = setUp();
	cache.apply(recordOf(1, 0), true, 0);
	cache.destroy(recordOf(1, 0), 0);
	dump(cache, { 1: 4 });
	assert.equal(held(cache, 1), 4);
});

test("an entry that is flushed while a dump is read does not come back by it", () => {
	const { cache, told } = setUp();
	cache.apply(recordOf(1, 0), true, 0);
	dump(cache, { 1: 0 }, () => cache.withdraw(slotOf(cache, 1), 0));
	assert.equal(cache.store.live, 0);
	assert.equal(told.log.length, 2);
	dump(cache, { 1: 0 });
	assert.equal(held(cache, 1), 0, "the next dump tells the truth");
});

test("a slot may be forgotten more than once while a dump is read, and live and die in between", () => {
	const { cache } = setUp();
	const slot = cache.apply(recordOf(1, 0), true, 0);
	dump(cache, {}, () => {
		for (let i = 0; i < 3; i++) {
			cache.destroy(recordOf(1, 0), 0);
			cache.forget(slot);
			cache.forget(slot);
			cache.apply(recordOf(1, i), true, 0);
		}
	});
	assert.deepEqual([held(cache, 1), cache.store.count], [2, 1]);
	dump(cache, {}, () => {
		cache.destroy(recordOf(1, 0), 0);
		cache.forget(slot);
		cache.forget(slot);
	});
	assert.equal(cache.store.count, 0);
	// a slot that was freed twice would be given out twice
	const slots = [2, 3, 4].map((key) => cache.apply(recordOf(key, 0), true, 0));
	assert.equal(new Set(slots).size, 3);
});

test("what comes to life while the graveyard is emptied bit by bit stays, and is emptied once", () => {
	const { cache } = setUp();
	cache.beginResync();
	for (let key = 1; key <= 9; key++) cache.apply(recordOf(key, 0), true, 0);
	for (let key = 1; key <= 9; key++) {
		const slot = slotOf(cache, key);
		cache.destroy(recordOf(key, 0), 0);
		cache.forget(slot);
	}
	assert.equal(cache.sweepResync(0, 2, 0), 0, "there are more of the dead");
	assert.equal(cache.isResyncing, true);
	cache.apply(recordOf(9, 5), true, 0);
	cache.apply(recordOf(8, 5), true, 0);
	cache.destroy(recordOf(8, 5), 0);
	cache.forget(slotOf(cache, 8));
	for (let at = 0; at >= 0; ) at = cache.sweepResync(at, 2, 0);
	assert.equal(cache.isResyncing, false);
	assert.deepEqual([held(cache, 9), cache.store.count, cache.store.live], [5, 1, 1]);
});

test("an end whose news is still to be told outlasts the dump", () => {
	const { cache, told } = setUp();
	dump(cache, {}, () => {
		cache.destroy(recordOf(1, 0), 0);
		const slot = cache.apply(recordOf(1, 1), true, 0);
		cache.destroy(recordOf(1, 0), 0);
		assert.deepEqual(told.log, [`+${slot}`, `-${slot}`]);
	});
	assert.equal(cache.store.state(slotOf(cache, 1)), DEAD);
});

test("a dump that fails leaves everything as it is and keeps no dead", () => {
	const { cache } = setUp();
	for (const key of [1, 2]) cache.apply(recordOf(key, 0), true, 0);
	cache.beginResync();
	cache.applyDumped(recordOf(1, 0), 0);
	cache.destroy(recordOf(9, 0), 0);
	cache.abandonResync();
	assert.deepEqual([held(cache, 1), held(cache, 2), cache.store.count], [0, 0, 2]);
	cache.destroy(recordOf(2, 0), 0);
	cache.forget(slotOf(cache, 2));
	assert.equal(cache.store.count, 1);
});

/** What happens in a kernel, to its events and to a dump that is read piece by piece. */
const action = fc.record({
	do: fc.constantFrom("set", "set", "end", "flush", "event", "event", "event", "show", "dumped", "forget"),
	key: fc.nat(9),
	which: fc.nat(9),
});

type Event = { do: "new" | "update" | "end" | "flush"; key: number; value: number };

/** A kernel's table with its queue of events, and a cache that listens to it. */
class World {
	readonly cache: InternalCache;
	readonly kernel = new Map<number, number>();
	events: Event[] = [];
	/** What the dump has shown and the cache has not seen. */
	shown: [key: number, value: number][] = [];
	/** Keys that the dump has not come to. */
	ahead: number[] = [];
	/** What a peer believes that was told of every change at once. */
	readonly replica = new Map<number, number>();
	readonly dead = new Set<number>();
	readonly #versions: number[] = [];
	readonly digest: VersionDigest;

	constructor(forgetsAtOnce: boolean) {
		const caches = newInternalCaches(1, 1000);
		this.cache = caches.conntracks;
		this.digest = caches.versions.digest;
		const record = recordOf(0, 0);
		const read = (slot: number) => {
			this.cache.store.read(slot, record);
			const version = this.cache.store.version(slot);
			assert.ok(version > (this.#versions.at(-1) ?? 0), "versions only grow");
			this.#versions.push(version);
			return record[R.ORIG_PORTS]!;
		};
		this.cache.listener = {
			changed: (slot) => this.replica.set(read(slot), record[R.MARK]!),
			destroyed: (slot) => {
				this.replica.delete(read(slot));
				if (forgetsAtOnce) this.cache.forget(slot);
				else this.dead.add(slot);
			},
		};
	}

	perform(what: string, key: number, value: number, which: number): void {
		const { cache, kernel, events } = this;
		if (what === "set") {
			events.push({ do: kernel.has(key) ? "update" : "new", key, value });
			kernel.set(key, value);
		} else if (what === "end" || what === "flush") {
			if (kernel.delete(key)) events.push({ do: what, key, value });
		} else if (what === "event") {
			const event = events.shift();
			if (event) this.#event(event);
		} else if (what === "show") {
			const next = this.ahead.shift();
			if (next !== undefined && kernel.has(next)) this.shown.push([next, kernel.get(next)!]);
		} else if (what === "dumped") {
			const one = this.shown.shift();
			if (one) cache.applyDumped(recordOf(...one), 0);
		} else {
			const slot = [...this.dead][which % Math.max(1, this.dead.size)];
			if (slot !== undefined) this.#forget(slot);
		}
	}

	/** Lets everything that is under way arrive. */
	settle(): void {
		while (this.ahead.length > 0) this.perform("show", 0, 0, 0);
		while (this.shown.length > 0) this.perform("dumped", 0, 0, 0);
		for (let at = 0; at >= 0; ) at = this.cache.sweepResync(at, 3, 0);
		while (this.events.length > 0) this.perform("event", 0, 0, 0);
		for (const slot of this.dead) this.#forget(slot);
	}

	/** As the sender does once nobody has to be told any more; it may come to a dead slot more than once. */
	#forget(slot: number): void {
		if (this.cache.store.state(slot) === DEAD) this.cache.forget(slot);
		else this.dead.delete(slot);
	}

	#event({ do: what, key, value }: Event): void {
		const { cache } = this;
		if (what === "new" || what === "update") cache.apply(recordOf(key, value), what === "new", 0);
		else if (what === "end" || held(cache, key) === undefined) cache.destroy(recordOf(key, 0), 0);
		else {
			cache.withdraw(slotOf(cache, key), 0);
		}
	}
}

test("after a resync the cache is the kernel's table, whatever was lost before and happened meanwhile", () => {
	const lost = fc.array(fc.tuple(fc.nat(9), fc.option(fc.nat(99), { nil: undefined })), { maxLength: 10 });
	const actions = fc.array(action, { maxLength: 150 });
	const orders = fc.shuffledSubarray(
		Array.from({ length: 10 }, (_, key) => key),
		{ minLength: 10 },
	);
	fc.assert(
		fc.property(actions, lost, actions, orders, fc.boolean(), (before, gone, during, order, atOnce) => {
			const world = new World(atOnce);
			let value = 0;
			const run = (list: typeof before) => {
				for (const { do: what, key, which } of list) world.perform(what, key, ++value, which);
			};
			run(before);
			while (world.events.length > 0) world.perform("event", 0, 0, 0);
			for (const [key, changed] of gone) {
				if (changed === undefined) world.kernel.delete(key);
				else world.kernel.set(key, changed + 1000);
			}
			world.cache.beginResync();
			world.ahead = [...order];
			run(during);
			world.settle();
			const expected = [...world.kernel].sort(([a], [b]) => a - b);
			const inCache = order
				.map((key) => [key, held(world.cache, key)] as const)
				.filter(([, mark]) => mark !== undefined)
				.sort(([a], [b]) => a - b);
			assert.deepEqual(inCache, expected);
			assert.deepEqual(
				[...world.replica].sort(([a], [b]) => a - b),
				expected,
			);
			assert.equal(world.cache.store.count, expected.length, "no dead slot is left");
			assert.equal(world.cache.store.live, expected.length);
			const digest = new VersionDigest();
			for (const [key] of expected) digest.toggle(world.cache.store.version(slotOf(world.cache, key)));
			assert.deepEqual(world.digest.words, digest.words, "the digest is that of the live versions");
		}),
		{ numRuns: 1000 },
	);
});

test("UPDATED is the last packet that is known of: not a dump, not a request, but what a dump shows to have changed", () => {
	const { cache } = setUp();
	const seen = (key: number): number => cache.store.header(slotOf(cache, key), UPDATED);
	const dump = (value: number, now: number, keys: number[]): void => {
		cache.beginResync();
		for (const key of keys) cache.applyDumped(recordOf(key, value), now);
		cache.sweepResync(0, 1000, now);
	};
	dump(1, 10, [1]);
	assert.equal(seen(1), NEVER_SEEN);
	dump(1, 20, [1, 2]);
	assert.deepEqual([seen(1), seen(2)], [NEVER_SEEN, 20]);
	dump(2, 30, [1, 2]);
	assert.deepEqual([seen(1), seen(2)], [30, 30]);
	// somebody has set its mark
	cache.apply(recordOf(1, 3), false, 40, false);
	assert.equal(seen(1), 30);
	dump(3, 50, [1, 2]);
	assert.deepEqual([seen(1), seen(2)], [30, 50]);
	cache.apply(recordOf(1, 3), false, 60);
	assert.equal(seen(1), 60);
	cache.refresh(recordOf(1, 3), 70);
	assert.equal(seen(1), 60);
	cache.refresh(recordOf(1, 3), 80, true);
	assert.equal(seen(1), 80);
	// what an operator has flushed and a dump shows again may be alive
	cache.withdraw(slotOf(cache, 1), 90);
	dump(3, 100, [1, 2]);
	assert.equal(seen(1), 100);
	cache.apply(recordOf(3, 1), true, 110, false);
	assert.equal(seen(3), NEVER_SEEN);
	// somebody has deleted it, which was missed, and made it anew
	cache.apply(recordOf(1, 1), true, 120, false);
	assert.equal(seen(1), NEVER_SEEN);
});
