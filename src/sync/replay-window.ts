// Which sequence numbers of a sender were seen: a bitmap over the last 4096, after RFC 6479. Older ones count as
// seen: state is always sent again under a new number, so dropping them costs nothing.

export const WINDOW = 4096;
/** No sender gets ahead of a receiver by so many: between two datagrams that it hears, it would be down. */
const LEAP_MAX = 2 ** 24;
const WORDS = WINDOW / 32;

export class ReplayWindow {
	/** Highest number seen, 0 before the first. */
	highest = 0;
	readonly #bits = new Int32Array(WORDS);

	/** Forgets everything; numbers up to `highest` count as seen. */
	reset(highest: number): void {
		this.highest = highest;
		this.#bits.fill(-1);
	}

	/** The lowest number that is not too old. */
	get low(): number {
		return this.highest - WINDOW + 1;
	}

	/** Whether the number is neither too old nor seen, nor from far in the future. */
	isFresh(sequence: number): boolean {
		if (sequence > this.highest) return sequence - this.highest <= LEAP_MAX;
		if (sequence <= this.highest - WINDOW) return false;
		const bit = sequence % WINDOW;
		return (this.#bits[bit >>> 5]! & (1 << (bit & 31))) === 0;
	}

	/** Marks a fresh number as seen. */
	mark(sequence: number): void {
		if (sequence > this.highest) {
			if (sequence - this.highest >= WINDOW) this.#bits.fill(0);
			else for (let n = this.highest + 1; n < sequence; n++) this.#clear(n);
			this.highest = sequence;
		}
		const bit = sequence % WINDOW;
		this.#bits[bit >>> 5]! |= 1 << (bit & 31);
	}

	/** Whether the number, not above the highest, was seen (too old ones are). */
	isSeen(sequence: number): boolean {
		return sequence <= this.highest && !this.isFresh(sequence);
	}

	#clear(sequence: number): void {
		const bit = sequence % WINDOW;
		this.#bits[bit >>> 5]! &= ~(1 << (bit & 31));
	}
}
