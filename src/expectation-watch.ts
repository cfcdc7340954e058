// Reads the kernel's expectations again and again while there are any: the kernel sends no event when a helper sets
// an expectation's time anew (a SIP registration that is renewed) or changes its flags. Without expectations, and
// without masters that may make some, nothing is read.
import type { Clock } from "./system/clock.ts";

const EVERY_MS = 1000;
/** After a change of a master, and at most this often. */
const SOON_MS = 100;

export interface ExpectationWatchOptions {
	clock: Clock;
	/** Whether there is anything to look at. */
	isNeeded: () => boolean;
	/** Compares the cache with the kernel's table. */
	read: () => Promise<void>;
	failed: (error: Error) => void;
}

export class ExpectationWatch {
	/** How often the table was read. */
	reads = 0;
	readonly #options: ExpectationWatchOptions;
	#isReading = false;
	#isClosed = false;
	#cancelTick: () => void;
	#cancelSoon: (() => void) | undefined;

	constructor(options: ExpectationWatchOptions) {
		this.#options = options;
		this.#cancelTick = options.clock.after(EVERY_MS, () => this.#tick());
	}

	/** A master that may have expectations has changed. */
	soon(): void {
		if (this.#isClosed || !this.#options.isNeeded()) return;
		this.#cancelSoon ??= this.#options.clock.after(SOON_MS, () => {
			this.#cancelSoon = undefined;
			void this.#read();
		});
	}

	close(): void {
		this.#isClosed = true;
		this.#cancelTick();
		this.#cancelSoon?.();
	}

	#tick(): void {
		void this.#read();
		this.#cancelTick = this.#options.clock.after(EVERY_MS, () => this.#tick());
	}

	async #read(): Promise<void> {
		const { isNeeded, read, failed } = this.#options;
		if (this.#isReading || !isNeeded()) return;
		this.#isReading = true;
		try {
			this.reads++;
			await read();
		} catch (error) {
			if (!this.#isClosed) failed(error as Error);
		} finally {
			this.#isReading = false;
		}
	}
}
