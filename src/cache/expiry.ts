// Which entries of a peer were not told again for too long (Mode ALARM): four bytes for each slot, and a cursor that
// passes over them, instead of a timer for each entry.
import type { ExternalCache } from "./external-cache.ts";

/** Slots looked at in one go: well below a millisecond. */
const STRIDE = 8192;
/** Between two passes over all slots, milliseconds: so much later than its time an entry may go. */
const PASS_EVERY = 500;

export class Expiry {
	/** Entries that were given up, since the start. */
	expired = 0;
	/** The peer repeats what it has: only then does silence mean anything. */
	isRunning = false;
	/** Seconds that an entry lives without being told again. */
	readonly timeout: number;
	readonly #cache: ExternalCache;
	/** The second in which each slot's entry was last told. */
	#told = new Int32Array(1024);
	#slot = 0;
	#passedAt = Number.NEGATIVE_INFINITY;

	/** @param timeout seconds */
	constructor(cache: ExternalCache, timeout: number) {
		this.#cache = cache;
		this.timeout = timeout;
	}

	/** The peer has told of the entry, changed or not. @param now seconds */
	arm(slot: number, now: number): void {
		if (slot >= this.#told.length) {
			const grown = new Int32Array(Math.max(this.#told.length * 2, slot + 1));
			grown.set(this.#told);
			this.#told = grown;
		}
		this.#told[slot] = now;
	}

	/** Seconds that the entry has left. @param now seconds */
	left(slot: number, now: number): number {
		return Math.max(0, (this.#told[slot] ?? 0) + this.timeout - now);
	}

	/** Drops what is over, some slots at a time. @param now milliseconds */
	tick(now: number): void {
		const { store, touched } = this.#cache;
		if (!this.isRunning) return;
		// what a commit has taken into the internal cache must still be there when its worker comes to write it
		if (touched) return;
		if (this.#slot === 0) {
			if (now - this.#passedAt < PASS_EVERY) return;
			this.#passedAt = now;
		}
		const seconds = Math.floor(now / 1000);
		const stop = Math.min(this.#slot + STRIDE, store.end);
		for (let slot = this.#slot; slot < stop; slot++) {
			if (!store.isLive(slot) || (this.#told[slot] ?? 0) + this.timeout > seconds) continue;
			this.#cache.drop(slot);
			this.expired++;
		}
		this.#slot = stop < store.end ? stop : 0;
	}
}
