// How a node replicates. What the modes share (frames, sealing, HELLO, the caches, what is sent being the present state)
// is ftfw.ts and the files beside it; a mode says what is different. The mode of a node decides how it sends; every node
// takes in, and acknowledges, what it is sent and asked for, so that a pair of different modes works in both directions.
import type { InternalCache } from "../cache/internal-cache.ts";
import { formatNode } from "../conntrack/node-id.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Peer } from "./peer.ts";

/** As HELLO carries them, in two bits; 3 is for a later version. */
export const MODE = { FTFW: 0, NOTRACK: 1, ALARM: 2 } as const;
export type ModeId = (typeof MODE)[keyof typeof MODE];
const NAMES: Readonly<Record<number, string>> = { 0: "FTFW", 1: "NOTRACK", 2: "ALARM" };

/** The name of a mode as a node has told it. */
export const modeName = (id: number): string => NAMES[id] ?? `of a later version (${id})`;

/** What of the protocol core a mode works on. */
export interface ModeParts {
	readonly peers: readonly Peer[];
	readonly outgoing: Outgoing;
	/** What is mine, by Kind. */
	readonly internal: readonly [InternalCache, InternalCache];
	readonly notice: (text: string) => void;
}

export interface ReplicationMode {
	readonly id: ModeId;
	/** What was sent waits for its acknowledgement, and is sent again if none comes. If not, it is sent once. */
	readonly isAcknowledged: boolean;
	/** Whoever comes into contact, or asks, is sent everything at once. */
	readonly hasBulk: boolean;
	/** What is found to differ is put right unasked. */
	readonly repairs: boolean;
	/** Seconds after which an entry of a peer in this mode is given up that was not told again. */
	readonly cacheTimeout?: number;
	/**
	 * Conntracks pass through and are not kept, so nothing can be compared with what peers hold, and a bulk begins with
	 * this: it puts the kernel's tables into the internal caches, and calls back with whether that was all. If not, it is
	 * called again at once: a wait between the two is its affair.
	 */
	readonly dump?: (done: (isComplete: boolean) => void) => void;
	/** What the mode has to do without anything happening, before what is dirty is sent. */
	tick?(parts: ModeParts, now: number): void;
	/** The last tick has left something that the next one can do: it is wanted soon. */
	readonly isBehind?: boolean;
}

/** Mode FTFW: reliable. What is lost is noticed and sent again, what differs is found and put right. */
export const ftfwMode: ReplicationMode = {
	id: MODE.FTFW,
	isAcknowledged: true,
	hasBulk: true,
	repairs: true,
};

/** What the log says when the digests of what is held of a peer and what it has differ. */
export function differenceText(mode: ReplicationMode, peer: Peer): string {
	const text = `what is held of node ${formatNode(peer.node)} differs`;
	if (mode.repairs && peer.isReliable) return `${text}: comparing entry by entry`;
	const unreliable = modeName(mode.repairs ? peer.state.mode : mode.id);
	return `${text}: Mode ${unreliable} does not put it right, ${mode.hasBulk ? "-n asks for everything" : "time does"}`;
}
