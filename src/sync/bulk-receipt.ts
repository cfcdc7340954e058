// The receiving end of a bulk: everything held of the peer is unconfirmed from BEGIN on, and what is still unconfirmed
// at END is dropped.
import { KINDS } from "../conntrack/kind.ts";
import type { Peer } from "./peer.ts";

/** Slots looked at per call when unconfirmed entries are swept: well below a millisecond. */
const SWEEP_SLOTS = 8192;

export function beginReceipt(peer: Peer, id: number): void {
	// a repeated BEGIN, or one of a bulk that is over
	if (id === peer.bulkReceiving || id <= peer.bulkReceived) return;
	peer.bulkReceiving = id;
	peer.sweepAt[0] = peer.sweepAt[1] = -1;
	for (const external of peer.external) external.beginGeneration();
}

/** @returns whether it ends the bulk that is being received */
export function endReceipt(peer: Peer, id: number): boolean {
	if (id !== peer.bulkReceiving) return false;
	peer.bulkReceiving = 0;
	peer.bulkReceived = id;
	peer.sweepAt[0] = peer.sweepAt[1] = 0;
	return true;
}

/** Drops unconfirmed entries after an END, some slots at a time. */
export function sweepReceipt(peer: Peer): void {
	for (const kind of KINDS) {
		const at = peer.sweepAt[kind];
		if (at >= 0) peer.sweepAt[kind] = peer.external[kind].sweep(at, SWEEP_SLOTS);
	}
}
