// Kernel -> internal cache, all of it: at the start, after an overrun, and when the operator asks (-R).
//
// The listener is subscribed before the dump is asked for, so nothing falls between the two; an event that comes
// while the dump is read knows better than the dump. What the dump does not show, and no event has touched, is gone.
import type { InternalCache } from "../cache/internal-cache.ts";
import { KINDS, type Kind } from "../conntrack/kind.ts";
import type { Clock } from "../system/clock.ts";

/** The kernel's tables, by Kind: calls back with each entry; the record is reused. */
export type KernelTables = (kind: Kind, visit: (record: Int32Array) => void) => Promise<void>;

/** Slots looked at in one go after the dump: a millisecond where all of them have ended. */
const SWEEP_SLOTS = 2048;

export interface ResyncOptions {
	internal: readonly [InternalCache, InternalCache];
	tables: KernelTables;
	/** Whether an entry belongs into the internal cache. */
	passes: (kind: Kind, record: Int32Array) => boolean;
	clock: Clock;
	/** Delivers the events that are waiting now. */
	drain: () => void;
	/** Something has become dirty. */
	pump: () => void;
}

/** The dumps of one table: one that is being read, and at most one more. */
interface Turn {
	/** Resolves when it is over, however it ends. */
	running?: Promise<void> | undefined;
	waiting?: Promise<void> | undefined;
}

export class KernelResync {
	/** Requests that dumps have answered which were read to their end. */
	count = 0;
	/** The same, of what nobody asked for. */
	audits = 0;
	/**
	 * Tables of which something was flushed since their last resync, and whose events may be among those that were lost:
	 * what the next one misses is withdrawn, not destroyed.
	 */
	readonly withdrawals = new Set<Kind>();
	readonly #options: ResyncOptions;
	/** By Kind: a long dump of the one table holds up no dump of the other. */
	readonly #turns: readonly [Turn, Turn] = [{}, {}];

	constructor(options: ResyncOptions) {
		this.#options = options;
	}

	/** Reads one table, or the other, or both, one after another. */
	async run(kinds: readonly Kind[] = KINDS, isAudit = false): Promise<void> {
		for (const kind of kinds) await this.table(kind);
		if (isAudit) this.audits++;
		else this.count++;
	}

	/**
	 * Reads one table and counts nothing. While it is being read already one more dump waits, and whoever asks meanwhile has
	 * that one: it begins later than the question, and shows all that was there then.
	 */
	table(kind: Kind): Promise<void> {
		const turn = this.#turns[kind];
		if (!turn.running) return this.#begin(kind);
		turn.waiting ??= turn.running.then(() => {
			turn.waiting = undefined;
			return this.#begin(kind);
		});
		return turn.waiting;
	}

	#begin(kind: Kind): Promise<void> {
		const turn = this.#turns[kind];
		const dump = this.#read(kind);
		turn.running = dump
			.catch(() => {})
			.then(() => {
				if (!turn.waiting) turn.running = undefined;
			});
		return dump;
	}

	async #read(kind: Kind): Promise<void> {
		// whoever flushes says so again when it is over: it may go on during this dump and be seen by the next only
		const isWithdrawal = this.withdrawals.delete(kind);
		try {
			await this.#table(kind, isWithdrawal);
		} catch (error) {
			if (isWithdrawal) this.withdrawals.add(kind);
			throw error;
		}
	}

	async #table(kind: Kind, isWithdrawal: boolean): Promise<void> {
		const { internal, tables, passes, clock, pump, drain } = this.#options;
		const cache = internal[kind];
		const seconds = (): number => Math.floor(clock.now() / 1000);
		cache.beginResync();
		try {
			await tables(kind, (record) => {
				if (passes(kind, record)) cache.applyDumped(record, seconds());
			});
		} catch (error) {
			cache.abandonResync();
			throw error;
		}
		// events that are waiting say why an entry is gone
		drain();
		const isFlushed = isWithdrawal || this.withdrawals.has(kind);
		for (let at = 0; at >= 0; ) {
			at = cache.sweepResync(at, SWEEP_SLOTS, seconds(), isFlushed);
			pump();
			if (at >= 0) await clock.pause();
		}
	}
}
