// Which entries of this kernel are replicated, and which expectations of the peers' count: the Filter, ExpectationSync and
// ExpectationPolicy of the configuration, and what they look at.
import type { ExternalCache } from "./cache/external-cache.ts";
import type { InternalCache } from "./cache/internal-cache.ts";
import type { Config } from "./config/config.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "./conntrack/kind.ts";
import type { NameTable } from "./conntrack/names.ts";
import { besideIn, ExpectationChecks } from "./expectation-checks.ts";
import { ExpectationMasters } from "./expectation-masters.ts";
import { ExpectationFilter } from "./filter/expectation-filter.ts";
import { Filter, type FilterPolicy, type OwnTraffic } from "./filter/filter.ts";
import type { OwnAddresses } from "./netlink/own-addresses.ts";
import { ExpectationPolicy } from "./policy/expectation-policy.ts";
import { ownTraffic } from "./setup.ts";
import type { Clock } from "./system/clock.ts";
import type { DaemonLog } from "./system/log.ts";

export interface EntryRulesOptions {
	config: Config;
	internal: readonly [InternalCache, InternalCache];
	names: NameTable;
	clock: Clock;
	log: DaemonLog;
	/** This host's, as they are now. */
	isOwnAddress: OwnAddresses["has"];
	/** Everybody's entries but this node's own. */
	externals: () => (readonly [ExternalCache, ExternalCache])[];
}

export interface EntryRules {
	policy: FilterPolicy;
	/** The replication itself. */
	own: OwnTraffic[];
	/** Whether an entry of this kernel is replicated. */
	passes: (kind: Kind, record: Int32Array) => boolean;
	hasExpectations: boolean;
	masters: ExpectationMasters;
	checks: ExpectationChecks;
}

export function entryRules(options: EntryRulesOptions): EntryRules {
	const { config, internal, names, clock, log, isOwnAddress, externals } = options;
	const sync = config.sync!;
	const policy = config.general.filter ?? {};
	const own = ownTraffic(sync.links);
	const filter = new Filter(policy, own);
	const hasExpectations = sync.expectationSync !== false;
	const helpers = sync.expectationSync === false ? [] : sync.expectationSync;
	const masters = new ExpectationMasters(internal, clock);
	const checks = new ExpectationChecks({
		policy: new ExpectationPolicy({
			names,
			settings: sync.expectationPolicy,
			replicated: helpers,
			isOwnAddress,
		}),
		names,
		log,
		internal: internal[EXPECTATION],
		ownMaster: (expectation) => masters.findInZone(expectation),
		conntracksBeside: besideIn(externals),
	});
	const expectations = new ExpectationFilter(
		filter,
		names,
		helpers,
		(expectation) => masters.find(expectation),
		(expectation, master) => checks.mayExport(expectation, master),
	);
	const passes = (kind: Kind, record: Int32Array): boolean =>
		kind === CONNTRACK ? filter.passes(record) : expectations.passes(record);
	return { policy, own, passes, hasExpectations, masters, checks };
}
