// Creations of what is not TCP over IPv4.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Conntrack } from "../conntrack/conntrack.ts";
import { createLines, linesOf, PLAIN } from "./request-lines.ts";

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
