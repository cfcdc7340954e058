// CRC-32C (Castagnoli, RFC 3720 appendix B.4), four bytes a step.

const POLYNOMIAL = 0x82f63b78;

/** tables[k][b] advances byte b by k more zero bytes. */
const tables: readonly Int32Array[] = [0, 1, 2, 3].map(() => new Int32Array(256));
for (let byte = 0; byte < 256; byte++) {
	let crc = byte;
	for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
	tables[0]![byte] = crc;
}
for (let k = 1; k < 4; k++) {
	for (let byte = 0; byte < 256; byte++) {
		const before = tables[k - 1]![byte]!;
		tables[k]![byte] = (before >>> 8) ^ tables[0]![before & 0xff]!;
	}
}
const [T0, T1, T2, T3] = tables as [Int32Array, Int32Array, Int32Array, Int32Array];

/** The checksum of bytes [start, end), unsigned. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
	let crc = -1;
	let at = start;
	for (; at + 4 <= end; at += 4) {
		crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
		crc = T3[crc & 0xff]! ^ T2[(crc >>> 8) & 0xff]! ^ T1[(crc >>> 16) & 0xff]! ^ T0[crc >>> 24]!;
	}
	for (; at < end; at++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]!) & 0xff]!;
	return ~crc >>> 0;
}
