// One dedicated link: the Multicast, UDP and TCP sections.
import { parseAddress } from "../conntrack/address.ts";
import { distinctAddresses, isGroup } from "./address-list.ts";
import type { Place } from "./directives.ts";
import { omitUndefined } from "./omit-undefined.ts";
import type { Report } from "./problem.ts";
import { isBefore, show } from "./problem.ts";
import type { Entry } from "./section.ts";
import { Section } from "./section.ts";
import type { Directive } from "./syntax.ts";
import type { LinkConfig, TransportType } from "./types.ts";

const TRANSPORTS: Readonly<Record<string, TransportType>> = {
	Multicast: "multicast",
	UDP: "udp",
	TCP: "tcp",
};

/** A cluster has sixteen nodes. */
const DESTINATIONS_MAX = 15;
/** Of a TCP link without ErrorQueueLength; other links do not use it. */
const ERROR_QUEUE_LENGTH = 128;

/** Builds a link from its section. Reports what is missing or does not fit together; the result is then undefined. */
export function buildLink(directive: Directive, report: Report): LinkConfig | undefined {
	const type = TRANSPORTS[directive.name]!;
	const section = new Section(directive.name as Place, report).add(directive.block!);
	const isMulticast = type === "multicast";

	const own = oneAddress(section, ["IPv4_address", "IPv6_address"], directive, report);
	const destinations = isMulticast ? undefined : readDestinations(section, own, directive, report);
	const port = required(section, isMulticast ? "Group" : "Port", directive, report);
	const interfaceEntry = isMulticast
		? required(section, "Interface", directive, report)
		: section.entry("Interface");
	const local = isMulticast ? section.entry("IPv4_interface") : undefined;
	if (own?.value === undefined || port?.value === undefined) return undefined;

	const address = own.value as string;
	const family = own.directive.name.startsWith("IPv4") ? 4 : 6;
	if (isMulticast) checkGroup(own, report);
	else if (family === 6 && isLinkLocal(address) && !interfaceEntry) {
		report.error(own.word, `${show(address)} is a link-local address: ${directive.name} needs Interface`);
	}
	if (local) checkFamily(local, own, report);
	return {
		type,
		isDefault: false,
		family,
		address,
		port: port.value as number,
		checksum: section.flag("Checksum"),
		errorQueueLength: type === "tcp" ? section.number("ErrorQueueLength") : ERROR_QUEUE_LENGTH,
		line: directive.line,
		...omitUndefined({
			destinations,
			interface: interfaceEntry?.value as string | undefined,
			interfaceAddress: local?.value as string | undefined,
			sndSocketBuffer: section.optionalNumber("SndSocketBuffer"),
			rcvSocketBuffer: section.optionalNumber("RcvSocketBuffer"),
		}),
	};
}

function required(section: Section, word: string, directive: Directive, report: Report): Entry | undefined {
	const entry = section.entry(word);
	if (!entry) report.error(directive, `${directive.name} needs ${word}`);
	return entry;
}

/** The IPv4 or the IPv6 form of an address: one must be there, both is a mistake. */
function oneAddress(
	section: Section,
	[word4, word6]: readonly [string, string],
	directive: Directive,
	report: Report,
): Entry | undefined {
	const v4 = section.entry(word4);
	const v6 = section.entry(word6);
	if (!v4 && !v6) report.error(directive, `${directive.name} needs ${word4} or ${word6}`);
	if (v4 && v6) {
		const [first, second] = isBefore(v4.directive, v6.directive) ? [v4, v6] : [v6, v4];
		report.error(
			second.directive,
			`${second.directive.name} does not go with ${first.directive.name}: a link has one`,
		);
	}
	return v4 ?? v6;
}

/** Everybody whom the link sends to: the other nodes, each once, in the family of the own address. */
function readDestinations(
	section: Section,
	own: Entry | undefined,
	directive: Directive,
	report: Report,
): string[] {
	const words = ["IPv4_Destination_Address", "IPv6_Destination_Address"] as const;
	const entries = section.entries(...words);
	if (entries.length === 0) report.error(directive, `${directive.name} needs ${words.join(" or ")}`);
	const surplus = entries[DESTINATIONS_MAX];
	if (surplus) report.error(surplus.directive, `a link has no more than ${DESTINATIONS_MAX} destinations`);
	for (const entry of entries) {
		if (own) checkFamily(entry, own, report);
		if (entry.value !== undefined && entry.value === own?.value) {
			report.error(entry.word, `${show(entry.word.text)} is this node's own address`);
		}
	}
	return distinctAddresses(entries, report);
}

function checkFamily(entry: Entry, own: Entry, report: Report): void {
	const [name, ownName] = [entry.directive.name, own.directive.name];
	if (name.slice(0, 4) !== ownName.slice(0, 4)) {
		report.error(entry.directive, `${name} does not go with ${ownName}`);
	}
}

function checkGroup({ value, word }: Entry, report: Report): void {
	const range = (value as string).includes(":") ? "ff00::/8" : "224.0.0.0/4";
	if (!isGroup(value as string)) {
		report.badValue(word, `${show(word.text)} is not a multicast group (${range})`);
	}
}

/** fe80::/10 (RFC 4291): such an address says nothing without an interface. */
function isLinkLocal(address: string): boolean {
	const bytes = parseAddress(address)!;
	return bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80;
}
