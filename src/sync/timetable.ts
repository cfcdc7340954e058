// When the protocol has something to do though nothing happens: a node at rest sleeps until then. Milliseconds.
import type { Ftfw } from "./ftfw.ts";

/** A node that has nothing else to say says ALIVE this often. */
export const ALIVE_EVERY = 1000;
/** A peer that has not been heard for so long is asked whether it is there, and so often. */
const DOUBT_AFTER = 1500;
const DOUBT_EVERY = 250;
/**
 * Between two ticks: while something goes on step by step, while a bulk waits for its turn, while acknowledgements are
 * awaited, while the mode repeats what there is, else.
 */
const BUSY = 2;
const WAITING = 10;
const AWAITING = 50;
const REPEATING = 50;
const REST = 500;

/** The next tick after the one at `tickedAt`: at the latest in REST, for what nobody notices half a second later. */
export function dueAt(ftfw: Ftfw, tickedAt: number): number {
	const { outgoing, equality, contacts, returned, mode } = ftfw;
	if (equality.isBusy || returned.isBusy || mode.isBehind || isSweeping(ftfw)) return tickedAt + BUSY;
	const { inFlight } = outgoing;
	// no acknowledgement wakes it up
	if (!mode.isAcknowledged && outgoing.isBusy) return tickedAt + BUSY;
	const most = inFlight.count > 0 ? AWAITING : outgoing.isBusy ? WAITING : mode.tick ? REPEATING : REST;
	let due = Math.min(tickedAt + most, outgoing.sentAt + ALIVE_EVERY, contacts.dueAt, questionAt(ftfw));
	if (inFlight.count > 0) due = Math.min(due, inFlight.sentAt(inFlight.lowest) + outgoing.pace.patience);
	if (outgoing.isHeard) due = Math.min(due, equality.sweepAt);
	return Math.max(tickedAt + BUSY, due);
}

/** When to ask for acknowledgements though there is nothing else to send. */
export function questionAt({ outgoing, peers, mode }: Ftfw): number {
	const { inFlight, pace } = outgoing;
	let due = inFlight.count > 0 && mode.isAcknowledged ? pace.questionAt : Number.POSITIVE_INFINITY;
	// of a peer at rest more may be lost than what it says by itself
	for (const { isUp, heardAt } of peers)
		if (isUp) due = Math.min(due, Math.max(heardAt + DOUBT_AFTER, pace.askedAt + DOUBT_EVERY));
	return due;
}

function isSweeping({ peers }: Ftfw): boolean {
	for (const peer of peers) if (peer.isSweeping) return true;
	return false;
}
