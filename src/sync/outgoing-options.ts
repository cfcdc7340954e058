// What the sending half is given.
import type { InternalCache } from "../cache/internal-cache.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { ReplicationMode } from "./mode.ts";
import type { SyncCounters } from "./sync-counters.ts";
import type { MsgpackWriter } from "./wire/msgpack.ts";

/**
 * Takes the datagram in bytes [0, end), whose records begin at `body`; there is room for a seal behind it. Copies what
 * it keeps.
 */
export type Sink = (bytes: Uint8Array, body: number, end: number, sequence: number) => void;

export interface OutgoingOptions {
	node: number;
	epochTag: number;
	caches: readonly [InternalCache, InternalCache];
	names: NameTable;
	/** Bytes of a datagram, header included and the seal's trailer not. */
	datagramMax: number;
	counters: SyncCounters;
	sink: Sink;
	/** Mode FTFW unless given. */
	mode?: ReplicationMode;
	/** Whether the link would drop what it is given now: then it waits. */
	isCongested?: () => boolean;
	/** Appends acknowledgements that are owed; called for every datagram. */
	writeAcks: (writer: MsgpackWriter) => void;
}
