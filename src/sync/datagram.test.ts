import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arbitraryConntrack, arbitraryExpectation, arbitraryNames } from "../conntrack/arbitrary.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";
import { BITMAP_SIZE } from "./acknowledgement.ts";
import { Datagram } from "./datagram.ts";
import { epochTagOf } from "./handshake.ts";
import { RECORDS_MAX } from "./in-flight.ts";
import { recordOf, type SimulatedNode, Simulation } from "./simulation.ts";
import { RecordEncoder } from "./wire/encode.ts";
import { FLAG_ACK, HEADER_SIZE, writeHeader } from "./wire/frame.ts";
import { MsgpackWriter } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";
import { PlainSeal } from "./wire/seal.ts";

type Part = { kind: Kind; isSet: boolean; record: Int32Array; version: number };

const arbitraryPart: fc.Arbitrary<Part> = fc.oneof(
	fc.record({
		kind: fc.constant(CONNTRACK),
		isSet: fc.boolean(),
		record: arbitraryConntrack(),
		version: fc.maxSafeNat(),
	}),
	fc.record({
		kind: fc.constant(EXPECTATION),
		isSet: fc.boolean(),
		record: arbitraryExpectation(),
		version: fc.maxSafeNat(),
	}),
);

const newWriter = (at = 0): MsgpackWriter => {
	const writer = new MsgpackWriter(new Uint8Array(65536));
	writer.at = at;
	return writer;
};

function writePart(writer: MsgpackWriter, { kind, isSet, record, version }: Part): void {
	new RecordEncoder(writer, arbitraryNames())[isSet ? "set" : "delete"](kind, record, version);
}

function writeAck(writer: MsgpackWriter, bitmap: Uint8Array): void {
	writer.array(6);
	for (const number of [RecordType.ack, 5, 0xfe000001, 2 ** 40, 900]) writer.uint(number);
	writer.bin(bitmap);
}

function writeControl(writer: MsgpackWriter, type: number, node: number, id: number): void {
	writer.array(3);
	for (const number of [type, node, id]) writer.uint(number);
}

const decode = (writer: MsgpackWriter, start = 0) => {
	const datagram = new Datagram(arbitraryNames());
	return { datagram, fault: datagram.decode(writer.bytes, start, writer.at) };
};

test("every record of a datagram comes out, in its order", () => {
	fc.assert(
		fc.property(fc.array(arbitraryPart, { maxLength: 20 }), fc.nat(30), (parts, start) => {
			const writer = newWriter(start);
			for (const part of parts) writePart(writer, part);
			const { datagram, fault } = decode(writer, start);
			assert.equal(fault, undefined);
			assert.equal(datagram.stateCount, parts.length);
			parts.forEach((part, i) => {
				const { record, ...rest } = datagram.states[i]!;
				const op = part.isSet ? "set" : "delete";
				assert.deepEqual(rest, { kind: part.kind, op, version: part.version, hash: 0, node: 0, detail: 0 });
				if (part.isSet) assert.deepEqual(record, part.record);
			});
		}),
	);
});

test("acknowledgements and control records come out beside the others", () => {
	const writer = newWriter();
	const bitmap = Uint8Array.of(0xff, 1, 2);
	writeAck(writer, bitmap);
	writePart(writer, { kind: CONNTRACK, isSet: true, record: recordOf(1, 2), version: 3 });
	writeControl(writer, RecordType.bulkBegin, 7, 8);
	writeControl(writer, RecordType.resync, 9, 0xffffffff);
	writer.array(1);
	writer.uint(RecordType.alive);
	const { datagram, fault } = decode(writer);
	assert.equal(fault, undefined);
	const [{ bitmapAt, bitmapLength, ...ack }] = datagram.acks as [(typeof datagram.acks)[0]];
	assert.deepEqual(ack, { node: 5, epochTag: 0xfe000001, highest: 2 ** 40, credit: 900 });
	assert.deepEqual(writer.bytes.slice(bitmapAt, bitmapAt + bitmapLength), bitmap);
	assert.deepEqual(datagram.others, [
		{ type: RecordType.bulkBegin, numbers: [7, 8], at: -1 },
		{ type: RecordType.resync, numbers: [9, 0xffffffff], at: -1 },
		{ type: RecordType.alive, numbers: [], at: -1 },
	]);
	assert.equal(datagram.stateCount, 1);
});

test("an empty datagram is none of the faults, and nothing of the datagram before is left", () => {
	const datagram = new Datagram(arbitraryNames());
	const writer = newWriter();
	writePart(writer, { kind: CONNTRACK, isSet: true, record: recordOf(1, 2), version: 3 });
	writeAck(writer, new Uint8Array(1));
	writeControl(writer, RecordType.bulkEnd, 1, 1);
	assert.equal(datagram.decode(writer.bytes, 0, writer.at), undefined);
	assert.equal(datagram.decode(writer.bytes, 0, 0), undefined);
	assert.deepEqual([datagram.stateCount, datagram.acks, datagram.others], [0, [], []]);
});

/** Something that no datagram may contain, and the fault that it is. */
const FAULTS: readonly (readonly [name: string, write: (w: MsgpackWriter) => void, fault: string])[] = [
	["a record of an unknown type", (w) => hex(w, "913f"), "type"],
	["a HELLO among other records", (w) => hex(w, "9101"), "type"],
	["a number where a record should be", (w) => hex(w, "0500"), "malformed"],
	["a map", (w) => hex(w, "8100c0"), "malformed"],
	["an extension", (w) => hex(w, "d40100c0"), "malformed"],
	["a record whose type is a string", (w) => hex(w, "91a161c0"), "malformed"],
	["a nest of a thousand arrays", (w) => hex(w, "91".repeat(1000)), "malformed"],
	["an array that claims 65535 elements", (w) => hex(w, "dcffff0200"), "malformed"],
	["ALIVE with an element too many", (w) => hex(w, "920a00"), "malformed"],
	["a control record without its id", (w) => hex(w, "920701"), "malformed"],
	["a control record with a negative id", (w) => hex(w, "93070fff"), "malformed"],
	["an acknowledgement that lacks its bitmap", (w) => hex(w, "95060102030405"), "malformed"],
	[
		"an acknowledgement with too long a bitmap",
		(w) => writeAck(w, new Uint8Array(BITMAP_SIZE + 1)),
		"malformed",
	],
	["a deletion of the wrong length", (w) => hex(w, "9503cc01000000c4"), "malformed"],
	["a conntrack of no family", (w) => hex(w, "970201000000cc00c40800000000"), "malformed"],
	["a record that is cut", (w) => hex(w, "9a02cd012ccd2026cd060200ce01bb1267c4080a0000"), "malformed"],
];

function hex(writer: MsgpackWriter, text: string): void {
	const bytes = Buffer.from(text, "hex");
	writer.bytes.set(bytes, writer.at);
	writer.at += bytes.length;
}

for (const [name, write, fault] of FAULTS) {
	test(`${name} makes the whole datagram malformed`, () => {
		const writer = newWriter();
		writePart(writer, { kind: CONNTRACK, isSet: true, record: recordOf(1, 2), version: 3 });
		write(writer);
		const found = decode(writer).fault;
		assert.notEqual(found, undefined);
		assert.equal(found === "type" ? "type" : "malformed", fault);
	});
}

test("a datagram has so many records of each sort, and not one more", () => {
	const limits: [limit: number, write: (writer: MsgpackWriter, i: number) => void][] = [
		[RECORDS_MAX, (w) => writePart(w, { kind: CONNTRACK, isSet: true, record: recordOf(1, 2), version: 3 })],
		[64, (w) => writeAck(w, new Uint8Array(1))],
		[64, (w, i) => writeControl(w, RecordType.bulkBegin, i, 1)],
		[1, (w) => writeControl(w, RecordType.bulkBegin, 7, 1)],
	];
	for (const [limit, write] of limits) {
		const writer = newWriter();
		for (let i = 0; i < limit; i++) write(writer, i);
		assert.equal(decode(writer).fault, undefined);
		write(writer, limit);
		assert.equal(decode(writer).fault, "payload");
	}
});

/** What a datagram from node 1 may change at node 2. */
function stateOf({ ftfw }: SimulatedNode): unknown {
	return ftfw.peers.map((peer) => [
		peer.window.highest,
		peer.heardAt,
		peer.ackOwed,
		peer.credit,
		peer.bulkReceiving,
		peer.bulkReceived,
		peer.resyncServed,
		peer.external.map(({ store, counters, generation }) => [
			store.count,
			store.live,
			generation,
			{ ...counters },
			Array.from({ length: store.end }, (_, slot) => [store.state(slot), store.version(slot)]),
		]),
		ftfw.outgoing.inFlight.count,
	]);
}

/** Has node 2 receive a datagram of node 1 with a fresh number. */
function deliver(sim: Simulation, write: (writer: MsgpackWriter) => void): void {
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	const writer = newWriter(HEADER_SIZE);
	write(writer);
	const sequence = b.ftfw.peers[0]!.window.highest + 1;
	writeHeader(writer.bytes, FLAG_ACK, a.id, epochTagOf(a.ftfw.epoch), sequence);
	b.ftfw.receive(writer.bytes, 0, new PlainSeal().seal(writer.bytes, HEADER_SIZE, writer.at), sim.now);
}

test("a malformed record in a datagram applies nothing of it, wherever it stands, and is counted", () => {
	const sim = new Simulation(1, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	for (let key = 0; key < 20; key++) sim.set(a, key, 1);
	sim.run(1500);
	const parts: ((writer: MsgpackWriter) => void)[] = [
		(w) => writePart(w, { kind: CONNTRACK, isSet: true, record: recordOf(1, 9), version: 10_000 }),
		(w) => writePart(w, { kind: CONNTRACK, isSet: true, record: recordOf(500, 9), version: 10_001 }),
		(w) => writePart(w, { kind: CONNTRACK, isSet: false, record: recordOf(2, 0), version: 10_002 }),
		(w) => writeControl(w, RecordType.bulkBegin, b.id, 1000),
		(w) => writeControl(w, RecordType.resync, b.id, 1000),
		(w) => writeAck(w, new Uint8Array(8).fill(0xff)),
	];
	for (const [name, write] of FAULTS) {
		for (let at = 0; at <= parts.length; at++) {
			// what runs over the end would swallow the next
			if (name === "a record that is cut" && at < parts.length) continue;
			const before = stateOf(b);
			const { badType, badPayload, truncated } = b.ftfw.counters;
			deliver(sim, (writer) => {
				for (const part of [...parts.slice(0, at), write, ...parts.slice(at)]) part(writer);
			});
			assert.deepEqual(stateOf(b), before, `${name} at ${at}`);
			const { counters } = b.ftfw;
			const counted = counters.badType + counters.badPayload + counters.truncated;
			assert.equal(counted, badType + badPayload + truncated + 1, name);
		}
	}
	// the same without the fault is taken: what was said above is not said of a deaf node
	deliver(sim, (writer) => {
		for (const part of parts) part(writer);
	});
	const held = sim.held(b, a);
	assert.deepEqual([held.get(1), held.get(500), held.has(2), held.size], [9, 9, false, 20]);
	assert.equal(b.ftfw.peers[0]!.bulkReceiving, 1000);
});

test("a datagram that was taken is not taken twice", () => {
	const sim = new Simulation(2, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(1500);
	const writer = newWriter(HEADER_SIZE);
	writePart(writer, { kind: CONNTRACK, isSet: true, record: recordOf(1, 9), version: 10_000 });
	const sequence = b.ftfw.peers[0]!.window.highest + 1;
	writeHeader(writer.bytes, FLAG_ACK, a.id, epochTagOf(a.ftfw.epoch), sequence);
	const end = new PlainSeal().seal(writer.bytes, HEADER_SIZE, writer.at);
	b.ftfw.receive(writer.bytes, 0, end, sim.now);
	const before = stateOf(b);
	b.ftfw.receive(writer.bytes, 0, end, sim.now);
	assert.deepEqual(stateOf(b), before);
	assert.equal(b.ftfw.counters.replayed, 1);
});
