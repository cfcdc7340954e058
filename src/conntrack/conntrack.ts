// Conntracks and expectations as plain objects, for the edges: tests, JSON, configuration. The path of events works
// on the records alone. A field is absent when the record does not have the attribute.
import * as X from "./expectation-record.ts";
import type { NameTable } from "./names.ts";
import * as P from "./protoinfo.ts";
import * as R from "./record.ts";
import {
	EXP_MASTER_AT,
	EXPECTED_AT,
	type Family,
	type FullTuple,
	familyName,
	int32,
	MASK_AT,
	MASTER_AT,
	NAT_AT,
	ORIG_AT,
	packProtocols,
	REPLY_AT,
	readFullTuple,
	readTuple,
	type Tuple,
	uint,
	writeTuple,
} from "./tuple-object.ts";

export interface SequenceAdjustment {
	correctionPosition: number;
	/** Signed. */
	offsetBefore: number;
	offsetAfter: number;
}

export interface Conntrack {
	family: Family;
	protocol: number;
	zoneOrig: number;
	zoneReply: number;
	orig: Tuple;
	reply?: Tuple;
	/** IPS_* bits. */
	status?: number;
	/** Seconds. */
	timeout?: number;
	mark?: number;
	id?: number;
	/** `state` is a name of protoinfo.ts, or a decimal number that has none. */
	tcp?: { state: string; scaleOrig: number; scaleReply: number; flagsOrig: number; flagsReply: number };
	sctp?: { state: string; vtagOrig: number; vtagReply: number };
	helper?: string;
	master?: FullTuple & { zone: number };
	seqOrig?: SequenceAdjustment;
	seqReply?: SequenceAdjustment;
	/** Connlabels, four words in host order. */
	labels?: number[];
	synproxy?: { isn: number; its: number; tsoff: number };
}

export interface Expectation extends FullTuple {
	zone: number;
	/** Read with the family and protocol of the expectation; its own are only carried. */
	mask: FullTuple;
	master: FullTuple;
	class?: number;
	/** Seconds. */
	timeout?: number;
	id?: number;
	helper?: string;
	/** Expectation function, such as `nat-follow-master`. */
	fn?: string;
	/** NF_CT_EXPECT_* bits. */
	flags?: number;
	nat?: FullTuple & { direction: number };
}

export function conntrackFromRecord(record: R.ConntrackRecord, names: NameTable): Conntrack {
	const has = record[R.HAS]!;
	const protocols = record[R.PROTOCOLS]!;
	const unsigned = (at: number) => record[at]! >>> 0;
	const out: Conntrack = {
		family: familyName(protocols),
		protocol: protocols >>> 8,
		zoneOrig: record[R.ZONES]! & 0xffff,
		zoneReply: record[R.ZONES]! >>> 16,
		orig: readTuple(record, protocols, ORIG_AT),
	};
	if (has & R.H_REPLY) out.reply = readTuple(record, protocols, REPLY_AT);
	if (has & R.H_STATUS) out.status = unsigned(R.STATUS);
	if (has & R.H_TIMEOUT) out.timeout = unsigned(R.TIMEOUT);
	if (has & R.H_MARK) out.mark = unsigned(R.MARK);
	if (has & R.H_ID) out.id = unsigned(R.ID);
	if (has & R.H_TCP) {
		out.tcp = {
			state: nameState(P.TCP_STATES, P.tcpState(record)),
			scaleOrig: P.tcpScaleOrig(record),
			scaleReply: P.tcpScaleReply(record),
			flagsOrig: P.tcpFlagsOrig(record),
			flagsReply: P.tcpFlagsReply(record),
		};
	}
	if (has & R.H_SCTP) {
		out.sctp = {
			state: nameState(P.SCTP_STATES, P.sctpState(record)),
			vtagOrig: unsigned(R.VTAGS),
			vtagReply: unsigned(R.VTAGS + 1),
		};
	}
	if (has & R.H_HELPER) out.helper = names.name(record[R.HELPER]!);
	if (has & R.H_MASTER) {
		const at = record[R.MASTER_PROTOCOLS]!;
		const tuple = readFullTuple(record, at, MASTER_AT);
		out.master = { ...tuple, zone: record[R.MASTER_ZONE]! & 0xffff };
	}
	if (has & R.H_SEQ_ORIG) out.seqOrig = readSequence(record, R.SEQ_ORIG);
	if (has & R.H_SEQ_REPLY) out.seqReply = readSequence(record, R.SEQ_REPLY);
	if (has & R.H_LABELS) out.labels = [0, 1, 2, 3].map((i) => unsigned(R.LABELS + i));
	if (has & R.H_SYNPROXY) {
		out.synproxy = {
			isn: unsigned(R.SYNPROXY),
			its: unsigned(R.SYNPROXY + 1),
			tsoff: unsigned(R.SYNPROXY + 2),
		};
	}
	return out;
}

/**
 * The canonical record of a conntrack.
 *
 * @throws Error that names the field, for an address of the wrong family or a number out of range
 */
export function conntrackToRecord(conntrack: Conntrack, names: NameTable): R.ConntrackRecord {
	const record = R.newConntrackRecord();
	const protocols = packProtocols(conntrack.family, conntrack.protocol, "");
	const has = (bit: number) => {
		record[R.HAS] = record[R.HAS]! | bit;
	};
	record[R.PROTOCOLS] = protocols;
	record[R.ZONES] =
		uint(conntrack.zoneOrig, 16, "zoneOrig") | (uint(conntrack.zoneReply, 16, "zoneReply") << 16);
	writeTuple(record, protocols, ORIG_AT, conntrack.orig, "orig.");
	if (conntrack.reply) {
		has(R.H_REPLY);
		writeTuple(record, protocols, REPLY_AT, conntrack.reply, "reply.");
	}
	for (const [field, bit, at] of NUMBERS) {
		const value = conntrack[field];
		if (value === undefined) continue;
		has(bit);
		record[at] = uint(value, 32, field);
	}
	if (conntrack.tcp) {
		const { state, scaleOrig, scaleReply, flagsOrig, flagsReply } = conntrack.tcp;
		has(R.H_TCP);
		record[R.PROTOINFO] = P.packTcp(
			parseState(P.TCP_STATES, state, "tcp.state"),
			uint(scaleOrig, 4, "tcp.scaleOrig"),
			uint(scaleReply, 4, "tcp.scaleReply"),
			uint(flagsOrig, 8, "tcp.flagsOrig"),
			uint(flagsReply, 8, "tcp.flagsReply"),
		);
	}
	if (conntrack.sctp) {
		has(R.H_SCTP);
		record[R.PROTOINFO] = parseState(P.SCTP_STATES, conntrack.sctp.state, "sctp.state");
		record[R.VTAGS] = uint(conntrack.sctp.vtagOrig, 32, "sctp.vtagOrig");
		record[R.VTAGS + 1] = uint(conntrack.sctp.vtagReply, 32, "sctp.vtagReply");
	}
	if (conntrack.helper !== undefined) {
		has(R.H_HELPER);
		record[R.HELPER] = names.intern(conntrack.helper);
	}
	if (conntrack.master) {
		const { master } = conntrack;
		has(R.H_MASTER);
		record[R.MASTER_PROTOCOLS] = packProtocols(master.family, master.protocol, "master.");
		record[R.MASTER_ZONE] = uint(master.zone, 16, "master.zone");
		const at = record[R.MASTER_PROTOCOLS]!;
		writeTuple(record, at, MASTER_AT, master, "master.");
	}
	if (conntrack.seqOrig) {
		has(R.H_SEQ_ORIG);
		writeSequence(record, R.SEQ_ORIG, conntrack.seqOrig, "seqOrig.");
	}
	if (conntrack.seqReply) {
		has(R.H_SEQ_REPLY);
		writeSequence(record, R.SEQ_REPLY, conntrack.seqReply, "seqReply.");
	}
	if (conntrack.labels) {
		has(R.H_LABELS);
		if (conntrack.labels.length !== 4) throw new Error("labels: not four words");
		conntrack.labels.forEach((word, i) => {
			record[R.LABELS + i] = uint(word, 32, "labels");
		});
	}
	if (conntrack.synproxy) {
		has(R.H_SYNPROXY);
		record[R.SYNPROXY] = uint(conntrack.synproxy.isn, 32, "synproxy.isn");
		record[R.SYNPROXY + 1] = uint(conntrack.synproxy.its, 32, "synproxy.its");
		record[R.SYNPROXY + 2] = uint(conntrack.synproxy.tsoff, 32, "synproxy.tsoff");
	}
	return record;
}

export function expectationFromRecord(record: X.ExpectationRecord, names: NameTable): Expectation {
	const has = record[X.EXP_HAS]!;
	const protocols = record[X.EXP_PROTOCOLS]!;
	const master = record[X.EXP_MASTER_PROTOCOLS]!;
	const mask = record[X.EXP_MASK_PROTOCOLS]!;
	const out: Expectation = {
		...readFullTuple(record, protocols, EXPECTED_AT),
		zone: record[X.EXP_ZONE]! & 0xffff,
		mask: {
			...readTuple(record, protocols, MASK_AT),
			family: familyName(mask),
			protocol: mask >>> 8,
		},
		master: readFullTuple(record, master, EXP_MASTER_AT),
	};
	if (has & X.X_CLASS) out.class = record[X.EXP_CLASS]! >>> 0;
	if (has & X.X_TIMEOUT) out.timeout = record[X.EXP_TIMEOUT]! >>> 0;
	if (has & X.X_ID) out.id = record[X.EXP_ID]! >>> 0;
	if (has & X.X_HELPER) out.helper = names.name(record[X.EXP_HELPER]!);
	if (has & X.X_FN) out.fn = names.name(record[X.EXP_FN]!);
	if (has & X.X_FLAGS) out.flags = record[X.EXP_FLAGS]! >>> 0;
	if (has & X.X_NAT) {
		const nat = record[X.EXP_NAT_PROTOCOLS]!;
		const tuple = readFullTuple(record, nat, NAT_AT);
		out.nat = { ...tuple, direction: record[X.EXP_NAT_DIR]! >>> 0 };
	}
	return out;
}

/**
 * The canonical record of an expectation.
 *
 * @throws Error that names the field, for an address of the wrong family or a number out of range
 */
export function expectationToRecord(expectation: Expectation, names: NameTable): X.ExpectationRecord {
	const record = X.newExpectationRecord();
	const { mask, master, nat } = expectation;
	const has = (bit: number) => {
		record[X.EXP_HAS] = record[X.EXP_HAS]! | bit;
	};
	const protocols = packProtocols(expectation.family, expectation.protocol, "");
	record[X.EXP_PROTOCOLS] = protocols;
	record[X.EXP_ZONE] = uint(expectation.zone, 16, "zone");
	writeTuple(record, protocols, EXPECTED_AT, expectation, "");
	record[X.EXP_MASK_PROTOCOLS] = packProtocols(mask.family, mask.protocol, "mask.");
	writeTuple(record, protocols, MASK_AT, mask, "mask.");
	const ofMaster = packProtocols(master.family, master.protocol, "master.");
	record[X.EXP_MASTER_PROTOCOLS] = ofMaster;
	writeTuple(record, ofMaster, EXP_MASTER_AT, master, "master.");
	for (const [field, bit, at] of EXPECTATION_NUMBERS) {
		const value = expectation[field];
		if (value === undefined) continue;
		has(bit);
		record[at] = uint(value, 32, field);
	}
	if (expectation.helper !== undefined) {
		has(X.X_HELPER);
		record[X.EXP_HELPER] = names.intern(expectation.helper);
	}
	if (expectation.fn !== undefined) {
		has(X.X_FN);
		record[X.EXP_FN] = names.intern(expectation.fn);
	}
	if (nat) {
		const ofNat = packProtocols(nat.family, nat.protocol, "nat.");
		has(X.X_NAT);
		record[X.EXP_NAT_DIR] = uint(nat.direction, 32, "nat.direction");
		record[X.EXP_NAT_PROTOCOLS] = ofNat;
		writeTuple(record, ofNat, NAT_AT, nat, "nat.");
	}
	return record;
}

const NUMBERS = [
	["status", R.H_STATUS, R.STATUS],
	["timeout", R.H_TIMEOUT, R.TIMEOUT],
	["mark", R.H_MARK, R.MARK],
	["id", R.H_ID, R.ID],
] as const;

const EXPECTATION_NUMBERS = [
	["class", X.X_CLASS, X.EXP_CLASS],
	["timeout", X.X_TIMEOUT, X.EXP_TIMEOUT],
	["id", X.X_ID, X.EXP_ID],
	["flags", X.X_FLAGS, X.EXP_FLAGS],
] as const;

function nameState(names: readonly string[], state: number): string {
	return names[state] ?? String(state);
}

function parseState(names: readonly string[], state: string, place: string): number {
	const index = names.indexOf(state);
	if (index >= 0) return index;
	if (!/^\d+$/.test(state)) throw new Error(`${place}: unknown state ${state}`);
	return uint(Number(state), 8, place);
}

function readSequence(record: Int32Array, at: number): SequenceAdjustment {
	return {
		correctionPosition: record[at]! >>> 0,
		offsetBefore: record[at + 1]!,
		offsetAfter: record[at + 2]!,
	};
}

function writeSequence(record: Int32Array, at: number, sequence: SequenceAdjustment, place: string): void {
	record[at] = uint(sequence.correctionPosition, 32, `${place}correctionPosition`);
	record[at + 1] = int32(sequence.offsetBefore, `${place}offsetBefore`);
	record[at + 2] = int32(sequence.offsetAfter, `${place}offsetAfter`);
}
