// The only source of chance in a simulation: what follows from a seed follows from it again.

/** mulberry32: small, seeded, good enough for schedules. */
export class Random {
	#state: number;

	constructor(seed: number) {
		// neighbouring seeds must not begin alike
		this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) | 0;
	}

	/** 0 <= x < 1 */
	next(): number {
		this.#state = (this.#state + 0x6d2b79f5) | 0;
		let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	}

	/** A whole number, 0 <= x < limit. */
	below(limit: number): number {
		return Math.floor(this.next() * limit);
	}

	/** from <= x < to */
	between(from: number, to: number): number {
		return from + this.next() * (to - from);
	}

	/** Between the two, small ones as likely as large ones: 1 to 10 comes as often as 10 to 100. */
	scale(from: number, to: number): number {
		return from * (to / from) ** this.next();
	}

	/** Waiting time until something that happens `perSecond` times a second, milliseconds. */
	wait(perSecond: number): number {
		return (-Math.log(1 - this.next()) * 1000) / perSecond;
	}

	chance(probability: number): boolean {
		return this.next() < probability;
	}

	pick<T>(items: readonly T[]): T {
		return items[this.below(items.length)]!;
	}

	bytes(size: number): Uint8Array {
		const bytes = new Uint8Array(size);
		for (let i = 0; i < size; i++) bytes[i] = this.next() * 256;
		return bytes;
	}
}
