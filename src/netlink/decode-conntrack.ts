// CTA_* -> conntrack record. One walk over the attributes in whatever order they come: events, dumps and answers to
// GET differ in it. Unknown attributes are skipped; a lying length makes the message malformed, never throws.
import { allowsLabels, type LabelMask, NO_LABELS } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { packTcp } from "../conntrack/protoinfo.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_ID,
	H_LABELS,
	H_MARK,
	H_MASTER,
	H_REPLY,
	H_SCTP,
	H_SEQ_ORIG,
	H_SEQ_REPLY,
	H_STATUS,
	H_SYNPROXY,
	H_TCP,
	H_TIMEOUT,
	H_WHOLE,
	HAS,
	HELPER,
	ID,
	LABELS,
	MARK,
	MASTER_DST,
	MASTER_PORTS,
	MASTER_PROTOCOLS,
	MASTER_SRC,
	MASTER_ZONE,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	PROTOINFO,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
	SEQ_ORIG,
	SEQ_REPLY,
	STATUS,
	SYNPROXY,
	TIMEOUT,
	VTAGS,
	ZONES,
} from "../conntrack/record.ts";
import { align, type WireBuffer } from "./attribute.ts";
import * as C from "./constants.ts";
import { TupleDecoder } from "./decode-tuple.ts";

/** How connlabels are decoded. */
export interface LabelOptions {
	/** The labels that count; others are not seen. */
	mask: LabelMask;
	/**
	 * The messages are dumps or answers, which leave out labels only if there are none. An event leaves them out, too, when
	 * they have not changed.
	 */
	isWhole: boolean;
}

export class ConntrackDecoder {
	readonly #names: NameTable;
	readonly #tuple = new TupleDecoder();
	readonly #labels: LabelMask;
	readonly #hasLabels: boolean;
	readonly #whole: number;

	constructor(names: NameTable, { mask, isWhole }: LabelOptions = { mask: NO_LABELS, isWhole: false }) {
		this.#names = names;
		this.#labels = mask;
		this.#hasLabels = allowsLabels(mask);
		this.#whole = isWhole && this.#hasLabels ? H_WHOLE : 0;
	}

	/**
	 * Decodes the attributes in bytes [start, end) into `record`; words of absent attributes keep what they held.
	 *
	 * @returns false for a truncated or lying attribute, or when there is no usable original tuple
	 */
	decode(wire: WireBuffer, start: number, end: number, record: ConntrackRecord): boolean {
		const tuple = this.#tuple;
		let has = 0;
		let zone = 0;
		let zoneOrig = 0;
		let zoneReply = 0;
		record[PROTOCOLS] = 0;
		let at = start;
		while (at + C.NLA_HEADER <= end) {
			const length = wire.halves[at >> 1]!;
			if (length < C.NLA_HEADER || at + length > end) return false;
			const payload = at + C.NLA_HEADER;
			const stop = at + length;
			const size = length - C.NLA_HEADER;
			switch (wire.halves[(at >> 1) + 1]! & C.NLA_TYPE_MASK) {
				case C.CTA_TUPLE_ORIG:
					if (!tuple.decode(wire, payload, stop, record, ORIG_SRC, ORIG_DST)) return false;
					record[PROTOCOLS] = tuple.protocols;
					record[ORIG_PORTS] = tuple.ports;
					zoneOrig = tuple.zone;
					break;
				case C.CTA_TUPLE_REPLY:
					if (!tuple.decode(wire, payload, stop, record, REPLY_SRC, REPLY_DST)) return false;
					record[REPLY_PORTS] = tuple.ports;
					zoneReply = tuple.zone;
					has |= H_REPLY;
					break;
				case C.CTA_TUPLE_MASTER:
					if (!tuple.decode(wire, payload, stop, record, MASTER_SRC, MASTER_DST)) return false;
					record[MASTER_PROTOCOLS] = tuple.protocols;
					record[MASTER_PORTS] = tuple.ports;
					record[MASTER_ZONE] = tuple.zone;
					has |= H_MASTER;
					break;
				case C.CTA_STATUS:
					if (size < 4) return false;
					record[STATUS] = wire.u32(payload);
					has |= H_STATUS;
					break;
				case C.CTA_TIMEOUT:
					if (size < 4) return false;
					record[TIMEOUT] = wire.u32(payload);
					has |= H_TIMEOUT;
					break;
				case C.CTA_MARK:
					if (size < 4) return false;
					record[MARK] = wire.u32(payload);
					has |= H_MARK;
					break;
				case C.CTA_ID:
					if (size < 4) return false;
					record[ID] = wire.u32(payload);
					has |= H_ID;
					break;
				case C.CTA_ZONE:
					if (size < 2) return false;
					zone = wire.u16(payload);
					break;
				case C.CTA_PROTOINFO: {
					const bit = this.#protoinfo(wire, payload, stop, record);
					if (bit < 0) return false;
					has |= bit;
					break;
				}
				case C.CTA_HELP: {
					const helper = this.#helper(wire, payload, stop);
					if (helper < 0) return false;
					record[HELPER] = helper;
					if (helper > 0) has |= H_HELPER;
					break;
				}
				case C.CTA_SEQ_ADJ_ORIG:
					if (!three(wire, payload, stop, record, SEQ_ORIG)) return false;
					has |= H_SEQ_ORIG;
					break;
				case C.CTA_SEQ_ADJ_REPLY:
					if (!three(wire, payload, stop, record, SEQ_REPLY)) return false;
					has |= H_SEQ_REPLY;
					break;
				case C.CTA_LABELS:
					if (!this.#hasLabels) break;
					for (let i = 0; i < 4; i++) {
						record[LABELS + i] = i * 4 + 4 <= size ? wire.words[(payload >> 2) + i]! & this.#labels[i]! : 0;
					}
					has |= H_LABELS;
					break;
				case C.CTA_SYNPROXY:
					if (!three(wire, payload, stop, record, SYNPROXY)) return false;
					// every entry made over netlink carries the extension: all zero is no synproxy
					if ((record[SYNPROXY]! | record[SYNPROXY + 1]! | record[SYNPROXY + 2]!) !== 0) has |= H_SYNPROXY;
					break;
				default: // counters, use count, timestamps, and what newer kernels add
			}
			at += align(length);
		}
		const family = record[PROTOCOLS]! & 0xff;
		if (family === 0) return false;
		record[ZONES] = (zoneOrig || zone) | ((zoneReply || zone) << 16);
		if ((has & H_MASTER) !== 0 && zone !== 0 && record[MASTER_ZONE] === 0) record[MASTER_ZONE] = zone;
		record[HAS] = has | this.#whole;
		return true;
	}

	/** @returns H_TCP, H_SCTP, 0 for another protocol's state, -1 if malformed */
	#protoinfo(wire: WireBuffer, start: number, end: number, record: ConntrackRecord): number {
		if (start + C.NLA_HEADER > end) return 0;
		const length = wire.halves[start >> 1]!;
		if (length < C.NLA_HEADER || start + length > end) return -1;
		const type = wire.halves[(start >> 1) + 1]! & C.NLA_TYPE_MASK;
		if (type !== C.CTA_PROTOINFO_TCP && type !== C.CTA_PROTOINFO_SCTP) return 0;
		const stop = start + length;
		let state = 0;
		let scaleOrig = 0;
		let scaleReply = 0;
		let flagsOrig = 0;
		let flagsReply = 0;
		let at = start + C.NLA_HEADER;
		while (at + C.NLA_HEADER <= stop) {
			const size = wire.halves[at >> 1]!;
			if (size < C.NLA_HEADER || at + size > stop) return -1;
			const payload = at + C.NLA_HEADER;
			const inner = wire.halves[(at >> 1) + 1]! & C.NLA_TYPE_MASK;
			if (size === C.NLA_HEADER && inner <= C.CTA_PROTOINFO_TCP_FLAGS_REPLY) return -1;
			if (inner === C.CTA_PROTOINFO_TCP_STATE)
				state = wire.bytes[payload]!; // CTA_PROTOINFO_SCTP_STATE too
			else if (type === C.CTA_PROTOINFO_TCP) {
				if (inner === C.CTA_PROTOINFO_TCP_WSCALE_ORIGINAL) scaleOrig = wire.bytes[payload]!;
				else if (inner === C.CTA_PROTOINFO_TCP_WSCALE_REPLY) scaleReply = wire.bytes[payload]!;
				else if (inner === C.CTA_PROTOINFO_TCP_FLAGS_ORIGINAL) flagsOrig = wire.bytes[payload]!;
				else if (inner === C.CTA_PROTOINFO_TCP_FLAGS_REPLY) flagsReply = wire.bytes[payload]!;
			} else if (inner === C.CTA_PROTOINFO_SCTP_VTAG_ORIGINAL || inner === C.CTA_PROTOINFO_SCTP_VTAG_REPLY) {
				if (size < C.NLA_HEADER + 4) return -1;
				record[VTAGS + inner - C.CTA_PROTOINFO_SCTP_VTAG_ORIGINAL] = wire.u32(payload);
			}
			at += align(size);
		}
		if (type === C.CTA_PROTOINFO_SCTP) {
			record[PROTOINFO] = state;
			return H_SCTP;
		}
		record[PROTOINFO] = packTcp(state, scaleOrig, scaleReply, flagsOrig, flagsReply);
		return H_TCP;
	}

	/** @returns the helper's number, -1 if malformed */
	#helper(wire: WireBuffer, start: number, end: number): number {
		let at = start;
		while (at + C.NLA_HEADER <= end) {
			const length = wire.halves[at >> 1]!;
			if (length < C.NLA_HEADER || at + length > end) return -1;
			if ((wire.halves[(at >> 1) + 1]! & C.NLA_TYPE_MASK) === C.CTA_HELP_NAME) {
				return this.#names.internBytes(wire.bytes, at + C.NLA_HEADER, at + length);
			}
			at += align(length);
		}
		return 0;
	}
}

/** A nest of three u32, numbered 1, 2, 3 (CTA_SEQADJ_*, CTA_SYNPROXY_*). */
function three(wire: WireBuffer, start: number, end: number, record: Int32Array, to: number): boolean {
	record[to] = record[to + 1] = record[to + 2] = 0;
	let at = start;
	while (at + C.NLA_HEADER <= end) {
		const length = wire.halves[at >> 1]!;
		if (length < C.NLA_HEADER || at + length > end) return false;
		const type = wire.halves[(at >> 1) + 1]! & C.NLA_TYPE_MASK;
		if (type >= 1 && type <= 3) {
			if (length < C.NLA_HEADER + 4) return false;
			record[to + type - 1] = wire.u32(at + C.NLA_HEADER);
		}
		at += align(length);
	}
	return true;
}
