// What the protocol counts: plain numbers, rendered elsewhere. Every reason for which a datagram is thrown away has
// a counter of its own.
import type { FrameReject } from "./wire/frame.ts";

/** The counters of datagrams that were thrown away, and what a log line says of it. */
export const REJECTS = {
	badSize: "shorter than a header",
	badVersion: "not of this protocol, or of another version of it",
	badHeader: "with a header that nobody sends",
	badSeal: "with a wrong checksum or seal",
	helloFlood: "that greets, because there were too many in a second",
	badType: "with a record of unknown type",
	badPayload: "with a malformed record",
	truncated: "that ends in the middle of a record",
	ownNode: "from my own node id: do two nodes have the same address?",
	tooManyPeers: "from one node more than the sixteen that a cluster may have",
} as const;
export type Reject = keyof typeof REJECTS;

/** The counter of each fault of a header, and of what follows it. */
export const FRAME_REJECT: Readonly<Record<FrameReject, Reject>> = {
	short: "badSize",
	version: "badVersion",
	flags: "badHeader",
	sequence: "badHeader",
};
export const PAYLOAD_REJECT = { type: "badType", truncated: "truncated", payload: "badPayload" } as const;

export interface SyncCounters {
	/** Datagrams and records, after sealing and before it. */
	sent: number;
	received: number;
	recordsSent: number;
	recordsReceived: number;
	/** Conntrack and expectation records that had to be sent again. */
	recordsResent: number;
	/** Sequence numbers of a peer that never came (yet). */
	lost: number;
	/** Datagrams seen already or too old. */
	replayed: number;
	/** Shorter than a header, or longer than a datagram may be. */
	badSize: number;
	/** First byte, suite, flags or sequence number. */
	badVersion: number;
	badHeader: number;
	/** Not what its sender sealed, or sealed with a key that is not in the ring. */
	badSeal: number;
	/** HELLOs of unknown epochs beyond what is looked into in a second. */
	helloFlood: number;
	/** A record of no known type. */
	badType: number;
	/** A record that its type's rules forbid. */
	badPayload: number;
	truncated: number;
	/** From a node that has not shaken hands, or from an epoch that is over. */
	unknownEpoch: number;
	/** From my own node id. */
	ownNode: number;
	/** More than sixteen nodes. */
	tooManyPeers: number;
	bulksSent: number;
	bulksReceived: number;
}

export function newSyncCounters(): SyncCounters {
	return {
		sent: 0,
		received: 0,
		recordsSent: 0,
		recordsReceived: 0,
		recordsResent: 0,
		lost: 0,
		replayed: 0,
		badSize: 0,
		badVersion: 0,
		badHeader: 0,
		badSeal: 0,
		helloFlood: 0,
		badType: 0,
		badPayload: 0,
		truncated: 0,
		unknownEpoch: 0,
		ownNode: 0,
		tooManyPeers: 0,
		bulksSent: 0,
		bulksReceived: 0,
	};
}
