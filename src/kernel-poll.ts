// PollSecs: the kernel's tables are read this often, and nobody listens to events. One reading at a time; the next one begins
// so long after the last has ended, so that a table that takes longer than that to read does not pile readings up.
import type { Clock } from "./system/clock.ts";

export interface KernelPollOptions {
	clock: Clock;
	seconds: number;
	/** Reads the tables and compares them with the cache. */
	read: () => Promise<void>;
	/** It failed, and will be tried again at its next time. */
	failed: (error: Error) => void;
}

export class KernelPoll {
	readonly #options: KernelPollOptions;
	#cancel: () => void = () => {};
	#isClosed = false;

	constructor(options: KernelPollOptions) {
		this.#options = options;
		this.#later();
	}

	close(): void {
		this.#isClosed = true;
		this.#cancel();
	}

	#later(): void {
		const { clock, seconds, read, failed } = this.#options;
		if (this.#isClosed) return;
		this.#cancel = clock.after(seconds * 1000, () => {
			void read()
				.catch(failed)
				.then(() => this.#later());
		});
	}
}
