// A first-in first-out queue of 32-bit numbers that grows by doubling. What bounds it is said where it is used.

export class Ring {
	#items = new Int32Array(256);
	/** Numbers taken out since the beginning. */
	head = 0;
	/** Numbers put in since the beginning. */
	tail = 0;

	get length(): number {
		return this.tail - this.head;
	}

	push(item: number): void {
		if (this.length === this.#items.length) this.#grow();
		this.#items[this.tail++ & (this.#items.length - 1)] = item;
	}

	/** The oldest number; the queue must not be empty. */
	peek(): number {
		return this.#items[this.head & (this.#items.length - 1)]!;
	}

	shift(): void {
		this.head++;
	}

	/** Calls with every number, oldest first. */
	each(visit: (item: number) => void): void {
		for (let i = this.head; i < this.tail; i++) visit(this.#items[i & (this.#items.length - 1)]!);
	}

	#grow(): void {
		const items = new Int32Array(this.#items.length * 2);
		const oldMask = this.#items.length - 1;
		for (let i = this.head; i < this.tail; i++) items[i & (items.length - 1)] = this.#items[i & oldMask]!;
		this.#items = items;
	}
}
