// The keys of up to so many conntracks, in the order in which they were last added, in flat memory.
//
// A Map of records by the text of their keys, and the texts that were made only to ask whether a conntrack is in it, took 9 MB
// after a dump of 100,000 masters (`make bench ROWS=memory`).
import { hashConntrack } from "../conntrack/key.ts";
import { type ConntrackRecord, ORIG_DST, PROTOCOLS } from "../conntrack/record.ts";

/** The words that make the key: PROTOCOLS .. the end of ORIG_DST. */
const KEY_WORDS = ORIG_DST + 4 - PROTOCOLS;

/** In `#previous`: the slot is not in use. */
const FREE = -1;

export class MasterTable {
	size = 0;
	readonly #capacity: number;
	readonly #seed: number;
	readonly #keys: Int32Array;
	readonly #hashes: Int32Array;
	/** Slots by hash, with linear probing: slot + 1, or 0 where it is free. Half of them stay free. */
	readonly #places: Int32Array;
	readonly #mask: number;
	/** Slots in a circle, the oldest first; the number `capacity` stands for its beginning and its end. */
	readonly #next: Int32Array;
	readonly #previous: Int32Array;
	/** Slots below this were in use at least once; those that are free again are linked through `#next`. */
	#highWater = 0;
	#free = -1;

	/**
	 * @param capacity a power of two
	 * @param seed of the key hash; random in a daemon
	 */
	constructor(capacity: number, seed: number) {
		this.#capacity = capacity;
		this.#seed = seed;
		this.#keys = new Int32Array(capacity * KEY_WORDS);
		this.#hashes = new Int32Array(capacity);
		this.#places = new Int32Array(capacity * 2);
		this.#mask = capacity * 2 - 1;
		this.#next = new Int32Array(capacity + 1);
		this.#previous = new Int32Array(capacity + 1);
		this.#next[capacity] = this.#previous[capacity] = capacity;
	}

	/** The number of the conntrack's slot, which it keeps as long as it is here; -1 if it is not. */
	find(record: ConntrackRecord): number {
		return this.#places[this.#placeOf(record, hashConntrack(record, this.#seed))]! - 1;
	}

	/** Whether the slot is in use. */
	has(slot: number): boolean {
		return slot >= 0 && slot < this.#highWater && this.#previous[slot] !== FREE;
	}

	/** Puts a conntrack that is not here yet at the end. If the table is full, the oldest goes first. @returns its slot */
	add(record: ConntrackRecord): number {
		if (this.size === this.#capacity) this.delete(this.#next[this.#capacity]!);
		let slot = this.#free;
		if (slot >= 0) this.#free = this.#next[slot]!;
		else slot = this.#highWater++;
		for (let i = 0; i < KEY_WORDS; i++) this.#keys[slot * KEY_WORDS + i] = record[PROTOCOLS + i]!;
		const hash = hashConntrack(record, this.#seed);
		this.#hashes[slot] = hash;
		this.#places[this.#placeOf(record, hash)] = slot + 1;
		this.#append(slot);
		this.size++;
		return slot;
	}

	/** Moves one that is here to the end. */
	touch(slot: number): void {
		this.#unlink(slot);
		this.#append(slot);
	}

	delete(slot: number): void {
		const places = this.#places;
		const mask = this.#mask;
		let gap = this.#hashes[slot]! & mask;
		while (places[gap] !== slot + 1) gap = (gap + 1) & mask;
		// whoever was pushed on by the place moves back
		for (let at = (gap + 1) & mask; places[at] !== 0; at = (at + 1) & mask) {
			const home = this.#hashes[places[at]! - 1]! & mask;
			if (((at - home) & mask) < ((at - gap) & mask)) continue;
			places[gap] = places[at]!;
			gap = at;
		}
		places[gap] = 0;
		this.#unlink(slot);
		this.#previous[slot] = FREE;
		this.#next[slot] = this.#free;
		this.#free = slot;
		this.size--;
	}

	/** Slots, the oldest first. */
	slots(): Int32Array {
		const slots = new Int32Array(this.size);
		let slot = this.#next[this.#capacity]!;
		for (let i = 0; i < slots.length; i++) {
			slots[i] = slot;
			slot = this.#next[slot]!;
		}
		return slots;
	}

	/** Writes the key of a slot that is in use into the record; nothing else of it. */
	read(slot: number, record: ConntrackRecord): void {
		for (let i = 0; i < KEY_WORDS; i++) record[PROTOCOLS + i] = this.#keys[slot * KEY_WORDS + i]!;
	}

	/** Where the record's slot stands, or the free place where it would. */
	#placeOf(record: ConntrackRecord, hash: number): number {
		let at = hash & this.#mask;
		while (this.#places[at] !== 0 && !this.#isKey(this.#places[at]! - 1, record)) at = (at + 1) & this.#mask;
		return at;
	}

	#isKey(slot: number, record: ConntrackRecord): boolean {
		const from = slot * KEY_WORDS;
		for (let i = 0; i < KEY_WORDS; i++) if (this.#keys[from + i] !== record[PROTOCOLS + i]) return false;
		return true;
	}

	#append(slot: number): void {
		const last = this.#previous[this.#capacity]!;
		this.#next[last] = slot;
		this.#previous[slot] = last;
		this.#next[slot] = this.#capacity;
		this.#previous[this.#capacity] = slot;
	}

	#unlink(slot: number): void {
		const [before, after] = [this.#previous[slot]!, this.#next[slot]!];
		this.#next[before] = after;
		this.#previous[after] = before;
	}
}
