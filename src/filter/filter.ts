// Which conntracks count: the Filter clauses of the configuration, ANDed, and our own traffic, which never does.
//
// What Protocol, Address and Zone say of a connection holds for its life. Mark and Label may say something else after each
// packet, and then the connection comes or goes (`belongs`). State only says when there is something to tell: a
// connection that was taken stays in a state that is not listed, as in conntrackd.
//
// Address looks at the original source and at the reply source, which is the real destination. State looks at TCP
// only; other protocols pass it. (conntrackd.conf(5), clause Filter.)
import { type LabelMask, labelMask } from "../conntrack/labels.ts";
import { IPPROTO_TCP } from "../conntrack/protocol.ts";
import { tcpState } from "../conntrack/protoinfo.ts";
import {
	type ConntrackRecord,
	H_LABELS,
	H_MARK,
	H_REPLY,
	H_TCP,
	H_WHOLE,
	HAS,
	LABELS,
	MARK,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	REPLY_SRC,
	ZONES,
} from "../conntrack/record.ts";
import { destinationPort } from "../conntrack/tuple.ts";
import { type Prefix, PrefixSet } from "./prefix-set.ts";

export interface FilterPolicy {
	protocol?: { accept: boolean; protocols: readonly number[] };
	address?: { accept: boolean; rules: readonly Prefix[] };
	state?: { accept: boolean; tcpStates: readonly number[] };
	/** Listed is a connmark that has one of the values in the bits of its mask; unsigned, no mark is 0. */
	mark?: { accept: boolean; marks: readonly { value: number; mask: number }[] };
	/** Listed is who is in one of them in either direction. */
	zone?: { accept: boolean; zones: readonly number[] };
	/** Listed is who has one of them. */
	label?: { accept: boolean; labels: readonly number[] };
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
	readonly #marks: Int32Array | undefined;
	readonly #acceptMarks: boolean;
	readonly #zones: ReadonlySet<number> | undefined;
	readonly #acceptZones: boolean;
	readonly #labels: LabelMask | undefined;
	readonly #acceptLabels: boolean;
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
		this.#marks =
			policy.mark && Int32Array.from(policy.mark.marks.flatMap(({ value, mask }) => [value | 0, mask | 0]));
		this.#acceptMarks = policy.mark?.accept ?? true;
		this.#zones = policy.zone && new Set(policy.zone.zones);
		this.#acceptZones = policy.zone?.accept ?? true;
		this.#labels = policy.label && labelMask(policy.label.labels);
		this.#acceptLabels = policy.label?.accept ?? true;
		this.#ownProtocols = setOf(own.map(({ protocol }) => protocol));
		for (const key of new Set(own.map(keyOf))) {
			const prefixes = own.filter((link) => keyOf(link) === key).map(({ address }) => hostPrefix(address));
			this.#own.set(key, new PrefixSet(prefixes));
		}
	}

	/** What it says of a connection may change with the connection: it looks at marks or labels. */
	get isChangeable(): boolean {
		return this.#marks !== undefined || this.#labels !== undefined;
	}

	/**
	 * The record does not say what a Label clause needs to know: the event is silent about labels that have not changed.
	 */
	isSilentOfLabels(record: ConntrackRecord): boolean {
		return this.#labels !== undefined && (record[HAS]! & (H_LABELS | H_WHOLE)) === 0;
	}

	/**
	 * Whether the conntrack is to be replicated.
	 *
	 * @param labels the record whose labels count, if that is another one; none of a record without labels
	 */
	passes(record: ConntrackRecord, labels: ConntrackRecord = record): boolean {
		return this.belongs(record, labels) && this.#isInState(record);
	}

	/** The same, whatever its TCP state. */
	belongs(record: ConntrackRecord, labels: ConntrackRecord = record): boolean {
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
		if (this.#zones) {
			const zones = record[ZONES]!;
			const isListed = this.#zones.has(zones & 0xffff) || this.#zones.has(zones >>> 16);
			if (isListed !== this.#acceptZones) return false;
		}
		if (this.#marks && this.#hasMark(record) !== this.#acceptMarks) return false;
		return !this.#labels || this.#hasLabel(labels) === this.#acceptLabels;
	}

	#isInState(record: ConntrackRecord): boolean {
		if (!this.#states || record[PROTOCOLS]! >>> 8 !== IPPROTO_TCP || (record[HAS]! & H_TCP) === 0)
			return true;
		return (this.#states[tcpState(record)] === 1) === this.#acceptStates;
	}

	/** The kernel leaves out a mark that is 0 (nf_conntrack_netlink.c, ctnetlink_dump_mark). */
	#hasMark(record: ConntrackRecord): boolean {
		const marks = this.#marks!;
		const mark = (record[HAS]! & H_MARK) === 0 ? 0 : record[MARK]!;
		for (let i = 0; i < marks.length; i += 2) if ((mark & marks[i + 1]!) === marks[i]) return true;
		return false;
	}

	#hasLabel(record: ConntrackRecord): boolean {
		if ((record[HAS]! & H_LABELS) === 0) return false;
		for (let i = 0; i < 4; i++) if ((record[LABELS + i]! & this.#labels![i]!) !== 0) return true;
		return false;
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
