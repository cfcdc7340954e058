// For tests: requests as text, read without the project's own decoder.
import assert from "node:assert/strict";
import { type Conntrack, conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { AttributeWriter } from "./attribute.ts";
import { attributeLines, CONNTRACK_VOCABULARY, parseAttributes, type Vocabulary } from "./attribute-tree.ts";
import { ConntrackEncoder, type CreateOptions } from "./encode-conntrack.ts";

const FLAGS: readonly [bit: number, name: string][] = [
	[0x1, "REQUEST"],
	[0x4, "ACK"],
	[0x100, "ROOT"],
	[0x200, "EXCL"],
	[0x400, "CREATE"],
];

/** The first line: type, flags, sequence number, family. Then one for each attribute. */
export function requestLines(bytes: Uint8Array, vocabulary: Vocabulary): string[] {
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
export function dirtyWriter(): AttributeWriter {
	const writer = new AttributeWriter(4096);
	writer.wire.bytes.fill(0xa5);
	return writer;
}

export function conntrackLines(
	conntrack: Conntrack,
	encode: (encoder: ConntrackEncoder, record: Int32Array) => void,
): string[] {
	const names = new NameTable();
	const writer = dirtyWriter();
	encode(new ConntrackEncoder(writer, names), conntrackToRecord(conntrack, names));
	return requestLines(writer.wire.bytes.slice(0, writer.at), CONNTRACK_VOCABULARY);
}

export function createLines(
	conntrack: Conntrack,
	options: CreateOptions = { windowTracking: false },
): string[] {
	return conntrackLines(conntrack, (encoder, record) => encoder.create(record, 1, 0, options));
}

/** The lines that begin with one of the names, or with anything else if none is given. */
export const linesOf = (lines: readonly string[], ...names: string[]): string[] =>
	lines.slice(1).filter((line) => names.includes(line.split(/[. ]/)[0]!));

/** A TCP connection without NAT. */
export const PLAIN: Conntrack = {
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
