// How often to read a socket of events: at once when they are few, in bursts when they are many.
//
// A reader that wakes up for every event pays more for waking up than for the event, and fights the kernel for the
// queue's lock. One that waits a little gets many for the price of one wake-up, of one datagram to the peer and of one
// acknowledgement, but adds what it waits to the time until the peer knows.
//
// Of what a burst costs a good part is one and the same however many events it brings: between two bursts whatever else runs
// has the processor's caches. At 10,000 events a second a sender needed 9.9 us an event with bursts of 5 ms, 8.1 with 10 and
// 5.6 with 20, the receiver 4.9, 4.0 and 2.6 (docs/performance.md, *What bounds each row*).

/** Bursts begin when this many events in a row came faster than this: 5000 a second. */
const ENTER_EVENTS = 64;
const ENTER_PER_MS = 5;
/** They end when fewer than this came over so long: 2000 a second, well below, so that a steady load does not toggle. */
const LEAVE_PER_MS = 2;
const LEAVE_AFTER_MS = 50;
/**
 * Events that one burst should bring: they are still in the processor's cache when they are read. With 256 the receiver of
 * 50,000 a second needed 1.68 us of each, with 512 1.54; the sender 4.0 with both.
 */
const BURST_EVENTS = 512;
/** Milliseconds between bursts. */
export const BURST_MIN_MS = 1;
export const BURST_MAX_MS = 20;
/** The longest once they bring so few events that they are about to end: whatever comes then need not wait. */
const BURST_LAST_MS = 5;

export class ReadingPace {
	/** Milliseconds until the next reading; 0: as soon as there is something. */
	interval = 0;
	/** The longest that `interval` gets. */
	readonly #intervalMax: number;
	/** Events since `#since`, the beginning of the present count. */
	#events = 0;
	#since: number;
	#readAt: number;

	constructor(now: number, intervalMax = BURST_MAX_MS) {
		this.#intervalMax = Math.max(BURST_MIN_MS, intervalMax);
		this.#since = now;
		this.#readAt = now;
	}

	/** A reading has brought so many events; sets `interval`. Times in milliseconds. */
	read(events: number, now: number): void {
		this.#events += events;
		const elapsed = now - this.#since;
		if (this.interval === 0) {
			if (this.#events < ENTER_EVENTS) return;
			if (this.#events >= elapsed * ENTER_PER_MS) this.interval = this.#intervalFor(this.#events, elapsed);
		} else {
			this.interval = this.#intervalFor(events, now - this.#readAt);
			this.#readAt = now;
			if (elapsed < LEAVE_AFTER_MS) return;
			if (this.#events < elapsed * LEAVE_PER_MS) this.interval = 0;
		}
		this.#events = 0;
		this.#since = this.#readAt = now;
	}

	/** As long as BURST_EVENTS take at the rate at which so many came in `elapsed` milliseconds. */
	#intervalFor(events: number, elapsed: number): number {
		const wanted = Math.floor((BURST_EVENTS * elapsed) / Math.max(1, events));
		const most =
			events < elapsed * LEAVE_PER_MS ? Math.min(BURST_LAST_MS, this.#intervalMax) : this.#intervalMax;
		return Math.min(most, Math.max(BURST_MIN_MS, wanted));
	}
}
