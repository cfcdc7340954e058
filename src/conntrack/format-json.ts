// The `--json` form of format.ts: one object for an entry, on one line. The members are those of conntrack.ts, so that
// what is printed can be read back (`ctsync policy test` does), and some that save a reader its tables. Their names are
// an interface (docs/json.md).
import { conntrackFromRecord, expectationFromRecord } from "./conntrack.ts";
import type { ExpectationRecord } from "./expectation-record.ts";
import { expectFlags } from "./format.ts";
import type { NameTable } from "./names.ts";
import { protocolName } from "./protocol.ts";
import type { ConntrackRecord } from "./record.ts";

/** What is known of the entry beside itself: the members that come first. */
export interface EntryContext {
	/** The peer that has told of it. */
	node?: string;
	/** Seconds since it came into the cache. */
	age?: number;
	/** Mode ALARM: seconds until it is given up if nothing more is heard of it. */
	expiresIn?: number;
	/** Of an expectation that is kept back: the rule of the policy, null while it waits for its master, and why. */
	rule?: string | null;
	reason?: string;
}

/** The IPS_* bits in their order (linux/netfilter/nf_conntrack_common.h), as words. */
const STATUS_NAMES = [
	"expected",
	"seenReply",
	"assured",
	"confirmed",
	"srcNat",
	"dstNat",
	"seqAdjust",
	"srcNatDone",
	"dstNatDone",
	"dying",
	"fixedTimeout",
	"template",
	"natClash",
	"helper",
	"offload",
	"hwOffload",
];

/** One object without a newline. */
export function formatConntrackJson(
	record: ConntrackRecord,
	names: NameTable,
	context: EntryContext = {},
): string {
	const { family, protocol, ...rest } = conntrackFromRecord(record, names);
	const { status = 0 } = rest;
	const statusNames = STATUS_NAMES.filter((_, bit) => (status & (1 << bit)) !== 0);
	return JSON.stringify({
		...context,
		family,
		protocol,
		protocolName: protocolName(protocol),
		...rest,
		statusNames,
	});
}

/** One object without a newline. */
export function formatExpectationJson(
	record: ExpectationRecord,
	names: NameTable,
	context: EntryContext = {},
): string {
	const { family, protocol, ...rest } = expectationFromRecord(record, names);
	return JSON.stringify({
		...context,
		family,
		protocol,
		protocolName: protocolName(protocol),
		...rest,
		flagNames: expectFlags(rest.flags ?? 0).map((name) => name.toLowerCase()),
	});
}
