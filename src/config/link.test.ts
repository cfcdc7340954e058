import assert from "node:assert/strict";
import { test } from "node:test";
import { MULTICAST, parse, sync, warningsOf } from "./parse-kit.ts";

test("a multicast link has every word", () => {
	const [link] = sync(
		"Mode FTFW { }",
		`Multicast Default {
			IPv4_address 225.0.0.50 Group 3780 IPv4_interface 192.168.100.1 Interface eth0.100
			SndSocketBuffer 5 McastRcvSocketBuffer 6 Checksum off
		}`,
	).links;
	assert.deepEqual(link, {
		type: "multicast",
		isDefault: true,
		family: 4,
		address: "225.0.0.50",
		port: 3780,
		interface: "eth0.100",
		interfaceAddress: "192.168.100.1",
		sndSocketBuffer: 5,
		rcvSocketBuffer: 6,
		checksum: false,
		errorQueueLength: 128,
		line: 1,
	});
});

test("IPv6 links work", () => {
	const [group] = sync("", "Multicast { IPv6_address FF15:0::1 Group 1 Interface eth3 }").links;
	assert.deepEqual([group!.family, group!.address], [6, "ff15::1"]);
	const [udp] = sync(
		"",
		"UDP { IPv6_address fe80::1 IPv6_Destination_Address fe80::2 Port 2 Interface eth3 }",
	).links;
	assert.deepEqual(
		[udp!.type, udp!.family, udp!.address, udp!.destinations],
		["udp", 6, "fe80::1", ["fe80::2"]],
	);
});

test("a UDP link has up to fifteen destinations, in the order of the file", () => {
	const others = Array.from({ length: 15 }, (_, i) => `10.0.0.${16 - i}`);
	const lines = others.map((other) => `IPv4_Destination_Address ${other}`).join("\n");
	const text = `UDP { IPv4_address 10.0.0.1 ${lines} Port 2 }`;
	assert.deepEqual(sync("Mode FTFW { }", text).links[0]!.destinations, others);
	assert.deepEqual(warningsOf(`Sync { Mode FTFW { } ${text} }`), []);
	const v6 = `UDP { IPv6_Destination_Address FD00::3 IPv6_address fd00::1 Port 2
		IPv6_Destination_Address fd00:0::2 }`;
	assert.deepEqual(sync("", v6).links[0]!.destinations, ["fd00::3", "fd00::2"]);
});

test("of several destinations of a TCP link the last one counts", () => {
	const text = `Sync { Mode FTFW { } TCP { IPv4_address 10.0.0.1 Port 2 IPv4_Destination_Address 10.0.0.2
		IPv4_Destination_Address 10.0.0.3 } }`;
	assert.deepEqual(parse(text).sync!.links[0]!.destinations, ["10.0.0.3"]);
	assert.deepEqual(warningsOf(text), [
		"f:2:3: IPv4_Destination_Address counts in place of the one in line 1",
	]);
});

test("Peers are those that are named, in the order of the file, and absent without the section", () => {
	const text = "Peers { IPv4_address 10.0.0.3 IPv4_address 10.0.0.2 }\nPeers { IPv4_address 10.0.0.1 }";
	assert.deepEqual(sync(text).peers, ["10.0.0.3", "10.0.0.2", "10.0.0.1"]);
	assert.deepEqual(warningsOf(`Sync { Mode FTFW { } ${text} ${MULTICAST} }`), []);
	assert.ok(!("peers" in sync("")));
	const v6 = "Multicast { IPv6_address ff15::50 Group 1 Interface eth3 }";
	assert.deepEqual(sync("Peers { IPv6_address FE80::0:1 }", v6).peers, ["fe80::1"]);
	const both = sync("Peers { IPv6_address fe80::1 IPv4_address 10.0.0.2 }", `${v6} ${MULTICAST}`);
	assert.deepEqual(both.peers, ["fe80::1", "10.0.0.2"]);
});

test("Peers of a UDP link are its destinations, with the own address or without it", () => {
	const link = `UDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2
		IPv4_Destination_Address 10.0.0.3 Port 2 }`;
	const peers = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
	const section = (list: string[]) => `Peers { ${list.map((peer) => `IPv4_address ${peer}`).join(" ")} }`;
	for (const list of [peers, peers.slice(1)]) assert.deepEqual(sync(section(list), link).peers, list);
	const other = "UDP { IPv4_address 10.9.0.1 IPv4_Destination_Address 10.9.0.2 Port 2 }";
	assert.deepEqual(sync(section([...peers, "10.9.0.2"]), link + other).peers!.length, 4);
});

test("the link marked Default is the initial one, else the first; each knows its line", () => {
	const tcp = "IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 3 ErrorQueueLength 4 }";
	const links = sync("", `TCP { ${tcp}\nTCP Default { ${tcp}\nTCP { ${tcp}`).links;
	assert.deepEqual(
		links.map((link) => [link.isDefault, link.line, link.errorQueueLength]),
		[
			[false, 1, 4],
			[true, 2, 4],
			[false, 3, 4],
		],
	);
	assert.equal(sync("", `TCP { ${tcp} TCP { ${tcp}`).links[0]!.isDefault, true);
	const twice = sync("", `TCP Default { ${tcp} TCP Default { ${tcp}`).links;
	assert.deepEqual(
		twice.map((link) => link.isDefault),
		[false, true],
	);
});
