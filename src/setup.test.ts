import assert from "node:assert/strict";
import { test } from "node:test";
import { type Config, parseConfig } from "./config/config.ts";
import { cautions, linkOf, ownTraffic, policyChecksum, speakersOf } from "./setup.ts";
import { crc32c } from "./sync/wire/crc32c.ts";

const MULTICAST = "Multicast { IPv4_address 225.0.0.50 Group 3780 Interface lo IPv4_interface 10.0.0.1 }";
const UDP = `UDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo
	IPv4_Destination_Address 10.0.0.3 }`;
const PEERS = "Peers { IPv4_address 10.0.0.1 IPv4_address 10.0.0.2 IPv4_address 10.0.0.3 }";
const KEY = "Security { KeyFile /k }";
const parse = (text: string): Config => parseConfig(`Sync { Mode FTFW { } ${text} }`, "f").config;

const bytes = (...last: number[]): Uint8Array[] => last.map((byte) => Uint8Array.of(10, 0, 0, byte));
const speakers = (text: string, device = "lo") => {
	const config = parse(text);
	return speakersOf(config, config.sync!.links[0]!, device);
};

test("a UDP link sends to all destinations and hears them alone, with a key or without", () => {
	assert.deepEqual(linkOf(parse(UDP).sync!.links[0]!).destinations, bytes(2, 3));
	for (const text of [UDP, UDP + KEY, UDP + PEERS]) {
		assert.deepEqual(speakers(text), { who: "listed", addresses: bytes(2, 3), named: "the destinations" });
	}
});

test("a multicast link hears the Peers, this node itself not among them", () => {
	for (const text of [MULTICAST + PEERS, MULTICAST + PEERS + KEY]) {
		assert.deepEqual(speakers(text), { who: "listed", addresses: bytes(2, 3), named: "the Peers" });
	}
	assert.equal(linkOf(parse(MULTICAST).sync!.links[0]!).destinations, undefined);
});

test("a multicast link without Peers hears everybody with a key, and without one the first of its networks", () => {
	assert.deepEqual(speakers(MULTICAST + KEY), { who: "all" });
	const first = speakers(MULTICAST);
	assert.ok(first.who === "first");
	assert.deepEqual(
		first.networks().find(({ address }) => address.length === 4),
		{ address: Uint8Array.of(127, 0, 0, 1), prefixLength: 8 },
	);
	const other = speakers(MULTICAST, "no-such-one");
	assert.deepEqual(other.who === "first" && other.networks(), []);
});

test("nodes with other clauses of ours tell another checksum, and without any the one of older versions", () => {
	const checksum = (filter: string) =>
		policyChecksum(parseConfig(`Sync { Mode FTFW { } ${UDP} } General { Filter { ${filter} } }`, "f").config);
	const protocol = "Protocol Accept { TCP }";
	const clauses = [
		"Mark Accept { 1 }",
		"Mark Accept { 1/1 }",
		"Zone Ignore { 1 }",
		"Label Accept { 1 }",
		"MinimumAge 3",
		"OwnConnections Ignore",
		"",
	];
	assert.equal(new Set(clauses.map((clause) => checksum(`${protocol} ${clause}`))).size, clauses.length);
	assert.equal(checksum(`${protocol} Address Ignore { IPv4_address 10.0.0.1 }`), checksum(protocol));
	const older = new TextEncoder().encode("[[true,[6]],null,false]");
	assert.equal(checksum(protocol), crc32c(older, 0, older.length) >>> 0);
});

test("a file without a mode is one of the Stats mode, and says so", () => {
	const [caution] = cautions(parseConfig("General { }", "f").config);
	assert.match(caution!, /no running mode specified: collecting statistics/);
	assert.deepEqual(cautions(parseConfig("Stats { }", "f").config), []);
});

test("the replication over TCP is TCP", () => {
	const own = ownTraffic(
		parse(UDP.replace("UDP", "TCP").replace(/IPv4_Destination_Address 10.0.0.3/, "")).sync!.links,
	);
	assert.deepEqual(
		own.map(({ protocol, port }) => [protocol, port]),
		[
			[6, 3780],
			[6, 3780],
		],
	);
});

test("what goes to any node of a link is the replication itself", () => {
	assert.deepEqual(
		ownTraffic(parse(UDP).sync!.links).map(({ address, port }) => `${address.join(".")}:${port}`),
		["10.0.0.1:3780", "10.0.0.2:3780", "10.0.0.3:3780"],
	);
});
