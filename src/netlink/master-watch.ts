// Learns the sequence adjustments of masters. A helper that changes the length of a segment (the address in a PORT
// command, behind NAT) shifts the connection's sequence numbers from then on. The kernel sends no event for it, so
// every translated TCP connection with a helper is asked for each second as long as it lives, and a master whose helper
// has just announced an expectation at once, and when the segment has been rewritten.
import { IPPROTO_TCP } from "../conntrack/protocol.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_STATUS,
	HAS,
	newConntrackRecord,
	PROTOCOLS,
	STATUS,
} from "../conntrack/record.ts";
import { IPS_DST_NAT, IPS_SRC_NAT } from "../conntrack/status.ts";
import type { Clock } from "../system/clock.ts";
import { ConntrackQuestions, QUESTIONS_MAX, type QuestionsOptions } from "./conntrack-questions.ts";
import { HelperPickUp } from "./helper-pick-up.ts";
import { MasterTable } from "./master-table.ts";

/** Milliseconds after an expectation's event: the segment that it stands in is rewritten after the event is sent. */
const SOON_MS = [2, 50] as const;
const EVERY_MS = 1000;
/** The masters are asked for in so many portions a second, so that none holds up anything else. */
const PORTIONS = 8;
/** Masters watched at a time; beyond it the oldest is given up, and learns at the next resync. */
const MASTERS_MAX = 4096;

export interface MasterWatchOptions extends QuestionsOptions {
	clock: Clock;
	/** Of the hash of their keys: random in a daemon. */
	seed?: number;
	/** A master as the kernel has it now; the record is reused. */
	found: (record: ConntrackRecord) => void;
	/** Everything that was asked for has been handed over. */
	batchEnd: () => void;
}

export class MasterWatch {
	/** Masters that were given up because there were too many. */
	dropped = 0;
	readonly pickUp: HelperPickUp;
	readonly #options: MasterWatchOptions;
	readonly #questions: ConntrackQuestions;
	/** In the order in which they were last announced: what to ask for. Bounded: MASTERS_MAX. */
	readonly #masters: MasterTable;
	readonly #asked = newConntrackRecord();
	/** Those at the beginning of this second, and which portion of them is next. */
	#slots: Int32Array = new Int32Array(0);
	#portion = 0;
	/** Portions are asked for as long as there are masters. */
	#isAsking = false;
	readonly #pending = new Set<() => void>();

	/** @throws Error with a line for the operator */
	constructor(options: MasterWatchOptions) {
		this.#options = options;
		this.#masters = new MasterTable(MASTERS_MAX, options.seed ?? 0);
		this.pickUp = new HelperPickUp(options);
		this.#questions = new ConntrackQuestions(options);
	}

	/** Masters that are watched. */
	get size(): number {
		return this.#masters.size;
	}

	/** A conntrack as an event or a dump has shown it. */
	seen(conntrack: ConntrackRecord): void {
		if (mayBeAdjusted(conntrack) && this.#masters.find(conntrack) < 0) this.#watch(conntrack);
	}

	/** A conntrack that a commit has brought. */
	committed(conntrack: ConntrackRecord): void {
		this.seen(conntrack);
		if (mayBeAdjusted(conntrack)) this.pickUp.committed(conntrack);
	}

	/** A master's expectation has been announced: the master may have changed, and may change again. */
	announced(master: ConntrackRecord): void {
		const known = this.#masters.find(master);
		const slot = known < 0 ? this.#watch(master) : known;
		if (known >= 0) this.#masters.touch(known);
		const slots = Int32Array.of(slot);
		this.#ask(slots);
		// one that is gone by then is not asked for; another that has its slot is once more
		for (const milliseconds of SOON_MS) this.#later(milliseconds, () => this.#ask(slots));
	}

	/** Asks for all of them, now. */
	askAll(): void {
		this.#ask(this.#masters.slots());
	}

	close(): void {
		for (const cancel of this.#pending) cancel();
		this.#questions.close();
		this.pickUp.close();
	}

	#watch(master: ConntrackRecord): number {
		if (this.#masters.size === MASTERS_MAX) this.dropped++;
		const slot = this.#masters.add(master);
		if (!this.#isAsking) {
			this.#isAsking = true;
			this.#later(EVERY_MS / PORTIONS, () => this.#nextPortion());
		}
		return slot;
	}

	#nextPortion(): void {
		if (this.#portion === 0) this.#slots = this.#masters.slots();
		const count = Math.ceil(this.#slots.length / PORTIONS);
		const from = this.#portion * count;
		this.#portion = (this.#portion + 1) % PORTIONS;
		if (from < this.#slots.length) this.#ask(this.#slots.subarray(from, from + count), true);
		this.#isAsking = this.#masters.size > 0;
		if (this.#isAsking) this.#later(EVERY_MS / PORTIONS, () => this.#nextPortion());
	}

	#later(milliseconds: number, action: () => void): void {
		const cancel = this.#options.clock.after(milliseconds, () => {
			this.#pending.delete(cancel);
			action();
		});
		this.#pending.add(cancel);
	}

	/**
	 * Asks for these masters and takes the answers, which the kernel gives within the request.
	 *
	 * @param isRoutine whoever turns out not to be translated is not asked for again
	 */
	#ask(slots: Int32Array, isRoutine = false): void {
		for (let first = 0; first < slots.length; first += QUESTIONS_MAX) {
			const batch = slots.subarray(first, first + QUESTIONS_MAX);
			this.#questions.begin();
			batch.forEach((slot, i) => {
				if (!this.#masters.has(slot)) return;
				this.#masters.read(slot, this.#asked);
				this.#questions.add(this.#asked, i);
			});
			if (this.#questions.send() > 0) this.#answers(batch, isRoutine);
		}
		this.#options.batchEnd();
	}

	#answers(batch: Int32Array, isRoutine: boolean): void {
		this.#questions.answers(
			(record) => {
				if (isRoutine && !mayBeAdjusted(record)) this.#forget(this.#masters.find(record));
				this.#options.found(record);
			},
			// whoever is not there any more needs no watching
			(number) => this.#forget(batch[number]),
			() => {},
		);
	}

	/** @param slot -1 or undefined: nobody's */
	#forget(slot = -1): void {
		if (this.#masters.has(slot)) this.#masters.delete(slot);
	}
}

/** A translated TCP connection with a helper. */
function mayBeAdjusted(record: ConntrackRecord): boolean {
	const has = record[HAS]!;
	return (
		(has & H_HELPER) !== 0 &&
		(has & H_STATUS) !== 0 &&
		record[PROTOCOLS]! >>> 8 === IPPROTO_TCP &&
		(record[STATUS]! & (IPS_SRC_NAT | IPS_DST_NAT)) !== 0
	);
}
