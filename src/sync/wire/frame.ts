// The fixed header of every datagram. All numbers big-endian.
//
//        0        1        2        3        4                               8
//      +--------+--------+--------+--------+--------------------------------+
//    0 | 0xC1   | suite  | key id | flags  | sender node id                 |
//      +--------+--------+--------+--------+--------------------------------+
//    8 | key generation                    | epoch tag                      |
//      +-----------------------------------+--------------------------------+
//   16 | sequence number                                                    |
//      +--------------------------------------------------------------------+
//   24 | (HELLO: the epoch, 16 bytes)   records, MessagePack arrays ...    trailer of the suite
//
// 0xC1 is the one byte that MessagePack never uses. Suite, key id and key generation are the seal's (seal.ts). The
// sequence number counts the sender's datagrams of
// one epoch from 1 and is never used twice; the epoch tag is the first word of the sender's random epoch.

export const MAGIC = 0xc1;
export const HEADER_SIZE = 24;
/** Where a seal writes its part of the header. */
export const SUITE_AT = 1;
export const KEY_ID_AT = 2;
export const KEY_GENERATION_AT = 8;
/** Suite 0. */
export const SUITE_PLAIN = 0;
/** Bytes of an epoch. A HELLO carries the sender's in clear behind the header: the key of its seal derives from it. */
export const EPOCH_SIZE = 16;

/** The datagram holds a HELLO and may come from an epoch that the receiver does not know yet. */
export const FLAG_HELLO = 0x01;
/** The receiver owes an acknowledgement. */
export const FLAG_ACK = 0x02;
export const FLAGS_KNOWN = FLAG_HELLO | FLAG_ACK;

/** Why a datagram is not even looked into. */
export type FrameReject = "short" | "version" | "flags" | "sequence";

/** Header fields of the last `parse`. */
export class Frame {
	suite = 0;
	keyId = 0;
	flags = 0;
	sender = 0;
	keyGeneration = 0;
	epochTag = 0;
	sequence = 0;
	/** Where the records begin, sealed or not. */
	body = 0;

	/** Reads the header in bytes [start, end). */
	parse(bytes: Uint8Array, start: number, end: number): FrameReject | undefined {
		if (end - start < HEADER_SIZE) return "short";
		if (bytes[start] !== MAGIC) return "version";
		this.suite = bytes[start + SUITE_AT]!;
		this.keyId = bytes[start + KEY_ID_AT]!;
		this.flags = bytes[start + 3]!;
		if ((this.flags & ~FLAGS_KNOWN) !== 0) return "flags";
		this.body = start + bodyOffset(this.flags);
		if (this.body > end) return "short";
		this.sender = u32(bytes, start + 4);
		this.keyGeneration = u32(bytes, start + KEY_GENERATION_AT);
		this.epochTag = u32(bytes, start + 12);
		this.sequence = u32(bytes, start + 16) * 2 ** 32 + u32(bytes, start + 20);
		if (this.sequence === 0 || this.sequence > Number.MAX_SAFE_INTEGER) return "sequence";
		return undefined;
	}
}

/** Bytes before the records. */
export function bodyOffset(flags: number): number {
	return (flags & FLAG_HELLO) !== 0 ? HEADER_SIZE + EPOCH_SIZE : HEADER_SIZE;
}

/** Writes a header at `bytes[0]`; suite, key id and key generation are left to the seal. */
export function writeHeader(
	bytes: Uint8Array,
	flags: number,
	sender: number,
	epochTag: number,
	sequence: number,
): void {
	bytes[0] = MAGIC;
	bytes[3] = flags;
	putU32(bytes, 4, sender);
	putU32(bytes, 12, epochTag);
	putU32(bytes, 16, Math.floor(sequence / 2 ** 32));
	putU32(bytes, 20, sequence >>> 0);
}

export function u32(bytes: Uint8Array, at: number): number {
	return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

export function putU32(bytes: Uint8Array, at: number, value: number): void {
	bytes[at] = value >>> 24;
	bytes[at + 1] = value >>> 16;
	bytes[at + 2] = value >>> 8;
	bytes[at + 3] = value;
}
