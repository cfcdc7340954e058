// The Filter section: clauses by protocol, address and TCP state, and ours by mark, zone, label, age and own addresses.
import { formatBytes } from "../conntrack/address.ts";
import { readArgument } from "./argument.ts";
import { findDirective } from "./directives.ts";
import { readLabels } from "./labels.ts";
import { PROTOCOL_NAMES, parseProtocol, parseTcpState, TCP_STATE_NAMES } from "./names.ts";
import { nearest } from "./nearest.ts";
import type { Report } from "./problem.ts";
import { show } from "./problem.ts";
import { Section } from "./section.ts";
import type { Directive } from "./syntax.ts";
import type { Word } from "./tokens.ts";
import type { AddressRule, FilterConfig, MarkRule } from "./types.ts";

/** What conntrackd reads as an address before it asks whether it is one. */
const ADDRESS_SHAPED = /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f]*:[0-9a-f]*:[0-9a-f:]*)(\/\d+)?$/i;

/** What a clause is made of; the clauses of old files come in the same shape. */
interface Clause {
	accept: boolean;
	directive: Directive;
}

/**
 * Builds the filter from all `Filter` sections and from the words of old files (IgnoreProtocol, IgnoreTrafficFor,
 * Replicate), which mean a clause each. Lists of several clauses of a kind are joined, and the policy of the last
 * one counts for all, as in conntrackd. Undefined when nothing filters.
 */
export function buildFilter(
	filters: readonly Directive[],
	old: readonly Directive[],
	report: Report,
): FilterConfig | undefined {
	if (filters.length === 0 && old.length === 0) return undefined;
	const result: FilterConfig = { from: "userspace" };
	const section = new Section("Filter", report);
	for (const filter of filters) {
		if (filter.args[1]) result.from = filter.args[1].text === "Kernelspace" ? "kernelspace" : "userspace";
		section.add(filter.block!);
	}
	const clauses = (word: string, oldWord?: string, oldAccept = false): Clause[] => [
		...old.filter(({ name }) => name === oldWord).map((directive) => ({ accept: oldAccept, directive })),
		...section.blocks(word).map((directive) => ({ accept: directive.args[0]!.text === "Accept", directive })),
	];

	const protocol = join(clauses("Protocol", "IgnoreProtocol", false), readProtocols, report);
	if (protocol) result.protocol = { accept: protocol.accept, protocols: [...new Set(protocol.items)] };
	const address = join(clauses("Address", "IgnoreTrafficFor", false), readAddressesOnce(), report);
	if (address) result.address = { accept: address.accept, rules: address.items };
	const state = join(clauses("State", "Replicate", true), readTcpStates, report);
	if (state) result.state = { accept: state.accept, tcpStates: [...new Set(state.items)] };
	const mark = join(clauses("Mark"), readMarks, report);
	if (mark) result.mark = { accept: mark.accept, marks: mark.items };
	const zone = join(clauses("Zone"), readZones, report);
	if (zone) result.zone = { accept: zone.accept, zones: [...new Set(zone.items)] };
	const label = join(clauses("Label"), readLabels, report);
	if (label) result.label = { accept: label.accept, labels: [...new Set(label.items)].sort((a, b) => a - b) };
	const minimumAge = section.optionalNumber("MinimumAge");
	if (minimumAge !== undefined) result.minimumAge = minimumAge;
	const own = section.optionalText("OwnConnections");
	if (own !== undefined) result.ownConnections = own as "Accept" | "Ignore";
	return result;
}

function join<T>(
	clauses: readonly Clause[],
	read: (directive: Directive, report: Report) => T[],
	report: Report,
): { accept: boolean; items: T[] } | undefined {
	if (clauses.length === 0) return undefined;
	const items = clauses.flatMap(({ directive }) => read(directive, report));
	const { accept, directive } = clauses.at(-1)!;
	if (clauses.some((clause) => clause.accept !== accept)) {
		report.warn(
			directive,
			`${accept ? "Accept" : "Ignore"} counts for all ${directive.name} clauses of this file`,
		);
	} else if (items.length === 0 && accept) {
		report.warn(directive, `${directive.name} accepts nothing: no connection is replicated`);
	}
	return { accept, items };
}

/** `VALUE` or `VALUE/MASK`, decimal or 0x..., of 32 bits. */
function readMarks(directive: Directive, report: Report): MarkRule[] {
	const marks: MarkRule[] = [];
	for (const { name, ...at } of directive.block!) {
		const [value, mask = U32_MAX, ...more] = name.split("/").map(readU32);
		if (value === undefined || Number.isNaN(value + mask) || more.length > 0) {
			report.badValue(
				at,
				`${show(name)} is no mark: VALUE or VALUE/MASK, numbers of 32 bits like 7 or 0x10/0xf0`,
			);
			continue;
		}
		if ((value & ~mask) !== 0) {
			report.warn(
				at,
				`no connection has the mark ${show(name)}: its value has bits that its mask leaves out`,
			);
		}
		marks.push({ value, mask });
	}
	return marks;
}

const U32_MAX = 0xffffffff;

/** NaN if it is none. */
function readU32(text: string): number {
	const number = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.NaN;
	return number <= U32_MAX ? number : Number.NaN;
}

function readZones(directive: Directive, report: Report): number[] {
	const zones: number[] = [];
	for (const { name, ...at } of directive.block!) {
		const zone = /^\d{1,5}$/.test(name) ? Number(name) : Number.NaN;
		if (zone <= 0xffff) zones.push(zone);
		else report.badValue(at, `${show(name)} is no zone: a number from 0 to 65535, 0 for no zone`);
	}
	return zones;
}

/** A protocol that has no name is left out with a warning, as in conntrackd. */
function readProtocols(directive: Directive, report: Report): number[] {
	const protocols: number[] = [];
	for (const { name, ...at } of directive.block!) {
		const protocol = parseProtocol(name);
		if (protocol !== undefined) protocols.push(protocol);
		else report.warn(at, `unknown protocol ${show(name)}: it is left out`, nearest(name, PROTOCOL_NAMES));
	}
	return protocols;
}

/** A reader of Address clauses that takes each network once, whichever clause it stands in. */
function readAddressesOnce(): (directive: Directive, report: Report) => AddressRule[] {
	const seen = new Set<string>();
	return (directive, report) => readAddresses(directive, seen, report);
}

/** What looks like an address and is none is left out with a warning, as in conntrackd. */
function readAddresses(directive: Directive, seen: Set<string>, report: Report): AddressRule[] {
	const rules: AddressRule[] = [];
	for (const { spec, args } of directive.block!) {
		const word = args[0]!;
		const read = readArgument(spec!.args[0]!, word.text);
		if (!("value" in read)) {
			const other = spec!.word === "IPv4_address" ? "IPv6_address" : "IPv4_address";
			const isOther = "value" in readArgument(findDirective("Address", other)!.args[0]!, word.text);
			const suggestion = isOther ? other : read.suggestion;
			if (ADDRESS_SHAPED.test(word.text)) report.warn(word, `${read.problem}: it is left out`, suggestion);
			else report.badValue(word, read.problem, suggestion);
			continue;
		}
		const rule = read.value as AddressRule;
		const key = `${formatBytes(rule.address)}/${rule.prefixLength}`;
		if (seen.has(key)) report.warn(word, `${show(word.text)} is in the list already`);
		else rules.push(rule);
		seen.add(key);
		if (rule.prefixLength === 0 && directive.args[0]?.text !== "Accept") {
			report.warn(
				word,
				`${show(word.text)} is every address: no connection of IPv${rule.family} is replicated`,
			);
		}
	}
	return rules;
}

function readTcpStates(directive: Directive, report: Report): number[] {
	const words: Pick<Word, "line" | "column" | "text">[] = directive.block
		? directive.block.map(({ name, line, column }) => ({ text: name, line, column }))
		: directive.args;
	const states: number[] = [];
	for (let i = 0; i < words.length; i++) {
		const word = words[i]!;
		if (word.text === "for") {
			const protocol = words[++i];
			if (protocol?.text !== "TCP") report.badValue(protocol ?? word, "only TCP can follow for");
			continue;
		}
		const state = parseTcpState(word.text);
		if (state !== undefined) states.push(state);
		else report.badValue(word, `unknown TCP state ${show(word.text)}`, nearest(word.text, TCP_STATE_NAMES));
	}
	if (words.length > 0 && words.at(-2)?.text !== "for" && words.at(-1)!.text !== "for") {
		report.badValue(words.at(-1)!, `"for TCP" is missing after ${show(words.at(-1)!.text)}`);
	}
	return states;
}
