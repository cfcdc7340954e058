// For tests: entries of every kind that the kernel takes, and what it makes of them.
import type { Conntrack, Expectation } from "../conntrack/conntrack.ts";

/** Seconds that every entry is given. */
export const TIMEOUT = 5000;

export const TCP = {
	family: "ipv4",
	protocol: 6,
	zoneOrig: 0,
	zoneReply: 0,
	orig: { src: "192.0.2.1", dst: "198.51.100.2", sport: 1000, dport: 443 },
	reply: { src: "198.51.100.2", dst: "192.0.2.1", sport: 443, dport: 1000 },
	status: 0xe,
	timeout: TIMEOUT,
	tcp: { state: "ESTABLISHED", scaleOrig: 7, scaleReply: 9, flagsOrig: 0xb, flagsReply: 0xb },
} satisfies Conntrack;
const { tcp: _, ...withoutTcp } = TCP;
export const UDP = { ...withoutTcp, protocol: 17 };

/** Different UDP entries; their source ports count up from the first. */
export function udpEntries(count: number, first = 1): Conntrack[] {
	return Array.from({ length: count }, (_, i) => ({
		...UDP,
		orig: { ...UDP.orig, sport: first + i },
		reply: { ...UDP.reply, dport: first + i },
	}));
}
export const V6 = { src: "2001:db8::1", dst: "2001:db8:1::2" };
export const V6_BACK = { src: V6.dst, dst: V6.src };
const V4 = { src: "192.0.2.1", dst: "198.51.100.2" };
const V4_BACK = { src: V4.dst, dst: V4.src };

export const CONTROL: Conntrack = {
	...TCP,
	orig: { ...V4, sport: 40000, dport: 21 },
	reply: { ...V4_BACK, sport: 21, dport: 40000 },
	status: 0x200e,
	helper: "ftp",
};
export const MASTER = { family: "ipv4", protocol: 6, ...CONTROL.orig, zone: 0 } as const;

/** An entry, and what the kernel makes of it where that is something else. */
export const CASES: [name: string, conntrack: Conntrack, differs?: Partial<Conntrack>][] = [
	["TCP", TCP],
	[
		"TCP over IPv6",
		{ ...TCP, family: "ipv6", orig: { ...TCP.orig, ...V6 }, reply: { ...TCP.reply, ...V6_BACK } },
	],
	["UDP", UDP],
	[
		"UDP over IPv6",
		{ ...UDP, family: "ipv6", orig: { ...UDP.orig, ...V6 }, reply: { ...UDP.reply, ...V6_BACK } },
	],
	["UDP-Lite", { ...UDP, protocol: 136 }],
	[
		"SCTP",
		{ ...UDP, protocol: 132, sctp: { state: "ESTABLISHED", vtagOrig: 0xdeadbeef, vtagReply: 0x01020304 } },
	],
	[
		"ICMP",
		{
			...UDP,
			protocol: 1,
			orig: { ...V4, icmpType: 8, icmpCode: 0, icmpId: 0x1234 },
			reply: { ...V4_BACK, icmpType: 0, icmpCode: 0, icmpId: 0x1234 },
		},
	],
	[
		"ICMP with source NAT of address and id",
		{
			...UDP,
			protocol: 1,
			orig: { ...V4, icmpType: 8, icmpCode: 0, icmpId: 0x1234 },
			reply: { src: V4.dst, dst: "203.0.113.9", icmpType: 0, icmpCode: 0, icmpId: 0x4321 },
		},
		{ status: 0x19e },
	],
	[
		"ICMPv6",
		{
			...UDP,
			family: "ipv6",
			protocol: 58,
			orig: { ...V6, icmpType: 128, icmpCode: 0, icmpId: 0xfffe },
			reply: { ...V6_BACK, icmpType: 129, icmpCode: 0, icmpId: 0xfffe },
		},
	],
	[
		"GRE with keys",
		{
			...UDP,
			protocol: 47,
			orig: { ...V4, srcKey: 0xabcd, dstKey: 1 },
			reply: { ...V4_BACK, srcKey: 1, dstKey: 0xabcd },
		},
	],
	["OSPF, a protocol without a tracker", { ...UDP, protocol: 89, orig: V4, reply: V4_BACK }],
	[
		"OSPF over IPv6 with source NAT",
		{ ...UDP, family: "ipv6", protocol: 89, orig: V6, reply: { src: V6.dst, dst: "2001:db8::9" } },
		{ status: 0x19e },
	],
	["TCP with source NAT", { ...TCP, reply: { ...TCP.reply, dst: "203.0.113.9" } }, { status: 0x19e }],
	[
		"TCP with source NAT of address and port",
		{ ...TCP, reply: { ...TCP.reply, dst: "203.0.113.9", dport: 62000 } },
		{ status: 0x19e },
	],
	["TCP with source NAT of the port", { ...TCP, reply: { ...TCP.reply, dport: 62000 } }, { status: 0x19e }],
	["TCP with destination NAT", { ...TCP, reply: { ...TCP.reply, src: "10.0.0.5" } }, { status: 0x1ae }],
	[
		"TCP with destination NAT of the port",
		{ ...TCP, reply: { ...TCP.reply, sport: 8443 } },
		{ status: 0x1ae },
	],
	[
		"TCP with both, over IPv6",
		{
			...TCP,
			family: "ipv6",
			orig: { ...TCP.orig, ...V6 },
			reply: { src: "2001:db8:5::5", dst: "2001:db8:9::9", sport: 8443, dport: 62000 },
		},
		{ status: 0x1be },
	],
	[
		"TCP with sequence adjustments",
		{
			...TCP,
			seqOrig: { correctionPosition: 0xfffffffe, offsetBefore: 2, offsetAfter: 4 },
			seqReply: { correctionPosition: 2000, offsetBefore: -3, offsetAfter: -6 },
		},
		{ status: 0x4e },
	],
	["TCP with a helper", CONTROL],
	["a mark of all bits", { ...TCP, mark: 0xffffffff }],
	["a synproxy", { ...TCP, synproxy: { isn: 0xffffffff, its: 2, tsoff: 0x80000000 } }],
	["a zone", { ...TCP, zoneOrig: 7, zoneReply: 7 }],
	["a zone of the original direction", { ...TCP, zoneOrig: 7, zoneReply: 0 }],
	["a zone of the reply direction", { ...TCP, zoneOrig: 0, zoneReply: 0xfffe }],
	["a fixed timeout", { ...TCP, status: 0x40e }],
	[
		"a status of which only some bits can be asked for",
		{ ...TCP, status: 0x5fff },
		{ status: 0x40e }, // SEEN_REPLY, ASSURED, CONFIRMED, FIXED_TIMEOUT
	],
	["nothing seen yet", { ...UDP, status: 0 }, { status: 0x8 }],
	...["SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT", "CLOSE", "SYN_SENT2"].map(
		(state): [string, Conntrack] => [`TCP in ${state}`, { ...TCP, tcp: { ...TCP.tcp, state } }],
	),
];

/** Without the id, which is the kernel's; the mark of zero is none, and a second may have passed. */
export function comparable({ id: _, mark, timeout, ...rest }: Conntrack): Conntrack {
	const isFresh = timeout !== undefined && timeout <= TIMEOUT && timeout >= TIMEOUT - 2;
	return { ...rest, ...(mark ? { mark } : {}), timeout: isFresh ? TIMEOUT : timeout! };
}

/** Of CONTROL. */
export const EXPECTATION: Expectation = {
	family: "ipv4",
	protocol: 6,
	zone: 0,
	src: "198.51.100.2",
	dst: "192.0.2.1",
	sport: 0,
	dport: 0x8081,
	mask: {
		family: "ipv4",
		protocol: 6,
		src: "255.255.255.255",
		dst: "255.255.255.255",
		sport: 0,
		dport: 0xffff,
	},
	master: { family: "ipv4", protocol: 6, ...CONTROL.orig },
	class: 0,
	timeout: 300,
	helper: "ftp",
	flags: 0,
};
export const NAT = {
	family: "ipv4",
	protocol: 6,
	src: "0.0.0.0",
	dst: "0.0.0.0",
	sport: 0x8082,
	dport: 0,
} as const;
