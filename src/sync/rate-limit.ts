// So many in a second and no more, spread over it: whoever comes in a flood takes a share, not all there is.

/** The share of a second's amount that may be taken at once. */
const BURST = 1 / 50;

export class RateLimit {
	readonly #perSecond: number;
	readonly #burst: number;
	#left: number;
	#at = Number.NEGATIVE_INFINITY;

	/** @param burst what may be taken at once */
	constructor(perSecond: number, burst = perSecond * BURST) {
		this.#perSecond = perSecond;
		this.#burst = Math.max(1, burst);
		this.#left = this.#burst;
	}

	/** Whether there is room for one more now; `now` in milliseconds. */
	take(now: number): boolean {
		if (now > this.#at) {
			const gained = Number.isFinite(this.#at) ? ((now - this.#at) * this.#perSecond) / 1000 : 0;
			this.#left = Math.min(this.#burst, this.#left + gained);
			this.#at = now;
		}
		if (this.#left < 1) return false;
		this.#left--;
		return true;
	}
}
