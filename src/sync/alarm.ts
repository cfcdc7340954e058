// Mode ALARM: replication by repetition. Every entry is sent when it changes, once, and again and again while it lives;
// a peer gives up what it was not told of for CacheTimeout. Nothing is acknowledged or asked for, and there is no bulk:
// whatever a peer lacks it is told within RefreshTime, and whatever it has too much it forgets by itself.
//
// A cursor passes over the slots at the pace of the clock, so a million entries need no timers, and what is repeated is
// spread evenly. Each pass takes a time of its own between a half of RefreshTime and the whole, so that nodes that were
// started together do not stay in step. It waits while the link has no room: then a pass takes longer, and that is told.
import type { RecordStore } from "../cache/record-store.ts";
import { CONNTRACK, EXPECTATION, KINDS, type Kind } from "../conntrack/kind.ts";
import { MODE, type ModeParts, type ReplicationMode } from "./mode.ts";

/** Entries that may wait to be sent before the cursor moves on. */
const WAITING_MAX = 4096;
/** Slots passed over at a time: well below a millisecond. */
const STRIDE = 8192;
/** Between two log lines about a pass that took too long, milliseconds. */
const TOLD_EVERY = 60_000;

export interface AlarmOptions {
	/** Seconds, at least 1. */
	refreshTime: number;
	cacheTimeout: number;
	/** Random bytes. */
	entropy: (size: number) => Uint8Array;
}

export class AlarmMode implements ReplicationMode {
	readonly id = MODE.ALARM;
	readonly isAcknowledged = false;
	readonly hasBulk = false;
	readonly repairs = false;
	readonly cacheTimeout: number;
	/** Passes over all entries that are over, and those that took longer than RefreshTime. */
	passes = 0;
	latePasses = 0;
	isBehind = false;
	readonly #options: AlarmOptions;
	#kind: Kind = CONNTRACK;
	#slot = 0;
	/** When the pass began, and how long it shall take; milliseconds. */
	#began: number | undefined;
	#length = 0;
	#toldAt = Number.NEGATIVE_INFINITY;

	constructor(options: AlarmOptions) {
		this.#options = options;
		this.cacheTimeout = options.cacheTimeout;
	}

	tick({ peers, outgoing, internal, notice }: ModeParts, now: number): void {
		let hearing = 0;
		for (const peer of peers) if (peer.hears) hearing |= peer.bit;
		if (hearing === 0) {
			this.#began = undefined;
			this.isBehind = false;
			return;
		}
		if (this.#began === undefined) this.#begin(now);
		const stores = [internal[CONNTRACK].store, internal[EXPECTATION].store] as const;
		const total = stores[CONNTRACK].end + stores[EXPECTATION].end;
		const due = Math.floor((total * (now - this.#began!)) / this.#length);
		let left = STRIDE;
		for (; left > 0; left--) {
			if (this.#at(stores) >= due || outgoing.dirty.queue.length >= WAITING_MAX) break;
			const store = stores[this.#kind];
			if (this.#slot < store.end) {
				if (store.isLive(this.#slot)) outgoing.dirty.mark(this.#kind, this.#slot, hearing);
				this.#slot++;
			} else if (this.#kind !== KINDS.at(-1)) {
				this.#kind = EXPECTATION;
				this.#slot = 0;
			} else break;
		}
		// a large store of which most slots are empty: the clock and not the link is what the cursor waits for
		this.isBehind = left === 0 && this.#at(stores) < Math.min(due, total);
		const isOver = this.#kind === EXPECTATION && this.#slot >= stores[EXPECTATION].end;
		if (now - this.#began! < this.#length || (!isOver && this.#at(stores) < total)) return;
		this.passes++;
		this.#tellIfLate(now - this.#began!, now, notice);
		this.#begin(now);
	}

	/** Slots that this pass has behind it. */
	#at(stores: readonly [RecordStore, RecordStore]): number {
		return this.#kind === CONNTRACK ? this.#slot : stores[CONNTRACK].end + this.#slot;
	}

	#begin(now: number): void {
		this.#kind = CONNTRACK;
		this.#slot = 0;
		this.#began = now;
		const [high = 0, low = 0] = this.#options.entropy(2);
		const share = 0.5 + (high * 256 + low) / 65536 / 2;
		this.#length = this.#options.refreshTime * 1000 * share;
	}

	#tellIfLate(took: number, now: number, notice: (text: string) => void): void {
		const { refreshTime } = this.#options;
		if (took <= refreshTime * 1000 + 500) return;
		this.latePasses++;
		if (now - this.#toldAt < TOLD_EVERY) return;
		this.#toldAt = now;
		const seconds = (took / 1000).toFixed(1);
		notice(
			`sending all entries again took ${seconds} s, RefreshTime is ${refreshTime} s: there are too many`,
		);
	}
}
