// The `-x` form of format.ts: one <flow> element a line, without declaration and root element, in the vocabulary of
// conntrack(8) `-o xml`.
import { formatAddress } from "./address.ts";
import {
	EXP_CLASS,
	EXP_FLAGS,
	EXP_HAS,
	EXP_HELPER,
	EXP_MASTER_PROTOCOLS,
	EXP_PROTOCOLS,
	EXP_ZONE,
	type ExpectationRecord,
	X_CLASS,
	X_FLAGS,
	X_HELPER,
} from "./expectation-record.ts";
import { expectFlags, type FormatOptions, splitZones, stateName } from "./format.ts";
import type { NameTable } from "./names.ts";
import { AF_INET, AF_INET6, hasPorts, IPPROTO_GRE, protocolName } from "./protocol.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_ID,
	H_MARK,
	H_REPLY,
	H_STATUS,
	HAS,
	HELPER,
	ID,
	MARK,
	PROTOCOLS,
	STATUS,
	ZONES,
} from "./record.ts";
import { IPS_ASSURED, IPS_SEEN_REPLY } from "./status.ts";
import { destinationPort, sourcePort } from "./tuple.ts";
import { EXP_MASTER_AT, EXPECTED_AT, MASK_AT, ORIG_AT, REPLY_AT, type TuplePlace } from "./tuple-object.ts";

/** A reply part that is not shown is there, but empty. ICMP has no type, code and id in this form. */
export function formatConntrackXml(
	record: ConntrackRecord,
	names: NameTable,
	options: FormatOptions,
): string {
	const has = record[HAS]!;
	const protocols = record[PROTOCOLS]!;
	const zones = splitZones(record[ZONES]!);
	const reply =
		options.reply && (has & H_REPLY) !== 0 ? direction(record, protocols, REPLY_AT) : EMPTY_DIRECTION;
	const helper = (has & H_HELPER) === 0 ? "" : names.name(record[HELPER]!);
	return (
		`<flow><meta direction="original">` +
		direction(record, protocols, ORIG_AT) +
		`${zone(zones.orig)}</meta><meta direction="reply">${reply}${zone(zones.reply)}</meta>` +
		`${independent(record, zones.both, options.id === true)}` +
		`${helper === "" ? "" : element("helper", helper)}</flow>`
	);
}

/** The mask is read with the family and protocol of the expected tuple. */
export function formatExpectationXml(record: ExpectationRecord, names: NameTable): string {
	const has = record[EXP_HAS]!;
	const expected = record[EXP_PROTOCOLS]!;
	const master = record[EXP_MASTER_PROTOCOLS]!;
	const addresses =
		`<expected>${layer3(record, expected, EXPECTED_AT)}</expected>` +
		`<mask>${layer3(record, expected, MASK_AT)}</mask>` +
		`<master>${layer3(record, master, EXP_MASTER_AT)}</master>`;
	const ports =
		`<expected>${layer4(record, expected, EXPECTED_AT)}</expected>` +
		`<mask>${layer4(record, expected, MASK_AT)}</mask>` +
		`<master>${layer4(record, master, EXP_MASTER_AT)}</master>`;
	const helper = (has & X_HELPER) === 0 ? "" : names.name(record[EXP_HELPER]!);
	const flags = (has & X_FLAGS) === 0 ? [] : expectFlags(record[EXP_FLAGS]!);
	return [
		`<flow><layer3 ${layer3Name(expected)}>${addresses}</layer3>`,
		`<layer4 ${layer4Name(expected)}>${ports}</layer4><meta>`,
		helper === "" ? "" : element("helper-name", helper),
		(has & X_CLASS) === 0 ? "" : element("class", record[EXP_CLASS]! >>> 0),
		zone(record[EXP_ZONE]!),
		...flags.map((flag) => `<${flag.toLowerCase()}/>`),
		"</meta></flow>",
	].join("");
}

/** Escapes text for element content and attribute values; controls and what XML 1.0 cannot hold become "?". */
export function escapeXml(text: string): string {
	return text
		.replace(/[^\x20-\ud7ff\ue000-\ufffd]/g, "?")
		.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

const ENTITIES: Readonly<Record<string, string>> = {
	"&": "&amp;",
	"<": "&lt;",
	">": "&gt;",
	'"': "&quot;",
	"'": "&apos;",
};

const EMPTY_DIRECTION =
	`<layer3 protonum="0" protoname="unknown"><src></src><dst></dst></layer3>` +
	`<layer4 protonum="0" protoname="unknown"></layer4>`;

function element(name: string, value: string | number): string {
	return `<${name}>${typeof value === "number" ? value : escapeXml(value)}</${name}>`;
}

function zone(number: number): string {
	return number === 0 ? "" : element("zone", number);
}

/** The part about both directions; left out when there is nothing to tell. */
function independent(record: ConntrackRecord, zoneOfBoth: number, showId: boolean): string {
	const has = record[HAS]!;
	const state = stateName(record);
	const status = record[STATUS]!;
	const hasId = showId && (has & H_ID) !== 0;
	let text = state === undefined ? "" : element("state", state);
	if ((has & H_MARK) !== 0) text += element("mark", record[MARK]! >>> 0);
	text += zone(zoneOfBoth);
	if (hasId) text += element("id", record[ID]! >>> 0);
	if ((has & H_STATUS) !== 0) {
		if ((status & IPS_ASSURED) !== 0) text += "<assured/>";
		if ((status & IPS_SEEN_REPLY) === 0) text += "<unreplied/>";
	}
	return text === "" && (has & H_STATUS) === 0 ? "" : `<meta direction="independent">${text}</meta>`;
}

function direction(words: Int32Array, protocols: number, at: TuplePlace): string {
	return (
		`<layer3 ${layer3Name(protocols)}>${layer3(words, protocols, at)}</layer3>` +
		`<layer4 ${layer4Name(protocols)}>${layer4(words, protocols, at)}</layer4>`
	);
}

function layer3Name(protocols: number): string {
	const family = protocols & 0xff;
	return `protonum="${family}" protoname="${family === AF_INET ? "ipv4" : family === AF_INET6 ? "ipv6" : "unknown"}"`;
}

function layer4Name(protocols: number): string {
	return `protonum="${protocols >>> 8}" protoname="${protocolName(protocols >>> 8)}"`;
}

function layer3(words: Int32Array, protocols: number, at: TuplePlace): string {
	const ipv6 = (protocols & 0xff) === AF_INET6;
	return (
		element("src", formatAddress(words, at.src, ipv6)) + element("dst", formatAddress(words, at.dst, ipv6))
	);
}

function layer4(words: Int32Array, protocols: number, at: TuplePlace): string {
	const protocol = protocols >>> 8;
	const source = sourcePort(words[at.ports]!);
	const destination = destinationPort(words[at.ports]!);
	if (protocol === IPPROTO_GRE) {
		return `<srckey>0x${source.toString(16)}</srckey><dstkey>0x${destination.toString(16)}</dstkey>`;
	}
	return hasPorts(protocol) ? element("sport", source) + element("dport", destination) : "";
}
