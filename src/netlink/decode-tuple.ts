// CTA_TUPLE_*: one direction of a flow, as it stands in conntracks and expectations.
import { hasPorts, isIcmp } from "../conntrack/protocol.ts";
import { align, type WireBuffer } from "./attribute.ts";
import {
	CTA_IP_V4_DST,
	CTA_IP_V4_SRC,
	CTA_IP_V6_DST,
	CTA_IP_V6_SRC,
	CTA_PROTO_DST_PORT,
	CTA_PROTO_ICMP_CODE,
	CTA_PROTO_ICMP_ID,
	CTA_PROTO_ICMP_TYPE,
	CTA_PROTO_ICMPV6_CODE,
	CTA_PROTO_ICMPV6_ID,
	CTA_PROTO_ICMPV6_TYPE,
	CTA_PROTO_NUM,
	CTA_PROTO_SRC_PORT,
	CTA_TUPLE_IP,
	CTA_TUPLE_PROTO,
	CTA_TUPLE_ZONE,
	NLA_HEADER,
	NLA_TYPE_MASK,
} from "./constants.ts";

const AF_INET = 2;
const AF_INET6 = 10;

/** The last tuple read by a TupleDecoder. */
export class TupleDecoder {
	/** Family (2, 10, or 0 if there was no address) | protocol << 8. */
	protocols = 0;
	/** The ports word of tuple.ts. */
	ports = 0;
	/** CTA_TUPLE_ZONE, 0 if absent. */
	zone = 0;

	/**
	 * Reads the nest in bytes [start, end); addresses go to target[src..src+4] and target[dst..dst+4].
	 *
	 * @returns false when an attribute's length lies
	 */
	decode(
		wire: WireBuffer,
		start: number,
		end: number,
		target: Int32Array,
		src: number,
		dst: number,
	): boolean {
		this.protocols = 0;
		this.ports = 0;
		this.zone = 0;
		for (let i = 0; i < 4; i++) {
			target[src + i] = 0;
			target[dst + i] = 0;
		}
		let at = start;
		while (at + NLA_HEADER <= end) {
			const length = wire.halves[at >> 1]!;
			if (length < NLA_HEADER || at + length > end) return false;
			const payload = at + NLA_HEADER;
			const stop = at + length;
			switch (wire.halves[(at >> 1) + 1]! & NLA_TYPE_MASK) {
				case CTA_TUPLE_IP:
					if (!this.#addresses(wire, payload, stop, target, src, dst)) return false;
					break;
				case CTA_TUPLE_PROTO:
					if (!this.#protocol(wire, payload, stop)) return false;
					break;
				case CTA_TUPLE_ZONE:
					if (length < NLA_HEADER + 2) return false;
					this.zone = wire.u16(payload);
					break;
				default: // newer kernels add attributes: skipped
			}
			at += align(length);
		}
		return true;
	}

	#addresses(
		wire: WireBuffer,
		start: number,
		end: number,
		target: Int32Array,
		src: number,
		dst: number,
	): boolean {
		let at = start;
		while (at + NLA_HEADER <= end) {
			const length = wire.halves[at >> 1]!;
			if (length < NLA_HEADER || at + length > end) return false;
			const type = wire.halves[(at >> 1) + 1]! & NLA_TYPE_MASK;
			const from = (at + NLA_HEADER) >> 2;
			const isV6 = type === CTA_IP_V6_SRC || type === CTA_IP_V6_DST;
			if (isV6 || type === CTA_IP_V4_SRC || type === CTA_IP_V4_DST) {
				const words = isV6 ? 4 : 1;
				if (length < NLA_HEADER + words * 4) return false;
				const to = type === CTA_IP_V4_SRC || type === CTA_IP_V6_SRC ? src : dst;
				for (let i = 0; i < words; i++) target[to + i] = wire.words[from + i]!;
				this.protocols = (this.protocols & ~0xff) | (isV6 ? AF_INET6 : AF_INET);
			}
			at += align(length);
		}
		return true;
	}

	#protocol(wire: WireBuffer, start: number, end: number): boolean {
		let at = start;
		let protocol = 0;
		let source = 0;
		let destination = 0;
		let id = 0;
		let type = 0;
		let code = 0;
		while (at + NLA_HEADER <= end) {
			const length = wire.halves[at >> 1]!;
			if (length < NLA_HEADER || at + length > end) return false;
			const payload = at + NLA_HEADER;
			const isEmpty = length === NLA_HEADER;
			const isLong = length >= NLA_HEADER + 2;
			switch (wire.halves[(at >> 1) + 1]! & NLA_TYPE_MASK) {
				case CTA_PROTO_NUM:
					if (isEmpty) return false;
					protocol = wire.bytes[payload]!;
					break;
				case CTA_PROTO_SRC_PORT:
					if (!isLong) return false;
					source = wire.u16(payload);
					break;
				case CTA_PROTO_DST_PORT:
					if (!isLong) return false;
					destination = wire.u16(payload);
					break;
				case CTA_PROTO_ICMP_ID:
				case CTA_PROTO_ICMPV6_ID:
					if (!isLong) return false;
					id = wire.u16(payload);
					break;
				case CTA_PROTO_ICMP_TYPE:
				case CTA_PROTO_ICMPV6_TYPE:
					if (isEmpty) return false;
					type = wire.bytes[payload]!;
					break;
				case CTA_PROTO_ICMP_CODE:
				case CTA_PROTO_ICMPV6_CODE:
					if (isEmpty) return false;
					code = wire.bytes[payload]!;
					break;
				default: // skipped
			}
			at += align(length);
		}
		this.protocols = (this.protocols & 0xff) | (protocol << 8);
		if (isIcmp(protocol)) this.ports = id | (type << 16) | (code << 24);
		else if (hasPorts(protocol)) this.ports = source | (destination << 16);
		return true;
	}
}
