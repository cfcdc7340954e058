// The Sync section: mode, dedicated links, options.
import type { Place } from "./directives.ts";
import { buildExpectationPolicy } from "./expectation-policy.ts";
import { buildLabels } from "./labels.ts";
import { buildLink } from "./link.ts";
import { nearest } from "./nearest.ts";
import { omitUndefined } from "./omit-undefined.ts";
import { buildPeers } from "./peers.ts";
import type { Report } from "./problem.ts";
import { show } from "./problem.ts";
import { Section } from "./section.ts";
import type { Directive } from "./syntax.ts";
import type { LinkConfig, SyncConfig, SyncMode, SyncRole } from "./types.ts";

/** conntrackd's limit of redundant links. */
const LINKS_MAX = 4;
/** NF_CT_HELPER_NAME_LEN is 16 with its zero (linux/netfilter/nf_conntrack_common.h). */
const HELPER_NAME_MAX = 15;
/** The helpers of the kernel that make expectations, in lower case. */
const HELPERS = [
	"ftp",
	"tftp",
	"amanda",
	"sane",
	"irc",
	"pptp",
	"ras",
	"q.931",
	"h.245",
	"sip",
	"netbios-ns",
	"snmp",
] as const;

/** Builds the configuration of the Sync sections, of which there is at least one. Problems go to the report. */
export function buildSync(directive: Directive, section: Section, report: Report): SyncConfig {
	const role = section.text("Role") as SyncRole;
	const { mode, values } = buildMode(directive, section, role, report);
	const options = new Section("Options", report);
	for (const block of section.blocks("Options")) options.add(block.block!);
	const links = buildLinks(directive, section, report);
	const expectationSync = buildExpectationSync(section.blocks("Options"), report);
	return {
		mode,
		role,
		...values,
		links,
		...omitUndefined({ peers: buildPeers(section, links, report) }),
		tcpWindowTracking: options.flag("TCPWindowTracking"),
		labels: buildLabels(options.blocks("Labels"), report),
		expectationSync,
		expectationPolicy: buildExpectationPolicy(
			options.blocks("ExpectationPolicy"),
			expectationSync !== false,
			report,
		),
	};
}

type ModeValues = Omit<
	SyncConfig,
	| "mode"
	| "role"
	| "links"
	| "peers"
	| "tcpWindowTracking"
	| "labels"
	| "expectationSync"
	| "expectationPolicy"
>;

function buildMode(
	directive: Directive,
	section: Section,
	role: SyncRole,
	report: Report,
): { mode: SyncMode; values: ModeValues } {
	const blocks = section.blocks("Mode");
	const last = blocks.at(-1);
	if (!last) report.warn(directive, "Sync has no Mode: FTFW is taken");
	for (const block of blocks.slice(0, -1))
		report.warn(block, `Mode in line ${last!.line} counts in place of this one`);
	const place: Place = last?.place ?? "Mode FTFW";
	const mode = place.slice("Mode ".length) as SyncMode;
	const written = last?.args[0];
	if (written && written.text.toUpperCase() !== mode) {
		report.warn(written, `${show(written.text)} is the old name of ${mode}`);
	}
	const modeSection = new Section(place, report).add(last?.block ?? []);
	return { mode, values: buildModeValues({ mode, role }, modeSection, section, report) };
}

/** Times may stand in the Mode section or, in older files, directly in Sync; the Mode section counts. */
function buildModeValues(
	{ mode, role }: { mode: SyncMode; role: SyncRole },
	section: Section,
	sync: Section,
	report: Report,
): ModeValues {
	const isFtfw = mode === "FTFW";
	const ftfw = isFtfw ? section : new Section("Mode FTFW", report);
	const alarm = mode === "ALARM" ? section : new Section("Mode ALARM", report);
	const notrack = mode === "NOTRACK" ? section : new Section("Mode NOTRACK", report);
	const time = (word: string, from: Section): Section => (from.entry(word) ? from : sync);

	const cacheSection = isFtfw ? ftfw : notrack;
	const isShared = role === "active-active";
	if (isShared) checkRole(sync, mode, cacheSection, notrack, report);
	const disableExternalCache = isShared || cacheSection.flag("DisableExternalCache");
	const commitSection = time("CommitTimeout", section);
	let commitTimeout = commitSection.optionalNumber("CommitTimeout");
	if (disableExternalCache && commitTimeout !== undefined) {
		const { directive } = commitSection.entry("CommitTimeout")!;
		report.warn(directive, "CommitTimeout has no effect together with DisableExternalCache");
		commitTimeout = undefined;
	}
	return {
		resendQueueSize: ftfw.number("ResendQueueSize"),
		ackWindowSize: ftfw.number("ACKWindowSize"),
		purgeTimeout: time("PurgeTimeout", section).number("PurgeTimeout"),
		refreshTime: time("RefreshTime", alarm).number("RefreshTime"),
		cacheTimeout: time("CacheTimeout", alarm).number("CacheTimeout"),
		disableExternalCache,
		disableInternalCache: !isShared && notrack.flag("DisableInternalCache"),
		startupResync: cacheSection.flag("StartupResync"),
		...omitUndefined({ commitTimeout }),
	};
}

/**
 * Of nodes that all forward each needs what the others have, at once, so DisableExternalCache goes without saying; and each
 * has to know which connections are its own.
 */
function checkRole(sync: Section, mode: SyncMode, cache: Section, notrack: Section, report: Report): void {
	const { directive: at } = sync.entry("Role")!;
	if (mode === "ALARM") {
		report.error(
			at,
			"Role active-active does not go with Mode ALARM, which puts nothing into the kernel at once",
		);
	}
	const off = cache.entry("DisableExternalCache");
	if (off?.value === false) {
		report.warn(
			off.directive,
			`DisableExternalCache off has no effect: with Role active-active of line ${at.line} every node needs the others' states in its kernel`,
		);
	}
	const bypass = notrack.entry("DisableInternalCache");
	if (bypass?.value === true) {
		report.warn(
			bypass.directive,
			`DisableInternalCache has no effect: with Role active-active of line ${at.line} every node has to know its own states`,
		);
	}
}

function buildLinks(directive: Directive, section: Section, report: Report): LinkConfig[] {
	const blocks = section.blocks("Multicast", "UDP", "TCP");
	const first = blocks[0];
	if (!first) {
		report.error(directive, "Sync needs a dedicated link: Multicast, UDP or TCP");
		return [];
	}
	const other = blocks.find((block) => block.name !== first.name);
	if (other)
		report.error(other, `${other.name} cannot be used together with ${first.name} of line ${first.line}`);
	const surplus = blocks[LINKS_MAX];
	if (surplus) report.error(surplus, `there can be no more than ${LINKS_MAX} dedicated links`);

	const marked = blocks.filter((block) => block.args.length > 0);
	const initial = marked.at(-1) ?? first;
	for (const block of marked.slice(0, -1)) {
		report.warn(block, `Default in line ${initial.line} counts in place of this one`);
	}
	return blocks.flatMap((block) => {
		const link = buildLink(block, report);
		return link ? [{ ...link, isDefault: block === initial }] : [];
	});
}

/** A list adds to the lists before it, on and off replace them. */
function buildExpectationSync(options: readonly Directive[], report: Report): SyncConfig["expectationSync"] {
	let result: SyncConfig["expectationSync"] = false;
	const directives = options
		.flatMap((option) => option.block!)
		.filter(({ name }) => name === "ExpectationSync");
	for (const { args, block, ...at } of directives) {
		if (!block) {
			result = /^(on|yes)$/i.test(args[0]!.text);
			continue;
		}
		if (block.length === 0) report.warn(at, "ExpectationSync names no helper: no expectation is replicated");
		const names: string[] = block.map(({ name, ...word }) => {
			if (Buffer.byteLength(name) > HELPER_NAME_MAX || name === "") {
				report.badValue(word, `${show(name)}: the name of a helper has 1 to ${HELPER_NAME_MAX} bytes`);
			}
			if (/[,;]/.test(name))
				report.badValue(word, `${show(name)}: names of helpers stand with blanks between them`);
			const lower = name.toLowerCase();
			if (!HELPERS.some((helper) => helper.startsWith(lower) || lower.startsWith(helper))) {
				const text = `${show(name)} is not a helper of the kernel: nothing is replicated for it`;
				report.warn(word, text, lower === "h323" ? "RAS Q.931 H.245" : nearest(lower, HELPERS));
			}
			return lower;
		});
		const before: string[] = Array.isArray(result) ? result : [];
		result = [...new Set([...before, ...names])];
	}
	return Array.isArray(result) && result.length === 0 ? false : result;
}
