// What protects a datagram: the suite's trailer. Sealing is outside the protocol core, which sees open frames only.
import { crc32c } from "./crc32c.ts";
import { HEADER_SIZE, putU32, u32 } from "./frame.ts";

export interface Seal {
	/** Bytes that `seal` appends. */
	readonly overhead: number;
	/** Seals the frame in bytes [0, end) in place; the new end. */
	seal(bytes: Uint8Array, end: number): number;
	/** Checks the frame in bytes [start, end); the end of its records, or -1. */
	unseal(bytes: Uint8Array, start: number, end: number): number;
}

/** Suite 0: a CRC-32C (RFC 3720) against corruption. It keeps nobody out. */
export class PlainSeal implements Seal {
	readonly overhead = 4;

	seal(bytes: Uint8Array, end: number): number {
		putU32(bytes, end, crc32c(bytes, 0, end));
		return end + 4;
	}

	unseal(bytes: Uint8Array, start: number, end: number): number {
		const stop = end - 4;
		if (stop < start + HEADER_SIZE) return -1;
		return u32(bytes, stop) === crc32c(bytes, start, stop) ? stop : -1;
	}
}
