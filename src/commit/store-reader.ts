// The worker's view of the main thread's record stores: the same memory, read without locks.
//
// A slot's generation is odd while it is written. The reader copies the slot and looks at the generation before and
// after; if it changed, it copies again. A chunk that the reader has not heard of yet is fetched from the message
// queue, where the main thread put it before it wrote the first record into it.
import { ConntrackLayout } from "../cache/conntrack-layout.ts";
import { ExpectationLayout } from "../cache/expectation-layout.ts";
import {
	ALIVE_HERE,
	GENERATION,
	HEADER_WORDS,
	HIDDEN,
	LATER_HERE,
	LIVE,
	META,
	STATE_MASK,
	SUPERSEDED,
	UPDATED,
	VERDICT_MASK,
} from "../cache/record-layout.ts";
import { Slab } from "../cache/slab.ts";
import { CONNTRACK, type Kind } from "../conntrack/kind.ts";
import type { LocalView } from "./join.ts";

export class StoreReader {
	readonly kind: Kind;
	/** Seconds at which the entry last read was last written. */
	updated = 0;
	/** What this node's entry with the same key, if there is one, is to the entry last read. */
	localView: LocalView = "left over";
	readonly #slabs: Slab[];
	readonly #layout: ConntrackLayout | ExpectationLayout;

	/** @param fetch takes waiting messages, which bring missing chunks */
	constructor(kind: Kind, chunks: readonly SharedArrayBuffer[][], fetch: () => void) {
		this.kind = kind;
		this.#layout = kind === CONNTRACK ? new ConntrackLayout() : new ExpectationLayout();
		this.#slabs = [new Slab(HEADER_WORDS + this.#layout.packedWords), ...this.#layout.slabs];
		this.#slabs.forEach((slab, i) => {
			slab.onMissing = fetch;
			for (const chunk of chunks[i] ?? []) slab.adopt(chunk);
		});
	}

	adopt(slab: number, chunk: SharedArrayBuffer): void {
		this.#slabs[slab]!.adopt(chunk);
	}

	/** Whether the slot holds a live entry of which another peer's view counts. */
	isSuperseded(slot: number): boolean {
		const meta = this.#slabs[0]!.words(slot)[this.#slabs[0]!.offset(slot) + META]!;
		// a commit of expectations hides what the policy keeps out, too
		const marks = this.kind === CONNTRACK ? SUPERSEDED | HIDDEN : SUPERSEDED;
		return (meta & STATE_MASK) === LIVE && (meta & VERDICT_MASK) === 0 && (meta & marks) !== 0;
	}

	/** Copies a live entry; false if the slot holds none, another peer's view of it counts, or it is kept back. */
	read(slot: number, record: Int32Array): boolean {
		const words = this.#slabs[0]!.words(slot);
		const at = this.#slabs[0]!.offset(slot);
		for (;;) {
			const before = Atomics.load(words, at + GENERATION);
			if ((before & 1) !== 0) continue;
			const meta = words[at + META]!;
			const isLive = (meta & (STATE_MASK | SUPERSEDED | HIDDEN | VERDICT_MASK)) === LIVE;
			this.localView =
				(meta & LATER_HERE) !== 0 ? "later" : (meta & ALIVE_HERE) !== 0 ? "alive" : "left over";
			this.updated = words[at + UPDATED]!;
			if (isLive) this.#layout.unpack(words, at + HEADER_WORDS, record);
			// adds nothing, but keeps the copying before it from being done after it (arm64)
			if (Atomics.add(words, at + GENERATION, 0) === before) return isLive;
		}
	}
}
