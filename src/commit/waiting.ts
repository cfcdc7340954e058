// Entries that wait for their turn in a commit, by their places.
import type { EntryReader } from "./gre-entry.ts";

/** Entries that wait. Bounded by the stores. */
export class Waiting {
	readonly #readers: EntryReader[] = [];
	readonly #slots: number[] = [];

	get length(): number {
		return this.#slots.length;
	}

	push(reader: EntryReader, slot: number): void {
		this.#readers.push(reader);
		this.#slots.push(slot);
	}

	each(visit: (reader: EntryReader, slot: number) => void): void {
		for (let i = 0; i < this.#slots.length; i++) visit(this.#readers[i]!, this.#slots[i]!);
	}
}
