// So many in a second and no more.

export class RateLimit {
	readonly #perSecond: number;
	#taken = 0;
	#since = Number.NEGATIVE_INFINITY;

	constructor(perSecond: number) {
		this.#perSecond = perSecond;
	}

	/** Whether there is room for one more in the present second; `now` in milliseconds. */
	take(now: number): boolean {
		if (now - this.#since >= 1000) {
			this.#since = now;
			this.#taken = 0;
		}
		return this.#taken++ < this.#perSecond;
	}
}
