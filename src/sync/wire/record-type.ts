// Every record on the wire is a MessagePack array whose first element is one of these numbers. docs/protocol.md
// has the elements of each.

export const RecordType = {
	hello: 1,
	conntrackSet: 2,
	conntrackDelete: 3,
	expectationSet: 4,
	expectationDelete: 5,
	ack: 6,
	bulkBegin: 7,
	bulkEnd: 8,
	resync: 9,
	alive: 10,
	conntrackWithdraw: 11,
	expectationWithdraw: 12,
	/** From here on a node that does not know the type skips the record. */
	firstOptional: 64,
	digest: 64,
	query: 65,
	conntrackClaim: 66,
	expectationClaim: 67,
	conntrackVerdict: 68,
	expectationVerdict: 69,
	report: 70,
	verify: 71,
	fetch: 72,
	fetched: 73,
	conntrackReturn: 74,
	expectationReturn: 75,
	refusals: 76,
	emptied: 77,
} as const;

/** On the wire, bit 0 of the attribute bits says that a translated reply tuple follows ... */
export const W_TRANSLATED = 1 << 0;
/** ... and this one that the reply tuple is the plain inverse of the original one. */
export const W_PLAIN_REPLY = 1 << 13;

/** Every name on the wire is one of these: the decoder refuses the datagram with any other, so none is sent. */
export const WIRE_NAME = /^[A-Za-z0-9._-]{1,31}$/;

/** No record is longer than this (an IPv6 conntrack with every attribute is below 260 bytes). */
export const RECORD_MAX = 512;
