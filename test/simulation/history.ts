// What the oracle remembers: what every node has ever had, and what every other one holds of it.
import type { Kind } from "../../src/conntrack/kind.ts";
import type { Entries } from "./entries.ts";
import type { Sent } from "./network.ts";

/** A state of a key that got a version. */
export interface Produced {
	kind: Kind;
	key: number;
	/** GONE is a deletion, WITHDRAWN the operator's doing. */
	value: number;
	/** When, on the clock of all productions and ends. */
	serial: number;
}

export const GONE = -1;
export const WITHDRAWN = -2;

/** One life of a node's daemon, from start to crash. */
export interface Epoch {
	node: number;
	/** Counts the node's starts. */
	index: number;
	bytes: Uint8Array;
	/** By version. */
	produced: (Produced | undefined)[];
	/** What the daemon holds of its kernel: key -> value, by Kind. */
	alive: readonly [Map<number, number>, Map<number, number>];
}

/** What the oracle remembers of one external cache. */
export interface View {
	/** Key -> what is held. */
	held: Map<number, Held>;
	/** Key -> the newest version that was applied in this epoch; negative: it was a deletion. */
	newest: Map<number, number>;
	/** The call that is under way. */
	applying: { held: Held | undefined; op: Op; isDone: boolean } | undefined;
}

/** What a record does to an entry. */
export type Op = "set" | "delete" | "withdraw";

export interface Held {
	value: number;
	/** Of the production; see Produced. */
	serial: number;
	/** The origin's epoch. */
	epoch: Epoch;
}

/** What is known of a key at its origin, over all epochs. */
export interface Ends {
	/** Serial of the last end that the daemon took note of, and that the kernel saw. */
	daemon: number;
	kernel: number;
	/** Serial of the last withdrawal. */
	withdrawn: number;
}

/** Which rule was broken, and how. */
export interface Violation {
	rule: string;
	text: string;
	/** The key that it is about, if it is about one. */
	about?: About;
}

export interface About {
	kind: Kind;
	key: number;
}

/** Receives the story of a schedule, line by line. */
export interface Trace {
	line: (text: string) => void;
	/** The key whose every step is of interest. */
	about?: About;
}

/** Present while the oracle watches one daemon. */
export interface DaemonWatch {
	readonly entries: Entries;
	/** The datagram that the daemon is looking at. */
	present: { sent: Sent; isIntact: boolean; isRepeated: boolean } | undefined;
	/** Ids of datagrams of which a record was taken. */
	readonly processed: Set<number>;
	readonly adopted: Map<number, { epoch: Epoch; bytes: Uint8Array; since: number }>;
	/** By `viewName`. */
	readonly views: Map<number, View>;
	/** The operator empties the external caches now: what vanishes is his doing. */
	isFlushing: boolean;
}

export function newDaemonWatch(entries: Entries): DaemonWatch {
	return {
		entries,
		present: undefined,
		processed: new Set(),
		adopted: new Map(),
		views: new Map(),
		isFlushing: false,
	};
}

export const viewName = (origin: number, kind: Kind): number => origin * 2 + kind;
