// Asks the kernel for single conntracks: with DisableInternalCache an update tells only what has changed, and the whole
// state is where the connection is. The kernel answers within the request.
import { type ConntrackRecord, ORIG_DST, PROTOCOLS } from "../conntrack/record.ts";
import { ConntrackQuestions, QUESTIONS_MAX, type QuestionsOptions } from "./conntrack-questions.ts";
import { NetlinkError } from "./error.ts";

/** What may wait from one call to the next; what is beyond it is asked for at once, whatever the limit of the call. */
const WAITING_MAX = 16_384;

export interface ConntrackLookupOptions extends QuestionsOptions {
	/** Requests could not be sent, or answers were lost. */
	failed: (error: Error) => void;
}

export class ConntrackLookup {
	/** Requests so far. */
	asked = 0;
	/** Calls that sent no requests, and times that answers were lost. */
	failures = 0;
	/** What was wanted and is not asked for any more: too much waits after failures. */
	givenUp = 0;
	readonly #questions: ConntrackQuestions;
	/** What is to be asked for, by its key: once, however often it has changed. Bounded by WAITING_MAX and one batch of events. */
	readonly #wanted = new Map<string, ConntrackRecord>();

	readonly #failed: (error: Error) => void;

	/** @throws Error with a line for the operator */
	constructor(options: ConntrackLookupOptions) {
		this.#failed = options.failed;
		this.#questions = new ConntrackQuestions(options);
	}

	/** To be asked for with the next `flush`; the record's key counts. */
	want(record: ConntrackRecord): void {
		const key = keyOf(record);
		if (!this.#wanted.has(key)) this.#wanted.set(key, record.slice());
	}

	/** It has ended: there is nothing to ask for. */
	forget(record: ConntrackRecord): void {
		if (this.#wanted.size > 0) this.#wanted.delete(keyOf(record));
	}

	/**
	 * Asks for what is wanted, the oldest first; calls back with each that is there. The record is reused. What could not be
	 * asked for waits for the next call, the latest WAITING_MAX of it.
	 *
	 * @param most requests in this call, in whole batches; all unless given
	 * @returns whether more is waiting that another call may ask for
	 */
	flush(found: (record: ConntrackRecord) => void, most = Number.POSITIVE_INFINITY): boolean {
		for (let sent = 0; this.#wanted.size > 0; sent += QUESTIONS_MAX) {
			if (sent >= most && this.#wanted.size <= WAITING_MAX) return true;
			const batch: [string, ConntrackRecord][] = [];
			for (const one of this.#wanted) if (batch.push(one) === QUESTIONS_MAX) break;
			for (const [key] of batch) this.#wanted.delete(key);
			if (this.#ask(batch.map(([, record]) => record))) this.#answers(found);
			else {
				for (const [key, record] of batch) this.#wanted.set(key, record);
				this.#shorten();
				return false;
			}
		}
		return false;
	}

	/** Asks for this one, now; calls back if it is there. */
	ask(record: ConntrackRecord, found: (record: ConntrackRecord) => void): void {
		this.forget(record);
		if (this.#ask([record])) this.#answers(found);
	}

	close(): void {
		this.#wanted.clear();
		this.#questions.close();
	}

	/** While nothing can be asked for the oldest are given up. */
	#shorten(): void {
		for (const key of this.#wanted.keys()) {
			if (this.#wanted.size <= WAITING_MAX) return;
			this.#wanted.delete(key);
			this.givenUp++;
		}
	}

	/** @returns whether the requests were sent */
	#ask(batch: readonly ConntrackRecord[]): boolean {
		this.#questions.begin();
		batch.forEach((record, i) => {
			this.#questions.add(record, i);
		});
		this.asked += batch.length;
		const sent = this.#questions.send();
		if (sent < 0) this.#fail("ask for conntracks", -sent);
		return sent >= 0;
	}

	#fail(action: string, errno: number): void {
		this.failures++;
		this.#failed(new NetlinkError(action, errno));
	}

	#answers(found: (record: ConntrackRecord) => void): void {
		this.#questions.answers(
			found,
			() => {},
			(errno) => this.#fail("receive conntracks that were asked for", errno),
		);
	}
}

/** Protocols, zones, ports and addresses of the original direction. */
const keyOf = (record: ConntrackRecord): string => record.subarray(PROTOCOLS, ORIG_DST + 4).join();
