// One remote node, as both halves of the protocol see it.
import type { ExternalCache } from "../cache/external-cache.ts";
import type { ExpectationGate } from "./expectation-gate.ts";
import { type NodeState, nothingSaid } from "./handshake.ts";
import { MODE } from "./mode.ts";
import type { PeerEquality } from "./peer-equality.ts";
import { RateLimit } from "./rate-limit.ts";
import { ReplayWindow } from "./replay-window.ts";

const GREETINGS_PER_SECOND = 1000;
/** A node that restarts more often is two nodes. */
const RESTARTS_PER_SECOND = 0.5;
const RESTARTS_AT_ONCE = 4;

/** Peers have a bit each in sixteen. */
export const PEERS_MAX = 16;

/** How far the bulk to this peer is; bulk.ts draws the path. */
export type BulkPhase = "idle" | "begin" | "ready" | "walk" | "flush" | "drain" | "end";

export class Peer {
	readonly node: number;
	/** Its bit in peer masks. */
	readonly bit: number;
	/** Number of the key that sealed its last datagram, 0 without keys. */
	keyId = 0;
	/** Its conntracks and expectations, by Kind. */
	readonly external: readonly [ExternalCache, ExternalCache];
	/** Which of its expectations count; absent: all. */
	gate: ExpectationGate | undefined;
	/** Whether what is held of it is what it has, and the other way round. */
	readonly equality: PeerEquality;
	/** The version of the protocol that both sides speak. */
	version = 0;
	/** What it last said of itself. */
	state: NodeState = nothingSaid();
	/** Its configuration has been compared with this node's. */
	isCompared = false;

	// What I hear of it.
	/** HELLOs of unknown epochs in its name that are looked into: strangers must not use up its chances. */
	readonly greetings = new RateLimit(GREETINGS_PER_SECOND);
	/** New epochs that are adopted. */
	readonly restarts = new RateLimit(RESTARTS_PER_SECOND, RESTARTS_AT_ONCE);
	/** The epoch I have adopted, undefined before the first handshake. */
	epoch: Uint8Array | undefined;
	epochTag = 0;
	readonly window = new ReplayWindow();
	/** Milliseconds at which the last good datagram came. */
	heardAt = Number.NEGATIVE_INFINITY;
	isUp = false;
	/** Good datagrams that have asked for an acknowledgement which is still owed. */
	ackOwed = 0;
	/** Sequence number of the latest HELLO of its epoch. */
	helloSequence = 0;
	/** What it must echo before I believe in a new epoch. */
	challenge: Uint8Array;
	/** What it wants echoed; empty before it said. */
	theirChallenge: Uint8Array = new Uint8Array(0);
	/** It has restarted with next to nothing: until then (milliseconds) what it had is kept for it. */
	heldUntil = Number.NEGATIVE_INFINITY;
	/** That time is over: what goes now was lost, and has not ended. */
	hasLost = false;
	/** Entries of it that were held when it restarted, until its first bulk is complete. */
	heldBefore = 0;
	/** Entries of mine that it has kept for me. */
	offered = 0;
	/** Slots that the sweep after its bulk has still to look at, by Kind; -1 is none. */
	readonly sweepAt: [number, number] = [-1, -1];
	/** Number of the bulk that it is sending, 0 when it is complete. */
	bulkReceiving = 0;
	bulkReceived = 0;
	/** Sequence number of the datagram that began the last bulk: of older ones nothing counts that concerns entries. */
	bulkSince = 0;
	/** The highest sequence number of a datagram that told of entries. */
	toldSince = 0;
	/** When it began, and when it last confirmed more entries than ever before it; milliseconds. */
	bulkBeganAt = 0;
	bulkProgressAt = 0;
	/** The most entries that were confirmed at a time. */
	bulkConfirmed = 0;
	/** Its end has come, and not all before it: until then (milliseconds) the rest may. */
	bulkEndsBy: number | undefined;
	/** Numbers since the last bulk began that have not come (yet). */
	missing = 0;

	// What it hears of me.
	/** It has adopted my epoch: datagrams reach it. */
	hears = false;

	/** Datagrams that it can take in without loss. */
	credit = 32;
	bulkPhase: BulkPhase = "idle";
	/** My number for the bulk under way. */
	bulkId = 0;
	/** Another bulk shall follow the one under way. */
	bulkAgain = false;
	/** Position in the dirty queue that the bulk waits for. */
	bulkMark = 0;
	/** Control records to send: bits of Control. */
	control = 0;
	/** Number of my last -n request, and the last one of its that I have served. */
	resyncId = 0;
	resyncServed = 0;

	constructor(
		node: number,
		index: number,
		external: readonly [ExternalCache, ExternalCache],
		equality: PeerEquality,
		challenge: Uint8Array,
	) {
		this.node = node;
		this.bit = 1 << index;
		this.external = external;
		this.equality = equality;
		this.challenge = challenge;
	}

	/** It sends until it is acknowledged, so that its bulks come complete. */
	get isReliable(): boolean {
		return this.state.mode === MODE.FTFW;
	}

	/** What is held of it is not complete yet, and will be. */
	get isReceivingBulk(): boolean {
		return (this.isReliable && this.bulkReceived === 0) || this.bulkReceiving !== 0 || this.isSweeping;
	}

	get isSweeping(): boolean {
		return this.sweepAt[0] >= 0 || this.sweepAt[1] >= 0;
	}

	/** Entries of it that it has not confirmed since it came back. */
	get unconfirmed(): number {
		return this.external.reduce((sum, { store, confirmed }) => sum + store.live - confirmed, 0);
	}
}

/** Control records, as bits of Peer.control. */
export const Control = { begin: 1, end: 2, resync: 4 } as const;
