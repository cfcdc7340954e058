// How long this kernel lets an entry live without a packet, by protocol and state: for entries whose origin did not
// say, because hardware forwards them (an offloaded flow is dumped without a timeout).
import {
	IPPROTO_GRE,
	IPPROTO_ICMP,
	IPPROTO_ICMPV6,
	IPPROTO_SCTP,
	IPPROTO_TCP,
	IPPROTO_UDP,
	IPPROTO_UDPLITE,
} from "../conntrack/protocol.ts";
import { sctpState, TCP_ESTABLISHED, tcpState } from "../conntrack/protoinfo.ts";
import { type ConntrackRecord, H_SCTP, H_TCP, HAS, PROTOCOLS, STATUS } from "../conntrack/record.ts";
import { IPS_ASSURED } from "../conntrack/status.ts";
import type { Sysctl } from "../system/sysctl.ts";

/** By state (TCP_CONNTRACK_*): the setting's name, and the kernel's own default (nf_conntrack_proto_tcp.c), seconds. */
const TCP: readonly (readonly [name: string, seconds: number])[] = [
	["syn_sent", 120],
	["syn_sent", 120],
	["syn_recv", 60],
	["established", 432_000],
	["fin_wait", 120],
	["close_wait", 60],
	["last_ack", 30],
	["time_wait", 120],
	["close", 10],
	["syn_sent", 120],
];
/** The same for SCTP (SCTP_CONNTRACK_*, nf_conntrack_proto_sctp.c). */
const SCTP: readonly (readonly [name: string, seconds: number])[] = [
	["closed", 10],
	["closed", 10],
	["cookie_wait", 3],
	["cookie_echoed", 3],
	["established", 210],
	["shutdown_sent", 3],
	["shutdown_recd", 3],
	["shutdown_ack_sent", 3],
	["heartbeat_sent", 30],
	["established", 210],
];
const SCTP_ESTABLISHED = 4;

export class KernelTimeouts {
	readonly #sysctl: Sysctl;
	/** What has been read, until `forget`. Bounded by the names above. */
	readonly #known = new Map<string, number>();

	constructor(sysctl: Sysctl) {
		this.#sysctl = sysctl;
	}

	/** The settings may have changed. */
	forget(): void {
		this.#known.clear();
	}

	/** Seconds that the kernel would give the entry after a packet. */
	secondsFor(record: ConntrackRecord): number {
		const isAssured = (record[STATUS]! & IPS_ASSURED) !== 0;
		switch ((record[PROTOCOLS]! >>> 8) & 0xff) {
			case IPPROTO_TCP: {
				const state = (record[HAS]! & H_TCP) !== 0 ? tcpState(record) : TCP_ESTABLISHED;
				const [name, seconds] = TCP[state] ?? TCP[TCP_ESTABLISHED]!;
				return this.#read(`tcp_timeout_${name}`, seconds);
			}
			case IPPROTO_SCTP: {
				const state = (record[HAS]! & H_SCTP) !== 0 ? sctpState(record) : SCTP_ESTABLISHED;
				const [name, seconds] = SCTP[state] ?? SCTP[SCTP_ESTABLISHED]!;
				return this.#read(`sctp_timeout_${name}`, seconds);
			}
			case IPPROTO_UDP:
			case IPPROTO_UDPLITE:
				return isAssured ? this.#read("udp_timeout_stream", 120) : this.#read("udp_timeout", 30);
			case IPPROTO_GRE:
				return isAssured ? this.#read("gre_timeout_stream", 180) : this.#read("gre_timeout", 30);
			case IPPROTO_ICMP:
				return this.#read("icmp_timeout", 30);
			case IPPROTO_ICMPV6:
				return this.#read("icmpv6_timeout", 30);
			default:
				return this.#read("generic_timeout", 600);
		}
	}

	#read(name: string, fallback: number): number {
		let seconds = this.#known.get(name);
		if (seconds === undefined) {
			seconds = this.#sysctl(`net.netfilter.nf_conntrack_${name}`) ?? fallback;
			this.#known.set(name, seconds);
		}
		return seconds;
	}
}
