// What the main thread and the commit worker say to each other. Records travel in shared memory; only slot numbers,
// verdicts and rare whole records travel in messages.

import type { Kind } from "../conntrack/kind.ts";
import type { LabelMask } from "../conntrack/labels.ts";
import type { FilterPolicy, OwnTraffic } from "../filter/filter.ts";

/** Which of a store's slabs a chunk belongs to: slots, IPv6 addresses, rare attributes. */
export type SlabNumber = 0 | 1 | 2 | 3;

export interface StoreMessage {
	type: "store";
	/** Given by the main thread, from 0 on. */
	store: number;
	kind: Kind;
	/** The chunks so far, by slab. */
	chunks: SharedArrayBuffer[][];
}

export interface ChunkMessage {
	type: "chunk";
	store: number;
	slab: SlabNumber;
	chunk: SharedArrayBuffer;
}

/** Names that were added to the main thread's table since the last message. */
export interface NamesMessage {
	type: "names";
	names: string[];
}

/** Conntracks. */
export interface CommitJob {
	type: "commit";
	job: number;
	/** What to commit: slots below `end` of each store. */
	parts: { store: number; end: number }[];
	/** How far both threads have come (CommitCursors). Without them the worker waits for nobody. */
	cursors?: SharedArrayBuffer;
	windowTracking: boolean;
	/** Seconds that every conntrack gets (CommitTimeout), instead of what its origin last told. */
	timeout?: number;
	/** The connlabels that may be written; none unless given. */
	labels?: LabelMask;
}

/** What is to be done with an expectation. */
export type ExpectationStep =
	/** It is made. */
	| "create"
	/** This kernel has it: its time is set, if more is left of it. One that has ended meanwhile is left alone. */
	| "join"
	/** This kernel has another one's left-over in its place. */
	| "replace"
	/** This very one, by its id, is taken out. */
	| "delete";

/** Expectations: whole records, one after another, whose timeout is what is left of them now. */
export interface ExpectJob {
	type: "expect";
	job: number;
	records: Int32Array;
	/** One for each record. */
	steps: ExpectationStep[];
}

/** Slots that changed while the commit ran: once more. */
export interface AgainJob {
	type: "again";
	job: number;
	/** Pairs: number of the store, slot. */
	slots: Int32Array;
}

/** Entries whose reply tuple another one of this kernel held: that one goes, if it may and has not gone yet; the entry comes. */
export interface EvictJob {
	type: "evict";
	job: number;
	slots: { store: number; slot: number; mayGo: boolean }[];
	/** Who held it, as the kernel had it; whole records, in the order of `slots`. */
	occupants: Int32Array;
}

export interface FlushJob {
	type: "flush";
	job: number;
	kind: Kind;
	/** Entries that the filter keeps out of the replication stay. */
	policy: FilterPolicy;
	own: OwnTraffic[];
}

/** Deletes single entries; whole records, one after another. */
export interface DeleteJob {
	type: "delete";
	job: number;
	records: Int32Array;
}

/** Only for a worker with scratch tables: copies the kernel's tables into them. */
export interface CopyJob {
	type: "copy";
	job: number;
	/** What is copied besides the conntracks. */
	hasExpectations: boolean;
}

export type ToWorker =
	| StoreMessage
	| ChunkMessage
	| NamesMessage
	| CommitJob
	| ExpectJob
	| AgainJob
	| EvictJob
	| FlushJob
	| DeleteJob
	| CopyJob;

/** How a worker for rehearsals is started (worker_threads' workerData). */
export interface ScratchOptions {
	/** Do not even try to have a network namespace: why not. */
	offlineCause?: string;
	/** About so many entries, this kernel's and the peers'. */
	entries: number;
	/** nf_conntrack_max; 0: no limit. */
	max: number;
}

/** What a worker for rehearsals has to work on. */
export interface ScratchState {
	/** Why there is no network namespace, and the tables are modelled. */
	offlineCause?: string;
	/** Its sockets: they keep the namespace, and whoever ends the thread has to close them. */
	sockets: number[];
}

/** Why an entry was left out, where the errno does not say it. */
export type RefusalCause =
	/** Another connection has the same original tuple here, and is alive. */
	| "alive"
	/** Another connection here has the reply tuple. */
	| "reply tuple"
	/** It is over, and a connection that is not has its reply tuple by now. */
	| "over"
	/** The table is full, and nothing of this value was tried any more. */
	| "not tried"
	/** The kernel translated it otherwise than the peer's had; it was deleted again. */
	| "translated"
	/** Another master's expectation waits for the same. */
	| "another master"
	/** The expectation was made, and is not there. */
	| "gone"
	/** The kernel's expectation is not what was asked for. */
	| "differs";

/** An entry that the kernel did not take. */
export interface Refusal {
	/** The entry as it was sent; its slot may be another's by now. */
	record: Int32Array;
	errno: number;
	/** Which request failed. */
	step: "create" | "update" | "replace" | "check";
	/** Whether the kernel has an entry with this key all the same. */
	exists: boolean;
	cause?: RefusalCause;
	/** Cause "reply tuple": what the kernel has there, a whole record. */
	occupant?: Int32Array;
	/** Of an expectation that was not sent: the rule that it breaks, as in X07. */
	rule?: number;
}

/** An entry that was there before the commit. */
export interface JoinedEntry {
	record: Int32Array;
	/** It was another connection's, and has been deleted and made anew. */
	isReplaced: boolean;
	/** What had its reply tuple, and was deleted for it. */
	evicted?: Int32Array;
}

export interface CommitResult {
	created: number;
	/** Was there and is what the external cache says, or further along. */
	kept: number;
	/** Was there and has been brought up to date in place. */
	updated: number;
	/** Was there as another connection's left-over, and was replaced. */
	replaced: number;
	/** Expectations whose time is over. */
	expired: number;
	/** Expectations in whose place this kernel, or the peer itself, has a newer one of the same master. */
	outdated: number;
	/** Expectations whose connection has come already. */
	consumed: number;
	/** Created without their helper, which this kernel refused. */
	withoutHelper: number;
	/** Created without the relation to their master, which is not in the kernel. */
	withoutMaster: number;
	/** Their origin told no timeout, because hardware forwards them: they got the kernel's own for their state. */
	offloaded: number;
	/** Of these another peer's view counts. */
	superseded: number;
	/** In the kernel without their labels: no rule of this node looks at any. */
	withoutLabels: number;
	/** Entries of which there is a refusal. */
	failed: number;
	/** Of these, what found no room in the table, by value (see value.ts). */
	full: [number, number, number, number];
}

export function newCommitResult(): CommitResult {
	return {
		created: 0,
		kept: 0,
		updated: 0,
		replaced: 0,
		expired: 0,
		superseded: 0,
		outdated: 0,
		consumed: 0,
		withoutHelper: 0,
		withoutMaster: 0,
		offloaded: 0,
		withoutLabels: 0,
		failed: 0,
		full: [0, 0, 0, 0],
	};
}

export type FromWorker =
	/** Netlink ports of the worker: events with the first are commits, with the second flushes. */
	| { type: "ready"; commitPort: number; flushPort: number; scratch?: ScratchState }
	| { type: "refused"; job: number; refusals: Refusal[] }
	/** Entries that were there, as they are in the kernel now. */
	| { type: "joined"; job: number; entries: JoinedEntry[] }
	| { type: "done"; job: number; result: CommitResult; error?: string };
