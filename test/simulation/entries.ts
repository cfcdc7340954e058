// Entries as two numbers, key and value, and as the records that production code sees. Everything in a record but id
// and timeout follows from the two, so a record that was damaged or mixed up on its way does not match any more.
import * as X from "../../src/conntrack/expectation-record.ts";
import { CONNTRACK, type Kind } from "../../src/conntrack/kind.ts";
import type { NameTable } from "../../src/conntrack/names.ts";
import * as R from "../../src/conntrack/record.ts";
import { invertTuple } from "../../src/conntrack/tuple.ts";

const TCP = 6;
const UDP = 17;
const SCTP = 132;
const AF_INET = 2;
const AF_INET6 = 10;
const HELPERS = ["ftp", "sip", "h323", "nat-follow-master"];
/** Seconds: no entry runs out while a schedule lasts. */
const TIMEOUT = 400;

/** Fills records; one pair is reused. */
export class Entries {
	readonly #names: NameTable;
	readonly #records = [R.newConntrackRecord(), X.newExpectationRecord()] as const;
	readonly #expected = [R.newConntrackRecord(), X.newExpectationRecord()] as const;

	/** Source addresses of conntracks by key, where they are not all the same. */
	readonly #sources: ReadonlyMap<number, number>;

	constructor(names: NameTable, sources: ReadonlyMap<number, number> = new Map()) {
		this.#names = names;
		this.#sources = sources;
	}

	/** @param id of the kernel, 0 for none */
	record(kind: Kind, key: number, value: number, id = 0): Int32Array {
		const record = this.#records[kind];
		this.#fill(kind, record, key, value);
		if (id === 0) return record;
		if (kind === CONNTRACK) {
			record[R.HAS]! |= R.H_ID;
			record[R.ID] = id;
		} else {
			record[X.EXP_HAS]! |= X.X_ID;
			record[X.EXP_ID] = id;
		}
		return record;
	}

	/** Whether the record is what `record` makes of its key and value; id and timeout are free. */
	isWhole(kind: Kind, record: Int32Array): boolean {
		const expected = this.#expected[kind];
		this.#fill(kind, expected, entryKey(kind, record), entryValue(kind, record));
		const [has, id, idBit, timeout] =
			kind === CONNTRACK ? [R.HAS, R.ID, R.H_ID, R.TIMEOUT] : [X.EXP_HAS, X.EXP_ID, X.X_ID, X.EXP_TIMEOUT];
		for (let i = 0; i < expected.length; i++) {
			if (i === id || i === timeout) continue;
			if (i === has ? (record[i]! & ~idBit) !== expected[i] : record[i] !== expected[i]) return false;
		}
		return true;
	}

	#fill(kind: Kind, record: Int32Array, key: number, value: number): void {
		record.fill(0);
		if (kind === CONNTRACK) this.#conntrack(record, key, value);
		else this.#expectation(record, key, value);
	}

	#conntrack(record: R.ConntrackRecord, key: number, value: number): void {
		const source = this.#sources.get(key);
		const isV6 = key % 7 === 3 && source === undefined;
		const protocol = source !== undefined ? TCP : key % 5 === 1 ? UDP : key % 19 === 2 ? SCTP : TCP;
		let has = R.H_REPLY | R.H_STATUS | R.H_TIMEOUT | R.H_MARK;
		record[R.PROTOCOLS] = (isV6 ? AF_INET6 : AF_INET) | (protocol << 8);
		record[R.ORIG_PORTS] = key;
		record[R.ORIG_SRC] = source ?? 0x0100000a;
		record[R.ORIG_DST] = 0x0200000a;
		if (isV6) record[R.ORIG_SRC + 2] = record[R.ORIG_DST + 3] = key;
		invertTuple(record);
		record[R.STATUS] = value % 3 === 0 ? 0xe : 0xa;
		if (key % 6 === 1) {
			record[R.REPLY_DST] = 0x096433c6;
			record[R.STATUS]! |= 0x90;
		}
		record[R.TIMEOUT] = TIMEOUT + (value % 50);
		record[R.MARK] = value;
		if (protocol === TCP) {
			has |= R.H_TCP;
			record[R.PROTOINFO] = 1 + (value % 8);
		} else if (protocol === SCTP) {
			has |= R.H_SCTP;
			record[R.PROTOINFO] = value % 8;
			record[R.VTAGS] = value;
			record[R.VTAGS + 1] = ~value;
		}
		if (key % 11 === 4) {
			has |= R.H_HELPER;
			record[R.HELPER] = this.#names.intern(HELPERS[value % 3]!);
		}
		if (key % 13 === 5) {
			has |= R.H_SEQ_ORIG;
			record[R.SEQ_ORIG] = value;
			record[R.SEQ_ORIG + 1] = -value;
			record[R.SEQ_ORIG + 2] = 4;
		}
		if (key % 17 === 6) {
			has |= R.H_MASTER;
			record[R.MASTER_PROTOCOLS] = AF_INET | (TCP << 8);
			record[R.MASTER_PORTS] = key;
			record[R.MASTER_SRC] = 0x0100000a;
			record[R.MASTER_DST] = 0x0200000a;
		}
		record[R.HAS] = has;
	}

	#expectation(record: X.ExpectationRecord, key: number, value: number): void {
		record[X.EXP_HAS] = X.X_TIMEOUT | X.X_FLAGS | X.X_CLASS | X.X_HELPER;
		record[X.EXP_PROTOCOLS] = record[X.EXP_MASK_PROTOCOLS] = AF_INET | (TCP << 8);
		record[X.EXP_PORTS] = key;
		record[X.EXP_SRC] = 0x0100000a;
		record[X.EXP_DST] = 0x0200000a;
		record[X.EXP_MASK_PORTS] = -1;
		record[X.EXP_MASK_SRC] = record[X.EXP_MASK_DST] = -1;
		record[X.EXP_MASTER_PROTOCOLS] = AF_INET | (TCP << 8);
		record[X.EXP_MASTER_PORTS] = key;
		record[X.EXP_MASTER_SRC] = 0x0100000a;
		record[X.EXP_MASTER_DST] = 0x0200000a;
		record[X.EXP_TIMEOUT] = TIMEOUT;
		record[X.EXP_HELPER] = this.#names.intern(HELPERS[key % 3]!);
		record[X.EXP_FLAGS] = value;
		if (key % 3 === 0) {
			record[X.EXP_HAS]! |= X.X_NAT | X.X_FN;
			record[X.EXP_FN] = this.#names.intern(HELPERS[3]!);
			record[X.EXP_NAT_DIR] = value & 1;
			record[X.EXP_NAT_PROTOCOLS] = AF_INET | (TCP << 8);
			record[X.EXP_NAT_PORTS] = value;
			record[X.EXP_NAT_SRC] = key;
		}
	}
}

export const entryKey = (kind: Kind, record: Int32Array): number =>
	record[kind === CONNTRACK ? R.ORIG_PORTS : X.EXP_PORTS]!;

export const entryValue = (kind: Kind, record: Int32Array): number =>
	record[kind === CONNTRACK ? R.MARK : X.EXP_FLAGS]!;
