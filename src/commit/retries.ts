// What the kernel did not take is tried again: soon, because what was in the way may be about to end, and then after
// longer and longer waits.
import type { Clock } from "../system/clock.ts";

/** The first wait and the longest, milliseconds. */
const WAIT_MS = 50;
const WAIT_MAX_MS = 60_000;
/** Entries that are tried again at a time: in a full table each costs a call, and finds nothing. */
const AT_ONCE = 1024;

export class Retries {
	readonly #clock: Clock;
	readonly #again: (slot: number) => void;
	/** In the order in which they failed. Bounded by the cache whose slots they are. */
	readonly #slots = new Set<number>();
	#wait = WAIT_MS;
	#cancel: (() => void) | undefined;

	constructor(clock: Clock, again: (slot: number) => void) {
		this.#clock = clock;
		this.#again = again;
	}

	/** Entries that wait for another try. */
	get size(): number {
		return this.#slots.size;
	}

	add(slot: number): void {
		this.#slots.add(slot);
		this.#cancel ??= this.#clock.after(this.#wait, () => this.#try());
	}

	/** It is there by now, or is not wanted any more. */
	forget(slot: number): void {
		if (this.#slots.size === 0 || !this.#slots.delete(slot) || this.#slots.size > 0) return;
		this.#wait = WAIT_MS;
		this.close();
	}

	close(): void {
		this.#cancel?.();
		this.#cancel = undefined;
	}

	#try(): void {
		this.#cancel = undefined;
		// whoever fails again comes back with the next wait
		this.#wait = Math.min(WAIT_MAX_MS, this.#wait * 2);
		let tries = 0;
		// whoever fails again does so when this is over
		for (const slot of this.#slots) {
			if (tries++ === AT_ONCE) break;
			this.#slots.delete(slot);
			this.#again(slot);
		}
		if (this.#slots.size > 0) this.#cancel ??= this.#clock.after(this.#wait, () => this.#try());
	}
}
