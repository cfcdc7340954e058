// What is known about whether a peer's entries are held here as the peer has them. Milliseconds throughout.
import { BUCKETS, VersionDigest } from "../cache/version-digest.ts";
import { u32 } from "./wire/frame.ts";

/** Buckets in one DIGEST record, and records in a whole sweep. */
export const SLICE_BUCKETS = 16;
export const SLICES = BUCKETS / SLICE_BUCKETS;
/** A difference that nothing has touched on either side for this long is none of what is on its way. */
const SETTLED_AFTER = 300;
/** A bucket that is never seen at rest is looked into after so many sweeps that found it different. */
const RESTLESS_SWEEPS = 16;
const REPAIRS_IN_VAIN = 2;
/** Between two repairs with one peer, to begin with. */
const REPAIR_EVERY = 1000;

/** What a peer has last said of how it holds my entries. */
export interface EqualityReport {
	/** When it came, and how long before that the peer had found everything equal; Infinity: not yet. */
	at: number;
	age: number;
	/** Buckets that differ. */
	differing: number;
	/** Entries of mine that the peer has no room for. */
	refused: number;
	/** Its claims that I have seen to and the wrong ones among them, counted from its start. */
	checked: number;
	wrong: number;
	/** An operator has emptied the copy there, and not had it filled since. */
	isEmptied: boolean;
}

export class PeerEquality {
	/** Of what is held of the peer. */
	readonly digest = new VersionDigest();
	/** When each bucket was last found equal. */
	readonly #matchedAt = new Float64Array(BUCKETS).fill(Number.NEGATIVE_INFINITY);
	/** Of a bucket that differs: how often in a row, since when both sides have had these very words, and the words. */
	readonly #differs = new Uint8Array(BUCKETS);
	readonly #since = new Float64Array(BUCKETS);
	readonly #theirs = new Int32Array(BUCKETS * 2);
	readonly #mine = new Int32Array(BUCKETS * 2);
	/** Whether the operator's emptying is under way: what is equal meanwhile will not be. */
	#isEmptying = false;
	#isSuspended = false;
	report: EqualityReport | undefined;
	/** What the peer has not taken of mine, by reason; empty: it has not said. */
	refusals: readonly number[] = [];
	/** Claims of the peer about my entries that I have looked at, and the wrong ones. */
	checked = 0;
	wrong = 0;
	/** Claims that I have sent about the peer's entries, and what the peer said was wrong. */
	claimed = 0;
	refuted = 0;
	/** Repairs begun, how many in a row have not helped, and when the last one was. */
	repairs = 0;
	#repairsInVain = 0;
	repairedAt = Number.NEGATIVE_INFINITY;

	/**
	 * An operator has emptied the cache: it is compared as ever, but nothing of it is repaired until the next bulk, or until
	 * each bucket was equal once since then: what was taken out is not in it any more, nor missing there.
	 */
	get isSuspended(): boolean {
		return this.#isSuspended;
	}

	/** Nothing is known any more: a bulk begins. */
	reset(): void {
		this.#forget();
		this.#isSuspended = this.#isEmptying = false;
	}

	/** An operator empties the cache, from now on until `emptied`. */
	suspend(): void {
		this.#forget();
		this.#isSuspended = this.#isEmptying = true;
	}

	/** Everything is out that was there. A bulk that has begun meanwhile counts: then this does nothing. */
	emptied(): void {
		if (!this.#isEmptying) return;
		this.#forget();
		this.#isEmptying = false;
	}

	#forget(): void {
		this.#matchedAt.fill(Number.NEGATIVE_INFINITY);
		this.#differs.fill(0);
	}

	/**
	 * Compares a slice of the peer's digest, whose words are in `bytes` from `at` on, with what is held.
	 *
	 * @returns whether a bucket of it has to be looked into
	 */
	compare(slice: number, bytes: Uint8Array, at: number, now: number): boolean {
		const { words } = this.digest;
		let isSuspect = false;
		for (let bucket = slice * SLICE_BUCKETS; bucket < (slice + 1) * SLICE_BUCKETS; bucket++, at += 8) {
			const i = bucket * 2;
			const theirs0 = u32(bytes, at) | 0;
			const theirs1 = u32(bytes, at + 4) | 0;
			if (theirs0 === words[i] && theirs1 === words[i + 1]) {
				this.#matchedAt[bucket] = now;
				this.#differs[bucket] = 0;
				continue;
			}
			const isSame =
				this.#differs[bucket]! > 0 &&
				this.#theirs[i] === theirs0 &&
				this.#theirs[i + 1] === theirs1 &&
				this.#mine[i] === words[i] &&
				this.#mine[i + 1] === words[i + 1];
			if (!isSame) this.#since[bucket] = now;
			if (this.#differs[bucket]! < 255) this.#differs[bucket]!++;
			this.#theirs[i] = theirs0;
			this.#theirs[i + 1] = theirs1;
			this.#mine[i] = words[i]!;
			this.#mine[i + 1] = words[i + 1]!;
			if (this.#isSuspect(bucket, now)) isSuspect = true;
		}
		if (this.#isSuspended && !this.#isEmptying && Number.isFinite(this.verifiedAt)) this.#isSuspended = false;
		return isSuspect;
	}

	/** Whether it is time for a repair: each that has not helped doubles the wait for the next. */
	mayRepair(now: number): boolean {
		const inVain = this.repairedAt > this.verifiedAt ? this.#repairsInVain : 0;
		return now - this.repairedAt >= REPAIR_EVERY * 2 ** Math.min(inVain, 4);
	}

	/** There is a difference, and nobody is to do anything about it: looks again after a while. */
	putOff(now: number): void {
		this.repairedAt = now;
	}

	/** A repair begins. @returns whether the last ones have not helped: the digest itself may be wrong */
	beginRepair(now: number): boolean {
		this.#repairsInVain = this.repairedAt > this.verifiedAt ? this.#repairsInVain + 1 : 0;
		this.repairs++;
		this.repairedAt = now;
		return this.#repairsInVain >= REPAIRS_IN_VAIN;
	}

	/** Which buckets have to be looked into: a bit each, 128 bytes. */
	suspects(now: number): Uint8Array {
		const bits = new Uint8Array(BUCKETS / 8);
		for (let bucket = 0; bucket < BUCKETS; bucket++) {
			if (this.#isSuspect(bucket, now)) bits[bucket >>> 3]! |= 1 << (bucket & 7);
		}
		return bits;
	}

	/** Buckets that were found different when they were last looked at. */
	get differing(): number {
		let count = 0;
		for (const times of this.#differs) if (times > 0) count++;
		return count;
	}

	/** Since when everything has been found equal; -Infinity: it has not, yet. */
	get verifiedAt(): number {
		let oldest = Number.POSITIVE_INFINITY;
		for (const at of this.#matchedAt) if (at < oldest) oldest = at;
		return oldest;
	}

	#isSuspect(bucket: number, now: number): boolean {
		const times = this.#differs[bucket]!;
		return (times > 1 && now - this.#since[bucket]! >= SETTLED_AFTER) || times >= RESTLESS_SWEEPS;
	}
}

export function hasBucket(bits: Uint8Array, bucket: number): boolean {
	return (bits[bucket >>> 3]! & (1 << (bucket & 7))) !== 0;
}
