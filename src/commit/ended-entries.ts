// Conntracks that have ended at a peer and are to be deleted here: whole records, because their slots may be others'
// by the time it is their turn.
import { CONNTRACK_WORDS, type ConntrackRecord } from "../conntrack/record.ts";

/** Records that there is room for at rest. */
const AT_REST = 1024;
/** A record, and behind it when the peer last told of it before its end. */
const STRIDE = CONNTRACK_WORDS + 1;

export interface EndedEntry {
	record: ConntrackRecord;
	/** The second in which the peer last told of a change of it. */
	told: number;
}

/** A queue. Bounded by what one turn of the channel brings, and by the caches while a commit holds the injection up. */
export class EndedEntries {
	#words = new Int32Array(AT_REST * STRIDE);
	#first = 0;
	#end = 0;

	get length(): number {
		return this.#end - this.#first;
	}

	push(record: ConntrackRecord, told: number): void {
		if ((this.#end + 1) * STRIDE > this.#words.length) {
			const words = new Int32Array(this.#words.length * 2);
			words.set(this.#words);
			this.#words = words;
		}
		const at = this.#end++ * STRIDE;
		this.#words.set(record, at);
		this.#words[at + CONNTRACK_WORDS] = told;
	}

	/** The oldest of them, `most` at most; they stay valid until the next `push`. */
	take(most: number): EndedEntry[] {
		const out: EndedEntry[] = [];
		while (out.length < most && this.#first < this.#end) {
			const at = this.#first++ * STRIDE;
			const told = this.#words[at + CONNTRACK_WORDS]!;
			out.push({ record: this.#words.subarray(at, at + CONNTRACK_WORDS), told });
		}
		if (this.#first === this.#end) {
			this.#first = this.#end = 0;
			// what one turn has needed once is not kept for ever
			if (this.#words.length > AT_REST * STRIDE) {
				this.#words = new Int32Array(AT_REST * STRIDE);
			}
		}
		return out;
	}
}
