// How a record is packed into a slot of the store: an eight-word header that every kind has, then the kind's own
// words. See conntrack-layout.ts and expectation-layout.ts.
import type { Slab } from "./slab.ts";

/** Even: the slot is at rest; odd: it is being written. A reader in another thread copies, then looks again. */
export const GENERATION = 0;
export const HASH = 1;
/** LIVE, DEAD or 0 (free) in the low bits; above bit 16 which peers may hold the entry. */
export const META = 2;
/** Version of the key at its origin: 32 low bits, then the high ones (below 2^53 together). */
export const VERSION_LOW = 3;
export const VERSION_HIGH = 4;
/** Seconds of the daemon's monotonic clock. */
export const CREATED = 5;
export const UPDATED = 6;
/** Internal cache: the last resync that saw the entry. External cache: the bulk that confirmed it. */
export const STAMP = 7;
export const HEADER_WORDS = 8;

/** The entry exists. */
export const LIVE = 1;
/** The entry is gone, and somebody still has to hear of it. */
export const DEAD = 2;
export const STATE_MASK = 3;
/** Of a dead entry: it has not ended, an operator has taken it out. */
export const WITHDRAWN = 1 << 2;
/** Of a peer's entry: another peer, with a later term, has taken it over. */
export const SUPERSEDED = 1 << 3;
/** Of a peer's entry: a peer that was heard later holds it, too, as a commit has found. */
export const HIDDEN = 1 << 4;
/** Of a peer's entry, as a commit has found: the connection that this node's kernel has under its key is alive here. */
export const ALIVE_HERE = 1 << 5;
/** ... and has seen packets since the peer last told of the entry. */
export const LATER_HERE = 1 << 6;
/** Of a peer's entry: direct injection has put it into this kernel as it was last told, and has heard of no end since. */
export const INJECTED = 1 << 7;

/** Of a peer's expectation: five bits for the rule that it breaks or waits for (policy/codes.ts), 0 if it counts. */
export const VERDICT_SHIFT = 8;
export const VERDICT_MASK = 0x1f << VERDICT_SHIFT;
/** The verdict on an expectation that breaks no rule but has to wait for its master. */
export const AWAITS_MASTER = 17;

/** Packs records of one kind. `words[at..]` is the slot without its header. */
export interface RecordLayout {
	/** Words of a record outside the store. */
	readonly recordWords: number;
	/** Words in the slot after the header. */
	readonly packedWords: number;
	/** What a slot refers to; a thread that reads needs their chunks, too. */
	readonly slabs: readonly Slab[];
	hash(record: Int32Array, seed: number): number;
	/** Whether slot and record have the same key. */
	same(words: Int32Array, at: number, record: Int32Array): boolean;
	/** Fills a fresh slot, which may hold garbage. */
	pack(words: Int32Array, at: number, record: Int32Array): void;
	/** Writes a record with the same key over a packed one. */
	repack(words: Int32Array, at: number, record: Int32Array): void;
	/**
	 * Compares the record with the packed one of the same key. If nothing differs but how long it has left, notes that and
	 * answers true; else leaves all as it is.
	 */
	confirm(words: Int32Array, at: number, record: Int32Array): boolean;
	unpack(words: Int32Array, at: number, record: Int32Array): void;
	/** Gives back what the slot holds elsewhere. */
	release(words: Int32Array, at: number): void;
}
