// One direction of a flow inside a record: addresses and the word that holds its ports, ICMP id, or GRE keys.
//
// The ports word: source | destination << 16 for TCP, UDP, UDP-Lite, SCTP, DCCP and (call ids) GRE;
// id | type << 16 | code << 24 for ICMP and ICMPv6; 0 for every other protocol.
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from "./protocol.ts";
import {
	type ConntrackRecord,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
} from "./record.ts";

export const sourcePort = (ports: number): number => ports & 0xffff;
export const destinationPort = (ports: number): number => ports >>> 16;
export const icmpId = (ports: number): number => ports & 0xffff;
export const icmpType = (ports: number): number => (ports >>> 16) & 0xff;
export const icmpCode = (ports: number): number => ports >>> 24;

/** Which type answers which (nf_conntrack_proto_icmp.c and _icmpv6.c, invmap); others have no reply tuple. */
const ICMP_INVERSE: ReadonlyMap<number, number> = new Map([
	[8, 0],
	[0, 8],
	[13, 14],
	[14, 13],
	[15, 16],
	[16, 15],
	[17, 18],
	[18, 17],
]);
const ICMPV6_INVERSE: ReadonlyMap<number, number> = new Map([
	[128, 129],
	[129, 128],
	[139, 140],
	[140, 139],
]);

/** The ports word of the opposite direction when nothing is translated. */
export function invertPorts(protocol: number, ports: number): number {
	if (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6) {
		const map = protocol === IPPROTO_ICMP ? ICMP_INVERSE : ICMPV6_INVERSE;
		const type = icmpType(ports);
		return (ports & ~0xff0000) | ((map.get(type) ?? type) << 16);
	}
	return (ports >>> 16) | (ports << 16);
}

/** Writes the reply tuple that belongs to the original one when nothing is translated. */
export function invertTuple(record: ConntrackRecord): void {
	record[REPLY_PORTS] = invertPorts((record[PROTOCOLS]! >>> 8) & 0xff, record[ORIG_PORTS]!);
	for (let i = 0; i < 4; i++) {
		record[REPLY_SRC + i] = record[ORIG_DST + i]!;
		record[REPLY_DST + i] = record[ORIG_SRC + i]!;
	}
}

/** Whether the reply tuple is the plain inverse of the original one: no address or port translation. */
export function isPlainReply(record: ConntrackRecord): boolean {
	for (let i = 0; i < 4; i++) {
		if (record[REPLY_SRC + i] !== record[ORIG_DST + i]) return false;
		if (record[REPLY_DST + i] !== record[ORIG_SRC + i]) return false;
	}
	return record[REPLY_PORTS] === invertPorts((record[PROTOCOLS]! >>> 8) & 0xff, record[ORIG_PORTS]!);
}
