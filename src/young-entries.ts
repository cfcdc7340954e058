// MinimumAge: connections that are not old enough yet to be told to anybody. They are kept here with all that is known of them,
// and handed over when they are; what ends before was never sent. No timer per entry: they are looked through once a second.
//
// Bounded by HashLimit. A connection that finds no room is handed over at once: too much is replicated then, not too little.

import { ConntrackLayout } from "./cache/conntrack-layout.ts";
import { InternalCache, VersionCounter } from "./cache/internal-cache.ts";
import { CREATED, UPDATED } from "./cache/record-layout.ts";
import { RecordStore } from "./cache/record-store.ts";
import { H_HELPER, HAS, newConntrackRecord } from "./conntrack/record.ts";
import type { Clock } from "./system/clock.ts";

/** How often they are looked through, milliseconds. Times are whole seconds, so an entry is handed over up to two seconds late, never early. */
const EVERY_MS = 1000;
/** Slots looked at in one go: well below a millisecond; and those that are handed over, which takes longer. */
const SLICE_SLOTS = 8192;
const MATURED_AT_ONCE = 256;

export interface YoungEntriesOptions {
	/** Seconds. */
	minimumAge: number;
	/** Entries. */
	limit: number;
	/** Of the key hash. */
	seed: number;
	clock: Clock;
	/** One more has found no room. */
	full: () => void;
	/** Old enough: first seen and last changed by a packet in these seconds (NEVER_SEEN: by none). The record is reused. */
	matured: (record: Int32Array, created: number, updated: number) => void;
	/** A round in which some have become old enough is over; whether one of them has a helper. */
	roundEnd: (hasHelper: boolean) => void;
}

export class YoungEntries {
	/** Those that found no room. */
	overflows = 0;
	readonly #options: YoungEntriesOptions;
	readonly #cache: InternalCache;
	readonly #record = newConntrackRecord();
	#cancel: () => void = () => {};
	#isClosed = false;

	constructor(options: YoungEntriesOptions) {
		this.#options = options;
		this.#cache = new InternalCache(
			new RecordStore(new ConntrackLayout(), options.seed),
			new VersionCounter(),
			options.limit,
		);
		this.#later();
	}

	get store(): RecordStore {
		return this.#cache.store;
	}

	/** How many there are. */
	get size(): number {
		return this.#cache.store.live;
	}

	has(record: Int32Array): boolean {
		const slot = this.store.find(record);
		return slot >= 0 && this.store.isLive(slot);
	}

	/** An event of a conntrack that is not held elsewhere; false: it finds no room. */
	take(record: Int32Array, isNew: boolean, now: number, isPacket: boolean): boolean {
		const isTaken = this.#cache.apply(record, isNew, now, isPacket) >= 0;
		if (!isTaken) {
			this.overflows++;
			this.#options.full();
		}
		return isTaken;
	}

	/** The kernel was asked for it. */
	refresh(record: Int32Array, now: number): void {
		this.#cache.refresh(record, now);
	}

	/** It has ended, or counts no more; false if it is not here. */
	drop(record: Int32Array, now: number): boolean {
		const slot = this.store.find(record);
		if (slot < 0 || !this.store.isLive(slot)) return false;
		this.#cache.bury(slot, now);
		return true;
	}

	/** A dump shows a conntrack that is here, or is to be: nobody knows since when there is one that no event has told of. */
	dumped(record: Int32Array, now: number): boolean {
		// one that has ended since the dump began is there, too, and stays dead
		if (this.store.find(record) < 0) return this.take(record, true, now, false);
		this.#cache.applyDumped(record, now);
		return true;
	}

	/** Reads the kernel's table by `read`: whatever is here and is not seen meanwhile has ended unheard of. */
	async compare(read: () => Promise<void>): Promise<void> {
		const cache = this.#cache;
		const { clock } = this.#options;
		cache.beginResync();
		try {
			await read();
		} catch (error) {
			cache.abandonResync();
			throw error;
		}
		for (let at = 0; at >= 0; ) {
			at = cache.sweepResync(at, SLICE_SLOTS, this.#seconds());
			if (at >= 0) await clock.pause();
		}
	}

	close(): void {
		this.#isClosed = true;
		this.#cancel();
	}

	#later(): void {
		if (this.#isClosed) return;
		this.#cancel = this.#options.clock.after(EVERY_MS, () => {
			void this.#round().then(() => this.#later());
		});
	}

	/** Hands over whoever is old enough. */
	async #round(): Promise<void> {
		const { minimumAge, clock, matured, roundEnd } = this.#options;
		const { store } = this;
		let count = 0;
		let hasHelper = false;
		for (let slot = 0; slot < store.end && !this.#isClosed; slot++) {
			const now = this.#seconds();
			if (store.isLive(slot) && store.header(slot, CREATED) + minimumAge < now) {
				store.read(slot, this.#record);
				const [created, updated] = [store.header(slot, CREATED), store.header(slot, UPDATED)];
				this.#cache.bury(slot, now);
				matured(this.#record, created, updated);
				if ((this.#record[HAS]! & H_HELPER) !== 0) hasHelper = true;
				count++;
				if (count % MATURED_AT_ONCE === 0) await clock.pause();
			}
			if (slot % SLICE_SLOTS === SLICE_SLOTS - 1) await clock.pause();
		}
		if (count > 0) roundEnd(hasHelper);
	}

	#seconds(): number {
		return Math.floor(this.#options.clock.now() / 1000);
	}
}
