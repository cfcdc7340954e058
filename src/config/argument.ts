// The kinds of arguments that directives take: how each is described in a message, and how a word becomes a value.
import { formatBytes, parseAddress } from "../conntrack/address.ts";
import { nearest } from "./nearest.ts";
import { listWords, show } from "./problem.ts";
import type { AddressRule, PortRange } from "./types.ts";

export type ArgumentType =
	| "onoff"
	| "onoff-or-path"
	| "onoff-or-number"
	| "onoff-or-facility"
	| "number"
	| "signed"
	| "path"
	| "ipv4"
	| "ipv6"
	| "ipv4-net"
	| "ipv6-net"
	| "net"
	| "port-range"
	| "interface"
	| "choice"
	| "name"
	| "cluster-name";

export interface ArgumentSpec {
	readonly type: ArgumentType;
	/** Of numbers, both inclusive; the longest path, in bytes. */
	readonly min?: number;
	readonly max?: number;
	/** 0 is written for "the default". */
	readonly zeroIsDefault?: boolean;
	readonly unit?: "seconds" | "bytes" | "objects" | "messages" | "buckets" | "entries" | "packets";
	/** What may be chosen. */
	readonly words?: readonly string[];
	/** In place of the words in a message. */
	readonly label?: string;
	/** Other spellings of a choice, in capitals. */
	readonly oldWords?: Readonly<Record<string, string>>;
	/** Letter case of a choice does not matter. */
	readonly anyCase?: boolean;
	/** The value that `on` stands for. */
	readonly on?: string | number;
	/** This argument and those after it may be left out. */
	readonly optional?: boolean;
}

export type ArgumentValue = boolean | number | string | AddressRule | PortRange;

/** A value, or why the word is none. */
export type Read = { value: ArgumentValue } | { problem: string; suggestion?: string };

/** Facilities that conntrackd knows. */
export const SYSLOG_FACILITIES: readonly string[] = [
	"daemon",
	...[0, 1, 2, 3, 4, 5, 6, 7].map((n) => `local${n}`),
];

/** sockaddr_un.sun_path has 108 bytes, the last of them zero (unix(7)). */
export const UNIX_PATH_MAX = 107;
/** IFNAMSIZ is 16 with its zero (linux/if.h). */
const INTERFACE_NAME_MAX = 15;

/** It is part of what a node's key is made from, and short enough to be read in a log line. */
const CLUSTER_NAME = /^[A-Za-z0-9._-]{1,63}$/;

/** The default upper limit of numbers, u32. */
const NUMBER_MAX = 0xffffffff;

/** What an argument must be, for "X needs ...". */
export function describeArgument(spec: ArgumentSpec): string {
	const number = spec.unit ? `a number of ${spec.unit}` : "a number";
	switch (spec.type) {
		case "onoff":
			return "on or off";
		case "onoff-or-path":
			return "on, off or an absolute path";
		case "onoff-or-number":
			return `on, off or ${number}`;
		case "onoff-or-facility":
			return "on, off or a syslog facility";
		case "number":
			return number;
		case "signed":
			return "a number, which may be negative";
		case "path":
			return "an absolute path";
		case "ipv4":
			return "an IPv4 address";
		case "ipv6":
			return "an IPv6 address";
		case "ipv4-net":
			return "an IPv4 address or network";
		case "ipv6-net":
			return "an IPv6 address or network";
		case "net":
			return "an address or network";
		case "port-range":
			return "a port, or two with a hyphen between them";
		case "interface":
			return "the name of an interface";
		case "choice":
			return spec.label ?? listWords(spec.words!);
		case "name":
			return "a name";
		case "cluster-name":
			return "a name of 1 to 63 letters, digits, dots, hyphens or underscores";
	}
}

/** Reads one word as the value that `spec` asks for. `on` becomes what it stands for, a choice its own spelling. */
export function readArgument(spec: ArgumentSpec, text: string): Read {
	const onOff = spec.type.startsWith("onoff") ? parseOnOff(text) : undefined;
	if (onOff !== undefined) return { value: onOff ? (spec.on ?? true) : false };
	switch (spec.type) {
		case "onoff":
			return isNot(spec, text, nearest(text, ["on", "off", "yes", "no"]));
		case "onoff-or-path":
		case "path":
			return readPath(spec, text);
		case "onoff-or-facility":
			// an unknown one is no error in conntrackd either: whoever builds the section warns
			return /^[A-Za-z]/.test(text) ? { value: text } : isNot(spec, text);
		case "onoff-or-number":
		case "number":
			return /^[0-9]+$/.test(text) ? inRange(spec, text) : isNot(spec, text);
		case "signed":
			return /^[-+]?[0-9]+$/.test(text) ? inRange(spec, text) : isNot(spec, text);
		case "ipv4":
		case "ipv6":
			return readHost(spec, text);
		case "ipv4-net":
		case "ipv6-net":
		case "net":
			return readNetwork(spec, text);
		case "port-range":
			return readPortRange(spec, text);
		case "interface":
			return readInterface(spec, text);
		case "choice":
			return readChoice(spec, text);
		case "name":
			return text === "" ? isNot(spec, text) : { value: text };
		case "cluster-name":
			return CLUSTER_NAME.test(text) ? { value: text } : isNot(spec, text);
	}
}

function parseOnOff(text: string): boolean | undefined {
	switch (text.toLowerCase()) {
		case "on":
		case "yes":
			return true;
		case "off":
		case "no":
			return false;
		default:
			return undefined;
	}
}

function isNot(spec: ArgumentSpec, text: string, suggestion?: string): Read {
	const problem = `${show(text)} is not ${describeArgument(spec)}`;
	return suggestion === undefined ? { problem } : { problem, suggestion };
}

function inRange(spec: ArgumentSpec, text: string): Read {
	const { min = 0, max = NUMBER_MAX } = spec;
	const value = Number(text);
	if (value === 0 && spec.zeroIsDefault) return { value: 0 };
	if (value < min || value > max) return { problem: `${show(text)} is outside ${min}..${max}` };
	return { value: value === 0 ? 0 : value }; // -0 is 0
}

function readPath(spec: ArgumentSpec, text: string): Read {
	if (!text.startsWith("/")) return isNot(spec, text);
	const { max } = spec;
	if (max === undefined || Buffer.byteLength(text) <= max) return { value: text };
	return { problem: `${show(text)} is longer than ${max} bytes` };
}

const familyOf = (spec: ArgumentSpec): 4 | 6 => (spec.type.startsWith("ipv4") ? 4 : 6);

function readHost(spec: ArgumentSpec, text: string): Read {
	const bytes = parseAddress(text);
	if (bytes?.length === (familyOf(spec) === 4 ? 4 : 16)) return { value: formatBytes(bytes) };
	if (text.includes("/"))
		return { problem: `${show(text)} is a network; ${describeArgument(spec)} is needed` };
	if (text.includes("%"))
		return { problem: `${show(text)}: name the interface with the directive Interface` };
	return isNot(spec, text);
}

function readNetwork(spec: ArgumentSpec, text: string): Read {
	const family = spec.type === "net" ? (text.includes(":") ? 6 : 4) : familyOf(spec);
	const [host, length, ...rest] = text.split("/");
	const bytes = parseAddress(host!);
	const bits = family === 4 ? 32 : 128;
	if (bytes?.length !== bits / 8 || rest.length > 0) return isNot(spec, text);
	if (length === undefined) return { value: { family, address: bytes, prefixLength: bits } };
	if (!/^[0-9]{1,3}$/.test(length) || Number(length) > bits) {
		return { problem: `${show(text)}: the prefix length must be 0 to ${bits}` };
	}
	return { value: { family, address: maskAddress(bytes, Number(length)), prefixLength: Number(length) } };
}

/** Clears the bits behind the prefix, in place. */
function maskAddress(bytes: Uint8Array, prefixLength: number): Uint8Array {
	for (let i = 0; i < bytes.length; i++) {
		const kept = Math.min(8, Math.max(0, prefixLength - 8 * i));
		bytes[i]! &= 0xff << (8 - kept);
	}
	return bytes;
}

function readPortRange(spec: ArgumentSpec, text: string): Read {
	const parts = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/.exec(text);
	if (!parts) return isNot(spec, text);
	const from = Number(parts[1]);
	const to = Number(parts[2] ?? parts[1]);
	if (from < 1 || to > 65_535) return { problem: `${show(text)} is outside 1..65535` };
	return from > to ? { problem: `${show(text)} ends before it begins` } : { value: { from, to } };
}

function readInterface(spec: ArgumentSpec, text: string): Read {
	// what dev_valid_name() of the kernel allows
	const isValid = /^[^\s/:]+$/.test(text) && text !== "." && text !== "..";
	if (!isValid) return isNot(spec, text);
	if (Buffer.byteLength(text) > INTERFACE_NAME_MAX) {
		return { problem: `${show(text)} is longer than an interface name can be (${INTERFACE_NAME_MAX} bytes)` };
	}
	return { value: text };
}

function readChoice(spec: ArgumentSpec, text: string): Read {
	const words = spec.words!;
	const sameLetters = words.find((word) => word.toLowerCase() === text.toLowerCase());
	if (sameLetters !== undefined && (spec.anyCase || sameLetters === text)) return { value: sameLetters };
	const current = spec.oldWords?.[text.toUpperCase()];
	if (current !== undefined) return { value: current };
	return isNot(spec, text, sameLetters ?? nearest(text, words));
}
