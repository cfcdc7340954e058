// Combinations of directives that are allowed and do harm, or do nothing. Each is a warning at the line that should go, with
// the reason; none keeps the daemon from starting.
import { IPPROTO_GRE, IPPROTO_TCP, IPPROTO_UDP } from "../conntrack/protocol.ts";
import { formatProtocol, formatTcpState } from "./names.ts";
import type { Position, Report } from "./problem.ts";
import { listWords } from "./problem.ts";
import type { Directive } from "./syntax.ts";
import type { Config, FilterConfig, GeneralConfig, SyncConfig } from "./types.ts";

/** TCP_CONNTRACK_* (linux/netfilter/nf_conntrack_tcp.h). */
const SYN_SENT = 1;
const SYN_RECV = 2;
const ESTABLISHED = 3;
/** An idle connection that is used once a minute is common; what is committed with less does not live as long. */
const COMMIT_TIMEOUT_LOW = 60;

/** Protocols of which one has to pass the filter, for the helper's control connection and for what it announces. */
const HELPER_NEEDS: Readonly<Record<string, readonly (readonly number[])[]>> = {
	ftp: [[IPPROTO_TCP]],
	tftp: [[IPPROTO_UDP]],
	amanda: [[IPPROTO_UDP], [IPPROTO_TCP]],
	sane: [[IPPROTO_TCP]],
	irc: [[IPPROTO_TCP]],
	pptp: [[IPPROTO_TCP], [IPPROTO_GRE]],
	ras: [[IPPROTO_UDP], [IPPROTO_TCP]],
	"q.931": [[IPPROTO_TCP]],
	"h.245": [[IPPROTO_TCP], [IPPROTO_UDP]],
	sip: [[IPPROTO_UDP, IPPROTO_TCP], [IPPROTO_UDP]],
	"netbios-ns": [[IPPROTO_UDP]],
	snmp: [[IPPROTO_UDP]],
};

/** Warns of what the configuration, which is valid, should not have. The tree tells where things stand. */
export function lint(
	{ general, sync, stats, security }: Config,
	tree: readonly Directive[],
	report: Report,
): void {
	const warn = (path: readonly string[], message: string): boolean => {
		const at = findLast(tree, path);
		if (at) report.warn(at, message);
		return at !== undefined;
	};
	lintNetlink(general, warn);
	lintFiles(tree, report);
	if (general.filter) lintFilter(general.filter, sync, warn);
	if (general.scheduler?.priority === 0) {
		warn(
			["General", "Scheduler", "Priority"],
			"Priority 0 is none of a real-time scheduler: 1 is the lowest",
		);
	}
	if (sync) {
		lintTimes(sync, warn);
		lintLinks(sync, tree, report);
		if (sync.role === "active-active") lintActiveActive(general, sync, warn);
	}
	if (stats && general.filter?.minimumAge !== undefined)
		warn(["General", "Filter", "MinimumAge"], "MinimumAge has no effect without Sync");
	if (stats && security) warn(["General", "Security"], "Security has no effect without Sync");
}

/** Whether it stands in the file. */
type Warn = (path: readonly string[], message: string) => boolean;

function lintNetlink(general: GeneralConfig, warn: Warn): void {
	const { netlinkBufferSize: size, netlinkBufferSizeMaxGrowth: max, pollSecs, hashSize, hashLimit } = general;
	if (pollSecs !== undefined) {
		const why = `has no effect together with PollSecs, which listens to no events`;
		if (general.netlinkEventsReliable)
			warn(["General", "NetlinkEventsReliable"], `NetlinkEventsReliable ${why}`);
		// its default does no harm, and is written by whoever writes everything
		if (![30, false].includes(general.netlinkOverrunResync))
			warn(["General", "NetlinkOverrunResync"], `NetlinkOverrunResync ${why}`);
		warn(["General", "Filter", "Kernelspace"], `a filter in the kernel ${why}`);
	} else if (general.netlinkEventsReliable) {
		warn(
			["General", "NetlinkEventsReliable"],
			"NetlinkEventsReliable makes the kernel drop packets of new connections when events come faster than they are read",
		);
	}
	if (size !== undefined && (max === undefined || size > max)) {
		const reason =
			max === undefined ? "without NetlinkBufferSizeMaxGrowth" : "above NetlinkBufferSizeMaxGrowth";
		warn(["General", "NetlinkBufferSize"], `NetlinkBufferSize has no effect ${reason}`);
	}
	if (hashLimit < hashSize) {
		warn(
			["General", "HashLimit"],
			`HashLimit ${hashLimit} is less than HashSize ${hashSize}: no more than ${hashLimit} entries are kept, twice nf_conntrack_max is advised`,
		);
	}
}

/** Files that would be written over one another. */
function lintFiles(tree: readonly Directive[], report: Report): void {
	const paths = [
		["General", "LogFile"],
		["General", "LockFile"],
		["General", "UNIX", "Path"],
		["Stats", "LogFile"],
		["General", "Security", "KeyFile"],
		["Sync", "Security", "KeyFile"],
	];
	const seen = new Map<string, Directive>();
	for (const path of paths) {
		const directive = findLast(tree, path);
		const file = directive?.args[0]?.text;
		if (!directive || !file?.startsWith("/")) continue;
		const other = seen.get(file);
		if (other)
			report.warn(directive, `${directive.name} is the same file as ${other.name} in line ${other.line}`);
		seen.set(file, directive);
	}
}

function lintFilter({ protocol, state }: FilterConfig, sync: SyncConfig | undefined, warn: Warn): void {
	if (state && state.tcpStates.includes(ESTABLISHED) !== state.accept && state.tcpStates.length > 0) {
		warn(
			["General", "Filter", "State"],
			"State leaves out ESTABLISHED: no TCP connection that is in use is replicated",
		);
	}
	if (!protocol || !Array.isArray(sync?.expectationSync)) return;
	const passes = (number: number): boolean => protocol.protocols.includes(number) === protocol.accept;
	for (const helper of sync.expectationSync) {
		const missing = HELPER_NEEDS[helper]?.find((some) => !some.some(passes));
		if (!missing) continue;
		const names = listWords(missing.map((number) => formatProtocol(number).toUpperCase()));
		warn(
			["Sync", "Options", "ExpectationSync"],
			`ExpectationSync for ${helper} needs ${names}, which the Protocol filter leaves out`,
		);
	}
}

function lintTimes(sync: SyncConfig, warn: Warn): void {
	const { mode, commitTimeout, cacheTimeout, refreshTime } = sync;
	const inMode = (word: string, message: string): boolean =>
		warn(["Sync", "Mode", word], message) || warn(["Sync", word], message);
	if (mode === "ALARM" && cacheTimeout <= refreshTime) {
		inMode(
			"CacheTimeout",
			`CacheTimeout ${cacheTimeout} is not above RefreshTime ${refreshTime}: entries of the peer expire before it sends them again`,
		);
	}
	if (commitTimeout !== undefined && commitTimeout < COMMIT_TIMEOUT_LOW) {
		inMode(
			"CommitTimeout",
			`CommitTimeout ${commitTimeout} ends every connection that is idle for ${commitTimeout} seconds after a failover; without it each keeps the time that it had`,
		);
	}
}

/** Of a connection whose directions pass different nodes each has to know at once, and must not judge what it sees half of. */
function lintActiveActive({ filter, pollSecs }: GeneralConfig, sync: SyncConfig, warn: Warn): void {
	const { state } = filter ?? {};
	const passes = (tcpState: number): boolean => !state || state.tcpStates.includes(tcpState) === state.accept;
	const early = [SYN_SENT, SYN_RECV].filter((tcpState) => !passes(tcpState)).map(formatTcpState);
	if (early.length > 0) {
		warn(
			["General", "Filter", "State"],
			`State leaves out ${early.join(" and ")}: with Role active-active a TCP connection whose answer comes through another node cannot begin`,
		);
	}
	if (filter?.minimumAge !== undefined) {
		warn(
			["General", "Filter", "MinimumAge"],
			`MinimumAge ${filter.minimumAge} keeps new connections from the other nodes: with Role active-active one whose answer comes through another node cannot begin`,
		);
	}
	if (sync.tcpWindowTracking) {
		warn(
			["Sync", "Options", "TCPWindowTracking"],
			"TCPWindowTracking does harm with Role active-active: a node that sees one direction only takes its segments for INVALID",
		);
	}
	if (sync.mode === "NOTRACK") {
		warn(
			["Sync", "Mode"],
			"Mode NOTRACK repeats nothing that is lost on the link: with Role active-active a connection may wait for that for ever",
		);
	}
	if (pollSecs !== undefined) {
		warn(
			["General", "PollSecs"],
			`PollSecs ${pollSecs} is too seldom for Role active-active: an answer comes through another node within milliseconds`,
		);
	}
}

/** Redundant links that are not. */
function lintLinks({ links }: SyncConfig, tree: readonly Directive[], report: Report): void {
	links.forEach((link, i) => {
		const at: Position = findLinks(tree).find(({ line }) => line === link.line) ?? {
			line: link.line,
			column: 1,
		};
		for (const other of links.slice(0, i)) {
			if (link.interface !== undefined && link.interface === other.interface) {
				const name = link.interface;
				report.warn(at, `this link is on ${name} as that of line ${other.line} is: both fail together`);
			}
			if (link.type === "multicast" && link.address === other.address && link.port === other.port) {
				report.warn(at, `this link has the group and port of that of line ${other.line}: each needs its own`);
			}
		}
	});
}

const findLinks = (tree: readonly Directive[]): Directive[] =>
	tree
		.flatMap(({ name, block = [] }) => (name === "Sync" ? block : []))
		.filter(({ name }) => ["Multicast", "UDP", "TCP"].includes(name));

/** The directive that counts, the last, at the end of a path of section names; an argument of a section can end it, too. */
function findLast(tree: readonly Directive[], [word, ...rest]: readonly string[]): Directive | undefined {
	for (const directive of tree.toReversed()) {
		if ((directive.spec?.aliasOf ?? directive.name) !== word) continue;
		if (rest.length === 0) return directive;
		if (rest.length === 1 && directive.args.some(({ text }) => text === rest[0])) return directive;
		const found = findLast(directive.block ?? [], rest);
		if (found) return found;
	}
	return undefined;
}
