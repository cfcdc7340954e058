// Slots by hash: an open-addressing table with linear probing, each place a slot and its hash.
//
// The hash stands beside the slot, though the slot's block holds it, too: a search that finds nothing, a removal and a move to
// a larger table do not touch the blocks, each of which would be a miss of the processor's caches (a million entries into an
// external cache: 0.68 -> 0.39 s of CPU; `make bench ROWS=bulk`).

/** Words of a place: slot + 1, or 0 where it is free, or GONE; the hash. */
const WORDS = 2;
/** A place of a table that is being emptied whose slot is not here any more: probing goes on behind it. */
const GONE = -1;

export class SlotIndex {
	/** A power of two. Whoever fills it keeps some free: probing ends at a free place. */
	readonly places: number;
	readonly #table: Int32Array;
	readonly #mask: number;

	constructor(places: number) {
		this.places = places;
		this.#table = new Int32Array(places * WORDS);
		this.#mask = places - 1;
	}

	get bytes(): number {
		return this.#table.byteLength;
	}

	/** The first place that holds a slot with this hash; -1 if there is none. */
	first(hash: number): number {
		return this.#search(hash & this.#mask, hash);
	}

	/** The next place after `at` that holds a slot with this hash; -1 if there is none. */
	next(at: number, hash: number): number {
		return this.#search((at + 1) & this.#mask, hash);
	}

	slotAt(at: number): number {
		return this.#table[at * WORDS]! - 1;
	}

	/** Puts a slot that is not there in. */
	place(slot: number, hash: number): void {
		const table = this.#table;
		let at = hash & this.#mask;
		while (table[at * WORDS] !== 0) at = (at + 1) & this.#mask;
		table[at * WORDS] = slot + 1;
		table[at * WORDS + 1] = hash;
	}

	/** Takes a slot out and closes the gap, so that no tombstones lengthen probing. @returns whether it was there */
	remove(slot: number, hash: number): boolean {
		const table = this.#table;
		const mask = this.#mask;
		let gap = hash & mask;
		while (table[gap * WORDS] !== slot + 1) {
			if (table[gap * WORDS] === 0) return false;
			gap = (gap + 1) & mask;
		}
		// whoever was pushed on by the place moves back
		for (let at = (gap + 1) & mask; table[at * WORDS] !== 0; at = (at + 1) & mask) {
			const home = table[at * WORDS + 1]! & mask;
			if (((at - home) & mask) < ((at - gap) & mask)) continue;
			table[gap * WORDS] = table[at * WORDS]!;
			table[gap * WORDS + 1] = table[at * WORDS + 1]!;
			gap = at;
		}
		table[gap * WORDS] = 0;
		return true;
	}

	/** Takes a slot out of a table that is being emptied, where everything keeps its place. The slot must be there. */
	removeFromOld(slot: number, hash: number): void {
		let at = hash & this.#mask;
		while (this.#table[at * WORDS] !== slot + 1) at = (at + 1) & this.#mask;
		this.#table[at * WORDS] = GONE;
	}

	/** Moves what a place holds, if it holds anything, to a larger table. */
	moveTo(larger: SlotIndex, at: number): void {
		const held = this.#table[at * WORDS]!;
		if (held === 0 || held === GONE) return;
		larger.place(held - 1, this.#table[at * WORDS + 1]!);
		this.#table[at * WORDS] = GONE;
	}

	#search(from: number, hash: number): number {
		const table = this.#table;
		for (let at = from; table[at * WORDS] !== 0; at = (at + 1) & this.#mask) {
			if (table[at * WORDS + 1] === hash && table[at * WORDS] !== GONE) return at;
		}
		return -1;
	}
}
