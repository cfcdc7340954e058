// A long loop of the main thread, cut in slices: between two of them others have their turn.
import type { Clock } from "../system/clock.ts";

/** The longest that a slice holds up the event loop, milliseconds; what it has made dirty takes as long to send. */
const SLICE_MS = 1;
/** Turns of the loop from one look at the clock to the next: a tenth of a millisecond. */
const STRIDE = 64;

export class Slice {
	readonly #clock: Clock;
	#end: number;
	#turns = 0;

	constructor(clock: Clock) {
		this.#clock = clock;
		this.#end = clock.now() + SLICE_MS;
	}

	/** To be asked in each turn of the loop; when it is over, wait for `next`. */
	isOver(): boolean {
		return ++this.#turns % STRIDE === 0 && this.#clock.now() >= this.#end;
	}

	/** @param milliseconds to let pass, at least; 0: others have their turn, no more */
	async next(milliseconds = 0): Promise<void> {
		if (milliseconds > 0) await new Promise<void>((resolve) => this.#clock.after(milliseconds, resolve));
		await this.#clock.pause();
		this.#end = this.#clock.now() + SLICE_MS;
	}
}
