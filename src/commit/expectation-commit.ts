// The failover, expectations: they come after their masters. All of them are taken into the internal cache first, then
// the worker writes them; they are few.
import { AWAITS_MASTER, HIDDEN, UPDATED } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import {
	EXP_HAS,
	EXP_TIMEOUT,
	newExpectationRecord,
	X_ID,
	X_TIMEOUT,
} from "../conntrack/expectation-record.ts";
import { EXPECTATION, type Kind } from "../conntrack/kind.ts";
import type { Clock } from "../system/clock.ts";
import type { CommitSource, CommitTarget } from "./commit.ts";
import type { CommitWorker } from "./commit-worker.ts";
import type { CommitResult, Refusal } from "./messages.ts";

export interface ExpectationCommitOptions {
	worker: CommitWorker;
	/** By Kind. */
	internal: readonly [CommitTarget, CommitTarget];
	clock: Clock;
	windowTracking: boolean;
	/** Something has become dirty. */
	pump: () => void;
	refused: (kind: Kind, refusal: Refusal) => void;
	/** A judge for one commit: 0, or the rule that keeps the expectation out of the kernel. Absent: all may in. */
	policy?: () => (expectation: Int32Array, store: RecordStore) => number;
}

export class ExpectationCommit {
	readonly #options: ExpectationCommitOptions;
	readonly #record = newExpectationRecord();

	constructor(options: ExpectationCommitOptions) {
		this.#options = options;
	}

	/** @param parts the same caches as the worker knows them */
	async run(
		externals: readonly CommitSource[],
		parts: { store: number; end: number }[],
	): Promise<CommitResult> {
		const { worker, clock, windowTracking } = this.#options;
		const nowSeconds = seconds(clock);
		const policy = this.#options.policy?.() ?? (() => 0);
		/** Bounded by the caches. */
		const hidden: [RecordStore, number][] = [];
		let keptOut = 0;
		try {
			for (const { store } of externals) {
				for (let slot = 0; slot < store.end; slot++) {
					const rule = this.#ruleAgainst(store, slot, policy);
					if (rule === 0) this.#adopt(store, slot);
					else {
						keptOut++;
						this.#keptOut(rule);
						// the worker goes through the same slots
						if (!store.isOwned(slot)) continue;
						store.setMark(slot, HIDDEN, true);
						hidden.push([store, slot]);
					}
				}
			}
			this.#options.pump();
			const job = { type: "commit", kind: EXPECTATION, parts, nowSeconds, windowTracking } as const;
			const result = await worker.run(job, { refused: (refusals) => this.#refused(refusals) });
			result.failed += keptOut;
			return result;
		} finally {
			for (const [store, slot] of hidden) store.setMark(slot, HIDDEN, false);
		}
	}

	/** The rule that the live expectation in the slot breaks, found when it came or now; it is read into the record. */
	#ruleAgainst(
		store: RecordStore,
		slot: number,
		policy: (expectation: Int32Array, store: RecordStore) => number,
	): number {
		if (!store.isLive(slot)) return 0;
		store.read(slot, this.#record);
		const found = store.verdict(slot);
		if (found !== 0) return found === AWAITS_MASTER ? MASTER : found;
		return store.isOwned(slot) ? policy(this.#record, store) : 0;
	}

	#keptOut(rule: number): void {
		const record = this.#record.slice();
		this.#options.refused(EXPECTATION, { record, errno: 0, step: "create", exists: false, rule });
	}

	/** Takes an entry into the internal cache. One that is over is left to the worker, which counts it. */
	#adopt(store: RecordStore, slot: number): void {
		if (!store.isLive(slot) || !store.isOwned(slot)) return;
		const record = this.#record;
		store.read(slot, record);
		record[EXP_TIMEOUT]! -= this.#age(store, slot);
		if ((record[EXP_HAS]! & X_TIMEOUT) !== 0 && record[EXP_TIMEOUT]! <= 0) return;
		const internal = this.#options.internal[EXPECTATION];
		const known = internal.store.find(record);
		if (known >= 0 && internal.store.isLive(known)) return;
		internal.apply(record, false, seconds(this.#options.clock));
	}

	/** Seconds since the peer told of the entry. */
	#age(store: RecordStore, slot: number): number {
		return Math.max(0, seconds(this.#options.clock) - store.header(slot, UPDATED));
	}

	#refused(refusals: readonly Refusal[]): void {
		const { clock, refused } = this.#options;
		const internal = this.#options.internal[EXPECTATION];
		for (const refusal of refusals) {
			refused(EXPECTATION, refusal);
			const slot = internal.store.find(refusal.record);
			const isHeld = slot >= 0 && internal.store.isLive(slot);
			if (!refusal.exists && isHeld && !this.#isSeen(slot)) internal.bury(slot, seconds(clock));
		}
	}

	/** Whether the kernel itself has told of the entry: only it gives an id. */
	#isSeen(slot: number): boolean {
		this.#options.internal[EXPECTATION].store.read(slot, this.#record);
		return (this.#record[EXP_HAS]! & X_ID) !== 0;
	}
}

/** Rule X02: its master is not known. */
const MASTER = 2;
const seconds = (clock: Clock): number => Math.floor(clock.now() / 1000);
