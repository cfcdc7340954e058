// Joins expectations and their masters. The kernel tells of an expectation without the zone of its master, and before
// it tells of the master where the helper acts on the connection's first packet (TFTP, SIP over UDP).
import type { InternalCache } from "./cache/internal-cache.ts";
import { EXP_HAS, EXP_ID, EXP_ZONE, newExpectationRecord, X_ID } from "./conntrack/expectation-record.ts";
import { CONNTRACK, EXPECTATION } from "./conntrack/kind.ts";
import { isMasterOf, writeMasterKey } from "./conntrack/master.ts";
import { type ConntrackRecord, H_HELPER, HAS, newConntrackRecord, ZONES } from "./conntrack/record.ts";
import type { Clock } from "./system/clock.ts";

/** Expectations that wait for their master; when there are more, the oldest is given up. */
const WAITING_MAX = 1024;
/** A master is announced by the packet that its expectation comes from: whoever waits for longer waits in vain. */
const WAIT_MS = 5000;

interface Waiting {
	record: Int32Array;
	since: number;
}

export class ExpectationMasters {
	/** Expectations that were given up: their master did not come, or too many waited. */
	givenUp = 0;
	/** Expectations whose master could be one of several, in different zones. */
	ambiguous = 0;
	readonly #internal: readonly [InternalCache, InternalCache];
	readonly #clock: Clock;
	readonly #master = newConntrackRecord();
	readonly #held = newExpectationRecord();
	/** In the order of arrival. Bounded: WAITING_MAX. */
	#waiting: Waiting[] = [];

	constructor(internal: readonly [InternalCache, InternalCache], clock: Clock) {
		this.#internal = internal;
		this.#clock = clock;
	}

	/**
	 * The expectation's master in the internal cache, in whatever zone, and that zone in the expectation. Undefined if it
	 * is not there, or if several could be meant. The record is reused.
	 */
	find(expectation: Int32Array): ConntrackRecord | undefined {
		const cache = this.#internal[CONNTRACK];
		const { store, zones } = cache;
		const master = this.#master;
		let found = this.#live(expectation, 0);
		let isHelped = found >= 0 && this.#hasHelper(found);
		let isAmbiguous = false;
		for (const zone of zones) {
			const slot = this.#live(expectation, zone);
			// nothing hangs from a conntrack without a helper
			if (slot < 0 || (isHelped && !this.#hasHelper(slot))) continue;
			if (isHelped) isAmbiguous = true;
			if (!isHelped) found = slot;
			isHelped ||= this.#hasHelper(slot);
		}
		if (isAmbiguous) this.ambiguous++;
		if (found < 0 || isAmbiguous) return undefined;
		store.read(found, master);
		expectation[EXP_ZONE] = master[ZONES]! & 0xffff;
		return master;
	}

	/** The master in the zone that the expectation tells: where the kernel looks for it. The record is reused. */
	findInZone(expectation: Int32Array): ConntrackRecord | undefined {
		const { store, zones } = this.#internal[CONNTRACK];
		for (const word of [0, ...zones]) {
			if ((word & 0xffff) !== expectation[EXP_ZONE]) continue;
			const slot = this.#live(expectation, word);
			if (slot < 0) continue;
			store.read(slot, this.#master);
			return this.#master;
		}
		return undefined;
	}

	/**
	 * An expectation has ended, and perhaps its master before it: writes the zone under which it is held into it.
	 */
	locate(expectation: Int32Array): void {
		const { zones } = this.#internal[CONNTRACK];
		if (zones.size === 0) return;
		const { store } = this.#internal[EXPECTATION];
		const held = this.#held;
		let zone = 0;
		for (const word of [0, ...zones]) {
			expectation[EXP_ZONE] = word & 0xffff;
			const slot = store.find(expectation);
			if (slot < 0 || !store.isLive(slot)) continue;
			zone = word & 0xffff;
			store.read(slot, held);
			const haveIds = (held[EXP_HAS]! & expectation[EXP_HAS]! & X_ID) !== 0;
			if (haveIds && held[EXP_ID] === expectation[EXP_ID]) break;
		}
		expectation[EXP_ZONE] = zone;
	}

	/** Whether expectations wait for their master. */
	get isAwaited(): boolean {
		return this.#waiting.length > 0;
	}

	/** Keeps an expectation until its master is known. */
	wait(expectation: Int32Array): void {
		const now = this.#clock.now();
		this.forget(expectation);
		while (
			this.#waiting.length >= WAITING_MAX ||
			(this.#waiting.length > 0 && now - this.#waiting[0]!.since > WAIT_MS)
		) {
			this.#waiting.shift();
			this.givenUp++;
		}
		this.#waiting.push({ record: expectation.slice(), since: now });
	}

	/** A waiting expectation has ended; whether there was one. */
	forget(expectation: Int32Array): boolean {
		const { layout } = this.#internal[EXPECTATION].store;
		const at = this.#waiting.findIndex(({ record }) => layout.same(record, 0, expectation));
		if (at >= 0) this.#waiting.splice(at, 1);
		return at >= 0;
	}

	/** The expectations that have waited for this conntrack. */
	arrived(master: ConntrackRecord): Int32Array[] {
		const out: Int32Array[] = [];
		this.#waiting = this.#waiting.filter(({ record }) => {
			if (!isMasterOf(master, record)) return true;
			out.push(record);
			return false;
		});
		return out;
	}

	/** The slot of the live conntrack with the tuple of the expectation's master in these zones, or -1. */
	#live(expectation: Int32Array, zones: number): number {
		const { store } = this.#internal[CONNTRACK];
		writeMasterKey(this.#master, expectation, zones);
		const slot = store.find(this.#master);
		return slot >= 0 && store.isLive(slot) ? slot : -1;
	}

	#hasHelper(slot: number): boolean {
		const { store } = this.#internal[CONNTRACK];
		store.read(slot, this.#master);
		return (this.#master[HAS]! & H_HELPER) !== 0;
	}
}
