import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { storeAddress } from "./address.ts";
import { AF_INET, AF_INET6, IPPROTO_GRE, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP } from "./protocol.ts";
import {
	newConntrackRecord,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
} from "./record.ts";
import {
	destinationPort,
	icmpCode,
	icmpId,
	icmpType,
	invertPorts,
	invertTuple,
	isPlainReply,
	sourcePort,
} from "./tuple.ts";

const port = fc.integer({ min: 0, max: 0xffff });
const word = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });

test("a ports word holds source and destination without sign", () => {
	fc.assert(
		fc.property(port, port, (source, destination) => {
			const ports = source | (destination << 16);
			assert.equal(sourcePort(ports), source);
			assert.equal(destinationPort(ports), destination);
		}),
	);
});

test("the ports word of ICMP holds id, type and code", () => {
	const ports = 0xfffe | (8 << 16) | (255 << 24);
	assert.equal(icmpId(ports), 0xfffe);
	assert.equal(icmpType(ports), 8);
	assert.equal(icmpCode(ports), 255);
});

test("ports and GRE keys change places in the opposite direction", () => {
	for (const protocol of [IPPROTO_TCP, IPPROTO_GRE]) {
		assert.equal(invertPorts(protocol, 0x1234 | (0xabcd << 16)), 0xabcd | (0x1234 << 16));
	}
});

/** The pairs of nf_conntrack_proto_icmp.c and nf_conntrack_proto_icmpv6.c. */
const PAIRS: readonly (readonly [protocol: number, type: number, answer: number])[] = [
	[IPPROTO_ICMP, 8, 0],
	[IPPROTO_ICMP, 13, 14],
	[IPPROTO_ICMP, 15, 16],
	[IPPROTO_ICMP, 17, 18],
	[IPPROTO_ICMPV6, 128, 129],
	[IPPROTO_ICMPV6, 139, 140],
];

for (const [protocol, type, answer] of PAIRS) {
	test(`the answer to type ${type} of protocol ${protocol} is type ${answer}, id and code stay`, () => {
		const ports = (kind: number) => 0xbeef | (kind << 16) | (0x81 << 24);
		assert.equal(invertPorts(protocol, ports(type)), ports(answer));
		assert.equal(invertPorts(protocol, ports(answer)), ports(type));
	});
}

test("an ICMP type without an answer stays as it is", () => {
	assert.equal(invertPorts(IPPROTO_ICMP, 3 << 16), 3 << 16);
	assert.equal(invertPorts(IPPROTO_ICMPV6, 8 << 16), 8 << 16, "ICMPv6 has its own types");
});

test("inverting twice gives the ports back", () => {
	const protocols = fc.constantFrom(1, 6, 17, 33, 47, 58, 89, 132, 136);
	fc.assert(
		fc.property(protocols, word, (protocol, ports) => {
			assert.equal(invertPorts(protocol, invertPorts(protocol, ports)), ports);
		}),
	);
});

function udp6(): Int32Array {
	const record = newConntrackRecord();
	record[PROTOCOLS] = AF_INET6 | (17 << 8);
	record[ORIG_PORTS] = 40000 | (53 << 16);
	storeAddress(
		record,
		ORIG_SRC,
		Uint8Array.from({ length: 16 }, (_, i) => i),
	);
	storeAddress(
		record,
		ORIG_DST,
		Uint8Array.from({ length: 16 }, (_, i) => 255 - i),
	);
	invertTuple(record);
	return record;
}

test("the reply tuple without translation is the original one turned around", () => {
	const record = udp6();
	assert.equal(record[REPLY_PORTS], 53 | (40000 << 16));
	assert.deepEqual(record.slice(REPLY_SRC, REPLY_SRC + 4), record.slice(ORIG_DST, ORIG_DST + 4));
	assert.deepEqual(record.slice(REPLY_DST, REPLY_DST + 4), record.slice(ORIG_SRC, ORIG_SRC + 4));
	assert.ok(isPlainReply(record));
});

test("one translated word makes the reply not plain", () => {
	for (let at = REPLY_PORTS; at < REPLY_DST + 4; at++) {
		const record = udp6();
		record[at] = record[at]! ^ 0x80000000;
		assert.ok(!isPlainReply(record), `word ${at}`);
	}
});

test("an echo request with its answer's reply tuple is plain, with another id it is not", () => {
	const record = newConntrackRecord();
	record[PROTOCOLS] = AF_INET | (IPPROTO_ICMP << 8);
	record[ORIG_PORTS] = 77 | (8 << 16);
	invertTuple(record);
	assert.equal(record[REPLY_PORTS], 77);
	assert.ok(isPlainReply(record));
	record[REPLY_PORTS] = 78;
	assert.ok(!isPlainReply(record));
});
