// A set of slots that may hold all of a store's: membership in pages of bytes, the order in pages of words.
//
// A JavaScript Set of millions pauses while it grows (1.2 s at four million), and taking its first member again and again walks
// over the places of those taken before. Here no operation takes longer than making one page.

const PAGE_BITS = 12;
const PAGE = 1 << PAGE_BITS;
const PAGE_MASK = PAGE - 1;

const MEMBER = 1;
/** The slot has a place in the order; it keeps that when it is deleted and comes back. */
const LISTED = 2;

export class SlotSet implements Iterable<number> {
	/** Members. */
	size = 0;
	/** MEMBER | LISTED of each slot, by its upper bits; absent where nothing was ever added. */
	readonly #marks: (Uint8Array | undefined)[] = [];
	/** Slots in the order of their addition, by `#head` .. `#tail`; pages that have been taken are given up. */
	readonly #order: (Int32Array | undefined)[] = [];
	#head = 0;
	#tail = 0;

	has(slot: number): boolean {
		const marks = this.#marks[slot >>> PAGE_BITS];
		return marks !== undefined && (marks[slot & PAGE_MASK]! & MEMBER) !== 0;
	}

	add(slot: number): void {
		const page = slot >>> PAGE_BITS;
		let marks = this.#marks[page];
		if (!marks) {
			while (this.#marks.length < page) this.#marks.push(undefined);
			marks = this.#marks[page] = new Uint8Array(PAGE);
		}
		const mark = marks[slot & PAGE_MASK]!;
		if ((mark & MEMBER) !== 0) return;
		marks[slot & PAGE_MASK] = MEMBER | LISTED;
		this.size++;
		if ((mark & LISTED) === 0) this.#append(slot);
	}

	/** @returns whether it was a member */
	delete(slot: number): boolean {
		if (!this.has(slot)) return false;
		this.#marks[slot >>> PAGE_BITS]![slot & PAGE_MASK] = LISTED;
		this.size--;
		return true;
	}

	/** Takes the member that was added first out; -1 if there is none. Those deleted before it cost a step each. */
	take(): number {
		while (this.#head < this.#tail) {
			const slot = this.#at(this.#head++);
			if ((this.#head & PAGE_MASK) === 0) this.#order[(this.#head >>> PAGE_BITS) - 1] = undefined;
			if (this.#head === this.#tail) this.#head = this.#tail = 0;
			const marks = this.#marks[slot >>> PAGE_BITS]!;
			const isMember = (marks[slot & PAGE_MASK]! & MEMBER) !== 0;
			marks[slot & PAGE_MASK] = 0;
			if (!isMember) continue;
			this.size--;
			return slot;
		}
		return -1;
	}

	clear(): void {
		this.#marks.length = 0;
		this.#order.length = 0;
		this.#head = this.#tail = 0;
		this.size = 0;
	}

	/** Members in the order of their addition, also those that are added meanwhile. */
	*[Symbol.iterator](): Generator<number> {
		for (let i = this.#head; i < this.#tail; i++) {
			const slot = this.#at(i);
			if (this.has(slot)) yield slot;
		}
	}

	#at(place: number): number {
		return this.#order[place >>> PAGE_BITS]![place & PAGE_MASK]!;
	}

	#append(slot: number): void {
		const place = this.#tail++;
		const page = (this.#order[place >>> PAGE_BITS] ??= new Int32Array(PAGE));
		page[place & PAGE_MASK] = slot;
	}
}
