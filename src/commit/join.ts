// Two views of one connection: what this kernel has, and what the peer had. Which one is right, and what follows.
import { IP_CT_TCP_FLAG_BE_LIBERAL, tcpFlagsOrig, tcpFlagsReply, tcpState } from "../conntrack/protoinfo.ts";
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
import { IPS_COMMITTABLE } from "../conntrack/status.ts";

/**
 * How far along a TCP connection is, by state (TCP_CONNTRACK_*): a join never goes back. CLOSE and TIME_WAIT are the
 * end; SYN_SENT2 (simultaneous open) stands beside SYN_RECV.
 */
const TCP_RANK = [0, 1, 3, 4, 5, 6, 7, 8, 9, 2] as const;

export type Joined =
	/** The kernel's entry needs no change. */
	| "keep"
	/** `record` was rewritten to the join of both: update in place. */
	| "update"
	/** Not the same connection: NAT, helper or master differ. */
	| "replace";

/**
 * Joins the kernel's entry with the one to be committed; both have the same original tuple. The result, in `record`,
 * is never behind the local entry: further TCP state, longer timeout, both sides' SEEN_REPLY and ASSURED.
 */
export function joinConntrack(
	local: ConntrackRecord,
	record: ConntrackRecord,
	windowTracking: boolean,
): Joined {
	if (!isSameConnection(local, record)) return "replace";
	const status = (local[STATUS]! | (record[STATUS]! & IPS_COMMITTABLE)) >>> 0;
	let differs = status !== local[STATUS]! >>> 0;
	record[STATUS] = status;
	const isFurther = (local[HAS]! & record[HAS]! & H_TCP) !== 0 && tcpRank(local) > tcpRank(record);
	if (isFurther) record[PROTOINFO] = local[PROTOINFO]!;
	else if ((record[HAS]! & H_TCP) !== 0 && tcpRank(local) < tcpRank(record)) differs = true;
	const isLiberal = (tcpFlagsOrig(local) & tcpFlagsReply(local) & IP_CT_TCP_FLAG_BE_LIBERAL) !== 0;
	// an entry that the kernel picked up in mid-stream checks windows that it does not know
	if ((record[HAS]! & H_TCP) !== 0 && !isLiberal && !windowTracking) differs = true;
	// a shorter local timeout alone is no reason for an update: it is only further through the same one
	if ((local[HAS]! & H_TIMEOUT) !== 0) {
		// what is over must not live for as long as an established connection
		record[TIMEOUT] = isFurther ? local[TIMEOUT]! : Math.max(local[TIMEOUT]! >>> 0, record[TIMEOUT]! >>> 0);
	}
	if ((record[HAS]! & H_MARK) !== 0 && record[MARK] !== (local[HAS]! & H_MARK ? local[MARK] : 0))
		differs = true;
	for (const [bit, at] of [
		[H_SEQ_ORIG, SEQ_ORIG],
		[H_SEQ_REPLY, SEQ_REPLY],
	] as const) {
		if ((record[HAS]! & bit) === 0) continue;
		if ((local[HAS]! & bit) !== 0 && isCorrectedLater(local, record, at)) {
			record.set(local.subarray(at, at + 3), at);
			continue;
		}
		for (let i = at; i < at + 3; i++) if (local[i] !== record[i] || (local[HAS]! & bit) === 0) differs = true;
	}
	return differs ? "update" : "keep";
}

/** Whether the local sequence adjustment was made further on in the stream (RFC 1982) than the record's. */
function isCorrectedLater(local: ConntrackRecord, record: ConntrackRecord, at: number): boolean {
	return (local[at + 1] !== 0 || local[at + 2] !== 0) && ((local[at]! - record[at]!) | 0) > 0;
}

function tcpRank(record: ConntrackRecord): number {
	return (record[HAS]! & H_TCP) === 0 ? 0 : (TCP_RANK[tcpState(record)] ?? 0);
}

/** Whether reply tuple (and so NAT), helper and master agree. */
function isSameConnection(local: ConntrackRecord, record: ConntrackRecord): boolean {
	if ((record[HAS]! & H_REPLY) !== 0) {
		for (let i = REPLY_PORTS; i < REPLY_PORTS + 9; i++) if (local[i] !== record[i]) return false;
	}
	const helper = (from: ConntrackRecord): number => (from[HAS]! & H_HELPER ? from[HELPER]! : 0);
	if (helper(local) !== helper(record)) return false;
	if ((local[HAS]! & H_MASTER) !== (record[HAS]! & H_MASTER)) return false;
	if ((record[HAS]! & H_MASTER) === 0) return true;
	for (const [at, words] of [
		[MASTER_PROTOCOLS, 1],
		[MASTER_PORTS, 1],
		[MASTER_SRC, 4],
		[MASTER_DST, 4],
	] as const) {
		for (let i = at; i < at + words; i++) if (local[i] !== record[i]) return false;
	}
	return true;
}
