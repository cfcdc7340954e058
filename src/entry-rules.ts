// Which entries of this kernel are replicated, and which expectations of the peers' count: the Filter, ExpectationSync and
// ExpectationPolicy of the configuration, and what they look at.
import type { ExternalCache } from "./cache/external-cache.ts";
import type { InternalCache } from "./cache/internal-cache.ts";
import type { Config } from "./config/config.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "./conntrack/kind.ts";
import type { NameTable } from "./conntrack/names.ts";
import { ConntrackRules } from "./conntrack-rules.ts";
import { besideIn, ExpectationChecks } from "./expectation-checks.ts";
import { ExpectationMasters } from "./expectation-masters.ts";
import { ExpectationFilter } from "./filter/expectation-filter.ts";
import type { FilterPolicy, OwnTraffic } from "./filter/filter.ts";
import type { OwnAddresses } from "./netlink/own-addresses.ts";
import { ExpectationPolicy } from "./policy/expectation-policy.ts";
import { ownTraffic } from "./setup.ts";
import type { Clock } from "./system/clock.ts";
import type { DaemonLog } from "./system/log.ts";
import type { YoungEntries } from "./young-entries.ts";

export interface EntryRulesOptions {
	config: Config;
	internal: readonly [InternalCache, InternalCache];
	names: NameTable;
	clock: Clock;
	log: DaemonLog;
	/** This host's, as they are now. */
	addresses: () => Pick<OwnAddresses, "has" | "hadEver">;
	/** Conntracks that are not old enough to be replicated. */
	young: () => YoungEntries | undefined;
	/** Everybody's entries but this node's own. */
	externals: () => (readonly [ExternalCache, ExternalCache])[];
}

export interface EntryRules {
	policy: FilterPolicy;
	/** The replication itself. */
	own: OwnTraffic[];
	/** Whether an entry of this kernel is replicated. */
	passes: (kind: Kind, record: Int32Array) => boolean;
	conntracks: ConntrackRules;
	hasExpectations: boolean;
	masters: ExpectationMasters;
	checks: ExpectationChecks;
}

export function entryRules(options: EntryRulesOptions): EntryRules {
	const { config, internal, names, clock, log, addresses, young, externals } = options;
	const sync = config.sync!;
	const policy = config.general.filter ?? {};
	const own = ownTraffic(sync.links);
	const conntracks = new ConntrackRules({
		policy,
		own,
		addresses: {
			has: (words, at, family) => addresses().has(words, at, family),
			hadEver: (words, at, family) => addresses().hadEver(words, at, family),
		},
		stores: () => {
			const kept = young();
			return kept ? [internal[CONNTRACK].store, kept.store] : [internal[CONNTRACK].store];
		},
	});
	const hasExpectations = sync.expectationSync !== false;
	const helpers = sync.expectationSync === false ? [] : sync.expectationSync;
	const masters = new ExpectationMasters(internal, clock);
	const checks = new ExpectationChecks({
		policy: new ExpectationPolicy({
			names,
			settings: sync.expectationPolicy,
			replicated: helpers,
			isOwnAddress: (words, at, family) => addresses().has(words, at, family),
		}),
		names,
		log,
		internal: internal[EXPECTATION],
		ownMaster: (expectation) => masters.findInZone(expectation),
		conntracksBeside: besideIn(externals),
	});
	const expectations = new ExpectationFilter(
		conntracks,
		names,
		helpers,
		(expectation) => masters.find(expectation),
		(expectation, master) => checks.mayExport(expectation, master),
	);
	const passes = (kind: Kind, record: Int32Array): boolean =>
		kind === CONNTRACK ? conntracks.passes(record) : expectations.passes(record);
	return { policy, own, passes, conntracks, hasExpectations, masters, checks };
}
