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

/**
 * Lower-cased names and IANA's protocol numbers (iana.org/assignments/protocol-numbers): whatever /etc/protocols has, where
 * conntrackd looks. The first name of a number is the one printed.
 */
const PROTOCOLS: ReadonlyMap<string, number> = new Map([
	["icmp", IPPROTO_ICMP],
	["igmp", 2],
	["ggp", 3],
	["ipencap", 4],
	["ip-encap", 4],
	["st", 5],
	["tcp", IPPROTO_TCP],
	["egp", 8],
	["igp", 9],
	["pup", 12],
	["udp", IPPROTO_UDP],
	["hmp", 20],
	["xns-idp", 22],
	["rdp", 27],
	["iso-tp4", 29],
	["dccp", IPPROTO_DCCP],
	["xtp", 36],
	["ddp", 37],
	["idpr-cmtp", 38],
	["ipv6", 41],
	["ipv6-route", 43],
	["ipv6-frag", 44],
	["idrp", 45],
	["rsvp", 46],
	["gre", IPPROTO_GRE],
	["esp", 50],
	["ipsec-esp", 50],
	["ah", 51],
	["ipsec-ah", 51],
	["skip", 57],
	["ipv6-icmp", IPPROTO_ICMPV6],
	["icmpv6", IPPROTO_ICMPV6],
	["ipv6-nonxt", 59],
	["ipv6-opts", 60],
	["rspf", 73],
	["vmtp", 81],
	["eigrp", 88],
	["ospf", 89],
	["ospfigp", 89],
	["ax.25", 93],
	["ipip", 94],
	["etherip", 97],
	["encap", 98],
	["pim", 103],
	["ipcomp", 108],
	["vrrp", 112],
	["l2tp", 115],
	["isis", 124],
	["sctp", IPPROTO_SCTP],
	["fc", 133],
	["mobility-header", 135],
	["udplite", IPPROTO_UDPLITE],
	["mpls-in-ip", 137],
	["manet", 138],
	["hip", 139],
	["shim6", 140],
	["wesp", 141],
	["rohc", 142],
	["ethernet", 143],
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
