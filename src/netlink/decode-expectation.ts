// CTA_EXPECT_* -> expectation record, with the manners of decode-conntrack.ts.
import {
	EXP_CLASS,
	EXP_DST,
	EXP_FLAGS,
	EXP_FN,
	EXP_HAS,
	EXP_HELPER,
	EXP_ID,
	EXP_MASK_DST,
	EXP_MASK_PORTS,
	EXP_MASK_PROTOCOLS,
	EXP_MASK_SRC,
	EXP_MASTER_DST,
	EXP_MASTER_PORTS,
	EXP_MASTER_PROTOCOLS,
	EXP_MASTER_SRC,
	EXP_NAT_DIR,
	EXP_NAT_DST,
	EXP_NAT_PORTS,
	EXP_NAT_PROTOCOLS,
	EXP_NAT_SRC,
	EXP_PORTS,
	EXP_PROTOCOLS,
	EXP_SRC,
	EXP_TIMEOUT,
	EXP_ZONE,
	type ExpectationRecord,
	X_CLASS,
	X_FLAGS,
	X_FN,
	X_HELPER,
	X_ID,
	X_NAT,
	X_TIMEOUT,
} from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import { align, type WireBuffer } from "./attribute.ts";
import * as C from "./constants.ts";
import { TupleDecoder } from "./decode-tuple.ts";

/**
 * Helpers of which the kernel shows NAT that nobody has set: nf_conntrack_broadcast_help leaves saved_addr, saved_proto
 * and dir as they were in the memory that it got (Linux 6.18), and never uses them.
 */
const WITHOUT_NAT: readonly string[] = ["netbios-ns", "snmp"];

export class ExpectationDecoder {
	readonly #names: NameTable;
	readonly #tuple = new TupleDecoder();

	constructor(names: NameTable) {
		this.#names = names;
	}

	/**
	 * Decodes the attributes in bytes [start, end) into `record`.
	 *
	 * @returns false for a truncated or lying attribute, or when tuple, mask or master is missing
	 */
	decode(wire: WireBuffer, start: number, end: number, record: ExpectationRecord): boolean {
		const tuple = this.#tuple;
		let has = 0;
		let nests = 0;
		record[EXP_ZONE] = 0;
		record[EXP_CLASS] = 0;
		let at = start;
		while (at + C.NLA_HEADER <= end) {
			const length = wire.halves[at >> 1]!;
			if (length < C.NLA_HEADER || at + length > end) return false;
			const payload = at + C.NLA_HEADER;
			const stop = at + length;
			const size = length - C.NLA_HEADER;
			switch (wire.halves[(at >> 1) + 1]! & C.NLA_TYPE_MASK) {
				case C.CTA_EXPECT_TUPLE:
					if (!tuple.decode(wire, payload, stop, record, EXP_SRC, EXP_DST)) return false;
					record[EXP_PROTOCOLS] = tuple.protocols;
					record[EXP_PORTS] = tuple.ports;
					nests |= 1;
					break;
				case C.CTA_EXPECT_MASK:
					if (!tuple.decode(wire, payload, stop, record, EXP_MASK_SRC, EXP_MASK_DST)) return false;
					record[EXP_MASK_PROTOCOLS] = tuple.protocols;
					record[EXP_MASK_PORTS] = tuple.ports;
					nests |= 2;
					break;
				case C.CTA_EXPECT_MASTER:
					if (!tuple.decode(wire, payload, stop, record, EXP_MASTER_SRC, EXP_MASTER_DST)) return false;
					record[EXP_MASTER_PROTOCOLS] = tuple.protocols;
					record[EXP_MASTER_PORTS] = tuple.ports;
					nests |= 4;
					break;
				case C.CTA_EXPECT_TIMEOUT:
					if (size < 4) return false;
					record[EXP_TIMEOUT] = wire.u32(payload);
					has |= X_TIMEOUT;
					break;
				case C.CTA_EXPECT_ID:
					if (size < 4) return false;
					record[EXP_ID] = wire.u32(payload);
					has |= X_ID;
					break;
				case C.CTA_EXPECT_ZONE:
					if (size < 2) return false;
					record[EXP_ZONE] = wire.u16(payload);
					break;
				case C.CTA_EXPECT_FLAGS:
					if (size < 4) return false;
					record[EXP_FLAGS] = wire.u32(payload);
					has |= X_FLAGS;
					break;
				case C.CTA_EXPECT_CLASS:
					if (size < 4) return false;
					record[EXP_CLASS] = wire.u32(payload);
					has |= X_CLASS;
					break;
				case C.CTA_EXPECT_HELP_NAME:
					record[EXP_HELPER] = this.#names.internBytes(wire.bytes, payload, stop);
					has |= X_HELPER;
					break;
				case C.CTA_EXPECT_FN:
					record[EXP_FN] = this.#names.internBytes(wire.bytes, payload, stop);
					has |= X_FN;
					break;
				case C.CTA_EXPECT_NAT:
					if (!this.#nat(wire, payload, stop, record)) return false;
					has |= X_NAT;
					break;
				default: // newer kernels add attributes: skipped
			}
			at += align(length);
		}
		if ((has & (X_NAT | X_HELPER)) === (X_NAT | X_HELPER)) {
			if (WITHOUT_NAT.includes(this.#names.name(record[EXP_HELPER]!))) has &= ~X_NAT;
		}
		record[EXP_HAS] = has;
		return nests === 7 && (record[EXP_PROTOCOLS]! & 0xff) !== 0;
	}

	#nat(wire: WireBuffer, start: number, end: number, record: ExpectationRecord): boolean {
		const tuple = this.#tuple;
		record.fill(0, EXP_NAT_DIR, EXP_NAT_DST + 4);
		let at = start;
		while (at + C.NLA_HEADER <= end) {
			const length = wire.halves[at >> 1]!;
			if (length < C.NLA_HEADER || at + length > end) return false;
			const payload = at + C.NLA_HEADER;
			switch (wire.halves[(at >> 1) + 1]! & C.NLA_TYPE_MASK) {
				case C.CTA_EXPECT_NAT_DIR:
					if (length < C.NLA_HEADER + 4) return false;
					record[EXP_NAT_DIR] = wire.u32(payload);
					break;
				case C.CTA_EXPECT_NAT_TUPLE:
					if (!tuple.decode(wire, payload, at + length, record, EXP_NAT_SRC, EXP_NAT_DST)) return false;
					record[EXP_NAT_PROTOCOLS] = tuple.protocols;
					record[EXP_NAT_PORTS] = tuple.ports;
					break;
				default: // skipped
			}
			at += align(length);
		}
		return true;
	}
}
