// Theirs: what one peer's kernel has, held ready for the commit. One cache per peer, so that two primaries never
// overwrite each other's view.
//
// Every entry carries the version that its origin gave it and the generation in which it was last confirmed. A new
// epoch of the peer, or a bulk, begins a generation; when the bulk is complete, what it did not confirm is swept.
// Until then the old entries stay committable.
import { type CacheCounters, newCacheCounters } from "./cache-counters.ts";
import { STAMP } from "./record-layout.ts";
import type { RecordStore } from "./record-store.ts";

/** A dead entry: kept until no datagram that is older than its deletion can be accepted any more. */
interface Grave {
	slot: number;
	version: number;
	/** Sequence number of the datagram that brought the deletion. */
	sequence: number;
}

export class ExternalCache {
	readonly store: RecordStore;
	readonly counters: CacheCounters = newCacheCounters();
	/** While a commit runs: slots that changed, so that it takes them again. Bounded by the cache. */
	touched: Set<number> | undefined;
	readonly #limit: number;
	/** In the order of arrival. Bounded: one replay window of datagrams, each with its deletions. */
	#graves: Grave[] = [];
	#gravesAt = 0;
	/** Entries stamped with an older generation are unconfirmed. */
	generation = 1;
	/** Entries stamped before this generation come from an earlier epoch: their versions mean nothing now. */
	epochGeneration = 1;

	constructor(store: RecordStore, limit: number) {
		this.store = store;
		this.#limit = limit;
	}

	/** The peer has this entry, in this version. */
	set(record: Int32Array, version: number, now: number): void {
		const { store, counters } = this;
		let slot = store.find(record);
		if (slot >= 0 && this.#isCurrent(slot)) {
			const held = store.version(slot);
			if (version < held) return;
			if (version === held) {
				if (store.isLive(slot)) store.setHeader(slot, STAMP, this.generation);
				return;
			}
		}
		if ((slot < 0 || !store.isLive(slot)) && store.live >= this.#limit) {
			counters.createFailed++;
			counters.createNoSpace++;
			return;
		}
		if (slot < 0) {
			slot = store.insert(record, now);
			counters.created++;
		} else {
			if (store.isLive(slot)) counters.updated++;
			else counters.created++;
			store.replace(slot, record, now);
		}
		store.setVersion(slot, version);
		store.setHeader(slot, STAMP, this.generation);
		this.touched?.add(slot);
	}

	/** The peer's entry is gone as of this version; `sequence` is that of the datagram which says so. */
	delete(record: Int32Array, version: number, sequence: number, now: number): void {
		const { store, counters } = this;
		let slot = store.find(record);
		if (slot < 0) {
			counters.destroyFailed++;
			counters.destroyNotFound++;
			// remembered all the same: the SET that it overtook must not bring the entry back
			slot = store.insert(record, now);
		} else {
			if (this.#isCurrent(slot) && version <= store.version(slot)) return;
			if (store.isLive(slot)) counters.destroyed++;
		}
		store.bury(slot, now);
		store.setVersion(slot, version);
		store.setHeader(slot, STAMP, this.generation);
		this.touched?.add(slot);
		this.#graves.push({ slot, version, sequence });
	}

	/** No datagram with a sequence number below `sequence` will be accepted any more: older graves can go. */
	collect(sequence: number): void {
		while (this.#gravesAt < this.#graves.length && this.#graves[this.#gravesAt]!.sequence < sequence) {
			this.#clear(this.#graves[this.#gravesAt++]!);
		}
		if (this.#gravesAt > 1024 && this.#gravesAt * 2 > this.#graves.length) {
			this.#graves = this.#graves.slice(this.#gravesAt);
			this.#gravesAt = 0;
		}
	}

	/** A new epoch of the peer: what is held stays, but every version is older than what comes now. */
	beginEpoch(): void {
		this.collect(Number.POSITIVE_INFINITY);
		this.epochGeneration = ++this.generation;
	}

	/** A bulk begins: everything held is unconfirmed. */
	beginGeneration(): void {
		this.generation++;
	}

	/**
	 * The bulk is complete: drops unconfirmed entries among `count` slots from `from` on.
	 *
	 * @returns the slot to go on from, or -1 at the end
	 */
	sweep(from: number, count: number): number {
		const stop = Math.min(from + count, this.store.end);
		for (let slot = from; slot < stop; slot++) {
			if (this.store.isLive(slot) && this.store.header(slot, STAMP) !== this.generation) this.drop(slot);
		}
		return stop < this.store.end ? stop : -1;
	}

	/** Takes a live entry out. */
	drop(slot: number): void {
		this.counters.destroyed++;
		this.store.remove(slot);
	}

	#isCurrent(slot: number): boolean {
		return this.store.header(slot, STAMP) >= this.epochGeneration;
	}

	#clear(grave: Grave): void {
		const { store } = this;
		if (
			store.state(grave.slot) !== 0 &&
			!store.isLive(grave.slot) &&
			store.version(grave.slot) === grave.version
		) {
			store.remove(grave.slot);
		}
	}
}
