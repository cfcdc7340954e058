// Conntracks that have ended at a peer and are to be deleted here: whole records, because their slots may be others'
// by the time it is their turn.
import { CONNTRACK_WORDS, type ConntrackRecord } from "../conntrack/record.ts";

/** Records that there is room for at rest. */
const AT_REST = 1024;

/** A queue. Bounded by what one turn of the channel brings, and by the caches while a commit holds the injection up. */
export class EndedEntries {
	#words = new Int32Array(AT_REST * CONNTRACK_WORDS);
	#first = 0;
	#end = 0;

	get length(): number {
		return this.#end - this.#first;
	}

	push(record: ConntrackRecord): void {
		if ((this.#end + 1) * CONNTRACK_WORDS > this.#words.length) {
			const words = new Int32Array(this.#words.length * 2);
			words.set(this.#words);
			this.#words = words;
		}
		this.#words.set(record, this.#end++ * CONNTRACK_WORDS);
	}

	/** The oldest of them, `most` at most; they stay valid until the next `push`. */
	take(most: number): ConntrackRecord[] {
		const out: ConntrackRecord[] = [];
		while (out.length < most && this.#first < this.#end) {
			const at = this.#first++ * CONNTRACK_WORDS;
			out.push(this.#words.subarray(at, at + CONNTRACK_WORDS));
		}
		if (this.#first === this.#end) {
			this.#first = this.#end = 0;
			// what one turn has needed once is not kept for ever
			if (this.#words.length > AT_REST * CONNTRACK_WORDS) {
				this.#words = new Int32Array(AT_REST * CONNTRACK_WORDS);
			}
		}
		return out;
	}
}
