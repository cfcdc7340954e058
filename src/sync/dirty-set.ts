// Which peers still have to hear of a slot's present state: sixteen bits a slot, and the order in which the slots
// became dirty. A slot stands in the queue at most once, so the queue is never longer than the cache: a thousand
// updates while it waits are one record.
import type { Kind } from "../conntrack/kind.ts";
import { Ring } from "./ring.ts";

/** Slot and kind as one number, as in-flight datagrams and the queue hold them. */
export const keyOf = (kind: Kind, slot: number): number => slot * 2 + kind;
export const kindOf = (key: number): Kind => (key & 1) as Kind;
export const slotOf = (key: number): number => key >>> 1;

const PEERS = 0xffff;
const QUEUED = 1 << 16;

export class DirtySet {
	readonly queue = new Ring();
	/** Per slot: peers in the low half, QUEUED above. */
	readonly #slots: [Uint32Array, Uint32Array] = [new Uint32Array(4096), new Uint32Array(256)];

	/** Adds peers to the slot's dirty ones and queues it if it was clean. */
	mark(kind: Kind, slot: number, peers: number): void {
		let slots = this.#slots[kind];
		if (slot >= slots.length) slots = this.#grow(kind, slot);
		const before = slots[slot]!;
		slots[slot] = before | peers | QUEUED;
		if ((before & QUEUED) === 0) this.queue.push(keyOf(kind, slot));
	}

	/** Adds peers to the slot's dirty ones; the caller remembers the slot elsewhere. */
	markUnqueued(kind: Kind, slot: number, peers: number): void {
		let slots = this.#slots[kind];
		if (slot >= slots.length) slots = this.#grow(kind, slot);
		slots[slot]! |= peers;
	}

	peers(kind: Kind, slot: number): number {
		return (this.#slots[kind][slot] ?? 0) & PEERS;
	}

	/** The peers have been sent the slot's state, or need not hear of it. */
	clean(kind: Kind, slot: number): void {
		const slots = this.#slots[kind];
		if (slot < slots.length) slots[slot]! &= QUEUED;
	}

	/** The queue's next key leaves it. */
	shift(): void {
		const key = this.queue.peek();
		this.queue.shift();
		this.#slots[kindOf(key)][slotOf(key)]! &= PEERS;
	}

	#grow(kind: Kind, slot: number): Uint32Array {
		let size = this.#slots[kind].length;
		while (size <= slot) size *= 2;
		const slots = new Uint32Array(size);
		slots.set(this.#slots[kind]);
		this.#slots[kind] = slots;
		return slots;
	}
}
