// Expectation record -> requests to the kernel: create, set the timeout, delete, dump, flush.
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
} from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { AttributeWriter } from "./attribute.ts";
import * as C from "./constants.ts";
import { encodeTuple } from "./encode-tuple.ts";
import { beginRequest, endRequest } from "./message.ts";

/** Bytes that no request of this file exceeds. */
export const EXPECTATION_REQUEST_MAX = 768;

/** NF_CT_EXPECT_PERMANENT | NF_CT_EXPECT_INACTIVE; USERSPACE is cleared by the kernel, more is EINVAL. */
const FLAGS_KEPT = 3;

export class ExpectationEncoder {
	readonly writer: AttributeWriter;
	readonly #names: NameTable;

	constructor(writer: AttributeWriter, names: NameTable) {
		this.writer = writer;
		this.#names = names;
	}

	/**
	 * A request to create the expectation. The kernel gives it the full timeout of its helper's policy whatever is
	 * asked: send `setTimeout` after it. ENOENT without the master, EOPNOTSUPP if the master has no helper.
	 */
	create(record: ExpectationRecord, sequence: number): void {
		this.#new(record, sequence, C.NLM_F_CREATE | C.NLM_F_EXCL, record[EXP_TIMEOUT]!);
	}

	/** A request that sets what is left of the existing expectation's life, in seconds. */
	setTimeout(record: ExpectationRecord, sequence: number, seconds: number): void {
		this.#new(record, sequence, 0, seconds);
	}

	/**
	 * A request for the expectation that waits for this tuple, whoever its master is; ENOENT if there is none. The answer
	 * is like an event.
	 */
	get(record: ExpectationRecord, sequence: number): void {
		const request = this.#begin(C.IPCTNL_MSG_EXP_GET, C.NLM_F_REQUEST, sequence, record);
		this.#tuple(record);
		this.#zone(record);
		endRequest(this.writer, request);
	}

	/** A request to delete the expectation, and if its id is known that very one; ENOENT if there is none. */
	delete(record: ExpectationRecord, sequence: number, flags: number): void {
		const request = this.#begin(C.IPCTNL_MSG_EXP_DELETE, C.NLM_F_REQUEST | flags, sequence, record);
		this.#tuple(record);
		if (record[EXP_HAS]! & X_ID) this.writer.u32(C.CTA_EXPECT_ID, record[EXP_ID]!);
		this.#zone(record);
		endRequest(this.writer, request);
	}

	/** A request for the whole table. */
	dump(sequence: number): void {
		const flags = C.NLM_F_REQUEST | C.NLM_F_DUMP;
		const subsystem = C.NFNL_SUBSYS_CTNETLINK_EXP;
		endRequest(this.writer, beginRequest(this.writer, subsystem, C.IPCTNL_MSG_EXP_GET, flags, sequence, 0));
	}

	/** Empties the whole table. */
	flush(sequence: number): void {
		const flags = C.NLM_F_REQUEST | C.NLM_F_ACK;
		const subsystem = C.NFNL_SUBSYS_CTNETLINK_EXP;
		endRequest(
			this.writer,
			beginRequest(this.writer, subsystem, C.IPCTNL_MSG_EXP_DELETE, flags, sequence, 0),
		);
	}

	#new(record: ExpectationRecord, sequence: number, flags: number, timeout: number): void {
		const writer = this.writer;
		const has = record[EXP_HAS]!;
		const request = this.#begin(C.IPCTNL_MSG_EXP_NEW, C.NLM_F_REQUEST | flags, sequence, record);
		this.#tuple(record);
		encodeTuple(
			writer,
			C.CTA_EXPECT_MASK,
			record,
			EXP_MASK_SRC,
			EXP_MASK_DST,
			// the mask's own family and protocol are those of the tuple
			record[EXP_PROTOCOLS]! & 0xff ? record[EXP_PROTOCOLS]! : record[EXP_MASK_PROTOCOLS]!,
			record[EXP_MASK_PORTS]!,
			0,
		);
		encodeTuple(
			writer,
			C.CTA_EXPECT_MASTER,
			record,
			EXP_MASTER_SRC,
			EXP_MASTER_DST,
			record[EXP_MASTER_PROTOCOLS]!,
			record[EXP_MASTER_PORTS]!,
			0,
		);
		writer.u32(C.CTA_EXPECT_TIMEOUT, timeout);
		if (has & X_FLAGS) writer.u32(C.CTA_EXPECT_FLAGS, record[EXP_FLAGS]! & FLAGS_KEPT);
		if (has & X_CLASS) writer.u32(C.CTA_EXPECT_CLASS, record[EXP_CLASS]!);
		if (has & X_HELPER && record[EXP_HELPER] !== 0) {
			writer.string(C.CTA_EXPECT_HELP_NAME, this.#names.name(record[EXP_HELPER]!));
		}
		if (has & X_NAT) {
			const nat = writer.begin(C.CTA_EXPECT_NAT);
			writer.u32(C.CTA_EXPECT_NAT_DIR, record[EXP_NAT_DIR]!);
			encodeTuple(
				writer,
				C.CTA_EXPECT_NAT_TUPLE,
				record,
				EXP_NAT_SRC,
				EXP_NAT_DST,
				record[EXP_NAT_PROTOCOLS]!,
				record[EXP_NAT_PORTS]!,
				0,
			);
			writer.end(nat);
		}
		if (has & X_FN && record[EXP_FN] !== 0) writer.string(C.CTA_EXPECT_FN, this.#names.name(record[EXP_FN]!));
		this.#zone(record);
		endRequest(writer, request);
	}

	#begin(message: number, flags: number, sequence: number, record: ExpectationRecord): number {
		const family = record[EXP_PROTOCOLS]! & 0xff;
		return beginRequest(this.writer, C.NFNL_SUBSYS_CTNETLINK_EXP, message, flags, sequence, family);
	}

	#tuple(record: ExpectationRecord): void {
		encodeTuple(
			this.writer,
			C.CTA_EXPECT_TUPLE,
			record,
			EXP_SRC,
			EXP_DST,
			record[EXP_PROTOCOLS]!,
			record[EXP_PORTS]!,
			0,
		);
	}

	#zone(record: ExpectationRecord): void {
		if (record[EXP_ZONE] !== 0) this.writer.u16(C.CTA_EXPECT_ZONE, record[EXP_ZONE]!);
	}
}
