// One conntrack as a flat array of 32-bit words: what the netlink decoder writes, the caches pack, the wire codec
// reads and the commit encodes. There is no object per entry on this path.
//
// Addresses are four words with the bytes in network order (IPv4 uses the first, the others are 0). Every other
// number is in host order. Fields of attributes that were not received are meaningless: HAS says which are there.

/** Which attributes are present, bits H_*. */
export const HAS = 0;
/** Layer 3 family (2 or 10) | layer 4 protocol << 8. */
export const PROTOCOLS = 1;
/** Zone of the original direction | zone of the reply direction << 16. */
export const ZONES = 2;
/** Original direction: source | destination << 16; see `ports` in tuple.ts for ICMP and GRE. */
export const ORIG_PORTS = 3;
export const ORIG_SRC = 4;
export const ORIG_DST = 8;
export const REPLY_PORTS = 12;
export const REPLY_SRC = 13;
export const REPLY_DST = 17;
/** IPS_* bits. */
export const STATUS = 21;
/** Seconds left when the kernel told. */
export const TIMEOUT = 22;
export const MARK = 23;
/** CTA_ID, opaque. */
export const ID = 24;
/** TCP: state | wscale orig << 8 | wscale reply << 12 | flags orig << 16 | flags reply << 24. SCTP: state. */
export const PROTOINFO = 25;
/** Number of the helper's name in the name table; 0 is none. */
export const HELPER = 26;
/** Original tuple of the master conntrack. */
export const MASTER_PROTOCOLS = 27;
export const MASTER_ZONE = 28;
export const MASTER_PORTS = 29;
export const MASTER_SRC = 30;
export const MASTER_DST = 34;
/** Sequence adjustment: correction position, offset before, offset after (signed). */
export const SEQ_ORIG = 38;
export const SEQ_REPLY = 41;
/** Connlabels, four words in host order. */
export const LABELS = 44;
/** ISN, ITS, TSOFF. */
export const SYNPROXY = 48;
/** SCTP verification tags, original and reply. */
export const VTAGS = 51;
/** Words of one record. */
export const CONNTRACK_WORDS = 53;

export const H_REPLY = 1 << 0;
export const H_STATUS = 1 << 1;
export const H_TIMEOUT = 1 << 2;
export const H_MARK = 1 << 3;
export const H_ID = 1 << 4;
export const H_TCP = 1 << 5;
export const H_SCTP = 1 << 6;
export const H_HELPER = 1 << 7;
export const H_MASTER = 1 << 8;
export const H_SEQ_ORIG = 1 << 9;
export const H_SEQ_REPLY = 1 << 10;
export const H_LABELS = 1 << 11;
export const H_SYNPROXY = 1 << 12;
/** Not an attribute: whatever is not here the entry does not have. Of labels, which are cleared in silence. */
export const H_WHOLE = 1 << 13;
/** Every bit that the wire may carry (the id is the sender's own affair). */
export const H_WIRE = 0x1fff & ~H_ID;

/** The attributes that live in the rare part of a packed record. */
export const H_RARE = H_SCTP | H_MASTER | H_SEQ_ORIG | H_SEQ_REPLY | H_LABELS | H_SYNPROXY;

/** A record of CONNTRACK_WORDS words. */
export type ConntrackRecord = Int32Array;

export function newConntrackRecord(): ConntrackRecord {
	return new Int32Array(CONNTRACK_WORDS);
}

/** Words of each attribute group that an update replaces as a whole: bit, first word, number of words. */
const GROUPS: readonly (readonly [bit: number, first: number, words: number])[] = [
	[H_REPLY, REPLY_PORTS, 9],
	[H_STATUS, STATUS, 1],
	[H_TIMEOUT, TIMEOUT, 1],
	[H_MARK, MARK, 1],
	[H_ID, ID, 1],
	[H_TCP, PROTOINFO, 1],
	[H_SCTP, PROTOINFO, 1],
	[H_SCTP, VTAGS, 2],
	[H_HELPER, HELPER, 1],
	[H_MASTER, MASTER_PROTOCOLS, 11],
	[H_SEQ_ORIG, SEQ_ORIG, 3],
	[H_SEQ_REPLY, SEQ_REPLY, 3],
	[H_LABELS, LABELS, 4],
	[H_SYNPROXY, SYNPROXY, 3],
];

/**
 * Overlays the attributes of `change` on `record` and keeps the others: the kernel repeats in an update only what
 * it feels like (never the master's tuple).
 *
 * @param watched the H_* bits whose change counts
 * @returns whether a watched attribute differs now
 */
export function mergeConntrack(record: ConntrackRecord, change: ConntrackRecord, watched: number): boolean {
	const has = change[HAS]!;
	let changed = (has & ~record[HAS]! & watched) !== 0;
	const isCutShort = isTimeoutCutShort(record, change);
	for (const [bit, first, words] of GROUPS) {
		if ((has & bit) === 0 || (bit === H_TIMEOUT && isCutShort)) continue;
		for (let i = first; i < first + words; i++) {
			if (record[i] !== change[i]) {
				record[i] = change[i]!;
				if ((bit & watched) !== 0) changed = true;
			}
		}
	}
	if ((has & H_WHOLE) !== 0 && (record[HAS]! & ~has & H_LABELS) !== 0) {
		record[HAS] = record[HAS]! & ~H_LABELS;
		changed = true;
	}
	record[HAS] = record[HAS]! | has;
	return changed;
}

const TCP_ESTABLISHED = 3;
/** IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED of either direction in the PROTOINFO word. */
const DATA_UNACKNOWLEDGED = (0x10 << 16) | (0x10 << 24);

/**
 * Whether the change may tell the timeout of a moment: while data waits for its acknowledgement, an established
 * connection has five minutes only (nf_conntrack_tcp.c, TCP_CONNTRACK_UNACK). The acknowledgement gives it its days back
 * without an event, so what was told before is right. An event that is not about the state (a mark, a label) does not
 * say whether something waits.
 */
function isTimeoutCutShort(record: ConntrackRecord, change: ConntrackRecord): boolean {
	const has = change[HAS]!;
	if ((record[HAS]! & H_TCP) === 0 || (record[HAS]! & has & H_TIMEOUT) === 0) return false;
	if ((record[PROTOINFO]! & 0xff) !== TCP_ESTABLISHED || record[TIMEOUT]! >>> 0 <= change[TIMEOUT]! >>> 0)
		return false;
	return (has & H_TCP) === 0 || mayTellTimeoutOfMoment(change);
}

/** Whether this is an established connection of which something waits for its acknowledgement. */
export function mayTellTimeoutOfMoment(record: ConntrackRecord): boolean {
	if ((record[HAS]! & H_TCP) === 0 || (record[PROTOINFO]! & 0xff) !== TCP_ESTABLISHED) return false;
	return (record[PROTOINFO]! & DATA_UNACKNOWLEDGED) !== 0;
}

/** Zeroes the words of absent attributes, so that two records with the same meaning are equal word by word. */
export function canonicalizeConntrack(record: ConntrackRecord): void {
	const has = record[HAS]!;
	for (const [bit, first, words] of GROUPS) {
		if ((has & bit) === 0 && !(first === PROTOINFO && (has & (H_TCP | H_SCTP)) !== 0)) {
			record.fill(0, first, first + words);
		}
	}
}
