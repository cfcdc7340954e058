// Fixed-size blocks of 32-bit words in chunks of shared memory.
//
// A block never moves and a chunk is never given back, so a block's number is good as an address for as long as the
// block is allocated, also in the commit worker, which sees the same memory. One thread writes.

/**
 * Blocks of one chunk. A chunk is address space until its blocks are used, so that it may be large; each is told to the worker
 * by a message, which takes a quarter of a millisecond.
 */
const CHUNK_BITS = 15;
export const CHUNK_BLOCKS = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK_BLOCKS - 1;

export class Slab {
	readonly blockWords: number;
	/** Blocks below this number have been handed out at least once. */
	highWater = 0;
	/** Called with each new chunk: the worker has to hear of it before it meets a block in it. */
	onChunk: (chunk: SharedArrayBuffer) => void = () => {};
	/** Called on the reading side for a chunk that has not arrived yet; it fetches it with `adopt`. */
	onMissing: () => void = () => {};
	readonly #chunks: Int32Array[] = [];
	readonly #link: number;
	/** Free blocks, as a stack linked through their word `link` (number + 1, 0 ends it). */
	#free = 0;

	/** @param link the word of a free block that may be overwritten */
	constructor(blockWords: number, link = 0) {
		this.blockWords = blockWords;
		this.#link = link;
	}

	/** The chunk that holds the block; the block begins at `offset(block)`. */
	words(block: number): Int32Array {
		const chunk = this.#chunks[block >>> CHUNK_BITS];
		if (chunk) return chunk;
		this.onMissing();
		return this.#chunks[block >>> CHUNK_BITS]!;
	}

	offset(block: number): number {
		return (block & CHUNK_MASK) * this.blockWords;
	}

	/** A block; its words hold whatever was there before, zero if it was never used. */
	allocate(): number {
		if (this.#free !== 0) {
			const block = this.#free - 1;
			this.#free = this.words(block)[this.offset(block) + this.#link]!;
			return block;
		}
		const block = this.highWater++;
		if (block >>> CHUNK_BITS === this.#chunks.length) {
			const chunk = new SharedArrayBuffer(CHUNK_BLOCKS * this.blockWords * 4);
			this.adopt(chunk);
			this.onChunk(chunk);
		}
		return block;
	}

	free(block: number): void {
		this.words(block)[this.offset(block) + this.#link] = this.#free;
		this.#free = block + 1;
	}

	/** Adds a chunk that another thread allocated. Chunks come in order. */
	adopt(chunk: SharedArrayBuffer): void {
		this.#chunks.push(new Int32Array(chunk));
	}

	/** The chunks so far, in order, for a thread that starts to read. */
	get chunks(): SharedArrayBuffer[] {
		return this.#chunks.map((words) => words.buffer as SharedArrayBuffer);
	}

	/** Bytes held from the system. */
	get bytes(): number {
		return this.#chunks.length * CHUNK_BLOCKS * this.blockWords * 4;
	}
}
