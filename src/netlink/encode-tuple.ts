// A direction of a flow -> CTA_TUPLE_* nest.
import { AF_INET6, hasPorts, IPPROTO_ICMPV6, isIcmp } from "../conntrack/protocol.ts";
import { destinationPort, icmpCode, icmpId, icmpType, sourcePort } from "../conntrack/tuple.ts";
import type { AttributeWriter } from "./attribute.ts";
import * as C from "./constants.ts";

/**
 * Writes one tuple as attribute `type`.
 *
 * @param protocols family | protocol << 8
 * @param ports the ports word of tuple.ts
 * @param zone of this direction alone; 0 writes none
 */
export function encodeTuple(
	writer: AttributeWriter,
	type: number,
	words: Int32Array,
	src: number,
	dst: number,
	protocols: number,
	ports: number,
	zone: number,
): void {
	const tuple = writer.begin(type);
	const ipv6 = (protocols & 0xff) === AF_INET6;
	const ip = writer.begin(C.CTA_TUPLE_IP);
	writer.raw(ipv6 ? C.CTA_IP_V6_SRC : C.CTA_IP_V4_SRC, words, src, ipv6 ? 4 : 1);
	writer.raw(ipv6 ? C.CTA_IP_V6_DST : C.CTA_IP_V4_DST, words, dst, ipv6 ? 4 : 1);
	writer.end(ip);
	const protocol = (protocols >>> 8) & 0xff;
	const proto = writer.begin(C.CTA_TUPLE_PROTO);
	writer.u8(C.CTA_PROTO_NUM, protocol);
	if (isIcmp(protocol)) {
		const six = protocol === IPPROTO_ICMPV6;
		writer.u16(six ? C.CTA_PROTO_ICMPV6_ID : C.CTA_PROTO_ICMP_ID, icmpId(ports));
		writer.u8(six ? C.CTA_PROTO_ICMPV6_TYPE : C.CTA_PROTO_ICMP_TYPE, icmpType(ports));
		writer.u8(six ? C.CTA_PROTO_ICMPV6_CODE : C.CTA_PROTO_ICMP_CODE, icmpCode(ports));
	} else if (hasPorts(protocol)) {
		writer.u16(C.CTA_PROTO_SRC_PORT, sourcePort(ports));
		writer.u16(C.CTA_PROTO_DST_PORT, destinationPort(ports));
	}
	writer.end(proto);
	if (zone !== 0) writer.u16(C.CTA_TUPLE_ZONE, zone);
	writer.end(tuple);
}
