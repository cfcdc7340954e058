import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conntrack } from "../conntrack/conntrack.ts";
import { conntrackLines, createLines, linesOf, PLAIN } from "./request-lines.ts";

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
	assert.deepEqual(flags(0x08, true), lines("0007", "0707"));
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
		"PROTOINFO.TCP.FLAGS_ORIGINAL 0307",
		"PROTOINFO.TCP.FLAGS_REPLY 0307",
		"PROTOINFO.TCP.WSCALE_ORIGINAL 07",
		"PROTOINFO.TCP.WSCALE_REPLY 09",
		"SEQ_ADJ_ORIG.CORRECTION_POS 00000001",
		"SEQ_ADJ_ORIG.OFFSET_BEFORE 00000002",
		"SEQ_ADJ_ORIG.OFFSET_AFTER 00000003",
		"ZONE 0007",
	]);
});

test("the timeout of an entry that has a fixed one is left alone by an update", () => {
	const timeouts = (status: number) =>
		linesOf(
			conntrackLines({ ...PLAIN, status }, (encoder, record) =>
				encoder.update(record, 1, 0, { windowTracking: false }),
			),
			"TIMEOUT",
		);
	assert.deepEqual(timeouts(0x40e), []);
	assert.deepEqual(timeouts(0xe), ["TIMEOUT 00069780"]);
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
