// The line that `-i` and `-e` print for a conntrack or an expectation: the columns of conntrack(8) `-L` without
// timeout, counters and use count. Scripts parse it, so every space counts.
import { formatAddress } from "./address.ts";
import {
	EXP_CLASS,
	EXP_FLAGS,
	EXP_HAS,
	EXP_HELPER,
	EXP_MASTER_PROTOCOLS,
	EXP_PROTOCOLS,
	EXP_ZONE,
	type ExpectationRecord,
	X_CLASS,
	X_FLAGS,
	X_HELPER,
} from "./expectation-record.ts";
import type { NameTable } from "./names.ts";
import { AF_INET6, hasPorts, IPPROTO_GRE, isIcmp, protocolName } from "./protocol.ts";
import { SCTP_STATES, sctpState, TCP_STATES, tcpState } from "./protoinfo.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_ID,
	H_MARK,
	H_REPLY,
	H_SCTP,
	H_STATUS,
	H_TCP,
	HAS,
	HELPER,
	ID,
	MARK,
	PROTOCOLS,
	STATUS,
	ZONES,
} from "./record.ts";
import { IPS_ASSURED, IPS_HW_OFFLOAD, IPS_OFFLOAD, IPS_SEEN_REPLY } from "./status.ts";
import { destinationPort, icmpCode, icmpId, icmpType, sourcePort } from "./tuple.ts";
import { EXP_MASTER_AT, EXPECTED_AT, MASK_AT, ORIG_AT, REPLY_AT, type TuplePlace } from "./tuple-object.ts";

/** What went in one direction, as the kernel has counted it: whole packets, bytes from the layer 3 header on. */
export interface DirectionCount {
	packets: bigint;
	bytes: bigint;
}

/** The account of a flow, as far as the kernel tells it. */
export interface FlowAccount {
	readonly orig: DirectionCount | undefined;
	readonly reply: DirectionCount | undefined;
	/** Seconds of the wall clock since 1970. */
	readonly startedAt: number | undefined;
	readonly stoppedAt: number | undefined;
}

export interface FormatOptions {
	/** Show the reply tuple, if the record has one: `-i` does, `-e` does not. */
	reply: boolean;
	/** Show the kernel's id, if the record has one. */
	id?: boolean;
	/** Show what went in each direction, and for how long: what conntrackd writes of a flow that has ended. */
	account?: FlowAccount;
}

/** NF_CT_EXPECT_* in the order of their bits (linux/netfilter/nf_conntrack_common.h). */
export const EXPECT_FLAGS: readonly string[] = ["PERMANENT", "INACTIVE", "USERSPACE"];

/** One line without a newline. Zones are told once where both directions have the same, else per direction. */
export function formatConntrack(record: ConntrackRecord, names: NameTable, options: FormatOptions): string {
	const has = record[HAS]!;
	const protocols = record[PROTOCOLS]!;
	const protocol = protocols >>> 8;
	const zones = splitZones(record[ZONES]!);
	const state = stateName(record);
	const status = (has & H_STATUS) === 0 ? IPS_SEEN_REPLY : record[STATUS]!;
	let line = `${protocolName(protocol).padEnd(8)} ${protocol}`;
	if (state !== undefined) line += ` ${state}`;
	line += ` ${formatTuple(record, protocols, ORIG_AT)}`;
	if (zones.orig !== 0) line += ` zone-orig=${zones.orig}`;
	line += formatCount(options.account?.orig);
	if ((status & IPS_SEEN_REPLY) === 0) line += " [UNREPLIED]";
	if (options.reply && (has & H_REPLY) !== 0) {
		line += ` ${formatTuple(record, protocols, REPLY_AT)}`;
	}
	if (zones.reply !== 0) line += ` zone-reply=${zones.reply}`;
	line += formatCount(options.account?.reply);
	// an offloaded flow is shown as such, assured or not
	if ((status & IPS_HW_OFFLOAD) !== 0) line += " [HW_OFFLOAD]";
	else if ((status & IPS_OFFLOAD) !== 0) line += " [OFFLOAD]";
	else if ((status & IPS_ASSURED) !== 0) line += " [ASSURED]";
	if ((has & H_MARK) !== 0) line += ` mark=${record[MARK]! >>> 0}`;
	if (zones.both !== 0) line += ` zone=${zones.both}`;
	const { startedAt, stoppedAt } = options.account ?? {};
	if (startedAt !== undefined && stoppedAt !== undefined) line += ` delta-time=${stoppedAt - startedAt}`;
	const helper = (has & H_HELPER) === 0 ? "" : names.name(record[HELPER]!);
	if (helper !== "") line += ` helper=${printable(helper)}`;
	if (options.id && (has & H_ID) !== 0) line += ` id=${record[ID]! >>> 0}`;
	return line;
}

function formatCount(count: DirectionCount | undefined): string {
	return count ? ` packets=${count.packets} bytes=${count.bytes}` : "";
}

/** One line without a newline. The mask is read with the family and protocol of the expected tuple. */
export function formatExpectation(record: ExpectationRecord, names: NameTable): string {
	const has = record[EXP_HAS]!;
	const protocols = record[EXP_PROTOCOLS]!;
	const flags = (has & X_FLAGS) === 0 ? [] : expectFlags(record[EXP_FLAGS]!);
	const master = record[EXP_MASTER_PROTOCOLS]!;
	let line =
		`proto=${protocols >>> 8} ${formatTuple(record, protocols, EXPECTED_AT)} ` +
		`${formatTuple(record, protocols, MASK_AT, "mask-")} ` +
		`${formatTuple(record, master, EXP_MASTER_AT, "master-")}`;
	if (record[EXP_ZONE] !== 0) line += ` zone=${record[EXP_ZONE]}`;
	if (flags.length > 0) line += ` ${flags.join(",")}`;
	if ((has & X_CLASS) !== 0) line += ` class=${record[EXP_CLASS]! >>> 0}`;
	const helper = (has & X_HELPER) === 0 ? "" : names.name(record[EXP_HELPER]!);
	if (helper !== "") line += ` helper=${printable(helper)}`;
	return line;
}

/** The TCP or SCTP state by name; a number without one is NONE, and other protocols have no state. */
export function stateName(record: ConntrackRecord): string | undefined {
	if ((record[HAS]! & H_TCP) !== 0) return TCP_STATES[tcpState(record)] ?? "NONE";
	if ((record[HAS]! & H_SCTP) !== 0) return SCTP_STATES[sctpState(record)] ?? "NONE";
	return undefined;
}

/** The names of the NF_CT_EXPECT_* bits that are set. */
export function expectFlags(flags: number): string[] {
	return EXPECT_FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0);
}

/** Where a ZONES word has to be shown: `both` if the directions agree, else `orig` and `reply`; 0 is not shown. */
export function splitZones(word: number): { orig: number; reply: number; both: number } {
	const orig = word & 0xffff;
	const reply = word >>> 16;
	return orig === reply ? { orig: 0, reply: 0, both: orig } : { orig, reply, both: 0 };
}

/** Names reach us from peers: one must not be able to break out of its line or column. */
function printable(name: string): string {
	return name.replace(/[^\x21-\x7e]/g, "?");
}

function formatTuple(words: Int32Array, protocols: number, at: TuplePlace, prefix = ""): string {
	const ipv6 = (protocols & 0xff) === AF_INET6;
	const protocol = protocols >>> 8;
	const ports = words[at.ports]!;
	const src = formatAddress(words, at.src, ipv6);
	const text = `${prefix}src=${src} ${prefix}dst=${formatAddress(words, at.dst, ipv6)}`;
	if (isIcmp(protocol)) return `${text} type=${icmpType(ports)} code=${icmpCode(ports)} id=${icmpId(ports)}`;
	if (protocol === IPPROTO_GRE) {
		return `${text} srckey=0x${sourcePort(ports).toString(16)} dstkey=0x${destinationPort(ports).toString(16)}`;
	}
	return hasPorts(protocol) ? `${text} sport=${sourcePort(ports)} dport=${destinationPort(ports)}` : text;
}
