import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Conntrack, conntrackFromRecord } from "../conntrack/conntrack.ts";
import { labelMask } from "../conntrack/labels.ts";
import { NameTable } from "../conntrack/names.ts";
import { H_LABELS, H_WIRE, HAS, mergeConntrack, newConntrackRecord } from "../conntrack/record.ts";
import {
	type AttributeNode,
	attributeBytes,
	hexBytes,
	parseAttributes,
	shortened,
} from "./attribute-tree.ts";
import * as captured from "./captured.ts";
import { ConntrackDecoder, type LabelOptions } from "./decode-conntrack.ts";
import { guardMessage } from "./guarded-wire.ts";

const MESSAGES = [
	captured.NEW_WITH_HELPER,
	captured.UPDATE_FIN_WAIT,
	captured.NEW_RELATED,
	captured.DESTROY,
	captured.NEW_RELATED_IPV6,
].map((table) => hexBytes(table).slice(4));

/** What the attributes say, or false; throws if the decoder reads anything else. The record is not clean before. */
function decode(attributes: Uint8Array, labels?: LabelOptions): Conntrack | false {
	const names = new NameTable();
	const record = newConntrackRecord().fill(0x55555555);
	return read(attributes, record, labels, names) && conntrackFromRecord(record, names);
}

function read(
	attributes: Uint8Array,
	record: Int32Array,
	labels?: LabelOptions,
	names: NameTable = new NameTable(),
): boolean {
	const { wire, start, end } = guardMessage(attributes);
	return new ConntrackDecoder(names, labels).decode(wire, start, end, record);
}

const decodeTable = (table: string) => decode(hexBytes(table).slice(4));
const decodeNodes = (nodes: AttributeNode[]) => decode(attributeBytes(nodes));

const leaf = (type: number, ...payload: number[]): AttributeNode => ({
	type,
	payload: Uint8Array.from(payload),
});
const nest = (type: number, ...children: AttributeNode[]): AttributeNode => ({
	type,
	payload: new Uint8Array(),
	children,
});
const TUPLE_ORIG = parseAttributes(MESSAGES[0]!)[0]!;

const CONTROL = { src: "10.10.1.10", dst: "10.10.2.20", sport: 48602, dport: 21 };

test("a new connection with source NAT and a helper is read from the kernel's bytes", () => {
	assert.deepEqual(decodeTable(captured.NEW_WITH_HELPER), {
		family: "ipv4",
		protocol: 6,
		zoneOrig: 0,
		zoneReply: 0,
		orig: CONTROL,
		reply: { src: "10.10.2.20", dst: "10.10.2.254", sport: 21, dport: 48602 },
		status: 0x2198,
		timeout: 120,
		id: 0x62f91a23,
		tcp: { state: "SYN_SENT", scaleOrig: 10, scaleReply: 0, flagsOrig: 3, flagsReply: 0 },
		helper: "ftp",
	});
});

test("an update brings the state, both window scales and the flags of both directions", () => {
	const { status, timeout, tcp, master } = decodeTable(captured.UPDATE_FIN_WAIT) as Conntrack;
	assert.deepEqual(
		{ status, timeout, tcp, master },
		{
			status: 0x21de,
			timeout: 120,
			tcp: { state: "FIN_WAIT", scaleOrig: 10, scaleReply: 10, flagsOrig: 0x37, flagsReply: 0x23 },
			master: undefined,
		},
	);
});

test("a related connection names its master, and its own NAT goes the other way", () => {
	assert.deepEqual(decodeTable(captured.NEW_RELATED), {
		family: "ipv4",
		protocol: 6,
		zoneOrig: 0,
		zoneReply: 0,
		orig: { src: "10.10.2.20", dst: "10.10.2.254", sport: 20, dport: 46679 },
		reply: { src: "10.10.1.10", dst: "10.10.2.20", sport: 46679, dport: 20 },
		status: 0x1a9,
		timeout: 120,
		id: 0xc9f0f34f,
		tcp: { state: "SYN_SENT", scaleOrig: 10, scaleReply: 0, flagsOrig: 3, flagsReply: 0 },
		master: { family: "ipv4", protocol: 6, ...CONTROL, zone: 0 },
	});
});

test("the end of a connection is read, its counters are passed over", () => {
	assert.deepEqual(decodeTable(captured.DESTROY), {
		family: "ipv4",
		protocol: 6,
		zoneOrig: 0,
		zoneReply: 0,
		orig: CONTROL,
		reply: { src: "10.10.2.20", dst: "10.10.2.254", sport: 21, dport: 48602 },
		status: 0x23de,
		timeout: 119,
		id: 0x62f91a23,
		tcp: { state: "TIME_WAIT", scaleOrig: 0, scaleReply: 0, flagsOrig: 0, flagsReply: 0 },
	});
});

test("a related connection over IPv6 is read from the kernel's bytes", () => {
	assert.deepEqual(decodeTable(captured.NEW_RELATED_IPV6), {
		family: "ipv6",
		protocol: 6,
		zoneOrig: 0,
		zoneReply: 0,
		orig: { src: "fd10:1::10", dst: "fd10:2::20", sport: 48018, dport: 41535 },
		reply: { src: "fd10:2::20", dst: "fd10:2::254", sport: 41535, dport: 48018 },
		status: 0x199,
		timeout: 120,
		id: 0x80933279,
		tcp: { state: "SYN_SENT", scaleOrig: 10, scaleReply: 0, flagsOrig: 3, flagsReply: 0 },
		master: {
			family: "ipv6",
			protocol: 6,
			src: "fd10:1::10",
			dst: "fd10:2::20",
			sport: 47232,
			dport: 21,
			zone: 0,
		},
	});
});

test("numbers beyond 31 bits come without a sign, sequence offsets with one", () => {
	const conntrack = decodeNodes([
		TUPLE_ORIG,
		leaf(3, 0xff, 0xff, 0xff, 0xfe),
		leaf(7, 0xff, 0xff, 0xff, 0xfd),
		leaf(8, 0x80, 0, 0, 1),
		nest(15, leaf(1, 0xff, 0, 0, 1), leaf(2, 0xff, 0xff, 0xff, 0xfd), leaf(3, 0xff, 0xff, 0xff, 0xfa)),
		nest(16, leaf(1, 0, 0, 0x10, 0), leaf(2, 0, 0, 0, 2), leaf(3, 0, 0, 0, 4)),
		nest(24, leaf(1, 0xff, 0xff, 0xff, 0xff), leaf(2, 0, 0, 0, 2), leaf(3, 0x80, 0, 0, 0)),
	]) as Conntrack;
	assert.equal(conntrack.status, 0xfffffffe);
	assert.equal(conntrack.timeout, 0xfffffffd);
	assert.equal(conntrack.mark, 0x80000001);
	assert.deepEqual(conntrack.seqOrig, { correctionPosition: 0xff000001, offsetBefore: -3, offsetAfter: -6 });
	assert.deepEqual(conntrack.seqReply, { correctionPosition: 4096, offsetBefore: 2, offsetAfter: 4 });
	assert.deepEqual(conntrack.synproxy, { isn: 0xffffffff, its: 2, tsoff: 0x80000000 });
});

test("a synproxy of zeroes, which every entry made over netlink has, is none", () => {
	const zero = nest(24, leaf(1, 0, 0, 0, 0), leaf(2, 0, 0, 0, 0), leaf(3, 0, 0, 0, 0));
	assert.equal("synproxy" in (decodeNodes([TUPLE_ORIG, zero]) as Conntrack), false);
});

test("labels are words in the host's order; what a short attribute leaves out is zero", () => {
	const all = { mask: labelMask(Array.from({ length: 128 }, (_, bit) => bit)), isWhole: false };
	const whole = leaf(22, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0x80);
	const labels = (options: LabelOptions | undefined, ...nodes: AttributeNode[]) =>
		(decode(attributeBytes([TUPLE_ORIG, ...nodes]), options) as Conntrack).labels;
	assert.deepEqual(labels(all, whole), [1, 2, 3, 0x80000000]);
	assert.deepEqual(labels(all, leaf(22, 7, 1, 0, 0)), [0x107, 0, 0, 0]);
	// none counts unless it is named
	assert.equal(labels(undefined, whole), undefined);
	const some = { mask: labelMask([0, 33, 64, 126]), isWhole: false };
	assert.deepEqual(labels(some, whole), [1, 2, 1, 0]);
	assert.equal(labels(some), undefined);
});

test("a dump without labels says that there are none, an event without labels says nothing", () => {
	const mask = labelMask([0, 1]);
	for (const isWhole of [true, false]) {
		const known = newConntrackRecord();
		assert.ok(read(attributeBytes([TUPLE_ORIG, leaf(22, 3, 0, 0, 0)]), known, { mask, isWhole }));
		const change = newConntrackRecord();
		assert.ok(read(attributeBytes([TUPLE_ORIG]), change, { mask, isWhole }));
		assert.equal(mergeConntrack(known, change, H_WIRE), isWhole, "whether it is news");
		assert.equal((known[HAS]! & H_LABELS) === 0, isWhole);
	}
});

test("a zone of the entry counts for both directions, a zone in a tuple for that direction alone", () => {
	const withZone = (node: AttributeNode, type: number): AttributeNode => ({
		...node,
		type,
		children: [...node.children!, leaf(3, 0x12, 0x34)],
	});
	const zones = (...nodes: AttributeNode[]) => {
		const { zoneOrig, zoneReply } = decodeNodes(nodes) as Conntrack;
		return [zoneOrig, zoneReply];
	};
	const reply = { ...TUPLE_ORIG, type: 2 };
	assert.deepEqual(zones(TUPLE_ORIG, reply, leaf(18, 0, 7)), [7, 7]);
	assert.deepEqual(zones(withZone(TUPLE_ORIG, 1), reply), [0x1234, 0]);
	assert.deepEqual(zones(TUPLE_ORIG, withZone(TUPLE_ORIG, 2)), [0, 0x1234]);
});

test("the master of an entry in a zone is in that zone, too", () => {
	const master = { ...TUPLE_ORIG, type: 14 };
	assert.equal((decodeNodes([leaf(18, 0, 7), TUPLE_ORIG, master]) as Conntrack).master?.zone, 7);
	assert.equal((decodeNodes([TUPLE_ORIG, master, leaf(18, 0, 7)]) as Conntrack).master?.zone, 7);
});

const IP = TUPLE_ORIG.children![0]!;
const OTHER_PROTOCOLS: [name: string, proto: AttributeNode[], expected: object][] = [
	[
		"ICMP",
		[leaf(1, 1), leaf(4, 0x12, 0x34), leaf(5, 8), leaf(6, 3)],
		{ icmpId: 0x1234, icmpType: 8, icmpCode: 3 },
	],
	[
		"ICMPv6",
		[leaf(1, 58), leaf(7, 0xff, 0xfe), leaf(8, 128), leaf(9, 255)],
		{ icmpId: 0xfffe, icmpType: 128, icmpCode: 255 },
	],
	["GRE", [leaf(1, 47), leaf(2, 0xab, 0xcd), leaf(3, 0, 1)], { srcKey: 0xabcd, dstKey: 1 }],
	["UDP", [leaf(1, 17), leaf(2, 0xff, 0xff), leaf(3, 0, 53)], { sport: 65535, dport: 53 }],
	["OSPF, which has no ports", [leaf(1, 89), leaf(2, 0, 1), leaf(3, 0, 2)], {}],
];
for (const [name, proto, expected] of OTHER_PROTOCOLS) {
	test(`a tuple of ${name} is read`, () => {
		const conntrack = decodeNodes([nest(1, IP, nest(2, ...proto))]) as Conntrack;
		assert.deepEqual(conntrack.orig, { src: "10.10.1.10", dst: "10.10.2.20", ...expected });
		assert.equal(conntrack.protocol, proto[0]!.payload[0]);
	});
}

test("the state and the tags of SCTP are read", () => {
	const sctp = nest(4, nest(3, leaf(1, 4), leaf(2, 0xde, 0xad, 0xbe, 0xef), leaf(3, 0x01, 0x02, 0x03, 0x04)));
	assert.deepEqual((decodeNodes([TUPLE_ORIG, sctp]) as Conntrack).sctp, {
		state: "ESTABLISHED",
		vtagOrig: 0xdeadbeef,
		vtagReply: 0x01020304,
	});
});

test("a message without an original tuple, or with one that has no address, is refused", () => {
	for (const message of MESSAGES) {
		assert.equal(decodeNodes(parseAttributes(message).filter(({ type }) => type !== 1)), false);
	}
	assert.equal(decodeNodes([nest(1, nest(2, leaf(1, 6)))]), false);
	assert.equal(decode(new Uint8Array()), false);
});

/** The attributes in any order, at every depth. */
function shuffled(nodes: readonly AttributeNode[]): fc.Arbitrary<AttributeNode[]> {
	return fc
		.tuple(
			...nodes.map((node) =>
				node.children
					? shuffled(node.children).map((children): AttributeNode => ({ ...node, children }))
					: fc.constant(node),
			),
		)
		.chain((list) => fc.shuffledSubarray(list, { minLength: list.length }));
}

/** Attributes of other numbers put in anywhere. */
function enriched(nodes: readonly AttributeNode[]): fc.Arbitrary<AttributeNode[]> {
	const foreign = fc.record({
		type: fc.integer({ min: 60, max: 0x3fff }),
		payload: fc.uint8Array({ maxLength: 30 }),
	});
	const parts = nodes.map((node) => {
		// a CTA_PROTOINFO holds the nest of one protocol, never a list
		const inner =
			node.children && node.type !== 4
				? enriched(node.children).map((children): AttributeNode => ({ ...node, children }))
				: fc.constant(node);
		return fc.tuple(fc.array(foreign, { maxLength: 1 }), inner, fc.array(foreign, { maxLength: 1 }));
	});
	return fc.tuple(...parts).map((list) => list.flat(2) as AttributeNode[]);
}

const anyMessage = fc.constantFrom(...MESSAGES);

test("the order of attributes makes no difference", () => {
	fc.assert(
		fc.property(
			anyMessage.chain((bytes) => fc.tuple(fc.constant(bytes), shuffled(parseAttributes(bytes)))),
			([bytes, nodes]) => assert.deepEqual(decodeNodes(nodes), decode(bytes)),
		),
	);
});

test("attributes that nobody knows are passed over, at every depth", () => {
	fc.assert(
		fc.property(
			anyMessage.chain((bytes) => fc.tuple(fc.constant(bytes), enriched(parseAttributes(bytes)))),
			([bytes, nodes]) => assert.deepEqual(decodeNodes(nodes), decode(bytes)),
		),
	);
});

test("a message that is cut anywhere is refused where the cut is inside an attribute", () => {
	for (const message of MESSAGES) {
		const view = new DataView(message.buffer, message.byteOffset, message.length);
		for (let end = 0; end < message.length; end++) {
			let at = 0;
			while (at + 4 <= end && at + view.getUint16(at, true) <= end)
				at += Math.ceil(view.getUint16(at, true) / 4) * 4;
			// fewer bytes than a header has are not an attribute; the first one is the original tuple
			const isWhole = at > 0 && at + 4 > end;
			assert.equal(decode(message.slice(0, end)) !== false, isWhole, `cut at ${end} of ${message.length}`);
		}
	}
});

test("a number or an address that is too short is refused, and nothing is read in its place", () => {
	const three = (type: number) => nest(type, leaf(1, 0, 0, 0, 1), leaf(2, 0, 0, 0, 2), leaf(3, 0, 0, 0, 3));
	const icmp = (...at: [number, number, number]) =>
		nest(14, IP, nest(2, leaf(1, at[0] === 4 ? 1 : 58), leaf(at[0], 0, 1), leaf(at[1], 8), leaf(at[2], 1)));
	const sctp = nest(4, nest(3, leaf(1, 4), leaf(2, 1, 2, 3, 4), leaf(3, 1, 2, 3, 4)));
	const zoned = { ...TUPLE_ORIG, children: [...TUPLE_ORIG.children!, leaf(3, 0, 7)] };
	const rare = [leaf(8, 0, 0, 0, 1), leaf(18, 0, 7), zoned, three(15), three(16), three(24), sctp];
	const all = [
		...MESSAGES.map(parseAttributes),
		rare,
		[TUPLE_ORIG, icmp(4, 5, 6)],
		[TUPLE_ORIG, icmp(7, 8, 9)],
	];
	for (const message of all) {
		for (const { path, nodes } of shortened(message)) {
			// a name may have any length; counters are not read; of two TCP flags only the first byte counts
			const isFree = path[0] === 5 || path[0] === 9 || path[0] === 10;
			const isFlags = path[0] === 4 && path[1] === 1 && path[2]! >= 4;
			if (isFree || isFlags) decodeNodes(nodes);
			else assert.equal(decodeNodes(nodes), false, path.join("."));
		}
	}
});

test("whatever bytes are wrong, the answer is yes or no and nothing outside is read", () => {
	const change = fc.tuple(
		fc.nat(511),
		fc.oneof(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 0, max: 0xffff })),
	);
	fc.assert(
		fc.property(
			anyMessage,
			fc.array(change, { minLength: 1, maxLength: 6 }),
			fc.boolean(),
			(message, changes, half) => {
				const bytes = message.slice();
				for (const [place, value] of changes) {
					// lengths stand at multiples of four; half of the runs hit nothing else
					const at = (half ? place * 4 : place * 2 + (place & 1)) % (bytes.length - 1);
					bytes[at] = value;
					bytes[at + 1] = value >> 8;
				}
				decode(bytes);
			},
		),
		{ numRuns: 1500 },
	);
	fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decode(bytes)));
});
