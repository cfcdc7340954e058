// Datagrams in a stream of bytes: each behind its length, two bytes in network order.

/** Bytes before each datagram. */
export const LENGTH_SIZE = 2;

export class FrameReader {
	readonly #max: number;
	/** What is not complete yet. Bounded: one datagram of the greatest length. */
	readonly #pending: Uint8Array;
	#held = 0;

	/** @param max length of a datagram, bytes, below 65536 */
	constructor(max: number) {
		this.#max = max;
		this.#pending = new Uint8Array(LENGTH_SIZE + max);
	}

	/**
	 * Takes the next bytes of the stream, and gives out what is complete.
	 *
	 * @returns whether that made sense; a length that is 0 or too great does not, nor does anything behind it
	 */
	take(chunk: Uint8Array, visit: (bytes: Uint8Array, start: number, end: number) => void): boolean {
		let at = 0;
		while (this.#held > 0 && at < chunk.length) {
			const wanted = this.#held < LENGTH_SIZE ? LENGTH_SIZE : LENGTH_SIZE + lengthAt(this.#pending, 0);
			const count = Math.min(wanted - this.#held, chunk.length - at);
			this.#pending.set(chunk.subarray(at, at + count), this.#held);
			this.#held += count;
			at += count;
			if (this.#held < LENGTH_SIZE) return true;
			const length = lengthAt(this.#pending, 0);
			if (length === 0 || length > this.#max) return false;
			if (this.#held < LENGTH_SIZE + length) continue;
			this.#held = 0;
			visit(this.#pending, LENGTH_SIZE, LENGTH_SIZE + length);
		}
		while (chunk.length - at >= LENGTH_SIZE) {
			const length = lengthAt(chunk, at);
			if (length === 0 || length > this.#max) return false;
			const end = at + LENGTH_SIZE + length;
			if (end > chunk.length) break;
			visit(chunk, at + LENGTH_SIZE, end);
			at = end;
		}
		this.#pending.set(chunk.subarray(at), 0);
		this.#held = this.#held > 0 ? this.#held : chunk.length - at;
		return true;
	}
}

const lengthAt = (bytes: Uint8Array, at: number): number => bytes[at]! * 256 + bytes[at + 1]!;
