import assert from "node:assert/strict";
import { test } from "node:test";
import { type Expectation, expectationToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { EXPECTATION_VOCABULARY } from "./attribute-tree.ts";
import { ExpectationEncoder } from "./encode-expectation.ts";
import { dirtyWriter, requestLines } from "./request-lines.ts";

const MASTER = {
	family: "ipv4",
	protocol: 6,
	src: "192.0.2.1",
	dst: "198.51.100.2",
	sport: 40000,
	dport: 21,
} as const;
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
	const lines = expectationLines({ ...EXPECTATION, flags: 0xf }, (encoder, record) =>
		encoder.create(record, 5),
	);
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
