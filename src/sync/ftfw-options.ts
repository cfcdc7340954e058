// What the protocol core of a node is given.
import type { InternalCaches } from "../cache/internal-cache.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { Difference } from "./equality.ts";
import type { ExpectationJudge } from "./expectation-gate.ts";
import type { ReplicationMode } from "./mode.ts";
import type { Peer } from "./peer.ts";
import type { Reject } from "./sync-counters.ts";
import type { Seal } from "./wire/seal.ts";

export interface FtfwOptions {
	/** This node's id, unique in the cluster. */
	node: number;
	/** EPOCH_SIZE random bytes, drawn for this start of the daemon and no other. */
	epoch: Uint8Array;
	internal: InternalCaches;
	names: NameTable;
	/** Seed of the key hash of the external caches. */
	hashSeed: number;
	/** Entries that one peer may have here, of each kind. */
	externalLimit: number;
	/** Bytes of a datagram, the seal included. */
	datagramMax: number;
	/** Datagrams that the receive buffer takes in. */
	credit: number;
	seal: Seal;
	/** Takes the sealed datagram in bytes [0, end), and copies what it keeps. */
	sink: (bytes: Uint8Array, end: number) => void;
	/** Random bytes: from the system, or from a test's seed. */
	entropy: (size: number) => Uint8Array;
	/** Something that an operator would want to know. */
	notice: (text: string) => void;
	/** A datagram was thrown away and counted: worth a log line, not one each. */
	rejected: (reason: Reject) => void;
	/** How this node replicates; Mode FTFW unless given. */
	mode?: ReplicationMode;
	/** Whether the link would drop what it is given now. */
	isCongested?: () => boolean;
	/** Checksum of what decides which entries are replicated. */
	policy?: number;
	/** All nodes forward; absent: one of them is in charge. */
	isActiveActive?: boolean;
	/** Fingerprints of the keys in force (their first words). */
	keys?: () => readonly number[];
	/** Which expectations of the peers count; absent: all. */
	expectations?: ExpectationJudge;
	/** A peer has found a difference: perhaps the internal cache is not what the kernel has. */
	suspected?: () => void;
	/** What is held of a peer differs from what it has, and is compared entry by entry. */
	repairing?: (peer: Peer) => void;
	/** An entry of a peer was not held as the peer has it; it is being put right. */
	differs?: (peer: Peer, difference: Difference) => void;
}
