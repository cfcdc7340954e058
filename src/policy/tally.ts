// Counts the expectations that are allowed, by master and class, for rule X13. Masters are told apart by a number that
// the caller makes of them.
import { PER_SECOND, type Standing } from "./standing.ts";

/** Masters without expectations that are remembered for their rate; above that those at rest are forgotten. */
const MASTERS_MAX = 2048;
const SECOND_MS = 1000;

interface MasterTally {
	/** By class. */
	readonly classes: number[];
	total: number;
	/** New ones that may still come, at a moment in milliseconds. */
	tokens: number;
	at: number;
}

export class Tally {
	total = 0;
	/** Bounded: those with expectations, PER_ORIGIN at most, and MASTERS_MAX. */
	readonly #masters = new Map<number, MasterTally>();
	readonly #standing: Standing = { inClass: 0, ofMaster: 0, ofOrigin: 0, isTooFast: false };

	/** What another one would come on top of; the object is reused. `now` in milliseconds. */
	standing(key: number, expectationClass: number, isNew: boolean, now: number): Standing {
		const master = this.#masters.get(key);
		const out = this.#standing;
		out.inClass = master?.classes[expectationClass] ?? 0;
		out.ofMaster = master?.total ?? 0;
		out.ofOrigin = this.total;
		out.isTooFast = isNew && master !== undefined && tokensAt(master, now) < 1;
		return out;
	}

	/** @param isNew it takes part in the rate, too */
	add(key: number, expectationClass: number, isNew: boolean, now: number): void {
		let master = this.#masters.get(key);
		if (!master) {
			if (this.#masters.size >= MASTERS_MAX) this.#forgetIdle(now);
			master = { classes: [], total: 0, tokens: PER_SECOND, at: now };
			this.#masters.set(key, master);
		}
		if (isNew) {
			master.tokens = tokensAt(master, now) - 1;
			master.at = now;
		}
		master.classes[expectationClass] = (master.classes[expectationClass] ?? 0) + 1;
		master.total++;
		this.total++;
	}

	remove(key: number, expectationClass: number): void {
		const master = this.#masters.get(key)!;
		master.classes[expectationClass]!--;
		master.total--;
		this.total--;
	}

	#forgetIdle(now: number): void {
		for (const [key, master] of this.#masters) {
			if (master.total === 0 && tokensAt(master, now) >= PER_SECOND) this.#masters.delete(key);
		}
	}
}

function tokensAt({ tokens, at }: MasterTally, now: number): number {
	return Math.min(PER_SECOND, tokens + (Math.max(0, now - at) * PER_SECOND) / SECOND_MS);
}
