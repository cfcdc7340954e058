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

	/** Of the 32 numbers up to this one, which is not above the highest and not too old: bit b says that sequence - b was seen. */
	seenBefore(sequence: number): number {
		if (sequence <= 0) return 0;
		const bit = sequence % WINDOW;
		const above = 31 - (bit & 31);
		const word = bit >>> 5;
		const earlier = this.#bits[(word + WORDS - 1) % WORDS]!;
		const seen = above === 0 ? this.#bits[word]! : (this.#bits[word]! << above) | (earlier >>> (32 - above));
		const count = Math.min(32, sequence);
		return reversed(seen) & (count === 32 ? -1 : (1 << count) - 1);
	}

	#clear(sequence: number): void {
		const bit = sequence % WINDOW;
		this.#bits[bit >>> 5]! &= ~(1 << (bit & 31));
	}
}

/** The 32 bits in the other order. */
function reversed(bits: number): number {
	let word = ((bits >>> 1) & 0x55555555) | ((bits & 0x55555555) << 1);
	word = ((word >>> 2) & 0x33333333) | ((word & 0x33333333) << 2);
	word = ((word >>> 4) & 0x0f0f0f0f) | ((word & 0x0f0f0f0f) << 4);
	word = ((word >>> 8) & 0x00ff00ff) | ((word & 0x00ff00ff) << 8);
	return (word >>> 16) | (word << 16);
}
