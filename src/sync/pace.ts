// How fast to send: datagrams that may be in flight, and how long to wait for an acknowledgement. All times in
// milliseconds.
import { IN_FLIGHT_MAX } from "./in-flight.ts";

/** Datagrams in flight to begin with, and the least that losses reduce them to. */
const WINDOW_INITIAL = 64;
const WINDOW_MIN = 16;
/** Without an acknowledgement a datagram counts as lost after this long; after four round trips if that is longer. */
const RESEND_AFTER = 40;
const RESEND_AFTER_MAX = 1000;
/** How much longer it waits when nothing is acknowledged: a link of two firewalls is lossy sooner than congested. */
const BACKOFF_MAX = 4;

export class Pace {
	/** Datagrams that may be in flight: grows with acknowledgements, shrinks with losses. */
	window = WINDOW_INITIAL;
	#roundTrip = 1;
	#backoff = 1;
	#shrunkAt = Number.NEGATIVE_INFINITY;

	/** How long an acknowledgement may take. */
	get patience(): number {
		return Math.min(RESEND_AFTER_MAX, Math.max(RESEND_AFTER, 4 * this.#roundTrip) * this.#backoff);
	}

	/** An acknowledgement took so long. */
	sample(roundTrip: number): void {
		this.#roundTrip += (roundTrip - this.#roundTrip) / 8;
	}

	acknowledged(datagrams: number): void {
		this.window = Math.min(IN_FLIGHT_MAX, this.window + datagrams / this.window);
		this.#backoff = 1;
	}

	/** A datagram was lost; losses of one round trip count once. */
	lost(now: number): void {
		if (now - this.#shrunkAt <= Math.max(10, this.#roundTrip)) return;
		this.#shrunkAt = now;
		this.window = Math.max(WINDOW_MIN, this.window * 0.7);
	}

	/** Patience ran out. */
	expired(): void {
		this.#backoff = Math.min(BACKOFF_MAX, this.#backoff * 2);
	}
}
