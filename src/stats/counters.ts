// The counters behind `-s`: plain number fields, incremented by whoever owns them, rendered by render.ts.
// A make* function answers zeroed counters; values that are states and not counts are given by the owner.

/** One cache. `active` entries are shown by a dump; `objects` also holds those whose deletion is not yet acknowledged. */
export interface CacheStats {
	objects: number;
	active: number;
	createOk: number;
	createFailed: number;
	createNoMemory: number;
	createNoSpace: number;
	updateOk: number;
	updateFailed: number;
	updateNotFound: number;
	destroyOk: number;
	destroyFailed: number;
	destroyNotFound: number;
}

/** What takes the internal cache's place under DisableInternalCache: messages passed straight to the link. */
export interface BypassStats {
	created: number;
	updated: number;
	destroyed: number;
}

/** What takes the external cache's place under DisableExternalCache: entries put straight into the kernel. */
export interface InjectStats {
	createOk: number;
	createFailed: number;
	updateOk: number;
	updateFailed: number;
	destroyOk: number;
	destroyFailed: number;
	/** What conntrackd does not say. */
	more?: {
		/** Entries that the peers have. */
		held: number;
		/** Not written yet, or refused and tried again; of both kinds together. */
		waiting: number;
		/** Ended at their peer, and alive here. */
		kept: number;
	};
}

/** Traffic of the flows that ended, as the kernel accounted it. */
export interface TrafficStats {
	bytes: number | bigint;
	packets: number | bigint;
}

/** The Stats mode. */
export interface AccountingStats {
	cache: CacheStats;
	traffic: TrafficStats;
	flowLog: FlowLogStats;
}

/** The log of flows of the Stats mode. */
export interface FlowLogStats {
	/** Lines that were to be written. */
	lines: number;
	/** Those that found no room in the queue for the file, and those that syslog did not take. */
	lost: number;
	syslogLost: number;
	/** Writes that failed and were tried again. */
	failures: number;
	/** Bytes that the file has not taken yet. */
	waiting: number;
}

/** One dedicated link. */
export interface LinkStats {
	type: "multicast" | "UDP" | "TCP";
	/** Name of the network interface. */
	device: string;
	/** IFF_RUNNING; IFF_UP without a carrier; neither. */
	status: "RUNNING" | "NO-CARRIER" | "DOWN";
	role: "ACTIVE" | "BACKUP";
	sentBytes: number;
	sentPackets: number;
	sentErrors: number;
	receivedBytes: number;
	receivedPackets: number;
	receivedErrors: number;
	/** TCP only: whether the peer is connected to us, and we to the peer. */
	tcp?: { server: boolean; client: boolean };
}

/** Messages refused on reception, by reason, and the bookkeeping of sequence numbers. */
export interface NetworkStats {
	malformed: number;
	version: number;
	header: number;
	payload: number;
	type: number;
	truncated: number;
	size: number;
	sendMalformed: number;
	lost: number;
	before: number;
}

export interface RuntimeStats {
	uptimeSeconds: number;
	eventsReceived: number;
	eventsFiltered: number;
	eventsUnknownType: number;
	catchEventFailed: number;
	dumpUnknownType: number;
	netlinkOverrun: number;
	kernelFlushes: number;
	kernelResyncs: number;
	/** Receive buffer of the event socket, in bytes. */
	netlinkBufferBytes: number;
	childFailed: number;
	childSegfault: number;
	childTermsig: number;
	selectFailed: number;
	waitFailed: number;
	localReadFailed: number;
	localUnknownRequest: number;
}

/** One bounded queue. */
export interface QueueStats {
	name: string;
	elements: number;
	/** Bound of `elements`. */
	maximum: number;
	noSpace: number;
}

/** A message that waits for its acknowledgement: a control message with its flags, or the state of an entry. */
export type ResendEntry =
	| { kind: "control"; sequence: number; flags: number }
	| { kind: "object"; sequence: number };

/** A child process or worker and what it does. */
export interface ProcessStats {
	pid: number;
	type: string;
}

/** One peer of the replication protocol. */
export interface PeerStats {
	/** Node id. */
	node: number;
	address: string;
	state: "up" | "down" | "handshake";
	/** Keys whose current state has still to be sent. */
	dirty: number;
	/** Datagrams sent and not yet acknowledged. */
	inFlight: number;
	/** Milliseconds since the last valid datagram; absent when there never was one. */
	rxAgeMs?: number;
	/** Entries of the peer held here. */
	held: number;
	/** It says that it is primary; the latest takeover in the cluster has the highest term. */
	isPrimary: boolean;
	isActiveActive: boolean;
	term: number;
	/** How it replicates; absent: Mode FTFW, as this node. */
	mode?: string;
	/** What its configuration has otherwise than this node's, and should not. */
	isOtherMode?: boolean;
	isOtherRole?: boolean;
	isOtherFilter?: boolean;
	/** It does not put right what differs, or this node does not: `-n` does. */
	isUnrepaired?: boolean;
	/** Entries that its last bulk did not confirm, because datagrams of it were lost. */
	unconfirmed?: number;
	/** It keeps no internal cache, so there is nothing to compare with. */
	hasNoCache?: boolean;
	/** How equal what is held of it is to what it has, and the other way round. */
	theirs: EqualityStats;
	ours: EqualityStats;
}

/** What one node holds of another. */
export interface EqualityStats {
	/** Seconds since all of it was last found equal; absent when it has not been yet. */
	verifiedSeconds?: number;
	/** Of 1024 parts of the cache, those that differ at the moment. */
	differing: number;
	/** Entries that are not taken, or kept back. */
	refused: number;
	/** Why, as far as it is known: counts by rule of the expectation policy, 0 is "no room". */
	refusals: ArrayLike<number>;
	/** Single entries that were found wrong since the start. */
	wrong: number;
	/** An operator has emptied the cache, and not had it filled since. */
	isSuspended: boolean;
}

/** The nodes of the cluster, as this one sees them. */
export interface ClusterStats {
	node: NodeStats;
	peers: readonly PeerStats[];
	/** Who should be there and was never heard. */
	silent?: readonly SilentStats[];
}

/** A node that was never heard. */
export interface SilentStats {
	/** Absent: nobody was heard on a link that takes whoever comes. */
	address?: string;
	/** The links on which it is expected. */
	devices: readonly string[];
	/** Something has come from it, but no handshake was made. */
	hasSpoken: boolean;
}

/** This node among the others. */
export interface NodeStats {
	isPrimary: boolean;
	isActiveActive: boolean;
	term: number;
	/** How it replicates; absent: Mode FTFW. */
	mode?: string;
	/** Address of a peer that says it is primary, too. */
	rival?: string;
}

export function makeCacheStats(): CacheStats {
	return {
		objects: 0,
		active: 0,
		createOk: 0,
		createFailed: 0,
		createNoMemory: 0,
		createNoSpace: 0,
		updateOk: 0,
		updateFailed: 0,
		updateNotFound: 0,
		destroyOk: 0,
		destroyFailed: 0,
		destroyNotFound: 0,
	};
}

export function makeBypassStats(): BypassStats {
	return { created: 0, updated: 0, destroyed: 0 };
}

export function makeInjectStats(): InjectStats {
	return { createOk: 0, createFailed: 0, updateOk: 0, updateFailed: 0, destroyOk: 0, destroyFailed: 0 };
}

export function makeTrafficStats(): TrafficStats {
	return { bytes: 0, packets: 0 };
}

export function makeLinkStats(type: LinkStats["type"], device: string): LinkStats {
	return {
		type,
		device,
		status: "DOWN",
		role: "BACKUP",
		sentBytes: 0,
		sentPackets: 0,
		sentErrors: 0,
		receivedBytes: 0,
		receivedPackets: 0,
		receivedErrors: 0,
		...(type === "TCP" ? { tcp: { server: false, client: false } } : {}),
	};
}

export function makeNetworkStats(): NetworkStats {
	return {
		malformed: 0,
		version: 0,
		header: 0,
		payload: 0,
		type: 0,
		truncated: 0,
		size: 0,
		sendMalformed: 0,
		lost: 0,
		before: 0,
	};
}

export function makeRuntimeStats(): RuntimeStats {
	return {
		uptimeSeconds: 0,
		eventsReceived: 0,
		eventsFiltered: 0,
		eventsUnknownType: 0,
		catchEventFailed: 0,
		dumpUnknownType: 0,
		netlinkOverrun: 0,
		kernelFlushes: 0,
		kernelResyncs: 0,
		netlinkBufferBytes: 0,
		childFailed: 0,
		childSegfault: 0,
		childTermsig: 0,
		selectFailed: 0,
		waitFailed: 0,
		localReadFailed: 0,
		localUnknownRequest: 0,
	};
}

export function makeQueueStats(name: string, maximum: number): QueueStats {
	return { name, elements: 0, maximum, noSpace: 0 };
}

export function makePeerStats(node: number, address: string): PeerStats {
	return {
		node,
		address,
		state: "down",
		dirty: 0,
		inFlight: 0,
		held: 0,
		isPrimary: false,
		isActiveActive: false,
		term: 0,
		theirs: makeEqualityStats(),
		ours: makeEqualityStats(),
	};
}

function makeEqualityStats(): EqualityStats {
	return { differing: 0, refused: 0, refusals: [], wrong: 0, isSuspended: false };
}
