// Two views of one connection: what this kernel has, and what the peer had. Which one is right, and what follows.
//
// Of two entries with the same original tuple one may be another, older connection: client ports are used again, and a
// node that has been backup for a while still has what it had when it was primary. What counts is who has seen
// packets last, and commit.ts finds that out (LocalView).
import {
	IP_CT_TCP_FLAG_BE_LIBERAL,
	IP_CT_TCP_FLAG_WINDOW_SCALE,
	TCP_CLOSE,
	TCP_TIME_WAIT,
	tcpFlagsOrig,
	tcpFlagsReply,
	tcpState,
} from "../conntrack/protoinfo.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_MARK,
	H_MASTER,
	H_REPLY,
	H_SEQ_ORIG,
	H_SEQ_REPLY,
	H_TCP,
	H_TIMEOUT,
	HAS,
	HELPER,
	MARK,
	MASTER_DST,
	MASTER_PORTS,
	MASTER_PROTOCOLS,
	MASTER_SRC,
	PROTOINFO,
	REPLY_PORTS,
	SEQ_ORIG,
	SEQ_REPLY,
	STATUS,
	TIMEOUT,
} from "../conntrack/record.ts";
import { IPS_ASSURED, IPS_COMMITTABLE, IPS_SEEN_REPLY } from "../conntrack/status.ts";

/**
 * How far along a TCP connection is, by state (TCP_CONNTRACK_*): a join never goes back. CLOSE and TIME_WAIT are the
 * end; SYN_SENT2 (simultaneous open) stands beside SYN_RECV.
 */
const TCP_RANK = [0, 1, 3, 4, 5, 6, 7, 8, 9, 2] as const;
const RANK_ESTABLISHED = 4;

/** Timeouts of a left-over that are this close to the peer's need no update, seconds. */
const TIMEOUT_SLACK = 5;

/** What this kernel's entry is, compared with the peer's. */
export type LocalView =
	/** It is what remained of an earlier term: the peer has seen packets since. */
	| "left over"
	/** It is alive here, and the peer may know of packets that this node has not seen. */
	| "alive"
	/** It is alive here, and has seen packets after all that the peer has told. */
	| "later";

export type Joined =
	/** The kernel's entry needs no change. */
	| "keep"
	/** `record` was rewritten to what the kernel is to have: update in place. */
	| "update"
	/** The local entry has to make room: delete it and create the record. */
	| "replace"
	/** The local entry is another connection, and alive: the peer's cannot be had. */
	| "taken";

/**
 * Decides between the kernel's entry and the one to be committed; both have the same original tuple.
 *
 * A left-over becomes what the record says: state, timeout, mark and sequence adjustments may go down. A live entry is
 * joined: the result is never behind it.
 *
 * @param hasMaster whether the record's master, if it has one, is in this kernel
 */
export function joinConntrack(
	local: ConntrackRecord,
	record: ConntrackRecord,
	view: LocalView,
	windowTracking: boolean,
	hasMaster = true,
): Joined {
	const isTranslatedAlike = sameReply(local, record);
	if (view === "left over") {
		if (!isTranslatedAlike || !sameHelper(local, record)) return "replace";
		if (hasMaster && !sameMaster(local, record)) return "replace";
		return overwrite(local, record, windowTracking);
	}
	if (!isTranslatedAlike) return givesWay(local, record) ? "replace" : "taken";
	// the helper and the master of an entry cannot be changed: what is alive here goes on as it is
	return join(local, record, view, windowTracking);
}

/**
 * Whether a live local entry may be deleted for the record: nothing has answered it yet, or it is over, and the
 * kernel itself takes it for the first to go (not ASSURED). Its next packet begins it anew, while an assured
 * connection that is not restored is lost. A SYN_RECV or an answered UDP flow stays: its peer knows its translation.
 */
export function givesWay(local: ConntrackRecord, record: ConntrackRecord): boolean {
	if ((record[STATUS]! & IPS_ASSURED) === 0 || (local[STATUS]! & IPS_ASSURED) !== 0) return false;
	if ((local[STATUS]! & IPS_SEEN_REPLY) === 0) return true;
	const state = tcpState(local);
	return (local[HAS]! & H_TCP) !== 0 && (state === TCP_CLOSE || state === TCP_TIME_WAIT);
}

/** A left-over of the same connection, or of another one that was translated alike. */
function overwrite(local: ConntrackRecord, record: ConntrackRecord, windowTracking: boolean): Joined {
	const hasTcp = (local[HAS]! & record[HAS]! & H_TCP) !== 0;
	// the windows of long ago would be checked, and cannot be forgotten otherwise
	if (hasTcp && windowTracking && !isLiberal(local)) return "replace";
	for (const [bit, at] of SEQUENCES) {
		const isAdjusted = (record[HAS]! & bit) !== 0 && hasOffset(record, at);
		// the kernel ignores adjustments for an entry without room for them: one without NAT and helper
		if (isAdjusted && (local[HAS]! & bit) === 0 && (local[HAS]! & H_HELPER) === 0) return "replace";
	}
	let differs = bringStatus(local, record);
	if (hasTcp) {
		if (tcpState(local) !== tcpState(record)) differs = true;
		if (!windowTracking && !isLiberal(local)) differs = true;
	}
	if ((record[HAS]! & H_TIMEOUT) !== 0) {
		if (Math.abs((local[TIMEOUT]! >>> 0) - (record[TIMEOUT]! >>> 0)) > TIMEOUT_SLACK) differs = true;
	}
	const mark = (record[HAS]! & H_MARK) !== 0 ? record[MARK]! : 0;
	if (mark !== localMark(local)) {
		record[HAS] = record[HAS]! | H_MARK;
		record[MARK] = mark;
		differs = true;
	}
	for (const [bit, at] of SEQUENCES) {
		if ((record[HAS]! & bit) === 0) {
			if ((local[HAS]! & bit) === 0 || !hasOffset(local, at)) continue;
			// nothing shifts the stream of a connection that has no adjustment
			record[HAS] = record[HAS]! | bit;
			record.fill(0, at, at + 3);
		}
		if (!sameWords(local, record, at, 3) || (local[HAS]! & bit) === 0) differs = true;
	}
	return differs ? "update" : "keep";
}

/** A live entry: state, timeout and adjustments as far along as either side knows; the mark is the local one, if it has one. */
function join(
	local: ConntrackRecord,
	record: ConntrackRecord,
	view: LocalView,
	windowTracking: boolean,
): Joined {
	let differs = bringStatus(local, record);
	const hasTcp = (local[HAS]! & record[HAS]! & H_TCP) !== 0;
	const ours = tcpRank(local);
	const theirs = tcpRank(record);
	// an end that the peer has told of before the last packet here was that of an earlier connection
	const isOutdated = view === "later" && theirs > Math.max(ours, RANK_ESTABLISHED);
	const isFurther = hasTcp && (ours > theirs || isOutdated);
	const isBehind = hasTcp && !isFurther && ours < theirs;
	// of two that are as far, the one that knows the window scales knows more
	const knowsMore = ours === theirs && (tcpFlagsOrig(local) & IP_CT_TCP_FLAG_WINDOW_SCALE) !== 0;
	if (hasTcp && (isFurther || knowsMore)) record[PROTOINFO] = local[PROTOINFO]!;
	if (isBehind) differs = true;
	// an entry that the kernel picked up in mid-stream checks windows that it does not know
	if ((record[HAS]! & H_TCP) !== 0 && !isLiberal(local) && !windowTracking) differs = true;
	// the timeout goes with the state: what is over must not live for as long as an established connection. A shorter
	// one alone is no reason for an update: it is only further through the same one
	if ((local[HAS]! & H_TIMEOUT) !== 0 && !isBehind) {
		record[TIMEOUT] = isFurther ? local[TIMEOUT]! : Math.max(local[TIMEOUT]! >>> 0, record[TIMEOUT]! >>> 0);
	}
	const mark = localMark(local);
	if (mark !== 0) {
		record[HAS] = record[HAS]! | H_MARK;
		record[MARK] = mark;
	} else if ((record[HAS]! & H_MARK) !== 0 && record[MARK] !== 0) differs = true;
	for (const [bit, at] of SEQUENCES) {
		if ((record[HAS]! & bit) === 0) continue;
		if ((local[HAS]! & bit) !== 0 && isCorrectedLater(local, record, at)) {
			record.set(local.subarray(at, at + 3), at);
			continue;
		}
		if (!sameWords(local, record, at, 3) || (local[HAS]! & bit) === 0) differs = true;
	}
	return differs ? "update" : "keep";
}

const SEQUENCES = [
	[H_SEQ_ORIG, SEQ_ORIG],
	[H_SEQ_REPLY, SEQ_REPLY],
] as const;

/** The status bits of both: the kernel takes none back (EBUSY). @returns whether the local entry lacks one */
function bringStatus(local: ConntrackRecord, record: ConntrackRecord): boolean {
	const status = (local[STATUS]! | (record[STATUS]! & IPS_COMMITTABLE)) >>> 0;
	const differs = status !== local[STATUS]! >>> 0;
	record[STATUS] = status;
	return differs;
}

const localMark = (local: ConntrackRecord): number => ((local[HAS]! & H_MARK) !== 0 ? local[MARK]! : 0);

const hasOffset = (record: ConntrackRecord, at: number): boolean =>
	record[at + 1] !== 0 || record[at + 2] !== 0;

/** Whether the kernel checks the windows of neither direction. */
const isLiberal = (local: ConntrackRecord): boolean =>
	(tcpFlagsOrig(local) & tcpFlagsReply(local) & IP_CT_TCP_FLAG_BE_LIBERAL) !== 0;

/** Whether the local sequence adjustment was made further on in the stream (RFC 1982) than the record's. */
function isCorrectedLater(local: ConntrackRecord, record: ConntrackRecord, at: number): boolean {
	return hasOffset(local, at) && ((local[at]! - record[at]!) | 0) > 0;
}

function tcpRank(record: ConntrackRecord): number {
	return (record[HAS]! & H_TCP) === 0 ? 0 : (TCP_RANK[tcpState(record)] ?? 0);
}

/** Reply tuple, and so NAT. */
function sameReply(local: ConntrackRecord, record: ConntrackRecord): boolean {
	return (record[HAS]! & H_REPLY) === 0 || sameWords(local, record, REPLY_PORTS, 9);
}

function sameHelper(local: ConntrackRecord, record: ConntrackRecord): boolean {
	const helper = (from: ConntrackRecord): number => (from[HAS]! & H_HELPER ? from[HELPER]! : 0);
	return helper(local) === helper(record);
}

function sameMaster(local: ConntrackRecord, record: ConntrackRecord): boolean {
	if ((local[HAS]! & H_MASTER) !== (record[HAS]! & H_MASTER)) return false;
	if ((record[HAS]! & H_MASTER) === 0) return true;
	return (
		sameWords(local, record, MASTER_PROTOCOLS, 1) &&
		sameWords(local, record, MASTER_PORTS, 1) &&
		sameWords(local, record, MASTER_SRC, 4) &&
		sameWords(local, record, MASTER_DST, 4)
	);
}

export function sameWords(a: Int32Array, b: Int32Array, at: number, count: number): boolean {
	for (let i = at; i < at + count; i++) if (a[i] !== b[i]) return false;
	return true;
}
