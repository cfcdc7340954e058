// The receiving end of a bulk: everything held of the peer is unconfirmed from BEGIN on, and what is still unconfirmed
// at END is dropped.
import { KINDS } from "../conntrack/kind.ts";
import type { Peer } from "./peer.ts";
import { RecordType } from "./wire/record-type.ts";

/** Slots looked at per call when unconfirmed entries are swept: well below a millisecond. */
const SWEEP_SLOTS = 8192;
/** A node that restarts and confirms less than this share of what it had has lost its kernel's table. */
const LOST_SHARE = 1 / 16;
/** How long the only copy of a lost table is kept, milliseconds. */
const HOLD_FOR = 120_000;
/** So much later than the end of a bulk a datagram of it may come, milliseconds. */
const REORDERED_BY = 100;
/**
 * A bulk that is not sent until it is acknowledged is over when it has confirmed nothing more for so long, and in any case
 * when it has taken the longest; milliseconds. Live changes confirm as well: they must not keep it open for ever.
 */
const BULK_LOST_AFTER = 60_000;
const BULK_LONGEST = 600_000;

/**
 * A control record about a bulk of the peer's.
 *
 * @param sequence of the datagram that brings it
 * @returns whether the bulk is over with it
 */
export function receiveBulkRecord(
	peer: Peer,
	type: number,
	id: number,
	sequence: number,
	now: number,
): boolean {
	if (type === RecordType.bulkBegin) beginReceipt(peer, id, sequence, now);
	return type === RecordType.bulkEnd && endReceipt(peer, id, now);
}

/** @param sequence of the datagram that says so: what is in older ones is in the bulk, or is gone */
function beginReceipt(peer: Peer, id: number, sequence: number, now: number): void {
	// a repeated BEGIN, or one of a bulk that is over
	if (id <= peer.bulkReceiving || id <= peer.bulkReceived) return;
	peer.bulkReceiving = id;
	peer.bulkSince = Math.max(peer.bulkSince, sequence);
	peer.bulkBeganAt = peer.bulkProgressAt = now;
	peer.bulkConfirmed = 0;
	// what has overtaken it was confirmed too early, and would be swept
	peer.missing = !peer.isReliable && peer.toldSince > sequence ? Number.POSITIVE_INFINITY : 0;
	peer.bulkEndsBy = undefined;
	peer.sweepAt[0] = peer.sweepAt[1] = -1;
	peer.hasLost = false;
	for (const external of peer.external) external.beginGeneration();
	peer.equality.reset();
}

/** @returns whether it ends the bulk that is being received */
function endReceipt(peer: Peer, id: number, now: number): boolean {
	if (id !== peer.bulkReceiving) return false;
	// Mode NOTRACK: the end may have overtaken a part of it
	if (!peer.isReliable && peer.missing > 0) peer.bulkEndsBy = now + REORDERED_BY;
	else complete(peer, now, true);
	return true;
}

/**
 * The bulk is over. Where nothing is acknowledged a bulk of which a datagram was lost confirms what it has brought, and
 * nothing is dropped: what is not in it may not have ended.
 */
function complete(peer: Peer, now: number, isWhole: boolean): void {
	const { heldBefore } = peer;
	peer.bulkEndsBy = undefined;
	peer.heldBefore = 0;
	peer.bulkReceived = peer.bulkReceiving;
	peer.bulkReceiving = 0;
	if (!isWhole) return;
	if (confirmedBy(peer) < heldBefore * LOST_SHARE) peer.heldUntil = now + HOLD_FOR;
	peer.sweepAt[0] = peer.sweepAt[1] = 0;
}

/** Drops unconfirmed entries after an END, some slots at a time. */
export function sweepReceipt(peer: Peer, now: number): void {
	if (peer.bulkEndsBy !== undefined && (peer.missing <= 0 || now >= peer.bulkEndsBy))
		complete(peer, now, peer.missing <= 0);
	// its end was lost on the way
	if (!peer.isReliable && peer.bulkReceiving !== 0 && isLost(peer, now)) peer.bulkReceiving = 0;
	if (now >= peer.heldUntil && peer.heldUntil > 0) {
		peer.heldUntil = Number.NEGATIVE_INFINITY;
		peer.hasLost = true;
		if (peer.bulkReceiving === 0) peer.sweepAt[0] = peer.sweepAt[1] = 0;
	}
	const isHolding = peer.heldUntil > 0;
	for (const kind of KINDS) {
		const at = peer.sweepAt[kind];
		if (at >= 0) peer.sweepAt[kind] = peer.external[kind].sweep(at, SWEEP_SLOTS, isHolding, !peer.hasLost);
	}
}

/** Whether nothing more is to be expected of the bulk that is being received. */
function isLost(peer: Peer, now: number): boolean {
	const confirmed = confirmedBy(peer);
	if (confirmed > peer.bulkConfirmed) {
		peer.bulkConfirmed = confirmed;
		peer.bulkProgressAt = now;
	}
	return now - peer.bulkProgressAt >= BULK_LOST_AFTER || now - peer.bulkBeganAt >= BULK_LONGEST;
}

const confirmedBy = ({ external }: Peer): number => external[0].confirmed + external[1].confirmed;
