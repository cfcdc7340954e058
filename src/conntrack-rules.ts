// Which conntracks of this kernel count, as the Filter says and as the host's addresses are now. What it says of one may change
// while the connection lasts: its mark, its labels, an address that comes or goes.
import type { RecordStore } from "./cache/record-store.ts";
import { newConntrackRecord } from "./conntrack/record.ts";
import { Filter, type FilterPolicy, type OwnTraffic } from "./filter/filter.ts";
import { isOwnConnection, type LocalAddresses } from "./filter/own-connection.ts";

/** The filter of the configuration. */
export interface ConntrackPolicy extends FilterPolicy {
	ownConnections?: "Accept" | "Ignore";
}

export interface ConntrackRulesOptions {
	policy: ConntrackPolicy;
	/** The replication itself. */
	own: readonly OwnTraffic[];
	/** This host's addresses, as they are now, and with those that it has had. */
	addresses: LocalAddresses & { hadEver: LocalAddresses["has"] };
	/** Where conntracks are held: an event does not repeat the labels that they have. */
	stores: () => readonly RecordStore[];
}

export class ConntrackRules {
	/** What is said of a connection may change while it lasts. */
	readonly isChangeable: boolean;
	readonly ignoresOwn: boolean;
	readonly #options: ConntrackRulesOptions;
	readonly #filter: Filter;
	/** The clauses without Label. */
	readonly #unlabelled: Filter | undefined;
	readonly #hadEver: LocalAddresses;
	readonly #held = newConntrackRecord();

	constructor(options: ConntrackRulesOptions) {
		const { policy, own, addresses } = options;
		this.#options = options;
		this.#filter = new Filter(policy, own);
		this.ignoresOwn = policy.ownConnections === "Ignore";
		this.isChangeable = this.#filter.isChangeable || this.ignoresOwn;
		const { label, ...others } = policy;
		// a connection that comes by its mark may have had its label for long
		if (label && (policy.mark || this.ignoresOwn)) this.#unlabelled = new Filter(others, own);
		this.#hadEver = { has: (words, at, family) => addresses.hadEver(words, at, family) };
	}

	/** Whether the conntrack is to be replicated. Of one whose labels are not known `mustAsk` says so. */
	passes(record: Int32Array): boolean {
		return !this.isOwn(record) && this.#judge(record, "passes");
	}

	/** The same, whatever its TCP state: one that is held and does not belong any more has to go. */
	belongs(record: Int32Array): boolean {
		return !this.isOwn(record) && this.#judge(record, "belongs");
	}

	/**
	 * Whether the event tells too little of a conntrack that passes: an update repeats what has changed, so one that is not held has
	 * to be asked for.
	 */
	mustAsk(isUpdate: boolean, record: Int32Array): boolean {
		if (!this.isChangeable || this.#find(record)) return false;
		return isUpdate || (this.#unlabelled !== undefined && this.#filter.isSilentOfLabels(record));
	}

	/** A connection of this host itself, where these do not count. */
	isOwn(record: Int32Array): boolean {
		return this.ignoresOwn && isOwnConnection(record, this.#options.addresses);
	}

	/**
	 * The same, or it was one once. When a shared address moves to another node, the connections that it leaves behind here are
	 * nobody's: a dump does not take them in. An event does, because somebody's packet has caused it.
	 */
	wasOwn(record: Int32Array): boolean {
		return this.ignoresOwn && isOwnConnection(record, this.#hadEver);
	}

	#judge(record: Int32Array, question: "passes" | "belongs"): boolean {
		if (!this.#filter.isSilentOfLabels(record)) return this.#filter[question](record);
		const held = this.#find(record);
		if (held) return this.#filter[question](record, held);
		return (this.#unlabelled ?? this.#filter)[question](record);
	}

	/** What is held under the record's key; reused. */
	#find(record: Int32Array): Int32Array | undefined {
		for (const store of this.#options.stores()) {
			const slot = store.find(record);
			if (slot < 0 || !store.isLive(slot)) continue;
			store.read(slot, this.#held);
			return this.#held;
		}
		return undefined;
	}
}
