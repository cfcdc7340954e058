// Which of a peer's expectations count: those that the policy allows under the master that the peer has told of. The
// others stay held, so that both sides find themselves equal, but are kept back: no commit takes them, and `-e` does
// not show them. One gate for each peer, over its two caches.
import type { ExternalCache } from "../cache/external-cache.ts";
import { AWAITS_MASTER } from "../cache/record-layout.ts";
import {
	EXP_CLASS,
	EXP_ZONE,
	type ExpectationRecord,
	newExpectationRecord,
} from "../conntrack/expectation-record.ts";
import { hashConntrack } from "../conntrack/key.ts";
import { CONNTRACK, EXPECTATION } from "../conntrack/kind.ts";
import { writeMasterKey } from "../conntrack/master.ts";
import { type ConntrackRecord, newConntrackRecord, ZONES } from "../conntrack/record.ts";
import { ACCEPTED } from "../policy/codes.ts";
import type { Standing } from "../policy/standing.ts";
import { Tally } from "../policy/tally.ts";

/** Expectations of one peer that are kept back and can be looked at; more are only counted. */
const KEPT_MAX = 4096;
/** Rule X13, too many or too fast: may be over in a moment. */
const TOO_MANY = 13;
/**
 * Expectations of one master that are held, as a multiple of those that may count: whatever is told of the master has
 * all of them judged again. What comes on top, and does not count, is refused.
 */
const HELD_OF_MASTER = 4;
/** Milliseconds between two looks at those, and how many are looked at. */
const LOOK_EVERY = 1000;
const LOOKS = 256;
const SEEDS = [0x2545f491, 0x6a09e667] as const;

/** The policy, as far as the protocol knows of it. */
export interface ExpectationJudge {
	/** The most expectations of one master that may count at a time. */
	readonly mostOfMaster: number;
	/** Whether what is kept back can be looked at, or is only counted. */
	readonly keeps: boolean;
	/** @returns 0, the number of the first rule that is broken, or AWAITS_MASTER */
	judge(expectation: ExpectationRecord, master: ConntrackRecord | undefined, standing: Standing): number;
	/** A verdict that counts: the entry is new, or its verdict has changed. */
	judged(expectation: ExpectationRecord, verdict: number, master: ConntrackRecord | undefined): void;
}

export class ExpectationGate {
	readonly #external: readonly [ExternalCache, ExternalCache];
	readonly #judge: ExpectationJudge;
	readonly #tally = new Tally();
	/** Slots of expectations by their master, HELD_OF_MASTER for each. Bounded by the cache. */
	readonly #slots = new Map<number, Set<number>>();
	/** Slots that are kept back because they were too many. Bounded by KEPT_MAX. */
	readonly #tooMany = new Set<number>();
	/** Masters whose expectations are to be judged again. Emptied with each datagram. */
	readonly #toReview = new Set<number>();
	readonly #expectation = newExpectationRecord();
	readonly #sibling = newExpectationRecord();
	readonly #master = newConntrackRecord();
	/** The slot whose expectation, which counted, is being replaced; -1 is none. */
	#replaced = -1;
	#kept = 0;
	#lookedAt = 0;

	constructor(external: readonly [ExternalCache, ExternalCache], judge: ExpectationJudge) {
		this.#external = external;
		this.#judge = judge;
		// a commit that is under way must not see it before it is judged
		external[EXPECTATION].provisional = AWAITS_MASTER;
		external[EXPECTATION].leaving = (slot, isReplaced) => this.#leave(slot, isReplaced);
		external[CONNTRACK].leaving = (slot, isReplaced) => {
			// a master that is replaced is told of by whoever replaces it
			if (isReplaced || this.#slots.size === 0) return;
			external[CONNTRACK].store.read(slot, this.#master);
			const key = keyOf(this.#master);
			if (this.#slots.has(key)) this.#toReview.add(key);
		};
	}

	/** The cache has taken this expectation, or another state of it. `now` in milliseconds. */
	taken(slot: number, now: number): void {
		const { store } = this.#external[EXPECTATION];
		store.read(slot, this.#expectation);
		const key = masterKey(this.#expectation, this.#master);
		let slots = this.#slots.get(key);
		if (!slots) {
			slots = new Set();
			this.#slots.set(key, slots);
		}
		slots.add(slot);
		const isNew = this.#replaced !== slot;
		this.#replaced = -1;
		this.#settle(slot, key, isNew, true, now);
	}

	/** The peer has told of a conntrack: it may be a master. */
	masterTold(record: ConntrackRecord): void {
		if (this.#slots.size === 0) return;
		const key = keyOf(record);
		if (this.#slots.has(key)) this.#toReview.add(key);
	}

	/** Looks again at what the last datagram has changed. After each datagram, and now and then. */
	review(now: number): void {
		// clearing an empty set allocates
		if (this.#toReview.size > 0) {
			for (const key of this.#toReview) this.#reviewMaster(key, now);
			this.#toReview.clear();
		}
		if (this.#tooMany.size === 0 || now - this.#lookedAt < LOOK_EVERY) return;
		this.#lookedAt = now;
		let looks = 0;
		for (const slot of [...this.#tooMany]) {
			if (looks++ === LOOKS) break;
			// to the end of the line
			this.#tooMany.delete(slot);
			this.#tooMany.add(slot);
			this.#again(slot, now);
		}
	}

	#reviewMaster(key: number, now: number): void {
		for (const slot of [...(this.#slots.get(key) ?? [])]) this.#again(slot, now);
	}

	/** Judges what is there already. */
	#again(slot: number, now: number): void {
		const external = this.#external[EXPECTATION];
		external.store.read(slot, this.#expectation);
		const key = masterKey(this.#expectation, this.#master);
		const before = external.store.verdict(slot);
		if (before === ACCEPTED) this.#tally.remove(key, this.#expectation[EXP_CLASS]!);
		this.#settle(slot, key, before !== ACCEPTED, false, now);
	}

	/** Judges the expectation that was read, which is in no count. */
	#settle(slot: number, key: number, isNew: boolean, isTaken: boolean, now: number): void {
		const external = this.#external[EXPECTATION];
		const record = this.#expectation;
		const before = external.store.verdict(slot);
		const standing = this.#tally.standing(key, record[EXP_CLASS]!, isNew, now);
		const master = findMaster(this.#external[CONNTRACK], record, this.#master, true);
		let verdict = this.#judge.judge(record, master, standing);
		if (verdict === TOO_MANY && external.isConfirmed(slot) && this.#makeRoom(slot, key)) {
			verdict = this.#judge.judge(record, master, this.#tally.standing(key, record[EXP_CLASS]!, isNew, now));
		}
		const isCrowd = this.#slots.get(key)!.size > HELD_OF_MASTER * this.#judge.mostOfMaster;
		if (isCrowd && verdict === AWAITS_MASTER) verdict = TOO_MANY;
		if (isTaken ? isNew || verdict !== ACCEPTED : verdict !== before)
			this.#judge.judged(record, verdict, master);
		if (before !== ACCEPTED && before !== AWAITS_MASTER) this.#kept--;
		external.keepBack(slot, verdict);
		if (verdict === ACCEPTED) {
			this.#tooMany.delete(slot);
			this.#tally.add(key, record[EXP_CLASS]!, isNew, now);
			return;
		}
		if (verdict === AWAITS_MASTER) {
			this.#tooMany.delete(slot);
			return;
		}
		this.#kept++;
		// what is too many now may count in a moment, whatever the operator wants to see
		const isKept = (this.#judge.keeps || verdict === TOO_MANY) && this.#kept <= KEPT_MAX && !isCrowd;
		if (!isKept) external.refuse(slot, verdict);
		else if (verdict === TOO_MANY) this.#tooMany.add(slot);
		else this.#tooMany.delete(slot);
	}

	/**
	 * The peer has withdrawn an expectation, which is held until its next bulk, and its helper has announced another one of
	 * the class: the kernel would not have both (nf_ct_expect_related_report evicts the oldest), so the withdrawn one stands back.
	 */
	#makeRoom(slot: number, key: number): boolean {
		const external = this.#external[EXPECTATION];
		const { store } = external;
		const expectationClass = this.#expectation[EXP_CLASS]!;
		for (const other of this.#slots.get(key)!) {
			if (other === slot || store.verdict(other) !== ACCEPTED || external.isConfirmed(other)) continue;
			store.read(other, this.#sibling);
			if (this.#sibling[EXP_CLASS] !== expectationClass) continue;
			this.#tally.remove(key, expectationClass);
			external.keepBack(other, TOO_MANY);
			this.#kept++;
			if (this.#tooMany.size < KEPT_MAX) this.#tooMany.add(other);
			return true;
		}
		return false;
	}

	/** The entry in this slot will not be there any more as it is. */
	#leave(slot: number, isReplaced: boolean): void {
		const external = this.#external[EXPECTATION];
		external.store.read(slot, this.#expectation);
		const key = masterKey(this.#expectation, this.#master);
		const verdict = external.store.verdict(slot);
		this.#replaced = isReplaced && verdict === ACCEPTED ? slot : -1;
		if (verdict === ACCEPTED) this.#tally.remove(key, this.#expectation[EXP_CLASS]!);
		else if (verdict !== AWAITS_MASTER) this.#kept--;
		external.keepBack(slot, ACCEPTED);
		this.#tooMany.delete(slot);
		const slots = this.#slots.get(key);
		slots?.delete(slot);
		if (slots?.size === 0) this.#slots.delete(key);
		else if (verdict === ACCEPTED && !isReplaced) this.#toReview.add(key);
	}
}

/**
 * What a node has told of the expectation's master, written into `master`.
 *
 * @param isCurrent only what it has told in its present epoch counts
 */
export function findMaster(
	external: ExternalCache,
	expectation: ExpectationRecord,
	master: ConntrackRecord,
	isCurrent: boolean,
): ConntrackRecord | undefined {
	const { store } = external;
	const zone = expectation[EXP_ZONE]!;
	// in both directions, or in the original one only
	for (const zones of zone === 0 ? [0] : [zone | (zone << 16), zone]) {
		writeMasterKey(master, expectation, zones);
		const slot = store.find(master);
		if (slot < 0 || !store.isLive(slot) || (isCurrent && !external.isCurrent(slot))) continue;
		store.read(slot, master);
		return master;
	}
	return undefined;
}

/** A number for the expectation's master, whose key is written into `master`. */
export function masterKey(expectation: ExpectationRecord, master: ConntrackRecord): number {
	writeMasterKey(master, expectation, 0);
	return keyOf(master);
}

/** A number for a master: of its original tuple without zones, which an expectation does not tell fully. */
function keyOf(master: ConntrackRecord): number {
	const zones = master[ZONES]!;
	master[ZONES] = 0;
	const key = (hashConntrack(master, SEEDS[0]) >>> 12) * 2 ** 32 + (hashConntrack(master, SEEDS[1]) >>> 0);
	master[ZONES] = zones;
	return key;
}
