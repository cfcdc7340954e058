// How far the two threads of a commit have come, in memory that both see: the main thread with taking the entries into the
// internal cache, the worker, behind it, with writing them to the kernel.
//
// The main thread keeps a little ahead and no more. What it has taken over is news for the peers, so that without a bound
// it, and whoever receives the news, would be at work while the commit is, on a machine with few processors in its place.

/** Words of a part: slots that the main thread has done, slots that the worker has done. */
const WORDS = 2;
const ADOPTED = 0;
const COMMITTED = 1;
/** Slots that the main thread is ahead of the worker at most: some 50 ms of the worker's work, several of its own waits. */
const LEAD_MAX = 16_384;

export class CommitCursors {
	readonly shared: SharedArrayBuffer;
	readonly #words: Int32Array;

	/** @param shared what the other thread has made for this commit; see `of` */
	constructor(shared: SharedArrayBuffer) {
		this.shared = shared;
		this.#words = new Int32Array(shared);
	}

	/** For a commit of so many parts (CommitJob), all at slot 0. */
	static of(parts: number): CommitCursors {
		return new CommitCursors(new SharedArrayBuffer(parts * WORDS * Int32Array.BYTES_PER_ELEMENT));
	}

	/** Main thread: slots below `slot` are in the internal cache. */
	adopted(part: number, slot: number): void {
		const at = part * WORDS + ADOPTED;
		Atomics.store(this.#words, at, slot);
		Atomics.notify(this.#words, at);
	}

	/** Main thread: whether the worker should come closer before the slots from `slot` on are adopted. */
	isFarAhead(part: number, slot: number): boolean {
		return slot - Atomics.load(this.#words, part * WORDS + COMMITTED) > LEAD_MAX;
	}

	/** Worker: slots below `slot` are done with. */
	committed(part: number, slot: number): void {
		Atomics.store(this.#words, part * WORDS + COMMITTED, slot);
	}

	/** Worker: waits until `slot` is in the internal cache. @returns the first slot that may not be there */
	follow(part: number, slot: number): number {
		const at = part * WORDS + ADOPTED;
		for (;;) {
			const limit = Atomics.load(this.#words, at);
			if (limit > slot) return limit;
			Atomics.wait(this.#words, at, limit);
		}
	}
}
