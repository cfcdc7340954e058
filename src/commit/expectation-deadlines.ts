// Watches over committed expectations: none of them outlives what was left of it at its origin, whatever the kernel
// makes of its time. One that its helper has made anew, or renewed, is the helper's again.
import {
	EXP_FLAGS,
	EXP_HAS,
	EXP_ID,
	EXP_KEY_FIRST,
	EXP_KEY_WORDS,
	newExpectationRecord,
	X_ID,
} from "../conntrack/expectation-record.ts";
import type { Clock } from "../system/clock.ts";
import type { CommitTarget } from "./commit.ts";

/** Committed expectations that are remembered; more are left to the kernel's own timer. */
const REMEMBERED_MAX = 16_384;
const EVERY_MS = 1000;
/** How long after its time an expectation may still be there: times are told in whole seconds. */
const GRACE_MS = 1000;

interface Guarded {
	record: Int32Array;
	deadline: number;
}

export interface DeadlineOptions {
	clock: Clock;
	/** The internal cache of expectations. */
	internal: CommitTarget;
	/** Takes these out of the kernel, by their ids. */
	remove: (records: Int32Array[]) => Promise<void>;
	failed: (error: Error) => void;
}

export class ExpectationDeadlines {
	/** Expectations that had to be taken out. */
	removed = 0;
	/** Expectations that were too many to be remembered. */
	unguarded = 0;
	readonly #options: DeadlineOptions;
	/** By key. Bounded: REMEMBERED_MAX. */
	readonly #guarded = new Map<string, Guarded>();
	readonly #known = newExpectationRecord();
	#cancel: (() => void) | undefined;

	constructor(options: DeadlineOptions) {
		this.#options = options;
	}

	/** Expectations that are watched over. */
	get size(): number {
		return this.#guarded.size;
	}

	/** @param record as the kernel has it @param deadline milliseconds, monotonic */
	add(record: Int32Array, deadline: number): void {
		const key = keyOf(record);
		if (!this.#guarded.has(key) && this.#guarded.size >= REMEMBERED_MAX) {
			this.unguarded++;
			return;
		}
		this.#guarded.set(key, { record: record.slice(), deadline });
		this.#cancel ??= this.#options.clock.after(EVERY_MS, () => void this.#tick());
	}

	/** The helper has made this one anew: the kernel has told so. */
	announced(record: Int32Array): void {
		if (this.#guarded.size > 0) this.#guarded.delete(keyOf(record));
	}

	close(): void {
		this.#cancel?.();
		this.#guarded.clear();
	}

	async #tick(): Promise<void> {
		const { clock, remove, failed } = this.#options;
		const now = clock.now();
		const over: [string, Guarded][] = [];
		for (const [key, guarded] of this.#guarded) {
			if (!this.#isOurs(guarded.record)) this.#guarded.delete(key);
			else if (now >= guarded.deadline + GRACE_MS) over.push([key, guarded]);
		}
		if (over.length > 0) {
			try {
				await remove(over.map(([, { record }]) => record));
				for (const [key, { record }] of over) this.#gone(key, record);
			} catch (error) {
				failed(error as Error);
			}
		}
		this.#cancel = this.#guarded.size === 0 ? undefined : clock.after(EVERY_MS, () => void this.#tick());
	}

	/** Events of our own requests are not heard: the internal cache is put right here. */
	#gone(key: string, record: Int32Array): void {
		const { internal, clock } = this.#options;
		this.#guarded.delete(key);
		if (!this.#isOurs(record)) return;
		this.removed++;
		internal.bury(internal.store.find(record), Math.floor(clock.now() / 1000));
	}

	/** Whether it is there, and is still the one that was committed: a renewal clears INACTIVE. */
	#isOurs(record: Int32Array): boolean {
		const { store } = this.#options.internal;
		const slot = store.find(record);
		if (slot < 0 || !store.isLive(slot)) return false;
		const known = this.#known;
		store.read(slot, known);
		if ((known[EXP_HAS]! & record[EXP_HAS]! & X_ID) !== 0 && known[EXP_ID] !== record[EXP_ID]) return false;
		return known[EXP_FLAGS] === record[EXP_FLAGS];
	}
}

const keyOf = (record: Int32Array): string =>
	record.subarray(EXP_KEY_FIRST, EXP_KEY_FIRST + EXP_KEY_WORDS).join();
