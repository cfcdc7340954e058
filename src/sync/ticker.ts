// Gives the protocol core its time: often while something is under way, seldom when nothing is.
import type { Clock } from "../system/clock.ts";
import type { Ftfw } from "./ftfw.ts";

/**
 * Milliseconds between two ticks. While nothing but acknowledgements are awaited there is only their absence to notice,
 * which takes 40 ms (pace.ts).
 */
const BUSY_MS = 2;
const AWAITING_MS = 10;
const IDLE_MS = 50;

export class Ticker {
	readonly #ftfw: Ftfw;
	readonly #clock: Clock;
	#cancel: (() => void) | undefined;
	#dueAt = Number.POSITIVE_INFINITY;
	#isRunning = false;

	constructor(ftfw: Ftfw, clock: Clock) {
		this.#ftfw = ftfw;
		this.#clock = clock;
	}

	start(): void {
		this.#isRunning = true;
		this.#tick();
	}

	stop(): void {
		this.#isRunning = false;
		this.#cancel?.();
	}

	/** Something has become dirty, or an acknowledgement has come: sends what may be sent. */
	pump(): void {
		if (!this.#isRunning) return;
		this.#ftfw.pump(this.#clock.now());
		this.#arm();
	}

	readonly #tick = (): void => {
		this.#dueAt = Number.POSITIVE_INFINITY;
		this.#ftfw.tick(this.#clock.now());
		this.#arm();
	};

	#arm(): void {
		if (!this.#isRunning) return;
		const now = this.#clock.now();
		const wanted = now + this.#pause(now);
		if (this.#dueAt <= wanted) return;
		this.#cancel?.();
		this.#dueAt = wanted;
		this.#cancel = this.#clock.after(wanted - now, this.#tick);
	}

	#pause(now: number): number {
		if (this.#ftfw.isBusy) return BUSY_MS;
		return this.#ftfw.isWatching(now) ? AWAITING_MS : IDLE_MS;
	}
}
