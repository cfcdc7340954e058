// MessagePack arrays -> conntrack and expectation records: strict, and validated before anything is kept.
import * as X from "../../conntrack/expectation-record.ts";
import { NAME_MAX, type NameTable } from "../../conntrack/names.ts";
import { AF_INET, AF_INET6 } from "../../conntrack/protocol.ts";
import { TCP_CONNTRACK_MAX } from "../../conntrack/protoinfo.ts";
import * as R from "../../conntrack/record.ts";
import { invertTuple } from "../../conntrack/tuple.ts";
import { CONNTRACK_KEY, ElementCount, EXPECTATION_KEY, expectationElements } from "./encode.ts";
import type { MsgpackReader } from "./msgpack.ts";
import { W_PLAIN_REPLY, W_TRANSLATED } from "./record-type.ts";

const CONNTRACK_BITS = (R.H_WIRE & ~R.H_REPLY) | W_TRANSLATED | W_PLAIN_REPLY;

/** Reads the elements after the type. Failures show in the reader's `failed`. */
export class RecordDecoder {
	/** Version of the last record read. */
	version = 0;
	readonly #reader: MsgpackReader;
	readonly #names: NameTable;
	readonly #elements = new ElementCount();

	constructor(reader: MsgpackReader, names: NameTable) {
		this.#reader = reader;
		this.#names = names;
	}

	/** @param elements of the array, the type included */
	conntrackSet(elements: number, record: R.ConntrackRecord): void {
		const r = this.#reader;
		this.version = r.uint(Number.MAX_SAFE_INTEGER);
		const bits = r.uint(CONNTRACK_BITS);
		const replies = bits & (W_TRANSLATED | W_PLAIN_REPLY);
		if (elements !== this.#elements.of(bits) || replies === (W_TRANSLATED | W_PLAIN_REPLY)) r.fail();
		if ((bits & R.H_TCP) !== 0 && (bits & R.H_SCTP) !== 0) r.fail();
		if ((bits & ~CONNTRACK_BITS) !== 0) r.fail();
		if (r.failed) return;
		// a record that is used again: what every entry has is written below, the rest is seldom there
		if ((record[R.HAS]! & R.H_RARE) !== 0) record.fill(0, R.MASTER_PROTOCOLS);
		record[R.HAS] = (bits & R.H_WIRE & ~R.H_REPLY) | (replies !== 0 ? R.H_REPLY : 0);
		this.#conntrackKey(record);
		if (replies === W_PLAIN_REPLY) invertTuple(record);
		else if (replies === 0) record.fill(0, R.REPLY_PORTS, R.STATUS);
		else {
			record[R.REPLY_PORTS] = r.word();
			this.#addresses(record, R.REPLY_SRC, R.REPLY_DST, record[R.PROTOCOLS]!);
		}
		record[R.STATUS] = bits & R.H_STATUS ? r.word() : 0;
		record[R.TIMEOUT] = bits & R.H_TIMEOUT ? r.word() : 0;
		record[R.MARK] = bits & R.H_MARK ? r.word() : 0;
		record[R.ID] = 0;
		record[R.PROTOINFO] = bits & R.H_TCP ? r.word() : 0;
		if (bits & R.H_TCP && (record[R.PROTOINFO]! & 0xff) >= TCP_CONNTRACK_MAX) r.fail();
		if (bits & R.H_SCTP) {
			record[R.PROTOINFO] = r.uint(0xff);
			this.#words(record, R.VTAGS, 2);
		}
		record[R.HELPER] = bits & R.H_HELPER ? this.#name() : 0;
		if (bits & R.H_MASTER) {
			record[R.MASTER_PROTOCOLS] = this.#protocols();
			record[R.MASTER_ZONE] = r.uint(0xffff);
			record[R.MASTER_PORTS] = r.word();
			this.#addresses(record, R.MASTER_SRC, R.MASTER_DST, record[R.MASTER_PROTOCOLS]!);
		}
		if (bits & R.H_SEQ_ORIG) this.#words(record, R.SEQ_ORIG, 3);
		if (bits & R.H_SEQ_REPLY) this.#words(record, R.SEQ_REPLY, 3);
		if (bits & R.H_LABELS) this.#words(record, R.LABELS, 4);
		if (bits & R.H_SYNPROXY) this.#words(record, R.SYNPROXY, 3);
	}

	/** Version and key: a deletion, a withdrawal, or the beginning of a claim (whose other elements do not count). */
	conntrackNamed(elements: number, record: R.ConntrackRecord): void {
		if (elements !== CONNTRACK_KEY) this.#reader.fail();
		this.version = this.#reader.uint(Number.MAX_SAFE_INTEGER);
		if (this.#reader.failed) return;
		record.fill(0);
		this.#conntrackKey(record);
	}

	/** @param elements of the array, the type included */
	expectationSet(elements: number, record: X.ExpectationRecord): void {
		const r = this.#reader;
		this.version = r.uint(Number.MAX_SAFE_INTEGER);
		const bits = r.uint(X.X_WIRE);
		if (elements !== expectationElements(bits) || (bits & ~X.X_WIRE) !== 0) r.fail();
		if (r.failed) return;
		record.fill(0);
		this.#expectationKey(record);
		if ((bits & X.X_CLASS) === 0 && record[X.EXP_CLASS] !== 0) r.fail();
		record[X.EXP_MASTER_PROTOCOLS] = this.#protocols();
		record[X.EXP_MASTER_PORTS] = r.word();
		this.#addresses(record, X.EXP_MASTER_SRC, X.EXP_MASTER_DST, record[X.EXP_MASTER_PROTOCOLS]!);
		if (bits & X.X_TIMEOUT) record[X.EXP_TIMEOUT] = r.word();
		if (bits & X.X_HELPER) record[X.EXP_HELPER] = this.#name();
		if (bits & X.X_FN) record[X.EXP_FN] = this.#name();
		if (bits & X.X_FLAGS) record[X.EXP_FLAGS] = r.word();
		if (bits & X.X_NAT) {
			record[X.EXP_NAT_DIR] = r.uint(1);
			record[X.EXP_NAT_PROTOCOLS] = r.uint(0xffff);
			record[X.EXP_NAT_PORTS] = r.word();
			this.#addresses(record, X.EXP_NAT_SRC, X.EXP_NAT_DST, record[X.EXP_PROTOCOLS]!);
		}
		record[X.EXP_HAS] = bits;
	}

	expectationNamed(elements: number, record: X.ExpectationRecord): void {
		if (elements !== EXPECTATION_KEY) this.#reader.fail();
		this.version = this.#reader.uint(Number.MAX_SAFE_INTEGER);
		if (this.#reader.failed) return;
		record.fill(0);
		this.#expectationKey(record);
	}

	#conntrackKey(record: R.ConntrackRecord): void {
		const r = this.#reader;
		record[R.PROTOCOLS] = this.#protocols();
		record[R.ZONES] = r.word();
		record[R.ORIG_PORTS] = r.word();
		this.#addresses(record, R.ORIG_SRC, R.ORIG_DST, record[R.PROTOCOLS]!);
	}

	#expectationKey(record: X.ExpectationRecord): void {
		const r = this.#reader;
		record[X.EXP_PROTOCOLS] = this.#protocols();
		record[X.EXP_MASK_PROTOCOLS] = record[X.EXP_PROTOCOLS]!;
		record[X.EXP_ZONE] = r.uint(0xffff);
		record[X.EXP_PORTS] = r.word();
		record[X.EXP_CLASS] = r.word();
		record[X.EXP_MASK_PORTS] = r.word();
		const words = (record[X.EXP_PROTOCOLS]! & 0xff) === AF_INET6 ? 4 : 1;
		let at = r.bin(words * 16);
		if (r.failed) return;
		for (const to of [X.EXP_SRC, X.EXP_DST, X.EXP_MASK_SRC, X.EXP_MASK_DST]) {
			this.#raw(record, to, at, words);
			at += words * 4;
		}
	}

	/** Family | protocol << 8, the family 2 or 10. */
	#protocols(): number {
		const value = this.#reader.uint(0xffff);
		const family = value & 0xff;
		return family === AF_INET || family === AF_INET6 ? value : this.#reader.fail();
	}

	#addresses(record: Int32Array, src: number, dst: number, protocols: number): void {
		const words = (protocols & 0xff) === AF_INET6 ? 4 : 1;
		const at = this.#reader.bin(words * 8);
		if (this.#reader.failed) return;
		this.#raw(record, src, at, words);
		this.#raw(record, dst, at + words * 4, words);
		for (let i = words; i < 4; i++) record[src + i] = record[dst + i] = 0;
	}

	/** Names go into the kernel's requests and into logs: letters, digits, '.', '_' and '-' only. */
	#name(): number {
		const r = this.#reader;
		const at = r.str();
		if (r.failed || r.length > NAME_MAX) return r.fail();
		for (let i = at; i < at + r.length; i++) if (!isNameByte(r.bytes[i]!)) return r.fail();
		return this.#names.internBytes(r.bytes, at, at + r.length);
	}

	#words(record: Int32Array, to: number, count: number): void {
		for (let i = 0; i < count; i++) record[to + i] = this.#reader.word();
	}

	#raw(record: Int32Array, to: number, at: number, words: number): void {
		for (let i = 0; i < words; i++) record[to + i] = this.#reader.raw(at + 4 * i);
	}
}

function isNameByte(byte: number): boolean {
	return (
		(byte >= 0x30 && byte <= 0x39) ||
		(byte >= 0x41 && byte <= 0x5a) ||
		(byte >= 0x61 && byte <= 0x7a) ||
		byte === 0x2e ||
		byte === 0x5f ||
		byte === 0x2d
	);
}
