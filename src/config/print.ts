// Config -> text that parses back to an equal Config. Every value is written, defaults too.
import { formatBytes } from "../conntrack/address.ts";
import type { DirectiveSpec, Place } from "./directives.ts";
import { directivesIn, fieldOf } from "./directives.ts";
import { formatProtocol, formatTcpState } from "./names.ts";
import { helperPlace, POLICY_HELPERS } from "./policy-directives.ts";
import type {
	AddressRule,
	Config,
	ExpectationPolicyConfig,
	FilterConfig,
	GeneralConfig,
	LinkConfig,
	MarkRule,
	PortRange,
	SecurityConfig,
	SyncConfig,
} from "./types.ts";

/** The normalized text of a configuration. The name of its file and the line numbers of links are not part of it. */
export function printConfig(config: Config): string {
	return [
		...(config.sync ? block("Sync", printSync(config.sync)) : []),
		...(config.stats ? block("Stats", printValues("Stats", config.stats)) : []),
		...block("General", [...printGeneral(config.general), ...printSecurity(config.security)]),
		"",
	].join("\n");
}

function printSync(sync: SyncConfig): string[] {
	const place: Place = `Mode ${sync.mode}`;
	const inMode = new Set(directivesIn(place).map((spec) => spec.word));
	// Role, which conntrackd does not know, and times that this mode has no word for, which an older file has directly in Sync
	const unusual = directivesIn("Sync").filter(
		(spec) => !inMode.has(spec.word) && isScalar(spec) && fieldValue(sync, spec) !== spec.default,
	);
	const { expectationSync } = sync;
	return [
		...block(place, printValues(place, sync)),
		...unusual.flatMap((spec) => printValue(spec, sync)),
		...sync.links.flatMap(printLink),
		...(sync.peers ? block("Peers", sync.peers.map(printPeer)) : []),
		...block("Options", [
			...printValues("Options", sync),
			...(sync.labels.length === 0 ? [] : block("Labels", sync.labels.map(String))),
			...(Array.isArray(expectationSync)
				? block("ExpectationSync", expectationSync.map(quote))
				: [`ExpectationSync ${onOff(expectationSync)}`]),
			...(expectationSync === false ? [] : printPolicy(sync.expectationPolicy)),
		]),
	];
}

function printPolicy(policy: ExpectationPolicyConfig): string[] {
	return block("ExpectationPolicy", [
		`OnViolation ${policy.onViolation === "drop" ? "Drop" : "Quarantine"}`,
		`MinDstPort ${policy.minDstPort}`,
		...POLICY_HELPERS.flatMap((name) => {
			const settings = policy.helpers[name];
			return settings ? block(helperPlace(name), printValues(helperPlace(name), settings)) : [];
		}),
	]);
}

const LINK_PLACES: Readonly<Record<LinkConfig["type"], Place>> = {
	multicast: "Multicast",
	udp: "UDP",
	tcp: "TCP",
};

function printLink(link: LinkConfig): string[] {
	const place = LINK_PLACES[link.type];
	const otherFamily = link.family === 4 ? "IPv6" : "IPv4";
	const specs = directivesIn(place).filter((spec) => !spec.word.startsWith(otherFamily) && isScalar(spec));
	return block(
		link.isDefault ? `${place} Default` : place,
		specs.flatMap((spec) => printValue(spec, link)),
	);
}

const printPeer = (address: string): string =>
	`${address.includes(":") ? "IPv6" : "IPv4"}_address ${address}`;

function printGeneral(general: GeneralConfig): string[] {
	return [
		...printValues("General", general),
		...block("UNIX", printValues("UNIX", general)),
		...(general.scheduler ? block("Scheduler", printValues("Scheduler", general.scheduler)) : []),
		...(general.filter ? printFilter(general.filter) : []),
	];
}

/** In General, whichever section it was read from. */
function printSecurity(security: SecurityConfig | undefined): string[] {
	return security ? block("Security", printValues("Security", security)) : [];
}

function printFilter(filter: FilterConfig): string[] {
	const { from, protocol, address, state, mark, zone, label } = filter;
	const policy = ({ accept }: { accept: boolean }): string => (accept ? "Accept" : "Ignore");
	const lines: string[] = [];
	if (protocol) lines.push(...block(`Protocol ${policy(protocol)}`, protocol.protocols.map(formatProtocol)));
	if (address) {
		const rules = address.rules.map((rule) => `IPv${rule.family}_address ${formatNetwork(rule)}`);
		lines.push(...block(`Address ${policy(address)}`, rules));
	}
	if (state) {
		const states = state.tcpStates.map(formatTcpState);
		lines.push(...block(`State ${policy(state)}`, states.length > 0 ? [...states, "for TCP"] : []));
	}
	if (mark) lines.push(...block(`Mark ${policy(mark)}`, mark.marks.map(formatMark)));
	if (zone) lines.push(...block(`Zone ${policy(zone)}`, zone.zones.map(String)));
	if (label) lines.push(...block(`Label ${policy(label)}`, label.labels.map(String)));
	lines.push(...printValues("Filter", filter));
	return block(`Filter From ${from === "userspace" ? "Userspace" : "Kernelspace"}`, lines);
}

function formatMark({ value, mask }: MarkRule): string {
	const hex = (number: number): string => `0x${number.toString(16)}`;
	return mask === 0xffffffff ? hex(value) : `${hex(value)}/${hex(mask)}`;
}

/** `title { lines }`, the lines indented. */
function block(title: string, lines: readonly string[]): string[] {
	return [`${title} {`, ...lines.map((line) => `\t${line}`), "}"];
}

/** The directives of a section that take one argument. */
function printValues(place: Place, values: object): string[] {
	return directivesIn(place)
		.filter(isScalar)
		.flatMap((spec) => printValue(spec, values));
}

function isScalar(spec: DirectiveSpec): boolean {
	const isCurrent = spec.obsolete === undefined && spec.aliasOf === undefined;
	return isCurrent && spec.block === undefined && spec.args.length === 1;
}

function fieldValue(values: object, spec: DirectiveSpec): unknown {
	return (values as Record<string, unknown>)[fieldOf(spec)];
}

function printValue(spec: DirectiveSpec, values: object): string[] {
	const value = fieldValue(values, spec);
	if (value === undefined) return [];
	if (typeof value === "boolean") return [`${spec.word} ${onOff(value)}`];
	if (Array.isArray(value)) return value.map((item) => `${spec.word} ${quote(textOf(spec, item))}`);
	// conntrackd takes a Nice with a sign only
	const isSigned = spec.args[0]!.type === "signed" && Number(value) >= 0;
	return [`${spec.word} ${isSigned ? "+" : ""}${quote(textOf(spec, value))}`];
}

function textOf(spec: DirectiveSpec, value: unknown): string {
	const { type } = spec.args[0]!;
	if (type === "net") return formatNetwork(value as AddressRule);
	if (type !== "port-range") return String(value);
	const { from, to } = value as PortRange;
	return from === to ? String(from) : `${from}-${to}`;
}

function formatNetwork({ address, prefixLength }: AddressRule): string {
	return `${formatBytes(address)}${prefixLength === address.length * 8 ? "" : `/${prefixLength}`}`;
}

const onOff = (value: boolean): string => (value ? "on" : "off");

/** A word as the tokenizer takes it. Words that came from a file have no quote and no line end in them. */
function quote(text: string): string {
	if (/["\n]/.test(text))
		throw new TypeError(`${JSON.stringify(text)} cannot be written in a configuration file`);
	return /^\/[^\s{}"]*$|^[^\s{}"#/][^\s{}"#]*$/.test(text) ? text : `"${text}"`;
}
