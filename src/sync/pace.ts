// How fast to send: datagrams that may be in flight, when to ask for an acknowledgement, and how long to wait for it.
// All times in milliseconds.
//
// Who receives acknowledges what it is asked for, at once. A datagram and a wake-up on both sides for each datagram of
// a hundred bytes is what acknowledging everything would cost; so one in a few is asked for, and answers for all.
import { IN_FLIGHT_MAX } from "./in-flight.ts";

/** Datagrams in flight to begin with, and the least that losses reduce them to. */
const WINDOW_INITIAL = 64;
const WINDOW_MIN = 16;
/**
 * Up to here the window doubles with each round trip while nothing was lost (slow start, RFC 5681): with 64 datagrams in flight
 * neither side of a bulk is busy, with 256 both are, and a live change waits for six milliseconds behind them.
 */
const WINDOW_FAST = 256;
/** So many datagrams after the last one that asked, or a quarter of what may be in flight, the next one asks ... */
const ASK_EVERY = 16;
/** ... and the last one of those that go together so long after it; a little later, when none has come, a datagram that does nothing else. */
const ASK_AFTER = 10;
const QUESTION_AFTER = 15;
/** What was sent so long before a datagram that the peer has got, and did not come, is lost: nothing is late by more. */
const LATE_MAX = 5;
/** From sending a datagram until it is asked for, at most: whoever keeps the time comes by every ten milliseconds. */
const ASKED_WITHIN = QUESTION_AFTER + 10;
/** Without an acknowledgement a datagram counts as lost after this long; four round trips after the question at least. */
const RESEND_AFTER = 40;
const RESEND_AFTER_MAX = 1000;
/** How much longer it waits when nothing is acknowledged: a link of two firewalls is lossy sooner than congested. */
const BACKOFF_MAX = 4;

export class Pace {
	/** Datagrams that may be in flight: grows with acknowledgements, shrinks with losses. */
	window = WINDOW_INITIAL;
	/** Below this it grows fast. */
	#threshold = WINDOW_FAST;
	/** When an acknowledgement was last asked for. */
	askedAt = Number.NEGATIVE_INFINITY;
	#roundTrip = 1;
	#backoff = 1;
	#shrunkAt = Number.NEGATIVE_INFINITY;
	/** The number of the last datagram that asked. */
	#question = 0;
	/** Datagrams sent since then that have to be acknowledged. */
	#unasked = 0;

	/** How long an acknowledgement may take. */
	get patience(): number {
		return Math.min(
			RESEND_AFTER_MAX,
			Math.max(RESEND_AFTER, ASKED_WITHIN + 4 * this.#roundTrip) * this.#backoff,
		);
	}

	/**
	 * Whether the datagram that is sent now has to ask.
	 *
	 * @param limit datagrams that may be in flight
	 * @param isUrgent somebody waits for what it brings
	 * @param isLast nothing is left to be sent: whoever answers it answers for all before it
	 */
	asks(sequence: number, limit: number, isUrgent: boolean, isLast: boolean, now: number): boolean {
		this.#unasked++;
		const isSoonEnough =
			this.#unasked < Math.min(ASK_EVERY, limit / 4) && !(isLast && now - this.askedAt >= ASK_AFTER);
		if (isSoonEnough && !isUrgent) return false;
		this.asked(sequence, now);
		return true;
	}

	asked(sequence: number, now: number): void {
		this.#question = sequence;
		this.askedAt = now;
		this.#unasked = 0;
	}

	/** While something is in flight: when to ask though there is nothing to send, or once more, before patience ends. */
	get questionAt(): number {
		return this.askedAt + (this.#unasked > 0 ? QUESTION_AFTER : this.patience / 3);
	}

	/** Whether a datagram that was sent then, and that an acknowledgement up to `highest` does not cover, is lost. */
	isLate(sentAt: number, highest: number): boolean {
		return highest >= this.#question && this.askedAt - sentAt >= LATE_MAX;
	}

	/** An acknowledgement took so long. */
	sample(roundTrip: number): void {
		this.#roundTrip += (roundTrip - this.#roundTrip) / 8;
	}

	acknowledged(datagrams: number): void {
		const growth = this.window < this.#threshold ? datagrams : datagrams / this.window;
		this.window = Math.min(IN_FLIGHT_MAX, this.window + growth);
		this.#backoff = 1;
	}

	/** A datagram was lost; losses of one round trip count once. */
	lost(now: number): void {
		if (now - this.#shrunkAt <= Math.max(10, this.#roundTrip)) return;
		this.#shrunkAt = now;
		this.window = Math.max(WINDOW_MIN, this.window * 0.7);
		this.#threshold = this.window;
	}

	/** Patience ran out. */
	expired(): void {
		this.#backoff = Math.min(BACKOFF_MAX, this.#backoff * 2);
	}
}

/** Datagrams that may go at once, at most, and a millisecond later: some 180 Mbit/s, or 200,000 entries a second. */
const BURST = 256;
const PER_MS = 16;

/**
 * How fast to send what nobody acknowledges: nothing tells how fast the receiver is but the size of its buffer, of which
 * half is used at once, and the experience that a reader keeps up with PER_MS.
 */
export class SteadyPace {
	#room = 0;
	#at = Number.NEGATIVE_INFINITY;

	/** @param credit datagrams that the smallest receive buffer holds */
	room(now: number, credit: number): number {
		const burst = Math.max(1, Math.min(BURST, credit / 2));
		this.#room = Math.min(burst, this.#room + (now - this.#at) * PER_MS);
		this.#at = now;
		return Math.floor(this.#room);
	}

	sent(): void {
		this.#room--;
	}
}
