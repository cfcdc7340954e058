// A walk over the live slots of both kinds, a few thousand at a time.
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";

/** Slots looked at in one go: well below a millisecond. */
const STRIDE = 8192;

interface Walkable {
	readonly end: number;
	isLive(slot: number): boolean;
}

export class SlotWalk {
	readonly #stores: readonly [Walkable, Walkable];
	#kind: Kind = CONNTRACK;
	#slot = 0;
	isOver = false;

	constructor(stores: readonly [Walkable, Walkable]) {
		this.#stores = stores;
	}

	/** Calls with each live slot, until `visit` says false (the slot comes again), the stride ends or the walk does. */
	step(visit: (kind: Kind, slot: number) => boolean): void {
		for (let looked = 0; looked < STRIDE && !this.isOver; looked++) {
			const store = this.#stores[this.#kind];
			if (this.#slot >= store.end) {
				if (this.#kind === EXPECTATION) this.isOver = true;
				this.#kind = EXPECTATION;
				this.#slot = 0;
				continue;
			}
			if (store.isLive(this.#slot) && !visit(this.#kind, this.#slot)) return;
			this.#slot++;
		}
	}
}
