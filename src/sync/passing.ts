// DisableInternalCache: conntracks pass through. An entry stays in the internal cache while it has still to be told, and
// for a moment after its last change, so that the events of a beginning connection become one state; then it goes, and no
// peer hears of that. Masters stay, because their expectations refer to them, and there are few.
import type { InternalCache } from "../cache/internal-cache.ts";
import { UPDATED } from "../cache/record-layout.ts";
import { CONNTRACK } from "../conntrack/kind.ts";
import { H_HELPER, HAS, newConntrackRecord } from "../conntrack/record.ts";
import type { DirtySet } from "./dirty-set.ts";

/** Slots looked at in one go: well below a millisecond. */
const STRIDE = 8192;
/** Between two passes over all slots, milliseconds. */
const PASS_EVERY = 500;
/** Seconds that an entry stays after its last change. */
const STAYS = 2;

export class Passing {
	/** Entries that have passed through. */
	passed = 0;
	readonly #cache: InternalCache;
	readonly #dirty: DirtySet;
	/** Whether all have to stay for now: a commit works on them. */
	readonly #isHeld: () => boolean;
	readonly #released: (record: Int32Array) => void;
	readonly #record = newConntrackRecord();
	#slot = 0;
	#passedAt = Number.NEGATIVE_INFINITY;

	/** @param released hears of each entry that is kept no longer; the record is reused */
	constructor(
		cache: InternalCache,
		dirty: DirtySet,
		isHeld: () => boolean,
		released: (record: Int32Array) => void = () => {},
	) {
		this.#released = released;
		this.#cache = cache;
		this.#dirty = dirty;
		this.#isHeld = isHeld;
	}

	/** Lets go of what everybody was told of, some slots at a time. @param now milliseconds */
	tick(now: number): void {
		// an older line of the dump that is being read must find what was told meanwhile
		if (this.#cache.isResyncing || this.#isHeld()) return;
		if (this.#slot === 0) {
			if (now - this.#passedAt < PASS_EVERY) return;
			this.#passedAt = now;
		}
		const { store } = this.#cache;
		const until = Math.floor(now / 1000) - STAYS;
		const stop = Math.min(this.#slot + STRIDE, store.end);
		for (let slot = this.#slot; slot < stop; slot++) {
			if (!store.isLive(slot) || store.header(slot, UPDATED) > until) continue;
			if (this.#dirty.peers(CONNTRACK, slot) !== 0) continue;
			store.read(slot, this.#record);
			if ((this.#record[HAS]! & H_HELPER) !== 0) continue;
			this.#cache.release(slot);
			this.#released(this.#record);
			this.passed++;
		}
		this.#slot = stop < store.end ? stop : 0;
	}
}
