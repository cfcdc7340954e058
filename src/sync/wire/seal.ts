// What protects a datagram: the suite's part of the header, and its trailer. The protocol core sees open records only.
import { crc32c } from "./crc32c.ts";
import { type Frame, KEY_GENERATION_AT, KEY_ID_AT, putU32, SUITE_AT, SUITE_PLAIN, u32 } from "./frame.ts";

export interface Seal {
	/** Bytes that `seal` appends. */
	readonly overhead: number;
	/**
	 * Seals in place the datagram in bytes [0, end), whose records begin at `body`.
	 *
	 * @returns the new end
	 */
	seal(bytes: Uint8Array, body: number, end: number, sequence: number): number;
	/**
	 * Opens in place the datagram in bytes [start, end) with the header `frame`, sent in this epoch of its sender.
	 *
	 * @returns the end of its records, or -1 if it is not what its sender sealed
	 */
	unseal(frame: Frame, epoch: Uint8Array, bytes: Uint8Array, start: number, end: number): number;
}

/** Suite 0: a CRC-32C (RFC 3720) against corruption. It keeps nobody out. */
export class PlainSeal implements Seal {
	readonly overhead = 4;

	seal(bytes: Uint8Array, _body: number, end: number): number {
		bytes[SUITE_AT] = SUITE_PLAIN;
		bytes[KEY_ID_AT] = 0;
		putU32(bytes, KEY_GENERATION_AT, 0);
		putU32(bytes, end, crc32c(bytes, 0, end));
		return end + 4;
	}

	unseal(frame: Frame, _epoch: Uint8Array, bytes: Uint8Array, start: number, end: number): number {
		const stop = end - 4;
		if (frame.suite !== SUITE_PLAIN || frame.keyId !== 0 || frame.keyGeneration !== 0) return -1;
		if (stop < frame.body) return -1;
		return u32(bytes, stop) === crc32c(bytes, start, stop) ? stop : -1;
	}
}
