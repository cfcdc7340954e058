import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
	type Conntrack,
	conntrackFromRecord,
	conntrackToRecord,
	type Expectation,
	expectationFromRecord,
	expectationToRecord,
} from "../conntrack/conntrack.ts";
import * as X from "../conntrack/expectation-record.ts";
import { NameTable } from "../conntrack/names.ts";
import { AF_INET, AF_INET6, hasPorts, isIcmp } from "../conntrack/protocol.ts";
import * as R from "../conntrack/record.ts";
import { invertPorts } from "../conntrack/tuple.ts";
import { AttributeWriter } from "./attribute.ts";
import {
	attributeLines,
	CONNTRACK_VOCABULARY,
	EXPECTATION_VOCABULARY,
	parseAttributes,
	type Vocabulary,
} from "./attribute-tree.ts";
import { ConntrackDecoder } from "./decode-conntrack.ts";
import { ExpectationDecoder } from "./decode-expectation.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder, type CreateOptions } from "./encode-conntrack.ts";
import { EXPECTATION_REQUEST_MAX, ExpectationEncoder } from "./encode-expectation.ts";

const FLAGS: readonly [bit: number, name: string][] = [
	[0x1, "REQUEST"],
	[0x4, "ACK"],
	[0x100, "ROOT"],
	[0x200, "EXCL"],
	[0x400, "CREATE"],
];

/** The first line: type, flags, sequence number, family. Then one for each attribute. */
function requestLines(bytes: Uint8Array, vocabulary: Vocabulary): string[] {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
	assert.equal(view.getUint32(0, true), bytes.length, "nlmsg_len");
	assert.equal(view.getUint32(12, true), 0, "nlmsg_pid");
	assert.deepEqual([...bytes.slice(17, 20)], [0, 0, 0], "version and res_id");
	const flags = view.getUint16(6, true);
	const names = FLAGS.filter(([bit]) => (flags & bit) !== 0).map(([, name]) => name);
	assert.equal(
		FLAGS.reduce((sum, [bit]) => sum | (flags & bit), 0),
		flags,
	);
	const type = view.getUint16(4, true).toString(16);
	return [
		`0x${type} ${names.join("|")} seq ${view.getUint32(8, true)} family ${bytes[16]}`,
		...attributeLines(parseAttributes(bytes.slice(20)), vocabulary),
	];
}

/** A buffer full of garbage, so that whatever the encoder forgets to write shows. */
function dirtyWriter(): AttributeWriter {
	const writer = new AttributeWriter(4096);
	writer.wire.bytes.fill(0xa5);
	return writer;
}

function conntrackLines(
	conntrack: Conntrack,
	encode: (encoder: ConntrackEncoder, record: Int32Array) => void,
): string[] {
	const names = new NameTable();
	const writer = dirtyWriter();
	encode(new ConntrackEncoder(writer, names), conntrackToRecord(conntrack, names));
	return requestLines(writer.wire.bytes.slice(0, writer.at), CONNTRACK_VOCABULARY);
}

function createLines(conntrack: Conntrack, options: CreateOptions = { windowTracking: false }): string[] {
	return conntrackLines(conntrack, (encoder, record) => encoder.create(record, 1, 0, options));
}

/** The lines that begin with one of the names, or with anything else if none is given. */
const linesOf = (lines: readonly string[], ...names: string[]): string[] =>
	lines.slice(1).filter((line) => names.includes(line.split(/[. ]/)[0]!));

const PLAIN: Conntrack = {
	family: "ipv4",
	protocol: 6,
	zoneOrig: 0,
	zoneReply: 0,
	orig: { src: "192.0.2.1", dst: "198.51.100.2", sport: 0x1234, dport: 443 },
	reply: { src: "198.51.100.2", dst: "192.0.2.1", sport: 443, dport: 0x1234 },
	status: 0xe,
	timeout: 432000,
	mark: 0x80000007,
	tcp: { state: "ESTABLISHED", scaleOrig: 7, scaleReply: 9, flagsOrig: 0x3, flagsReply: 0x3 },
};

const PLAIN_ORIG = [
	"TUPLE_ORIG.IP.V4_SRC c0000201",
	"TUPLE_ORIG.IP.V4_DST c6336402",
	"TUPLE_ORIG.PROTO.NUM 06",
	"TUPLE_ORIG.PROTO.SRC_PORT 1234",
	"TUPLE_ORIG.PROTO.DST_PORT 01bb",
];
const PLAIN_REPLY = [
	"TUPLE_REPLY.IP.V4_SRC c6336402",
	"TUPLE_REPLY.IP.V4_DST c0000201",
	"TUPLE_REPLY.PROTO.NUM 06",
	"TUPLE_REPLY.PROTO.SRC_PORT 01bb",
	"TUPLE_REPLY.PROTO.DST_PORT 1234",
];

test("a TCP connection becomes a request to create it, byte by byte", () => {
	assert.deepEqual(createLines(PLAIN), [
		"0x100 REQUEST|EXCL|CREATE seq 1 family 2",
		...PLAIN_ORIG,
		...PLAIN_REPLY,
		"STATUS 0000000e",
		"TIMEOUT 00069780",
		"MARK 80000007",
		"PROTOINFO.TCP.STATE 03",
		"PROTOINFO.TCP.FLAGS_ORIGINAL 0b0f",
		"PROTOINFO.TCP.FLAGS_REPLY 0b0f",
		"PROTOINFO.TCP.WSCALE_ORIGINAL 07",
		"PROTOINFO.TCP.WSCALE_REPLY 09",
	]);
});

test("with window tracking BE_LIBERAL is taken out of both directions, without it it is put in", () => {
	const flags = (flagsOrig: number, windowTracking: boolean) =>
		createLines({ ...PLAIN, tcp: { ...PLAIN.tcp!, flagsOrig, flagsReply: 0xff } }, { windowTracking }).filter(
			(line) => line.includes("FLAGS"),
		);
	const lines = (orig: string, reply: string) => [
		`PROTOINFO.TCP.FLAGS_ORIGINAL ${orig}`,
		`PROTOINFO.TCP.FLAGS_REPLY ${reply}`,
	];
	// what describes the moment (0x10, 0x20, 0x80) stays out, its mask bit too
	assert.deepEqual(flags(0x37, false), lines("0f0f", "0f0f"));
	assert.deepEqual(flags(0x08, true), lines("000f", "070f"));
	assert.deepEqual(flags(0x00, false), lines("080f", "0f0f"));
});

test("of the status only what the kernel takes at a creation is asked for", () => {
	const status = (value: number) => linesOf(createLines({ ...PLAIN, status: value }), "STATUS");
	assert.deepEqual(status(0), ["STATUS 00000008"]);
	assert.deepEqual(status(0xffff), ["STATUS 0000040e"]);
	// EXPECTED | SEEN_REPLY | SRC_NAT | SEQ_ADJUST | both DONE | DYING
	assert.deepEqual(status(0x3d3), ["STATUS 0000000a"]);
	const { status: _, ...silent } = PLAIN;
	assert.deepEqual(linesOf(createLines(silent), "STATUS"), ["STATUS 00000008"]);
});

test("an entry of unknown timeout gets one, an entry without a mark gets none", () => {
	const { timeout: _, mark: __, ...rest } = PLAIN;
	assert.deepEqual(linesOf(createLines(rest), "TIMEOUT", "MARK"), ["TIMEOUT 00000078"]);
});

test("a TCP state that this kernel does not have becomes its last one", () => {
	const lines = createLines({ ...PLAIN, tcp: { ...PLAIN.tcp!, state: "14" } });
	assert.ok(lines.includes("PROTOINFO.TCP.STATE 09"));
});

const NAT_CASES: [name: string, reply: object, expected: string[]][] = [
	["nothing translated", { src: "198.51.100.2", dst: "192.0.2.1", sport: 443, dport: 0x1234 }, []],
	[
		"the source address",
		{ src: "198.51.100.2", dst: "203.0.113.9", sport: 443, dport: 0x1234 },
		["NAT_SRC.V4_MINIP cb007109", "NAT_SRC.PROTO.PORT_MIN 1234", "NAT_SRC.PROTO.PORT_MAX 1234"],
	],
	[
		"the source port alone",
		{ src: "198.51.100.2", dst: "192.0.2.1", sport: 443, dport: 0x4321 },
		["NAT_SRC.V4_MINIP c0000201", "NAT_SRC.PROTO.PORT_MIN 4321", "NAT_SRC.PROTO.PORT_MAX 4321"],
	],
	[
		"the destination address",
		{ src: "10.0.0.5", dst: "192.0.2.1", sport: 443, dport: 0x1234 },
		["NAT_DST.V4_MINIP 0a000005", "NAT_DST.PROTO.PORT_MIN 01bb", "NAT_DST.PROTO.PORT_MAX 01bb"],
	],
	[
		"the destination port alone",
		{ src: "198.51.100.2", dst: "192.0.2.1", sport: 8443, dport: 0x1234 },
		["NAT_DST.V4_MINIP c6336402", "NAT_DST.PROTO.PORT_MIN 20fb", "NAT_DST.PROTO.PORT_MAX 20fb"],
	],
	[
		"both",
		{ src: "10.0.0.5", dst: "203.0.113.9", sport: 8443, dport: 0x4321 },
		[
			"NAT_SRC.V4_MINIP cb007109",
			"NAT_SRC.PROTO.PORT_MIN 4321",
			"NAT_SRC.PROTO.PORT_MAX 4321",
			"NAT_DST.V4_MINIP 0a000005",
			"NAT_DST.PROTO.PORT_MIN 20fb",
			"NAT_DST.PROTO.PORT_MAX 20fb",
		],
	],
];
for (const [name, reply, expected] of NAT_CASES) {
	test(`NAT of ${name} is asked for, with a reply tuple that is not translated`, () => {
		const lines = createLines({ ...PLAIN, reply: reply as Conntrack["orig"] });
		assert.deepEqual(linesOf(lines, "TUPLE_REPLY"), PLAIN_REPLY);
		assert.deepEqual(linesOf(lines, "NAT_SRC", "NAT_DST"), expected);
	});
}

test("an entry whose reply tuple is unknown is created without NAT", () => {
	const { reply: _, ...rest } = PLAIN;
	assert.deepEqual(linesOf(createLines(rest), "TUPLE_REPLY"), PLAIN_REPLY);
	assert.deepEqual(linesOf(createLines(rest), "NAT_SRC", "NAT_DST"), []);
});

test("NAT of IPv6 gives sixteen bytes", () => {
	const lines = createLines({
		...PLAIN,
		family: "ipv6",
		protocol: 17,
		orig: { src: "2001:db8::1", dst: "2001:db8::2", sport: 1, dport: 2 },
		reply: { src: "2001:db8::2", dst: "2001:db8::3", sport: 2, dport: 1 },
	});
	assert.equal(lines[0], "0x100 REQUEST|EXCL|CREATE seq 1 family 10");
	assert.deepEqual(linesOf(lines, "TUPLE_ORIG", "NAT_SRC", "NAT_DST"), [
		"TUPLE_ORIG.IP.V6_SRC 20010db8000000000000000000000001",
		"TUPLE_ORIG.IP.V6_DST 20010db8000000000000000000000002",
		"TUPLE_ORIG.PROTO.NUM 11",
		"TUPLE_ORIG.PROTO.SRC_PORT 0001",
		"TUPLE_ORIG.PROTO.DST_PORT 0002",
		"NAT_SRC.V6_MINIP 20010db8000000000000000000000003",
		"NAT_SRC.PROTO.PORT_MIN 0001",
		"NAT_SRC.PROTO.PORT_MAX 0001",
	]);
});

function withoutTcp(change: Partial<Conntrack>): Conntrack {
	const { tcp: _, mark: __, ...rest } = PLAIN;
	return { ...rest, ...change };
}

test("an ICMP echo carries id, type and code; its translated id stands in for the source port", () => {
	const lines = createLines(
		withoutTcp({
			protocol: 1,
			orig: { src: "192.0.2.1", dst: "198.51.100.2", icmpId: 0x1234, icmpType: 8, icmpCode: 3 },
			reply: { src: "198.51.100.2", dst: "203.0.113.9", icmpId: 0x4321, icmpType: 0, icmpCode: 3 },
		}),
	);
	assert.deepEqual(linesOf(lines, "TUPLE_ORIG", "TUPLE_REPLY", "NAT_SRC", "NAT_DST"), [
		"TUPLE_ORIG.IP.V4_SRC c0000201",
		"TUPLE_ORIG.IP.V4_DST c6336402",
		"TUPLE_ORIG.PROTO.NUM 01",
		"TUPLE_ORIG.PROTO.ICMP_ID 1234",
		"TUPLE_ORIG.PROTO.ICMP_TYPE 08",
		"TUPLE_ORIG.PROTO.ICMP_CODE 03",
		"TUPLE_REPLY.IP.V4_SRC c6336402",
		"TUPLE_REPLY.IP.V4_DST c0000201",
		"TUPLE_REPLY.PROTO.NUM 01",
		"TUPLE_REPLY.PROTO.ICMP_ID 1234",
		"TUPLE_REPLY.PROTO.ICMP_TYPE 00",
		"TUPLE_REPLY.PROTO.ICMP_CODE 03",
		"NAT_SRC.V4_MINIP cb007109",
		"NAT_SRC.PROTO.PORT_MIN 4321",
		"NAT_SRC.PROTO.PORT_MAX 4321",
	]);
});

test("an ICMPv6 echo has attributes of its own", () => {
	const lines = createLines(
		withoutTcp({
			family: "ipv6",
			protocol: 58,
			orig: { src: "::1", dst: "::2", icmpId: 5, icmpType: 128, icmpCode: 0 },
			reply: { src: "::2", dst: "::1", icmpId: 5, icmpType: 129, icmpCode: 0 },
		}),
	);
	assert.deepEqual(
		linesOf(lines, "TUPLE_ORIG", "TUPLE_REPLY").filter((line) => line.includes("PROTO")),
		[
			"TUPLE_ORIG.PROTO.NUM 3a",
			"TUPLE_ORIG.PROTO.ICMPV6_ID 0005",
			"TUPLE_ORIG.PROTO.ICMPV6_TYPE 80",
			"TUPLE_ORIG.PROTO.ICMPV6_CODE 00",
			"TUPLE_REPLY.PROTO.NUM 3a",
			"TUPLE_REPLY.PROTO.ICMPV6_ID 0005",
			"TUPLE_REPLY.PROTO.ICMPV6_TYPE 81",
			"TUPLE_REPLY.PROTO.ICMPV6_CODE 00",
		],
	);
});

test("the keys of GRE stand in the attributes of the ports", () => {
	const lines = createLines(
		withoutTcp({
			protocol: 47,
			orig: { src: "192.0.2.1", dst: "198.51.100.2", srcKey: 0xabcd, dstKey: 0x1 },
			reply: { src: "198.51.100.2", dst: "192.0.2.1", srcKey: 0x1, dstKey: 0xabcd },
		}),
	);
	assert.deepEqual(
		linesOf(lines, "TUPLE_ORIG", "TUPLE_REPLY").filter((line) => line.includes("PROTO")),
		[
			"TUPLE_ORIG.PROTO.NUM 2f",
			"TUPLE_ORIG.PROTO.SRC_PORT abcd",
			"TUPLE_ORIG.PROTO.DST_PORT 0001",
			"TUPLE_REPLY.PROTO.NUM 2f",
			"TUPLE_REPLY.PROTO.SRC_PORT 0001",
			"TUPLE_REPLY.PROTO.DST_PORT abcd",
		],
	);
	assert.deepEqual(linesOf(lines, "NAT_SRC", "NAT_DST", "PROTOINFO"), []);
});

test("a protocol without ports is translated by address alone", () => {
	const lines = createLines(
		withoutTcp({
			protocol: 89,
			orig: { src: "192.0.2.1", dst: "198.51.100.2" },
			reply: { src: "198.51.100.2", dst: "203.0.113.9" },
		}),
	);
	assert.deepEqual(
		lines.slice(1).filter((line) => line.includes("PROTO") || line.includes("NAT")),
		["TUPLE_ORIG.PROTO.NUM 59", "TUPLE_REPLY.PROTO.NUM 59", "NAT_SRC.V4_MINIP cb007109"],
	);
});

test("the state and the tags of SCTP are given", () => {
	const lines = createLines(
		withoutTcp({
			protocol: 132,
			sctp: { state: "ESTABLISHED", vtagOrig: 0xdeadbeef, vtagReply: 0x01020304 },
		}),
	);
	assert.deepEqual(linesOf(lines, "PROTOINFO"), [
		"PROTOINFO.SCTP.STATE 04",
		"PROTOINFO.SCTP.VTAG_ORIGINAL deadbeef",
		"PROTOINFO.SCTP.VTAG_REPLY 01020304",
	]);
});

test("a zone of both directions is the entry's, a zone of one direction stands in its tuple", () => {
	const zones = (zoneOrig: number, zoneReply: number) =>
		createLines({ ...PLAIN, zoneOrig, zoneReply }).filter((line) => line.includes("ZONE"));
	assert.deepEqual(zones(0x1234, 0x1234), ["ZONE 1234"]);
	assert.deepEqual(zones(0x1234, 0), ["TUPLE_ORIG.ZONE 1234"]);
	assert.deepEqual(zones(0, 0xffff), ["TUPLE_REPLY.ZONE ffff"]);
	assert.deepEqual(zones(0, 0), []);
});

const MASTER = {
	family: "ipv4",
	protocol: 6,
	src: "192.0.2.1",
	dst: "198.51.100.2",
	sport: 40000,
	dport: 21,
	zone: 0,
} as const;
const MASTER_LINES = [
	"TUPLE_MASTER.IP.V4_SRC c0000201",
	"TUPLE_MASTER.IP.V4_DST c6336402",
	"TUPLE_MASTER.PROTO.NUM 06",
	"TUPLE_MASTER.PROTO.SRC_PORT 9c40",
	"TUPLE_MASTER.PROTO.DST_PORT 0015",
];

test("a related connection names its master by the original tuple, and is not called expected", () => {
	const lines = createLines({ ...PLAIN, status: 0xf, master: MASTER });
	assert.deepEqual(linesOf(lines, "TUPLE_MASTER"), MASTER_LINES);
	assert.deepEqual(linesOf(lines, "STATUS"), ["STATUS 0000000e"]);
});

test("the master is named without a zone, for the kernel looks for it in the entry's own", () => {
	const lines = createLines({ ...PLAIN, zoneOrig: 7, zoneReply: 7, master: { ...MASTER, zone: 7 } });
	assert.deepEqual(linesOf(lines, "TUPLE_MASTER", "ZONE"), [...MASTER_LINES, "ZONE 0007"]);
});

test("the helper's name ends in a zero byte, and is left out on request", () => {
	const ftp = { ...PLAIN, helper: "ftp" };
	assert.deepEqual(linesOf(createLines(ftp), "HELP"), ["HELP.NAME 66747000"]);
	assert.deepEqual(linesOf(createLines(ftp, { windowTracking: false, withoutHelper: true }), "HELP"), []);
	assert.deepEqual(linesOf(createLines({ ...PLAIN, helper: "" }), "HELP"), []);
});

test("sequence adjustments and synproxy are given as they are", () => {
	const lines = createLines({
		...PLAIN,
		seqOrig: { correctionPosition: 0xfffffffe, offsetBefore: -3, offsetAfter: -6 },
		seqReply: { correctionPosition: 4096, offsetBefore: 2, offsetAfter: 4 },
		synproxy: { isn: 1, its: 0x80000000, tsoff: 3 },
	});
	assert.deepEqual(linesOf(lines, "SEQ_ADJ_ORIG", "SEQ_ADJ_REPLY", "SYNPROXY"), [
		"SEQ_ADJ_ORIG.CORRECTION_POS fffffffe",
		"SEQ_ADJ_ORIG.OFFSET_BEFORE fffffffd",
		"SEQ_ADJ_ORIG.OFFSET_AFTER fffffffa",
		"SEQ_ADJ_REPLY.CORRECTION_POS 00001000",
		"SEQ_ADJ_REPLY.OFFSET_BEFORE 00000002",
		"SEQ_ADJ_REPLY.OFFSET_AFTER 00000004",
		"SYNPROXY.ISN 00000001",
		"SYNPROXY.ITS 80000000",
		"SYNPROXY.TSOFF 00000003",
	]);
});

const RICH: Conntrack = {
	...PLAIN,
	zoneOrig: 7,
	zoneReply: 7,
	reply: { src: "10.0.0.5", dst: "203.0.113.9", sport: 443, dport: 0x1234 },
	status: 0x21de,
	helper: "ftp",
	master: MASTER,
	seqOrig: { correctionPosition: 1, offsetBefore: 2, offsetAfter: 3 },
	synproxy: { isn: 1, its: 2, tsoff: 3 },
};

test("an update has neither NAT, helper nor master, and its status as it is", () => {
	const lines = conntrackLines(RICH, (encoder, record) =>
		encoder.update(record, 0xfffffffe, 4, { windowTracking: true }),
	);
	assert.deepEqual(lines, [
		"0x100 REQUEST|ACK seq 4294967294 family 2",
		...PLAIN_ORIG,
		"STATUS 000021de",
		"TIMEOUT 00069780",
		"MARK 80000007",
		"PROTOINFO.TCP.STATE 03",
		"PROTOINFO.TCP.FLAGS_ORIGINAL 030f",
		"PROTOINFO.TCP.FLAGS_REPLY 030f",
		"PROTOINFO.TCP.WSCALE_ORIGINAL 07",
		"PROTOINFO.TCP.WSCALE_REPLY 09",
		"SEQ_ADJ_ORIG.CORRECTION_POS 00000001",
		"SEQ_ADJ_ORIG.OFFSET_BEFORE 00000002",
		"SEQ_ADJ_ORIG.OFFSET_AFTER 00000003",
		"ZONE 0007",
	]);
});

test("a deletion and a question give the original tuple and the zone, and nothing else", () => {
	assert.deepEqual(
		conntrackLines(RICH, (encoder, record) => encoder.delete(record, 2, 4)),
		["0x102 REQUEST|ACK seq 2 family 2", ...PLAIN_ORIG, "ZONE 0007"],
	);
	assert.deepEqual(
		conntrackLines(RICH, (encoder, record) => encoder.get(record, 3)),
		["0x101 REQUEST seq 3 family 2", ...PLAIN_ORIG, "ZONE 0007"],
	);
	assert.deepEqual(
		conntrackLines({ ...RICH, zoneReply: 0 }, (encoder, record) => encoder.get(record, 3)),
		["0x101 REQUEST seq 3 family 2", ...PLAIN_ORIG, "TUPLE_ORIG.ZONE 0007"],
	);
});

test("dump and flush are for all families", () => {
	assert.deepEqual(
		conntrackLines(PLAIN, (encoder) => encoder.dump(9)),
		["0x101 REQUEST|ROOT|EXCL seq 9 family 0"],
	);
	assert.deepEqual(
		conntrackLines(PLAIN, (encoder) => encoder.flush(9)),
		["0x102 REQUEST|ACK seq 9 family 0"],
	);
});

const EXPECTATION: Expectation = {
	family: "ipv4",
	protocol: 6,
	zone: 0,
	src: "198.51.100.2",
	dst: "203.0.113.9",
	sport: 0,
	dport: 0x8081,
	mask: {
		family: "ipv4",
		protocol: 6,
		src: "255.255.255.255",
		dst: "255.255.255.255",
		sport: 0,
		dport: 0xffff,
	},
	master: MASTER,
	class: 1,
	timeout: 300,
	helper: "ftp",
	fn: "nat-follow-master",
	flags: 3,
	nat: {
		family: "ipv4",
		protocol: 6,
		src: "192.0.2.1",
		dst: "0.0.0.0",
		sport: 0x8082,
		dport: 0,
		direction: 1,
	},
};

function expectationLines(
	expectation: Expectation,
	encode: (encoder: ExpectationEncoder, record: Int32Array) => void,
): string[] {
	const names = new NameTable();
	const writer = dirtyWriter();
	encode(new ExpectationEncoder(writer, names), expectationToRecord(expectation, names));
	return requestLines(writer.wire.bytes.slice(0, writer.at), EXPECTATION_VOCABULARY);
}

const EXPECTED = [
	"TUPLE.IP.V4_SRC c6336402",
	"TUPLE.IP.V4_DST cb007109",
	"TUPLE.PROTO.NUM 06",
	"TUPLE.PROTO.SRC_PORT 0000",
	"TUPLE.PROTO.DST_PORT 8081",
];
const MASK_AND_MASTER = [
	"MASK.IP.V4_SRC ffffffff",
	"MASK.IP.V4_DST ffffffff",
	"MASK.PROTO.NUM 06",
	"MASK.PROTO.SRC_PORT 0000",
	"MASK.PROTO.DST_PORT ffff",
	"MASTER.IP.V4_SRC c0000201",
	"MASTER.IP.V4_DST c6336402",
	"MASTER.PROTO.NUM 06",
	"MASTER.PROTO.SRC_PORT 9c40",
	"MASTER.PROTO.DST_PORT 0015",
];
const NAT_AND_FN = [
	"FLAGS 00000003",
	"CLASS 00000001",
	"HELP_NAME 66747000",
	"NAT.DIR 00000001",
	"NAT.TUPLE.IP.V4_SRC c0000201",
	"NAT.TUPLE.IP.V4_DST 00000000",
	"NAT.TUPLE.PROTO.NUM 06",
	"NAT.TUPLE.PROTO.SRC_PORT 8082",
	"NAT.TUPLE.PROTO.DST_PORT 0000",
	"FN 6e61742d666f6c6c6f772d6d617374657200",
];

test("an expectation becomes a request to create it, with NAT, class and function", () => {
	assert.deepEqual(
		expectationLines(EXPECTATION, (encoder, record) => encoder.create(record, 5)),
		[
			"0x200 REQUEST|EXCL|CREATE seq 5 family 2",
			...EXPECTED,
			...MASK_AND_MASTER,
			"TIMEOUT 0000012c",
			...NAT_AND_FN,
		],
	);
});

test("setting an expectation's time is the same request without CREATE and EXCL", () => {
	assert.deepEqual(
		expectationLines(EXPECTATION, (encoder, record) => encoder.setTimeout(record, 6, 77)),
		["0x200 REQUEST seq 6 family 2", ...EXPECTED, ...MASK_AND_MASTER, "TIMEOUT 0000004d", ...NAT_AND_FN],
	);
});

test("of an expectation's flags only those are asked for that the kernel takes", () => {
	const lines = expectationLines({ ...EXPECTATION, flags: 0xf }, (encoder, record) => encoder.create(record, 5));
	assert.ok(lines.includes("FLAGS 00000003"));
});

test("what an expectation does not have is not asked for", () => {
	const { class: _, helper: __, fn: ___, flags: ____, nat: _____, ...bare } = EXPECTATION;
	assert.deepEqual(
		expectationLines(bare, (encoder, record) => encoder.create(record, 5)),
		["0x200 REQUEST|EXCL|CREATE seq 5 family 2", ...EXPECTED, ...MASK_AND_MASTER, "TIMEOUT 0000012c"],
	);
});

test("an expectation is deleted by its tuple and zone; dump and flush are for all families", () => {
	assert.deepEqual(
		expectationLines({ ...EXPECTATION, zone: 7 }, (encoder, record) => encoder.delete(record, 8, 4)),
		["0x202 REQUEST|ACK seq 8 family 2", ...EXPECTED, "ZONE 0007"],
	);
	assert.deepEqual(
		expectationLines(EXPECTATION, (encoder) => encoder.dump(1)),
		["0x201 REQUEST|ROOT|EXCL seq 1 family 0"],
	);
	assert.deepEqual(
		expectationLines(EXPECTATION, (encoder) => encoder.flush(1)),
		["0x202 REQUEST|ACK seq 1 family 0"],
	);
});

const LONG_NAME = "a-name-that-nobody-would-give-to-a-helper";
const NAMES = ["ftp", LONG_NAME];

function makeNames(): NameTable {
	const names = new NameTable();
	for (const name of NAMES) names.intern(name);
	return names;
}

const family = fc.constantFrom(AF_INET, AF_INET6);
const protocolNumber = fc.oneof(fc.constantFrom(1, 6, 17, 47, 58, 132, 136), fc.nat(255));
const protocols = fc.tuple(family, protocolNumber).map(([l3, l4]) => l3 | (l4 << 8));

/** Zeroes what a tuple of such protocols does not have. */
function trimTuple(words: Int32Array, proto: number, ports: number, src: number, dst: number): void {
	if (!hasPorts(proto >>> 8) && !isIcmp(proto >>> 8)) words[ports] = 0;
	if ((proto & 0xff) === AF_INET6) return;
	words.fill(0, src + 1, src + 4);
	words.fill(0, dst + 1, dst + 4);
}

const conntracks = fc
	.tuple(
		fc.int32Array({ minLength: R.CONNTRACK_WORDS, maxLength: R.CONNTRACK_WORDS }),
		protocols,
		fc.tuple(fc.nat(0xffff), fc.constantFrom("both", "orig", "reply", "none")),
	)
	.map(([words, proto, [zone, direction]]) => {
		const record = Int32Array.from(words);
		record[R.HAS] = record[R.HAS]! & R.H_WIRE;
		if ((record[R.HAS]! & R.H_TCP) !== 0) record[R.HAS] = record[R.HAS]! & ~R.H_SCTP;
		record[R.PROTOCOLS] = proto;
		record[R.MASTER_PROTOCOLS] = proto;
		record[R.MASTER_ZONE] = 0;
		record[R.ZONES] =
			(direction === "both" || direction === "orig" ? zone : 0) |
			(direction === "both" || direction === "reply" ? zone << 16 : 0);
		record[R.HELPER] = 1 + (record[R.HELPER]! & 1);
		trimTuple(record, proto, R.ORIG_PORTS, R.ORIG_SRC, R.ORIG_DST);
		trimTuple(record, proto, R.REPLY_PORTS, R.REPLY_SRC, R.REPLY_DST);
		trimTuple(record, proto, R.MASTER_PORTS, R.MASTER_SRC, R.MASTER_DST);
		R.canonicalizeConntrack(record);
		return record;
	});

function decodeConntrack(writer: AttributeWriter, names: NameTable): Int32Array {
	const out = R.newConntrackRecord();
	assert.equal(new ConntrackDecoder(names).decode(writer.wire, 20, writer.at, out), true);
	R.canonicalizeConntrack(out);
	return out;
}

test("what create, update, delete and get say of a conntrack is what the decoder reads, whatever it is", () => {
	fc.assert(
		fc.property(conntracks, fc.boolean(), (record, windowTracking) => {
			const names = makeNames();
			const sent = conntrackFromRecord(record, names);
			const read = (encode: (encoder: ConntrackEncoder) => void) => {
				const writer = dirtyWriter();
				encode(new ConntrackEncoder(writer, names));
				assert.ok(writer.at <= CONNTRACK_REQUEST_MAX);
				return decodeConntrack(writer, names);
			};
			const created = read((encoder) => encoder.create(record, 1, 0, { windowTracking }));
			const { orig, zoneOrig, zoneReply, mark, timeout = 120, master, seqOrig, seqReply, sctp } = sent;
			const got = conntrackFromRecord(created, names);
			assert.deepEqual(got.orig, orig);
			assert.deepEqual([got.zoneOrig, got.zoneReply], [zoneOrig, zoneReply]);
			assert.equal(created[R.REPLY_PORTS], invertPorts(sent.protocol, record[R.ORIG_PORTS]!));
			assert.deepEqual([got.reply!.src, got.reply!.dst], [orig.dst, orig.src]);
			assert.deepEqual([got.mark, got.timeout], [mark, timeout]);
			// the zone that the decoder adds is the entry's own
			assert.deepEqual(got.master && { ...got.master, zone: 0 }, master && { ...master, zone: 0 });
			assert.deepEqual([got.seqOrig, got.seqReply, got.sctp], [seqOrig, seqReply, sctp]);
			assert.equal(got.helper, sent.helper?.slice(0, 31));
			if (sent.tcp && Number.isNaN(Number(sent.tcp.state))) {
				assert.equal(got.tcp!.state, sent.tcp.state);
				assert.deepEqual(
					[got.tcp!.scaleOrig, got.tcp!.scaleReply],
					[sent.tcp.scaleOrig, sent.tcp.scaleReply],
				);
			}
			const updated = conntrackFromRecord(
				read((encoder) => encoder.update(record, 1, 0, { windowTracking })),
				names,
			);
			assert.deepEqual(updated.orig, orig);
			assert.deepEqual([updated.status, updated.timeout], [sent.status, sent.timeout]);
			for (const encode of [
				(encoder: ConntrackEncoder) => encoder.delete(record, 1, 0),
				(encoder: ConntrackEncoder) => encoder.get(record, 1),
			]) {
				const key = conntrackFromRecord(read(encode), names);
				// a zone of the reply direction is not part of the original tuple
				const reads = zoneOrig === 0 ? 0 : zoneReply;
				assert.deepEqual([key.orig, key.zoneOrig, key.zoneReply], [orig, zoneOrig, reads]);
			}
		}),
		{ numRuns: 500 },
	);
});

const expectations = fc
	.tuple(
		fc.int32Array({ minLength: X.EXPECTATION_WORDS, maxLength: X.EXPECTATION_WORDS }),
		protocols,
	)
	.map(([words, proto]) => {
		const record = Int32Array.from(words);
		record[X.EXP_HAS] = (record[X.EXP_HAS]! & X.X_WIRE) | X.X_TIMEOUT;
		for (const at of [X.EXP_PROTOCOLS, X.EXP_MASK_PROTOCOLS, X.EXP_MASTER_PROTOCOLS, X.EXP_NAT_PROTOCOLS]) {
			record[at] = proto;
		}
		record[X.EXP_ZONE] = record[X.EXP_ZONE]! & 0xffff;
		record[X.EXP_FLAGS] = record[X.EXP_FLAGS]! & 3;
		record[X.EXP_HELPER] = 1;
		record[X.EXP_FN] = 1;
		trimTuple(record, proto, X.EXP_PORTS, X.EXP_SRC, X.EXP_DST);
		trimTuple(record, proto, X.EXP_MASK_PORTS, X.EXP_MASK_SRC, X.EXP_MASK_DST);
		trimTuple(record, proto, X.EXP_MASTER_PORTS, X.EXP_MASTER_SRC, X.EXP_MASTER_DST);
		trimTuple(record, proto, X.EXP_NAT_PORTS, X.EXP_NAT_SRC, X.EXP_NAT_DST);
		X.canonicalizeExpectation(record);
		return record;
	});

test("what create says of an expectation is what the decoder reads, whatever it is", () => {
	fc.assert(
		fc.property(expectations, (record) => {
			const names = makeNames();
			const writer = dirtyWriter();
			new ExpectationEncoder(writer, names).create(record, 1);
			const out = X.newExpectationRecord();
			assert.equal(new ExpectationDecoder(names).decode(writer.wire, 20, writer.at, out), true);
			X.canonicalizeExpectation(out);
			assert.deepEqual(expectationFromRecord(out, names), expectationFromRecord(record, names));
		}),
		{ numRuns: 500 },
	);
});

test("no expectation exceeds the room that is kept for a request", () => {
	fc.assert(
		fc.property(expectations, (record) => {
			const names = makeNames();
			const writer = dirtyWriter();
			record[X.EXP_HELPER] = record[X.EXP_FN] = NAMES.indexOf(LONG_NAME) + 1;
			record[X.EXP_HAS] = X.X_WIRE;
			new ExpectationEncoder(writer, names).create(record, 1);
			assert.ok(writer.at <= EXPECTATION_REQUEST_MAX);
		}),
	);
});
