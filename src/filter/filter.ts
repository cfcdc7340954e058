// Which conntracks count: the Filter clauses of the configuration, ANDed, and our own traffic, which never does.
//
// Address looks at the original source and at the reply source, which is the real destination. State looks at TCP
// only; other protocols pass it. (conntrackd.conf(5), clause Filter.)
import { IPPROTO_TCP } from "../conntrack/protocol.ts";
import { tcpState } from "../conntrack/protoinfo.ts";
import {
	type ConntrackRecord,
	H_REPLY,
	H_TCP,
	HAS,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	REPLY_SRC,
} from "../conntrack/record.ts";
import { destinationPort } from "../conntrack/tuple.ts";
import { type Prefix, PrefixSet } from "./prefix-set.ts";

export interface FilterPolicy {
	protocol?: { accept: boolean; protocols: readonly number[] };
	address?: { accept: boolean; rules: readonly Prefix[] };
	state?: { accept: boolean; tcpStates: readonly number[] };
}

/** A dedicated link: what goes to this address and port is the replication itself. */
export interface OwnTraffic {
	/** IPPROTO_UDP or IPPROTO_TCP. */
	protocol: number;
	address: Uint8Array;
	port: number;
}

export class Filter {
	readonly #protocols: Uint8Array | undefined;
	readonly #acceptProtocols: boolean;
	readonly #addresses: PrefixSet | undefined;
	readonly #acceptAddresses: boolean;
	readonly #states: Uint8Array | undefined;
	readonly #acceptStates: boolean;
	/** Addresses of our own links by protocol and port. */
	readonly #own = new Map<number, PrefixSet>();
	readonly #ownProtocols: Uint8Array;

	constructor(policy: FilterPolicy, own: readonly OwnTraffic[]) {
		this.#protocols = policy.protocol && setOf(policy.protocol.protocols);
		this.#acceptProtocols = policy.protocol?.accept ?? true;
		this.#addresses = policy.address && new PrefixSet(policy.address.rules);
		this.#acceptAddresses = policy.address?.accept ?? true;
		this.#states = policy.state && setOf(policy.state.tcpStates);
		this.#acceptStates = policy.state?.accept ?? true;
		this.#ownProtocols = setOf(own.map(({ protocol }) => protocol));
		for (const key of new Set(own.map(keyOf))) {
			const prefixes = own.filter((link) => keyOf(link) === key).map(({ address }) => hostPrefix(address));
			this.#own.set(key, new PrefixSet(prefixes));
		}
	}

	/** Whether the conntrack is to be replicated. */
	passes(record: ConntrackRecord): boolean {
		const family = record[PROTOCOLS]! & 0xff;
		const protocol = (record[PROTOCOLS]! >>> 8) & 0xff;
		if (this.#ownProtocols[protocol] === 1) {
			const own = this.#own.get(keyOf({ protocol, port: destinationPort(record[ORIG_PORTS]!) }));
			if (own?.has(family, record, ORIG_DST)) return false;
		}
		if (this.#protocols && (this.#protocols[protocol] === 1) !== this.#acceptProtocols) return false;
		if (this.#addresses) {
			const isListed =
				this.#addresses.has(family, record, ORIG_SRC) ||
				this.#addresses.has(family, record, (record[HAS]! & H_REPLY) !== 0 ? REPLY_SRC : ORIG_DST);
			if (isListed !== this.#acceptAddresses) return false;
		}
		if (this.#states && protocol === IPPROTO_TCP && (record[HAS]! & H_TCP) !== 0) {
			if ((this.#states[tcpState(record)] === 1) !== this.#acceptStates) return false;
		}
		return true;
	}
}

const keyOf = ({ protocol, port }: Pick<OwnTraffic, "protocol" | "port">): number => (protocol << 16) | port;

function hostPrefix(address: Uint8Array): Prefix {
	return { family: address.length === 16 ? 6 : 4, address, prefixLength: address.length * 8 };
}

function setOf(numbers: readonly number[]): Uint8Array {
	const set = new Uint8Array(256);
	for (const number of numbers) set[number] = 1;
	return set;
}
