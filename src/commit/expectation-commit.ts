// The failover, expectations: they come after their masters. Those that are chosen are taken into the internal cache
// first, then the worker writes them and reads them back; they are few.
import {
	EXP_HAS,
	EXP_ID,
	EXP_KEY_FIRST,
	EXP_KEY_WORDS,
	EXP_TIMEOUT,
	EXPECTATION_WORDS,
	newExpectationRecord,
	X_ID,
} from "../conntrack/expectation-record.ts";
import { EXPECTATION, type Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { Clock } from "../system/clock.ts";
import type { CommitSource, CommitTarget } from "./commit.ts";
import type { CommitWorker } from "./commit-worker.ts";
import { type Chosen, type CommitJudge, chooseExpectations } from "./expectation-choice.ts";
import { type CommitResult, type JoinedEntry, newCommitResult, type Refusal } from "./messages.ts";

export interface ExpectationCommitOptions {
	worker: CommitWorker;
	/** By Kind. */
	internal: readonly [CommitTarget, CommitTarget];
	/** The peers' caches of a kind, the one that knows best first. */
	externals: (kind: Kind) => readonly CommitSource[];
	names: NameTable;
	clock: Clock;
	/** Something has become dirty. */
	pump: () => void;
	refused: (kind: Kind, refusal: Refusal) => void;
	/** A judge for one commit; absent: all may into the kernel. */
	policy?: () => CommitJudge;
	/** An expectation is in the kernel because of us, as it is there now, and shall be over by then (monotonic, ms). */
	guard?: (record: Int32Array, deadline: number) => void;
}

export class ExpectationCommit {
	readonly #options: ExpectationCommitOptions;
	readonly #record = newExpectationRecord();
	/** What the kernel has ended since the choice, by key; undefined: no commit is under way. Bounded by the cache. */
	#ended: Map<string, number> | undefined;

	constructor(options: ExpectationCommitOptions) {
		this.#options = options;
	}

	async run(): Promise<CommitResult> {
		const { worker, clock, pump } = this.#options;
		this.#ended = new Map();
		try {
			const startedAt = clock.now();
			let keptOut = 0;
			const { chosen, ...counts } = await chooseExpectations({
				...this.#options,
				keptOut: (record, rule) => {
					keptOut++;
					const step = "create";
					this.#options.refused(EXPECTATION, { record, errno: 0, step, exists: false, rule });
				},
			});
			const orders = chosen.filter(
				(order) => order.step === "join" || !this.#ended!.has(keyOf(order.record)),
			);
			for (const { record, step } of orders) this.#adopt(record, step === "replace");
			pump();
			const left = new Map(orders.map(({ record }) => [keyOf(record), record[EXP_TIMEOUT]!]));
			const joined: JoinedEntry[] = [];
			const result =
				orders.length === 0
					? newCommitResult()
					: await worker.run(jobOf(orders), {
							refused: (refusals) => this.#refused(refusals),
							joined: (entries) => joined.push(...entries),
						});
			for (const { record } of joined) this.#joined(record, startedAt + left.get(keyOf(record))! * 1000);
			await this.#takeOut(orders, joined);
			result.expired += counts.expired + chosen.length - orders.length;
			result.failed += keptOut;
			result.outdated += counts.outdated;
			result.superseded += counts.superseded;
			result.consumed += counts.consumed;
			return result;
		} finally {
			this.#ended = undefined;
		}
	}

	/** The kernel says that an expectation has ended: a commit that is under way must not bring it back. */
	ended(record: Int32Array): void {
		this.#ended?.set(keyOf(record), (record[EXP_HAS]! & X_ID) === 0 ? 0 : record[EXP_ID]!);
	}

	#adopt(record: Int32Array, isReplacement: boolean): void {
		const internal = this.#options.internal[EXPECTATION];
		const known = internal.store.find(record);
		if (!isReplacement && known >= 0 && internal.store.isLive(known)) return;
		internal.apply(record, isReplacement, this.#seconds());
	}

	#joined(record: Int32Array, deadline: number): void {
		const internal = this.#options.internal[EXPECTATION];
		const slot = internal.store.find(record);
		// what has ended since then stays ended
		if (slot < 0 || !internal.store.isLive(slot)) return;
		internal.refresh(record, this.#seconds());
		this.#options.guard?.(record, deadline);
	}

	/** What the kernel has ended while the worker made it anew. */
	async #takeOut(orders: readonly Chosen[], joined: readonly JoinedEntry[]): Promise<void> {
		const { worker, internal } = this.#options;
		const made = new Set(orders.filter(({ step }) => step === "create").map(({ record }) => keyOf(record)));
		const out: Chosen[] = [];
		for (const { record } of joined) {
			const key = keyOf(record);
			const id = this.#ended!.get(key);
			if (id === undefined || id === record[EXP_ID] || !made.has(key)) continue;
			out.push({ record, step: "delete" });
			const { store } = internal[EXPECTATION];
			const slot = store.find(record);
			if (slot >= 0 && store.isLive(slot)) internal[EXPECTATION].bury(slot, this.#seconds());
		}
		if (out.length > 0) await worker.run(jobOf(out));
	}

	#refused(refusals: readonly Refusal[]): void {
		const { refused, internal } = this.#options;
		const { store } = internal[EXPECTATION];
		for (const refusal of refusals) {
			refused(EXPECTATION, refusal);
			const slot = store.find(refusal.record);
			const isHeld = slot >= 0 && store.isLive(slot);
			if (!refusal.exists && isHeld && !this.#isSeen(slot)) internal[EXPECTATION].bury(slot, this.#seconds());
		}
	}

	/** Whether the kernel itself has told of the entry: only it gives an id. */
	#isSeen(slot: number): boolean {
		this.#options.internal[EXPECTATION].store.read(slot, this.#record);
		return (this.#record[EXP_HAS]! & X_ID) !== 0;
	}

	#seconds(): number {
		return Math.floor(this.#options.clock.now() / 1000);
	}
}

export function jobOf(orders: readonly Chosen[]) {
	const records = new Int32Array(orders.length * EXPECTATION_WORDS);
	orders.forEach(({ record }, i) => {
		records.set(record, i * EXPECTATION_WORDS);
	});
	return { type: "expect", records, steps: orders.map(({ step }) => step) } as const;
}

const keyOf = (record: Int32Array): string =>
	record.subarray(EXP_KEY_FIRST, EXP_KEY_FIRST + EXP_KEY_WORDS).join();
