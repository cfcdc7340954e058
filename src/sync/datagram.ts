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

/** What a record says of an entry. */
export type StateOp = "set" | "delete" | "withdraw" | "claim" | "verdict" | "return";

/** A record about one entry. */
export interface StateRecord {
	kind: Kind;
	op: StateOp;
	version: number;
	record: Int32Array;
	/** Of the key, in the caches of its sender: see `lookAhead`. */
	hash: number;
	/** Whom a claim or a verdict is for. */
	node: number;
	/** Of a claim the hash of the state, of a verdict what is wrong. */
	detail: number;
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

/** A record of numbers, the last one perhaps bytes in the receive buffer. */
export interface OtherRecord {
	type: number;
	numbers: readonly number[];
	/** Offset of the bytes, -1 if the type has none. */
	at: number;
}

type Shape = { readonly numbers: number; readonly bytes: number };
/** No room, and the rules X01 to X16. */
export const REFUSAL_REASONS = 17;
/** Numbers behind the type, and the length of the `bin` behind those. */
const SHAPES: ReadonlyMap<number, Shape> = new Map<number, Shape>([
	[RecordType.bulkBegin, { numbers: 2, bytes: 0 }],
	[RecordType.bulkEnd, { numbers: 2, bytes: 0 }],
	[RecordType.resync, { numbers: 2, bytes: 0 }],
	[RecordType.alive, { numbers: 0, bytes: 0 }],
	[RecordType.digest, { numbers: 1, bytes: 128 }],
	[RecordType.query, { numbers: 1, bytes: 128 }],
	[RecordType.report, { numbers: 6, bytes: 0 }],
	[RecordType.refusals, { numbers: 1 + REFUSAL_REASONS, bytes: 0 }],
	[RecordType.verify, { numbers: 1, bytes: 0 }],
	[RecordType.emptied, { numbers: 1, bytes: 0 }],
	[RecordType.fetch, { numbers: 3, bytes: 0 }],
	[RecordType.fetched, { numbers: 5, bytes: 0 }],
]);

/** By record type: of which kind it speaks, and what it says. */
const STATES = new Array<readonly [Kind, StateOp] | undefined>(256).fill(undefined);
for (const [type, kind, op] of [
	[RecordType.conntrackSet, CONNTRACK, "set"],
	[RecordType.conntrackDelete, CONNTRACK, "delete"],
	[RecordType.conntrackWithdraw, CONNTRACK, "withdraw"],
	[RecordType.conntrackClaim, CONNTRACK, "claim"],
	[RecordType.conntrackVerdict, CONNTRACK, "verdict"],
	[RecordType.conntrackReturn, CONNTRACK, "return"],
	[RecordType.expectationSet, EXPECTATION, "set"],
	[RecordType.expectationDelete, EXPECTATION, "delete"],
	[RecordType.expectationWithdraw, EXPECTATION, "withdraw"],
	[RecordType.expectationClaim, EXPECTATION, "claim"],
	[RecordType.expectationVerdict, EXPECTATION, "verdict"],
	[RecordType.expectationReturn, EXPECTATION, "return"],
] as const) {
	STATES[type] = [kind, op];
}

/** Acknowledgements, and records of numbers, of one datagram: one for each of sixteen peers, and some to spare. */
const OTHERS_MAX = 64;
const WORD_MAX = 0xffffffff;

export class Datagram {
	/** The first `stateCount` are those of this datagram. */
	readonly states: readonly StateRecord[];
	stateCount = 0;
	acks: Ack[] = [];
	others: OtherRecord[] = [];
	readonly reader = new MsgpackReader();
	readonly #decoder: RecordDecoder;
	readonly #records: { conntrack: Int32Array; expectation: Int32Array }[] = [];

	constructor(names: NameTable) {
		this.#decoder = new RecordDecoder(this.reader, names);
		this.states = Array.from({ length: RECORDS_MAX }, () => {
			const record = { conntrack: newConntrackRecord(), expectation: newExpectationRecord() };
			this.#records.push(record);
			return {
				kind: CONNTRACK,
				op: "set",
				version: 0,
				record: record.conntrack,
				hash: 0,
				node: 0,
				detail: 0,
			};
		});
	}

	/** Decodes the records in bytes [start, end): all of them, or the reason why none counts. */
	decode(bytes: Uint8Array, start: number, end: number): "type" | "payload" | "truncated" | undefined {
		const { reader } = this;
		this.stateCount = 0;
		if (this.acks.length > 0) this.acks = [];
		if (this.others.length > 0) this.others = [];
		reader.reset(bytes, start, end);
		while (reader.at < end) {
			const elements = reader.array();
			const type = reader.uint(0xff);
			if (reader.failed || elements === 0) return "payload";
			const state = STATES[type];
			if (state) {
				if (this.stateCount === RECORDS_MAX) return "payload";
				this.#state(state[0], state[1], elements);
			} else if (type === RecordType.ack) {
				if (elements !== 6 || this.acks.length === OTHERS_MAX) return "payload";
				this.#ack();
			} else if (SHAPES.has(type)) {
				if (this.others.length === OTHERS_MAX) return "payload";
				this.#other(type, elements, SHAPES.get(type)!);
			} else if (type >= RecordType.firstOptional) reader.skip(elements - 1);
			else return "type";
			if (reader.failed) break;
		}
		if (!reader.failed) return undefined;
		return reader.hasRunOut ? "truncated" : "payload";
	}

	#state(kind: Kind, op: StateOp, elements: number): void {
		const state = this.states[this.stateCount]!;
		const records = this.#records[this.stateCount++]!;
		state.kind = kind;
		state.op = op;
		state.node = 0;
		state.detail = 0;
		state.record = kind === CONNTRACK ? records.conntrack : records.expectation;
		if (op === "set" || op === "return") {
			if (kind === CONNTRACK) this.#decoder.conntrackSet(elements, state.record);
			else this.#decoder.expectationSet(elements, state.record);
		} else {
			const more = op === "claim" || op === "verdict" ? 2 : 0;
			if (kind === CONNTRACK) this.#decoder.conntrackNamed(elements - more, state.record);
			else this.#decoder.expectationNamed(elements - more, state.record);
			if (more > 0) {
				state.node = this.reader.uint(WORD_MAX);
				state.detail = this.reader.uint(WORD_MAX);
			}
		}
		state.version = this.#decoder.version;
	}

	#other(type: number, elements: number, shape: Shape): void {
		const { reader } = this;
		const hasBytes = shape.bytes > 0;
		if (elements !== 1 + shape.numbers + (hasBytes ? 1 : 0)) {
			reader.fail();
			return;
		}
		const numbers: number[] = [];
		for (let i = 0; i < shape.numbers; i++) numbers.push(reader.uint(WORD_MAX));
		// nobody says the same twice, and nobody may have the same answered twice
		if (this.others.some((other) => other.type === type && other.numbers[0] === numbers[0])) reader.fail();
		this.others.push({ type, numbers, at: hasBytes ? reader.bin(shape.bytes) : -1 });
	}

	#ack(): void {
		const { reader } = this;
		const ack: Ack = {
			node: reader.uint(WORD_MAX),
			epochTag: reader.uint(WORD_MAX),
			highest: reader.uint(Number.MAX_SAFE_INTEGER),
			credit: reader.uint(0xffff),
			bitmapAt: reader.binUpTo(BITMAP_SIZE),
			bitmapLength: 0,
		};
		ack.bitmapLength = reader.length;
		this.acks.push(ack);
	}
}
