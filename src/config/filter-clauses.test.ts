import assert from "node:assert/strict";
import { test } from "node:test";
import { general, MULTICAST, parse, warningsOf } from "./parse-kit.ts";

test("the filter keeps numbers and bytes", () => {
	const { filter } = general(`Filter From Kernelspace {
		Protocol Accept { TCP udp Icmp IPv6-ICMP ICMPv6 132 }
		Address Ignore { IPv4_address 10.1.2.3/8 IPv6_address 2001:db8::1 IPv6_address fe80::ffff/10 }
		State Accept { ESTABLISHED CLOSED CLOSE LISTEN for TCP }
	}`);
	const bytes = (...start: number[]): Uint8Array => {
		const all = new Uint8Array(16);
		all.set(start);
		return all;
	};
	const last = bytes(0x20, 0x01, 0x0d, 0xb8);
	last[15] = 1;
	assert.deepEqual(filter, {
		from: "kernelspace",
		protocol: { accept: true, protocols: [6, 17, 1, 58, 132] },
		address: {
			accept: false,
			rules: [
				{ family: 4, address: new Uint8Array([10, 0, 0, 0]), prefixLength: 8 },
				{ family: 6, address: last, prefixLength: 128 },
				{ family: 6, address: bytes(0xfe, 0x80), prefixLength: 10 },
			],
		},
		state: { accept: true, tcpStates: [3, 8, 9] },
	});
});

test("every TCP state has the number of the kernel", () => {
	const names = "SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE LISTEN";
	const { filter } = general(`Filter { State Ignore { ${names} for TCP } }`);
	assert.deepEqual(filter!.state, { accept: false, tcpStates: [1, 2, 3, 4, 5, 6, 7, 8, 9] });
});

test("filter clauses of one kind are joined, and the last policy counts for all", () => {
	const text = "General { Filter { Protocol Accept { TCP } }\nFilter { Protocol Ignore { UDP } } }";
	assert.deepEqual(parse(text).general.filter, {
		from: "userspace",
		protocol: { accept: false, protocols: [6, 17] },
	});
	assert.deepEqual(warningsOf(text), ["f:2:10: Ignore counts for all Protocol clauses of this file"]);
});

test("an Accept list without entries is warned of", () => {
	assert.match(
		warningsOf("General { Filter { Address Accept { } } }")[0]!,
		/^f:1:20: Address accepts nothing/,
	);
	assert.deepEqual(warningsOf("General { Filter { Address Ignore { } } }"), []);
});

test("the filters of old files become clauses", () => {
	const text = `IgnoreProtocol { icmp } General { IgnoreTrafficFor { IPv4_address 10.0.0.1 } }
		Sync { Mode FTFW { } Replicate ESTABLISHED for TCP ${MULTICAST} }`;
	assert.deepEqual(parse(text).general.filter, {
		from: "userspace",
		protocol: { accept: false, protocols: [1] },
		address: {
			accept: false,
			rules: [{ family: 4, address: new Uint8Array([10, 0, 0, 1]), prefixLength: 32 }],
		},
		state: { accept: true, tcpStates: [3] },
	});
	assert.deepEqual(warningsOf(text), [
		"f:1:1: IgnoreProtocol is obsolete: write Filter { Protocol Ignore { ... } } in General",
		"f:1:35: IgnoreTrafficFor is obsolete: write Filter { Address Ignore { ... } } in General",
		"f:2:24: Replicate is obsolete: write Filter { State Accept { ... for TCP } } in General",
	]);
});
