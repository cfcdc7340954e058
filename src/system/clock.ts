// Time and turns of the event loop: the only file that asks the system for them.

export interface Clock {
	/** Milliseconds, monotonic, with fractions; the origin means nothing. */
	now(): number;
	/** Calls back once after so many milliseconds; returns what cancels it. */
	after(milliseconds: number, callback: () => void): () => void;
	/** Resolves when everything else that is ready has had its turn. */
	pause(): Promise<void>;
	/** The wall clock, for log lines. */
	wall(): Date;
}

export const systemClock: Clock = {
	now: () => performance.now(),
	after(milliseconds, callback) {
		if (milliseconds <= 0) {
			const immediate = setImmediate(callback);
			return () => clearImmediate(immediate);
		}
		const timer = setTimeout(callback, milliseconds);
		return () => clearTimeout(timer);
	},
	pause: () => new Promise((resolve) => setImmediate(resolve)),
	wall: () => new Date(),
};
