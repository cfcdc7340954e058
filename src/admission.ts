// What stands between the kernel's conntracks and the replication beside the filter itself: those that are too young, questions
// about those that come by an update, and what becomes of all when this host's addresses change. Parts that the
// configuration does not ask for are not there.
import type { InternalCache } from "./cache/internal-cache.ts";
import type { Config } from "./config/config.ts";
import { CONNTRACK, type Kind } from "./conntrack/kind.ts";
import type { LabelMask } from "./conntrack/labels.ts";
import type { NameTable } from "./conntrack/names.ts";
import type { ConntrackRules } from "./conntrack-rules.ts";
import type { EventRouter, RouterOptions } from "./event-router.ts";
import { ConntrackLookup } from "./netlink/conntrack-lookup.ts";
import { OwnConnections } from "./own-connections.ts";
import type { KernelTables } from "./sync/kernel-resync.ts";
import type { Clock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";
import type { Native } from "./system/native.ts";
import { YoungEntries } from "./young-entries.ts";

export interface AdmissionOptions {
	config: Config;
	rules: ConntrackRules;
	internal: readonly [InternalCache, InternalCache];
	native: Native;
	names: NameTable;
	/** The connlabels that are decoded. */
	labels: LabelMask;
	clock: Clock;
	/** DisableInternalCache: conntracks are looked up in any case. */
	isPassing: boolean;
	/** Of the key hash. */
	seed: number;
	router: () => EventRouter;
	/** Something has become dirty. */
	pump: () => void;
	/** Connections with a helper have become old enough: what they expect has to be looked for. */
	lookForExpectations: () => void;
	log: Pick<Log, "limited">;
}

export class Admission {
	readonly young: YoungEntries | undefined;
	/** What the router needs of all this. */
	readonly forRouter: Pick<RouterOptions, "rules" | "young" | "query">;
	readonly #query: ConntrackLookup | undefined;
	readonly #own: OwnConnections | undefined;

	/** @throws Error with a line for the operator */
	constructor(options: AdmissionOptions) {
		const { config, rules, internal, native, names, labels, clock, isPassing, seed, router, pump } = options;
		const { filter, hashLimit } = config.general;
		if (filter?.minimumAge !== undefined) {
			this.young = new YoungEntries({
				minimumAge: filter.minimumAge,
				limit: hashLimit,
				seed,
				clock,
				full: () =>
					options.log.limited(
						"young",
						`more than HashLimit ${hashLimit} connections are younger than MinimumAge: further ones are replicated at once`,
					),
				matured: (record, created, updated) => router().matured(record, created, updated),
				roundEnd: (hasHelper) => {
					pump();
					if (hasHelper) options.lookForExpectations();
				},
			});
		}
		if (rules.isChangeable && !isPassing) {
			const failed = (error: Error): void => options.log.limited("lookup", error.message);
			this.#query = new ConntrackLookup({ native, names, labels, failed });
		}
		if (rules.ignoresOwn) {
			this.#own = new OwnConnections({
				clock,
				cache: internal[CONNTRACK],
				isOwn: (record) => rules.isOwn(record),
				ended: pump,
			});
		}
		this.forRouter = {
			rules,
			...(this.young && { young: this.young }),
			...(this.#query && { query: this.#query }),
		};
	}

	/** Reads a table of the kernel, the young compared with it as well. */
	tables(read: KernelTables): KernelTables {
		const { young } = this;
		if (!young) return read;
		return (kind: Kind, visit) =>
			kind === CONNTRACK ? young.compare(() => read(kind, visit)) : read(kind, visit);
	}

	/** This host's addresses have changed. */
	addressesChanged(): void {
		this.#own?.changed();
	}

	close(): void {
		this.young?.close();
		this.#query?.close();
		this.#own?.close();
	}
}
