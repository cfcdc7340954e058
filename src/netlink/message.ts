// struct nlmsghdr and struct nfgenmsg: the sixteen and the four bytes before the attributes.
//
//   0  u32 length, header and padding of the last attribute included      all in host order
//   4  u16 type = subsystem << 8 | message      6  u16 flags
//   8  u32 sequence number, echoed in answers  12  u32 port id
//  16  u8 family    17  u8 version = 0         18  u16 resource id (network order)
import { type AttributeWriter, align, type WireBuffer } from "./attribute.ts";
import { NFGENMSG_HEADER, NLMSG_HEADER } from "./constants.ts";

export const messageType = (wire: WireBuffer, at: number): number => wire.halves[(at >> 1) + 2]!;
export const messageFlags = (wire: WireBuffer, at: number): number => wire.halves[(at >> 1) + 3]!;
export const messageSequence = (wire: WireBuffer, at: number): number => wire.words[(at >> 2) + 2]! >>> 0;
export const messagePort = (wire: WireBuffer, at: number): number => wire.words[(at >> 2) + 3]! >>> 0;

/** -errno of an NLMSG_ERROR or NLMSG_DONE message, 0 for an acknowledgement; host order. */
export const messageError = (wire: WireBuffer, at: number): number => wire.words[(at + NLMSG_HEADER) >> 2]!;

/** Where the attributes of a ctnetlink message begin. */
export const attributesOf = (at: number): number => at + NLMSG_HEADER + NFGENMSG_HEADER;
export const familyOf = (wire: WireBuffer, at: number): number => wire.bytes[at + NLMSG_HEADER]!;

/**
 * Calls `visit(start, end)` for each message of the datagram in bytes [start, end).
 *
 * @returns false when a length lies: the rest of the datagram cannot be read
 */
export function eachMessage(
	wire: WireBuffer,
	start: number,
	end: number,
	visit: (start: number, end: number) => void,
): boolean {
	let at = start;
	while (at < end) {
		if (at + NLMSG_HEADER > end) return false;
		const length = wire.words[at >> 2]! >>> 0;
		if (length < NLMSG_HEADER || at + length > end) return false;
		visit(at, at + length);
		at += align(length);
	}
	return true;
}

/** Starts a request at the writer's position; hand the result to `endRequest`. */
export function beginRequest(
	writer: AttributeWriter,
	subsystem: number,
	message: number,
	flags: number,
	sequence: number,
	family: number,
): number {
	const at = writer.at;
	const { halves, words, bytes } = writer.wire;
	halves[(at >> 1) + 2] = (subsystem << 8) | message;
	halves[(at >> 1) + 3] = flags;
	words[(at >> 2) + 2] = sequence;
	words[(at >> 2) + 3] = 0;
	words[(at >> 2) + 4] = 0;
	bytes[at + NLMSG_HEADER] = family;
	writer.at = at + NLMSG_HEADER + NFGENMSG_HEADER;
	return at;
}

export function endRequest(writer: AttributeWriter, start: number): void {
	writer.wire.words[start >> 2] = writer.at - start;
}
