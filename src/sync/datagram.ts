// One received datagram, decoded and validated as a whole before any of it is applied.

import { newExpectationRecord } from "../conntrack/expectation-record.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import { newConntrackRecord } from "../conntrack/record.ts";
import { BITMAP_SIZE } from "./acknowledgement.ts";
import { RECORDS_MAX } from "./in-flight.ts";
import { RecordDecoder } from "./wire/decode.ts";
import { MsgpackReader } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";

/** A conntrack or expectation that the sender has (`isSet`) or has no more. */
export interface StateRecord {
	kind: Kind;
	isSet: boolean;
	version: number;
	record: Int32Array;
}

/** An acknowledgement; the bitmap is a view into the receive buffer. */
export interface Ack {
	node: number;
	epochTag: number;
	highest: number;
	credit: number;
	bitmapAt: number;
	bitmapLength: number;
}

/** BULK BEGIN, BULK END or RESYNC, for one node. */
export interface ControlRecord {
	type: number;
	node: number;
	id: number;
}

/** Acknowledgements and control records of one datagram: one for each of sixteen peers, and some to spare. */
const OTHERS_MAX = 64;
const NODE_MAX = 0xffffffff;

export class Datagram {
	/** The first `stateCount` are those of this datagram. */
	readonly states: readonly StateRecord[];
	stateCount = 0;
	acks: Ack[] = [];
	controls: ControlRecord[] = [];
	readonly reader = new MsgpackReader();
	readonly #decoder: RecordDecoder;
	readonly #records: { conntrack: Int32Array; expectation: Int32Array }[] = [];

	constructor(names: NameTable) {
		this.#decoder = new RecordDecoder(this.reader, names);
		this.states = Array.from({ length: RECORDS_MAX }, () => {
			const record = { conntrack: newConntrackRecord(), expectation: newExpectationRecord() };
			this.#records.push(record);
			return { kind: CONNTRACK, isSet: true, version: 0, record: record.conntrack };
		});
	}

	/** Decodes the records in bytes [start, end): all of them, or the reason why none counts. */
	decode(bytes: Uint8Array, start: number, end: number): "type" | "payload" | "truncated" | undefined {
		const { reader } = this;
		this.stateCount = 0;
		this.acks = [];
		this.controls = [];
		reader.reset(bytes, start, end);
		while (reader.at < end) {
			const elements = reader.array();
			const type = reader.uint(0xff);
			if (reader.failed) break;
			switch (type) {
				case RecordType.conntrackSet:
				case RecordType.conntrackDelete:
				case RecordType.expectationSet:
				case RecordType.expectationDelete:
					if (this.stateCount === RECORDS_MAX) return "payload";
					this.#state(type, elements);
					break;
				case RecordType.ack:
					if (elements !== 6 || this.acks.length === OTHERS_MAX) return "payload";
					this.#ack();
					break;
				case RecordType.bulkBegin:
				case RecordType.bulkEnd:
				case RecordType.resync:
					if (elements !== 3 || this.controls.length === OTHERS_MAX) return "payload";
					this.controls.push({ type, node: reader.uint(NODE_MAX), id: reader.uint(NODE_MAX) });
					break;
				case RecordType.alive:
					if (elements !== 1) return "payload";
					break;
				default:
					return "type";
			}
			if (reader.failed) break;
		}
		if (!reader.failed) return undefined;
		return reader.at >= end ? "truncated" : "payload";
	}

	#state(type: number, elements: number): void {
		const state = this.states[this.stateCount]!;
		const records = this.#records[this.stateCount++]!;
		state.kind =
			type === RecordType.conntrackSet || type === RecordType.conntrackDelete ? CONNTRACK : EXPECTATION;
		state.isSet = type === RecordType.conntrackSet || type === RecordType.expectationSet;
		state.record = state.kind === CONNTRACK ? records.conntrack : records.expectation;
		if (type === RecordType.conntrackSet) this.#decoder.conntrackSet(elements, state.record);
		else if (type === RecordType.conntrackDelete) this.#decoder.conntrackDelete(elements, state.record);
		else if (type === RecordType.expectationSet) this.#decoder.expectationSet(elements, state.record);
		else this.#decoder.expectationDelete(elements, state.record);
		state.version = this.#decoder.version;
	}

	#ack(): void {
		const { reader } = this;
		const ack: Ack = {
			node: reader.uint(NODE_MAX),
			epochTag: reader.uint(NODE_MAX),
			highest: reader.uint(Number.MAX_SAFE_INTEGER),
			credit: reader.uint(0xffff),
			bitmapAt: reader.binUpTo(BITMAP_SIZE),
			bitmapLength: 0,
		};
		ack.bitmapLength = reader.length;
		this.acks.push(ack);
	}
}
