// Gives the protocol core its time: when something is due, and not before.
import type { Clock } from "../system/clock.ts";
import type { Ftfw } from "./ftfw.ts";

export class Ticker {
	readonly #ftfw: Ftfw;
	readonly #clock: Clock;
	#cancel: (() => void) | undefined;
	/** When the timer goes off; Infinity: it does not run. */
	#wakesAt = Number.POSITIVE_INFINITY;
	#isRunning = false;

	constructor(ftfw: Ftfw, clock: Clock) {
		this.#ftfw = ftfw;
		this.#clock = clock;
	}

	start(): void {
		this.#isRunning = true;
		const now = this.#clock.now();
		this.#ftfw.tick(now);
		this.#arm(now);
	}

	stop(): void {
		this.#isRunning = false;
		this.#cancel?.();
	}

	/** Something has become dirty, or an acknowledgement has come: sends what may be sent, and does what is due meanwhile. */
	pump(): void {
		if (!this.#isRunning) return;
		const now = this.#clock.now();
		if (now >= this.#ftfw.dueAt) this.#ftfw.tick(now);
		else this.#ftfw.pump(now);
		this.#arm(now);
	}

	readonly #wake = (): void => {
		this.#wakesAt = Number.POSITIVE_INFINITY;
		const now = this.#clock.now();
		if (now >= this.#ftfw.dueAt) this.#ftfw.tick(now);
		this.#arm(now);
	};

	/** The timer is set anew when it would go off too late; when too soon, it goes off and nothing is due: that costs less. */
	#arm(now: number): void {
		if (!this.#isRunning) return;
		const wanted = this.#ftfw.dueAt;
		if (this.#wakesAt <= wanted) return;
		this.#cancel?.();
		this.#wakesAt = wanted;
		// a timer of whole milliseconds goes off early by a fraction
		this.#cancel = this.#clock.after(Math.max(1, Math.ceil(wanted - now)), this.#wake);
	}
}
