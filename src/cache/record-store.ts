// Records of one kind in slots that never move, found by key through an open-addressing index.
//
// No JavaScript object per entry: an entry costs its packed words and about 16 bytes of index. Growing allocates a
// table of twice the size and moves a few entries with every later insertion, so no operation takes long.
import {
	CREATED,
	DEAD,
	GENERATION,
	HASH,
	HEADER_WORDS,
	HIDDEN,
	LIVE,
	META,
	type RecordLayout,
	STAMP,
	STATE_MASK,
	SUPERSEDED,
	UPDATED,
	VERDICT_MASK,
	VERDICT_SHIFT,
	VERSION_HIGH,
	VERSION_LOW,
	WITHDRAWN,
} from "./record-layout.ts";
import { Slab } from "./slab.ts";
import { SlotIndex } from "./slot-index.ts";

/** The index grows beyond this share of used places; linear probing stays short below it. */
const LOAD_MAX = 0.7;
/** Places of the old table emptied per insertion while growing: it is empty long before the next growth. */
const MOVES_PER_INSERT = 16;

export class RecordStore {
	readonly layout: RecordLayout;
	readonly slab: Slab;
	/** Slots that hold an entry, live or dead. */
	count = 0;
	/** Entries that are not dead. */
	live = 0;
	/** Of all that `fetch` has read: a read whose result nobody could see would be left out. */
	fetched = 0;
	readonly #seed: number;
	#index: SlotIndex;
	/** The index before the last growth, while it is being emptied. */
	#old: SlotIndex | undefined;
	#oldAt = 0;

	/**
	 * @param seed of the key hash; random in a daemon
	 * @param places of the index to begin with, a power of two
	 */
	constructor(layout: RecordLayout, seed: number, places = 1024) {
		this.layout = layout;
		this.slab = new Slab(HEADER_WORDS + layout.packedWords, HASH);
		this.#seed = seed;
		this.#index = new SlotIndex(places);
	}

	/** Of the record's key, for `find`, `insert` and `fetch`. */
	hash(record: Int32Array): number {
		return this.layout.hash(record, this.#seed);
	}

	/**
	 * Has the processor fetch what `find` will read. One after another the keys of a datagram wait for memory once each, twice
	 * where they are found; fetched in a row they wait together.
	 */
	fetch(hash: number): void {
		const at = this.#index.first(hash);
		if (at < 0) return;
		const slot = this.#index.slotAt(at);
		this.fetched ^= this.slab.words(slot)[this.slab.offset(slot)]!;
	}

	/** The slot of the entry with the record's key, live or dead; -1 if there is none. */
	find(record: Int32Array, hash = this.hash(record)): number {
		const slot = this.#probe(this.#index, hash, record);
		return slot < 0 && this.#old ? this.#probe(this.#old, hash, record) : slot;
	}

	/** Puts a record whose key is not there yet into a new slot: live, version 0, with this verdict. */
	insert(record: Int32Array, now: number, verdict = 0, hash = this.hash(record)): number {
		const slot = this.slab.allocate();
		const words = this.slab.words(slot);
		const at = this.slab.offset(slot);
		beginWrite(words, at);
		words[at + HASH] = hash;
		words[at + META] = LIVE | (verdict << VERDICT_SHIFT);
		words[at + VERSION_LOW] = 0;
		words[at + VERSION_HIGH] = 0;
		words[at + CREATED] = now;
		words[at + UPDATED] = now;
		words[at + STAMP] = 0;
		this.layout.pack(words, at + HEADER_WORDS, record);
		endWrite(words, at);
		this.#place(slot, hash);
		this.count++;
		this.live++;
		return slot;
	}

	/** Writes a record with the same key over the slot's; a dead entry comes to life again. */
	replace(slot: number, record: Int32Array, now: number): void {
		const words = this.slab.words(slot);
		const at = this.slab.offset(slot);
		beginWrite(words, at);
		if ((words[at + META]! & STATE_MASK) === DEAD) {
			words[at + META] = (words[at + META]! & ~(STATE_MASK | WITHDRAWN | HIDDEN)) | LIVE;
			words[at + CREATED] = now;
			this.live++;
		}
		words[at + UPDATED] = now;
		this.layout.repack(words, at + HEADER_WORDS, record);
		endWrite(words, at);
	}

	/** Whether the entry is live and as the record with its key says, but for the time that is left, which is noted. */
	confirm(slot: number, record: Int32Array): boolean {
		const words = this.slab.words(slot);
		const at = this.slab.offset(slot);
		return (words[at + META]! & STATE_MASK) === LIVE && this.layout.confirm(words, at + HEADER_WORDS, record);
	}

	/** Marks a live entry dead: it keeps its slot and its key until `remove`. A withdrawn one has not ended. */
	bury(slot: number, now: number, isWithdrawn = false): void {
		const words = this.slab.words(slot);
		const at = this.slab.offset(slot);
		if ((words[at + META]! & STATE_MASK) !== LIVE) return;
		beginWrite(words, at);
		words[at + META] = (words[at + META]! & ~STATE_MASK) | DEAD | (isWithdrawn ? WITHDRAWN : 0);
		words[at + UPDATED] = now;
		endWrite(words, at);
		this.live--;
	}

	/** Forgets the entry; the slot will be used again. */
	remove(slot: number): void {
		const words = this.slab.words(slot);
		const at = this.slab.offset(slot);
		const hash = words[at + HASH]!;
		if (!this.#index.remove(slot, hash)) this.#old!.removeFromOld(slot, hash);
		beginWrite(words, at);
		if ((words[at + META]! & STATE_MASK) === LIVE) this.live--;
		words[at + META] = 0;
		this.layout.release(words, at + HEADER_WORDS);
		endWrite(words, at);
		this.slab.free(slot);
		this.count--;
	}

	/** Copies the entry out. */
	read(slot: number, record: Int32Array): void {
		this.layout.unpack(this.slab.words(slot), this.slab.offset(slot) + HEADER_WORDS, record);
	}

	/** LIVE, DEAD, or 0 for a free slot. */
	state(slot: number): number {
		return this.slab.words(slot)[this.slab.offset(slot) + META]! & STATE_MASK;
	}

	isLive(slot: number): boolean {
		return this.state(slot) === LIVE;
	}

	isWithdrawn(slot: number): boolean {
		return (this.slab.words(slot)[this.slab.offset(slot) + META]! & WITHDRAWN) !== 0;
	}

	/** Whether this entry counts: not another node's view of it, and no expectation that is kept back (external caches). */
	isOwned(slot: number): boolean {
		const meta = this.slab.words(slot)[this.slab.offset(slot) + META]!;
		return (meta & (SUPERSEDED | HIDDEN | VERDICT_MASK)) === 0;
	}

	/** The rule for which an expectation is kept back, 0 if it is not. */
	verdict(slot: number): number {
		return (this.slab.words(slot)[this.slab.offset(slot) + META]! & VERDICT_MASK) >>> VERDICT_SHIFT;
	}

	setVerdict(slot: number, code: number): void {
		const words = this.slab.words(slot);
		const at = this.slab.offset(slot) + META;
		words[at] = (words[at]! & ~VERDICT_MASK) | (code << VERDICT_SHIFT);
	}

	hasMark(slot: number, mark: number): boolean {
		return (this.slab.words(slot)[this.slab.offset(slot) + META]! & mark) !== 0;
	}

	/** SUPERSEDED, HIDDEN, ALIVE_HERE, LATER_HERE or INJECTED. */
	setMark(slot: number, mark: number, isSet: boolean): void {
		const words = this.slab.words(slot);
		const at = this.slab.offset(slot) + META;
		words[at] = isSet ? words[at]! | mark : words[at]! & ~mark;
	}

	/** The entry's version; a safe integer. */
	version(slot: number): number {
		const words = this.slab.words(slot);
		const at = this.slab.offset(slot);
		return (words[at + VERSION_LOW]! >>> 0) + words[at + VERSION_HIGH]! * 2 ** 32;
	}

	setVersion(slot: number, version: number): void {
		const words = this.slab.words(slot);
		const at = this.slab.offset(slot);
		words[at + VERSION_LOW] = version | 0;
		words[at + VERSION_HIGH] = Math.floor(version / 2 ** 32);
	}

	/** A header word: CREATED, UPDATED, STAMP. */
	header(slot: number, word: number): number {
		return this.slab.words(slot)[this.slab.offset(slot) + word]!;
	}

	setHeader(slot: number, word: number, value: number): void {
		this.slab.words(slot)[this.slab.offset(slot) + word] = value;
	}

	/** The sixteen bits of META that belong to the replication (which peers may hold the entry). */
	peers(slot: number): number {
		return this.slab.words(slot)[this.slab.offset(slot) + META]! >>> 16;
	}

	setPeers(slot: number, mask: number): void {
		const words = this.slab.words(slot);
		const at = this.slab.offset(slot) + META;
		words[at] = (words[at]! & 0xffff) | (mask << 16);
	}

	/** Slots to look at in a walk over all entries: 0 .. end. */
	get end(): number {
		return this.slab.highWater;
	}

	/** Bytes of the index. */
	get indexBytes(): number {
		return this.#index.bytes + (this.#old?.bytes ?? 0);
	}

	#probe(index: SlotIndex, hash: number, record: Int32Array): number {
		for (let at = index.first(hash); at >= 0; at = index.next(at, hash)) {
			const slot = index.slotAt(at);
			if (this.layout.same(this.slab.words(slot), this.slab.offset(slot) + HEADER_WORDS, record)) return slot;
		}
		return -1;
	}

	#place(slot: number, hash: number): void {
		if (this.#old) this.#move();
		else if (this.count >= this.#index.places * LOAD_MAX) this.#grow();
		this.#index.place(slot, hash);
	}

	#grow(): void {
		this.#old = this.#index;
		this.#oldAt = 0;
		this.#index = new SlotIndex(this.#index.places * 2);
	}

	#move(): void {
		const old = this.#old!;
		const stop = Math.min(this.#oldAt + MOVES_PER_INSERT, old.places);
		for (let at = this.#oldAt; at < stop; at++) old.moveTo(this.#index, at);
		this.#oldAt = stop;
		if (stop === old.places) this.#old = undefined;
	}
}

/**
 * The generation is odd while the slot is written. A read-modify-write, because an atomic store alone does not keep
 * the plain stores after it from being seen first on every processor (arm64).
 */
function beginWrite(words: Int32Array, at: number): void {
	Atomics.add(words, at + GENERATION, 1);
}

function endWrite(words: Int32Array, at: number): void {
	Atomics.add(words, at + GENERATION, 1);
}
