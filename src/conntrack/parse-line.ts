// The lines of conntrack(8) -L and of -i, -e, read again: the expectation or conntrack that a line describes, as an
// object. What a line does not tell (expectation functions, translations) is not there.
import type { Conntrack, Expectation } from "./conntrack.ts";
import { IPPROTO_GRE } from "./protocol.ts";
import { IPS_ASSURED, IPS_CONFIRMED, IPS_SEEN_REPLY } from "./status.ts";
import type { Family, FullTuple, Tuple } from "./tuple-object.ts";

const FLAGS: Readonly<Record<string, number>> = { PERMANENT: 1, INACTIVE: 2, USERSPACE: 4 };

/** `src=10.0.0.1`, in their order; the same key may come again. */
type Pair = readonly [key: string, value: string];

/**
 * Reads a line that begins with `proto=`, or with a timeout and `proto=`.
 *
 * @param masterProtocol the line does not tell it
 * @throws Error that says what is missing
 */
export function parseExpectationLine(line: string, masterProtocol: (helper: string) => number): Expectation {
	const words = line.trim().split(/\s+/);
	const pairs = pairsOf(words);
	const protocol = numberOf(required(pairs, "proto"), "proto");
	const own = pairs.findIndex(([key]) => key === "src");
	const mask = pairs.findIndex(([key]) => key === "mask-src");
	const master = pairs.findIndex(([key]) => key === "master-src");
	if (own < 0 || mask < own || master < mask)
		throw new Error("not src=, mask-src= and master-src= in this order");
	const helper = pairs.find(([key]) => key === "helper")?.[1];
	const family = familyOf(pairs[own]![1]);
	const tuple = (from: number, to: number, prefix: string, number: number): FullTuple => ({
		family: familyOf(pairs[from]![1]),
		protocol: number,
		...tupleOf(pairs.slice(from, to), prefix, number),
	});
	const rest = pairs.slice(master + 2);
	const end = rest.findIndex(([key]) => !["sport", "dport", "srckey", "dstkey"].includes(key));
	const behind = end < 0 ? pairs.length : master + 2 + end;
	const out: Expectation = {
		...tuple(own, mask, "", protocol),
		family,
		zone: numberOf(find(pairs, "zone") ?? "0", "zone"),
		mask: tuple(mask, master, "mask-", protocol),
		master: tuple(master, behind, "master-", masterProtocol(helper ?? "")),
	};
	if (/^\d+$/.test(words[0]!)) out.timeout = Number(words[0]);
	const flags = words.flatMap((word) => (/^[A-Z]+(,[A-Z]+)*$/.test(word) ? word.split(",") : []));
	out.flags = flags.reduce((sum, flag) => sum | (FLAGS[flag] ?? 0), 0);
	const ofClass = find(pairs, "class");
	if (ofClass !== undefined) out.class = numberOf(ofClass, "class");
	if (helper !== undefined) out.helper = helper;
	return out;
}

/**
 * Reads a line that begins with the name and the number of a protocol.
 *
 * @throws Error that says what is missing
 */
export function parseConntrackLine(line: string): Conntrack {
	const words = line.trim().split(/\s+/);
	const pairs = pairsOf(words);
	// `ipv4 2 tcp 6 ...` with -o extended
	const at = /^ipv[46]$/.test(words[0]!) ? 2 : 0;
	const protocol = numberOf(words[at + 1] ?? "", "protocol");
	const starts = pairs.flatMap(([key], i) => (key === "src" ? [i] : []));
	if (starts.length === 0) throw new Error("no src=");
	const zone = numberOf(find(pairs, "zone") ?? "0", "zone");
	const out: Conntrack = {
		family: familyOf(pairs[starts[0]!]![1]),
		protocol,
		zoneOrig: numberOf(find(pairs, "zone-orig") ?? String(zone), "zone-orig"),
		zoneReply: numberOf(find(pairs, "zone-reply") ?? String(zone), "zone-reply"),
		orig: tupleOf(pairs.slice(starts[0], starts[1]), "", protocol),
		status:
			IPS_CONFIRMED |
			(words.includes("[UNREPLIED]") ? 0 : IPS_SEEN_REPLY) |
			(words.includes("[ASSURED]") ? IPS_ASSURED : 0),
	};
	if (starts[1] !== undefined) out.reply = tupleOf(pairs.slice(starts[1]), "", protocol);
	const helper = find(pairs, "helper");
	if (helper !== undefined) out.helper = helper;
	return out;
}

function pairsOf(words: readonly string[]): Pair[] {
	return words.flatMap((word): Pair[] => {
		const equals = word.indexOf("=");
		return equals > 0 ? [[word.slice(0, equals), word.slice(equals + 1)]] : [];
	});
}

const find = (pairs: readonly Pair[], wanted: string): string | undefined =>
	pairs.find(([key]) => key === wanted)?.[1];

function required(pairs: readonly Pair[], key: string): string {
	const value = find(pairs, key);
	if (value === undefined) throw new Error(`no ${key}=`);
	return value;
}

function tupleOf(pairs: readonly Pair[], prefix: string, protocol: number): Tuple {
	const addresses = { src: required(pairs, `${prefix}src`), dst: required(pairs, `${prefix}dst`) };
	const number = (key: string): number => numberOf(required(pairs, key), key);
	if (protocol === IPPROTO_GRE && find(pairs, "srckey") !== undefined) {
		return { ...addresses, srcKey: number("srckey"), dstKey: number("dstkey") };
	}
	return find(pairs, "sport") === undefined
		? addresses
		: { ...addresses, sport: number("sport"), dport: number("dport") };
}

function numberOf(text: string, what: string): number {
	if (!/^(0x[0-9a-fA-F]+|\d+)$/.test(text)) throw new Error(`${what}: not a number: ${JSON.stringify(text)}`);
	return Number(text);
}

const familyOf = (address: string): Family => (address.includes(":") ? "ipv6" : "ipv4");
