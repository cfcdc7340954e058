import assert from "node:assert/strict";
import { test } from "node:test";
import { broadcast, legal } from "../policy/legal.ts";
import { conntrackToRecord, expectationToRecord } from "./conntrack.ts";
import { formatConntrack, formatExpectation } from "./format.ts";
import { NameTable } from "./names.ts";
import { parseConntrackLine, parseExpectationLine } from "./parse-line.ts";

const names = new NameTable();

test("a line of conntrack -L expect", () => {
	const line =
		"297 proto=6 src=192.168.0.2 dst=192.168.1.2 sport=0 dport=40515 mask-src=255.255.255.255 " +
		"mask-dst=255.255.255.255 sport=0 dport=65535 master-src=192.168.0.2 master-dst=192.168.1.2 " +
		"sport=59856 dport=21 PERMANENT,INACTIVE class=0 helper=ftp";
	const found = parseExpectationLine(line, () => 6);
	assert.deepEqual(
		[found.timeout, found.dport, found.mask.dport, found.master.sport],
		[297, 40515, 65535, 59856],
	);
	assert.deepEqual([found.flags, found.class, found.helper], [3, 0, "ftp"]);
});

test("what is printed is read again", () => {
	const cases = [
		...legal().map(([, expectation, master]) => ({ expectation, master })),
		...(["netbios-ns", "snmp"] as const).map((helper) => {
			const [expectation, master] = broadcast(helper);
			return { expectation, master };
		}),
	];
	for (const { expectation, master } of cases) {
		const { timeout: _, ...told } = expectation;
		const line = `${formatExpectation(expectationToRecord(told, names), names)} [active since 3s]`;
		assert.deepEqual(
			parseExpectationLine(line, () => master.protocol),
			told,
		);
		const { timeout: __, status: ___, ...known } = master;
		const text = formatConntrack(conntrackToRecord(master, names), names, { reply: true });
		const { status: ____, ...read } = parseConntrackLine(text);
		assert.deepEqual(read, known);
	}
});

test("a line of conntrack -L", () => {
	const found = parseConntrackLine(
		"tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=21 src=10.0.0.2 dst=10.0.0.9 " +
			"sport=21 dport=7 [ASSURED] mark=0 zone=5 helper=ftp use=2",
	);
	assert.deepEqual([found.protocol, found.zoneOrig, found.helper, found.status], [6, 5, "ftp", 0xe]);
	assert.deepEqual(found.reply, { src: "10.0.0.2", dst: "10.0.0.9", sport: 21, dport: 7 });
});

test("what is missing is named", () => {
	for (const [line, message] of [
		["src=1.2.3.4", "no proto="],
		["proto=x", "proto: not a number"],
		["proto=6 src=1.2.3.4 dst=1.2.3.5", "mask-src="],
	] as const) {
		assert.throws(() => parseExpectationLine(line, () => 6), new RegExp(message));
	}
	assert.throws(() => parseConntrackLine("hello"), /protocol: not a number/);
});
