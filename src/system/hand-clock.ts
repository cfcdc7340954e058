// For tests: time that the test moves.
import type { Clock } from "./clock.ts";

export class HandClock implements Clock {
	#now: number;
	#timers: { at: number; callback: () => void }[] = [];

	constructor(now = 0) {
		this.#now = now;
	}

	now(): number {
		return this.#now;
	}

	after(milliseconds: number, callback: () => void): () => void {
		const timer = { at: this.#now + milliseconds, callback };
		this.#timers.push(timer);
		return () => {
			this.#timers = this.#timers.filter((other) => other !== timer);
		};
	}

	async pause(): Promise<void> {}

	wall(): Date {
		return new Date(0);
	}

	/** Nothing is waited for. */
	get isIdle(): boolean {
		return this.#timers.length === 0;
	}

	/** So long passes: what is due is done, in its order. */
	run(milliseconds: number): void {
		const end = this.#now + milliseconds;
		while (this.#next(end));
		this.#now = end;
	}

	/** The same, and whatever each step has begun goes on before the next one. */
	async live(milliseconds: number): Promise<void> {
		const end = this.#now + milliseconds;
		while (this.#next(end)) await new Promise((resolve) => setImmediate(resolve));
		this.#now = end;
	}

	/** Does what is due first, unless that is later than `end`. @returns whether there was anything */
	#next(end: number): boolean {
		const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
		if (!next || next.at > end) return false;
		this.#timers = this.#timers.filter((other) => other !== next);
		this.#now = next.at;
		next.callback();
		return true;
	}
}
