// Names of protocols and TCP states as they stand in filter lists.
import {
	IPPROTO_DCCP,
	IPPROTO_GRE,
	IPPROTO_ICMP,
	IPPROTO_ICMPV6,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
} from "../conntrack/protocol.ts";

/** Lower-cased names and IANA's protocol numbers; the first name of a number is the one printed. */
const PROTOCOLS: ReadonlyMap<string, number> = new Map([
	["tcp", IPPROTO_TCP],
	["udp", IPPROTO_UDP],
	["udplite", IPPROTO_UDPLITE],
	["sctp", IPPROTO_SCTP],
	["dccp", IPPROTO_DCCP],
	["icmp", IPPROTO_ICMP],
	["ipv6-icmp", IPPROTO_ICMPV6],
	["icmpv6", IPPROTO_ICMPV6],
	["gre", IPPROTO_GRE],
	["esp", 50],
	["ah", 51],
]);

/** TCP_CONNTRACK_* (linux/netfilter/nf_conntrack_tcp.h); LISTEN is the old name of SYN_SENT2. */
const TCP_STATES: ReadonlyMap<string, number> = new Map([
	["SYN_SENT", 1],
	["SYN_RECV", 2],
	["ESTABLISHED", 3],
	["FIN_WAIT", 4],
	["CLOSE_WAIT", 5],
	["LAST_ACK", 6],
	["TIME_WAIT", 7],
	["CLOSED", 8],
	["CLOSE", 8],
	["LISTEN", 9],
]);

export const PROTOCOL_NAMES: readonly string[] = [...PROTOCOLS.keys()];
export const TCP_STATE_NAMES: readonly string[] = [...TCP_STATES.keys()];

/** The number of a protocol given by name, in any case, or as a number 0 to 255. */
export function parseProtocol(text: string): number | undefined {
	if (/^[0-9]{1,3}$/.test(text)) return Number(text) <= 255 ? Number(text) : undefined;
	return PROTOCOLS.get(text.toLowerCase());
}

/** The name as /etc/protocols has it, or the number. */
export function formatProtocol(protocol: number): string {
	return nameOf(PROTOCOLS, protocol) ?? String(protocol);
}

export function parseTcpState(text: string): number | undefined {
	return TCP_STATES.get(text);
}

export function formatTcpState(state: number): string {
	return nameOf(TCP_STATES, state) ?? String(state);
}

function nameOf(numbers: ReadonlyMap<string, number>, wanted: number): string | undefined {
	for (const [name, number] of numbers) if (number === wanted) return name;
	return undefined;
}
