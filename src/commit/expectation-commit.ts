// The failover, expectations: they come after their masters. All of them are taken into the internal cache first, then
// the worker writes them; they are few.
import { UPDATED } from "../cache/record-layout.ts";
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
		for (const external of externals) {
			for (let slot = 0; slot < external.store.end; slot++) this.#adopt(external, slot);
		}
		this.#options.pump();
		const job = { type: "commit", kind: EXPECTATION, parts, nowSeconds, windowTracking } as const;
		return worker.run(job, { refused: (refusals) => this.#refused(refusals) });
	}

	/** Takes an entry into the internal cache. One that is over is left to the worker, which counts it. */
	#adopt(external: CommitSource, slot: number): void {
		const { store } = external;
		if (!store.isLive(slot) || !store.isOwned(slot)) return;
		const record = this.#record;
		store.read(slot, record);
		record[EXP_TIMEOUT]! -= this.#age(external, slot);
		if ((record[EXP_HAS]! & X_TIMEOUT) !== 0 && record[EXP_TIMEOUT]! <= 0) return;
		const internal = this.#options.internal[EXPECTATION];
		const known = internal.store.find(record);
		if (known >= 0 && internal.store.isLive(known)) return;
		internal.apply(record, false, seconds(this.#options.clock));
	}

	/** Seconds since the peer told of the entry. */
	#age(external: CommitSource, slot: number): number {
		return Math.max(0, seconds(this.#options.clock) - external.store.header(slot, UPDATED));
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

const seconds = (clock: Clock): number => Math.floor(clock.now() / 1000);
