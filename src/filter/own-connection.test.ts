import assert from "node:assert/strict";
import { test } from "node:test";
import { formatBytes, loadAddress } from "../conntrack/address.ts";
import { type Conntrack, conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { isOwnConnection } from "./own-connection.ts";

const OWN = ["10.10.1.254", "192.0.2.1", "2001:db8::1"];
const names = new NameTable();
const addresses = {
	has: (words: Int32Array, at: number, family: number) =>
		OWN.includes(formatBytes(loadAddress(words, at, family === 10))),
};

/** `original` and `reply` as "source > destination". */
function flow(original: string, reply?: string): Int32Array {
	const tuple = (text: string) => {
		const [src, dst] = text.split(" > ");
		return { src: src!, dst: dst!, sport: 1000, dport: 22 };
	};
	const conntrack: Conntrack = {
		family: original.includes(":") ? "ipv6" : "ipv4",
		protocol: 6,
		zoneOrig: 0,
		zoneReply: 0,
		orig: tuple(original),
		...(reply === undefined ? {} : { reply: tuple(reply) }),
	};
	return conntrackToRecord(conntrack, names);
}

const CASES: [what: string, original: string, reply: string | undefined, isOwn: boolean][] = [
	["to the firewall", "10.10.1.10 > 10.10.1.254", "10.10.1.254 > 10.10.1.10", true],
	["from the firewall", "10.10.1.254 > 10.10.1.10", "10.10.1.10 > 10.10.1.254", true],
	[
		"from the firewall, translated on its way out",
		"10.10.1.254 > 198.51.100.7",
		"198.51.100.7 > 192.0.2.1",
		true,
	],
	["redirected to a process of the firewall", "10.10.1.10 > 198.51.100.7", "10.10.1.254 > 10.10.1.10", true],
	["forwarded", "10.10.1.10 > 198.51.100.7", "198.51.100.7 > 10.10.1.10", false],
	["forwarded and masqueraded", "10.10.1.10 > 198.51.100.7", "198.51.100.7 > 192.0.2.1", false],
	["to a published address", "198.51.100.7 > 192.0.2.1", "10.10.1.20 > 198.51.100.7", false],
	["to a published address, masqueraded", "10.10.1.10 > 192.0.2.1", "10.10.1.20 > 10.10.1.254", false],
	["to the firewall over IPv6", "2001:db8::9 > 2001:db8::1", "2001:db8::1 > 2001:db8::9", true],
	["forwarded over IPv6", "2001:db8::9 > 2001:db8:1::1", "2001:db8:1::1 > 2001:db8::9", false],
	["to the firewall, the reply not told", "10.10.1.10 > 10.10.1.254", undefined, true],
	["forwarded, the reply not told", "10.10.1.10 > 198.51.100.7", undefined, false],
];

for (const [what, original, reply, isOwn] of CASES) {
	test(`a connection ${what} is ${isOwn ? "the firewall's own" : "none of its own"}`, () => {
		assert.equal(isOwnConnection(flow(original, reply), addresses), isOwn);
	});
}
