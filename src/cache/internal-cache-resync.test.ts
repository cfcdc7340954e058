// Dumps of the kernel's table, while everything goes on.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as R from "../conntrack/record.ts";
import { recordOf } from "../sync/simulation.ts";
import { type InternalCache, newInternalCaches } from "./internal-cache.ts";
import { DEAD } from "./record-layout.ts";
import { held, setUp, slotOf } from "./told-cache.ts";
import { VersionDigest } from "./version-digest.ts";

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
