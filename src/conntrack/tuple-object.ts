// One direction of a flow as a plain object: the part that the objects of conntrack.ts share, and where each tuple
// lies in a record.
import { formatAddress, parseAddress, storeAddress } from "./address.ts";
import * as X from "./expectation-record.ts";
import { AF_INET, AF_INET6, hasPorts, IPPROTO_GRE, isIcmp } from "./protocol.ts";
import * as R from "./record.ts";
import { destinationPort, icmpCode, icmpId, icmpType, sourcePort } from "./tuple.ts";

/** Layer 3 family; `unspec` where the kernel told none, its addresses are then IPv4's. */
export type Family = "ipv4" | "ipv6" | "unspec";

/** One direction of a flow. Which numbers are there depends on the layer 4 protocol alone. */
export interface Tuple {
	src: string;
	dst: string;
	/** TCP, UDP, UDP-Lite, SCTP, DCCP. */
	sport?: number;
	dport?: number;
	/** GRE: call ids. */
	srcKey?: number;
	dstKey?: number;
	/** ICMP and ICMPv6. */
	icmpType?: number;
	icmpCode?: number;
	icmpId?: number;
}

/** A tuple that says by itself how to read it. `protocol` is the number of linux/in.h. */
export interface FullTuple extends Tuple {
	family: Family;
	protocol: number;
}

/** The words of one tuple in a record: its ports word, and the first of each address. */
export interface TuplePlace {
	readonly ports: number;
	readonly src: number;
	readonly dst: number;
}

export const ORIG_AT: TuplePlace = { ports: R.ORIG_PORTS, src: R.ORIG_SRC, dst: R.ORIG_DST };
export const REPLY_AT: TuplePlace = { ports: R.REPLY_PORTS, src: R.REPLY_SRC, dst: R.REPLY_DST };
export const MASTER_AT: TuplePlace = { ports: R.MASTER_PORTS, src: R.MASTER_SRC, dst: R.MASTER_DST };
/** Of an expectation record. */
export const EXPECTED_AT: TuplePlace = { ports: X.EXP_PORTS, src: X.EXP_SRC, dst: X.EXP_DST };
export const MASK_AT: TuplePlace = { ports: X.EXP_MASK_PORTS, src: X.EXP_MASK_SRC, dst: X.EXP_MASK_DST };
export const EXP_MASTER_AT: TuplePlace = {
	ports: X.EXP_MASTER_PORTS,
	src: X.EXP_MASTER_SRC,
	dst: X.EXP_MASTER_DST,
};
export const NAT_AT: TuplePlace = { ports: X.EXP_NAT_PORTS, src: X.EXP_NAT_SRC, dst: X.EXP_NAT_DST };

const FAMILIES: Readonly<Record<Family, number>> = { ipv4: AF_INET, ipv6: AF_INET6, unspec: 0 };

export function familyName(protocols: number): Family {
	const family = protocols & 0xff;
	return family === AF_INET6 ? "ipv6" : family === AF_INET ? "ipv4" : "unspec";
}

export function packProtocols(family: Family, protocol: number, path: string): number {
	const number = FAMILIES[family];
	if (number === undefined) throw new Error(`${path}family: unknown family ${family}`);
	return number | (uint(protocol, 8, `${path}protocol`) << 8);
}

/** The number if it fits into so many bits; else an error that begins with the place. */
export function uint(value: number, bits: number, place: string): number {
	if (Number.isInteger(value) && value >= 0 && value < 2 ** bits) return value;
	throw new Error(`${place}: not a number of ${bits} bits: ${value}`);
}

export function int32(value: number, place: string): number {
	if ((value | 0) === value) return value;
	throw new Error(`${place}: not a signed number of 32 bits: ${value}`);
}

/** The tuple at a place, read as `protocols` (family | protocol << 8) says. */
export function readTuple(words: Int32Array, protocols: number, at: TuplePlace): Tuple {
	const ipv6 = (protocols & 0xff) === AF_INET6;
	const protocol = protocols >>> 8;
	const ports = words[at.ports]!;
	const addresses = { src: formatAddress(words, at.src, ipv6), dst: formatAddress(words, at.dst, ipv6) };
	if (isIcmp(protocol)) {
		return { ...addresses, icmpType: icmpType(ports), icmpCode: icmpCode(ports), icmpId: icmpId(ports) };
	}
	if (!hasPorts(protocol)) return addresses;
	const source = sourcePort(ports);
	const destination = destinationPort(ports);
	return protocol === IPPROTO_GRE
		? { ...addresses, srcKey: source, dstKey: destination }
		: { ...addresses, sport: source, dport: destination };
}

export function readFullTuple(words: Int32Array, protocols: number, at: TuplePlace): FullTuple {
	return {
		family: familyName(protocols),
		protocol: protocols >>> 8,
		...readTuple(words, protocols, at),
	};
}

/** Writes the tuple to a place; errors begin with `path`, the field that holds it. */
export function writeTuple(
	words: Int32Array,
	protocols: number,
	at: TuplePlace,
	tuple: Tuple,
	path: string,
): void {
	const protocol = protocols >>> 8;
	const number = (field: Exclude<keyof Tuple, "src" | "dst">, bits = 16) => {
		const value = tuple[field];
		if (value === undefined) throw new Error(`${path}${field}: missing`);
		return uint(value, bits, `${path}${field}`);
	};
	for (const field of ["src", "dst"] as const) {
		const bytes = parseAddress(tuple[field]);
		const ipv6 = (protocols & 0xff) === AF_INET6;
		if (bytes?.length !== (ipv6 ? 16 : 4)) {
			throw new Error(`${path}${field}: not an ${ipv6 ? "IPv6" : "IPv4"} address: ${tuple[field]}`);
		}
		storeAddress(words, at[field], bytes);
	}
	if (isIcmp(protocol)) {
		words[at.ports] = number("icmpId") | (number("icmpType", 8) << 16) | (number("icmpCode", 8) << 24);
	} else if (protocol === IPPROTO_GRE) {
		words[at.ports] = number("srcKey") | (number("dstKey") << 16);
	} else if (hasPorts(protocol)) {
		words[at.ports] = number("sport") | (number("dport") << 16);
	}
}
