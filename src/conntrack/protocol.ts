// Numbers and names of layer 3 and layer 4 protocols (linux/in.h), and what their tuples carry.

export const AF_INET = 2;
export const AF_INET6 = 10;

export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_DCCP = 33;
export const IPPROTO_GRE = 47;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;
export const IPPROTO_UDPLITE = 136;

/** Names as conntrack(8) prints them; a protocol without one is "unknown". */
const NAMES: ReadonlyMap<number, string> = new Map([
	[IPPROTO_ICMP, "icmp"],
	[IPPROTO_TCP, "tcp"],
	[IPPROTO_UDP, "udp"],
	[IPPROTO_DCCP, "dccp"],
	[IPPROTO_GRE, "gre"],
	[IPPROTO_ICMPV6, "icmpv6"],
	[IPPROTO_SCTP, "sctp"],
	[IPPROTO_UDPLITE, "udplite"],
]);

export function protocolName(protocol: number): string {
	return NAMES.get(protocol) ?? "unknown";
}

/** Whether tuples of the protocol carry a pair of ports (GRE: call ids in their place). */
export function hasPorts(protocol: number): boolean {
	switch (protocol) {
		case IPPROTO_TCP:
		case IPPROTO_UDP:
		case IPPROTO_UDPLITE:
		case IPPROTO_SCTP:
		case IPPROTO_DCCP:
		case IPPROTO_GRE:
			return true;
		default:
			return false;
	}
}

export function isIcmp(protocol: number): boolean {
	return protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
}
