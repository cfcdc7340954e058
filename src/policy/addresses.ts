// Addresses in records, compared where they lie: four words with the bytes in network order, IPv4 in the first.
import { storeAddress } from "../conntrack/address.ts";
import { AF_INET6 } from "../conntrack/protocol.ts";
import type { PolicyNetwork } from "./settings.ts";

/** A network as words. */
export interface Network {
	readonly isIpv6: boolean;
	readonly prefixLength: number;
	readonly address: Int32Array;
	readonly mask: Int32Array;
}

export function compileNetwork({ family, address, prefixLength }: PolicyNetwork): Network {
	const words = new Int32Array(4);
	storeAddress(words, 0, address);
	return { isIpv6: family === 6, prefixLength, address: words, mask: maskOf(prefixLength) };
}

/** The words of a mask with so many leading ones. */
export function maskOf(prefixLength: number): Int32Array {
	const bytes = new Uint8Array(16);
	for (let bit = 0; bit < prefixLength; bit++) bytes[bit >> 3]! |= 0x80 >> (bit & 7);
	return new Int32Array(bytes.buffer);
}

export function sameAddress(a: Int32Array, at: number, b: Int32Array, bAt: number): boolean {
	return a[at] === b[bAt] && a[at + 1] === b[bAt + 1] && a[at + 2] === b[bAt + 2] && a[at + 3] === b[bAt + 3];
}

export function isZero(words: Int32Array, at: number): boolean {
	return words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0 && words[at + 3] === 0;
}

export function isIn(network: Network, words: Int32Array, at: number, family: number): boolean {
	if (network.isIpv6 !== (family === AF_INET6)) return false;
	for (let i = 0; i < 4; i++) {
		if (((words[at + i]! ^ network.address[i]!) & network.mask[i]!) !== 0) return false;
	}
	return true;
}

/** Leading ones of the mask in `words[at..]`; -1 when ones follow zeros. */
export function prefixLengthOf(words: Int32Array, at: number, family: number): number {
	const count = family === AF_INET6 ? 16 : 4;
	let length = 0;
	let isOver = false;
	for (let i = 0; i < count; i++) {
		const byte = byteAt(words, at, i);
		for (let bit = 0x80; bit > 0; bit >>= 1) {
			if ((byte & bit) === 0) isOver = true;
			else if (isOver) return -1;
			else length++;
		}
	}
	return length;
}

/** Of an address that no connection through a firewall may go to, what it is; undefined of any other. */
export function specialAddress(words: Int32Array, at: number, family: number): string | undefined {
	if (family === AF_INET6) {
		if (byteAt(words, at, 0) === 0xff) return "a multicast address";
		if (words[at] !== 0 || words[at + 1] !== 0) return undefined;
		if (words[at + 2] === 0) {
			if (words[at + 3] === 0) return "the unspecified address";
			// ::1, and the IPv4-compatible addresses, which nobody has
			return byteAt(words, at, 15) === 1 && isLast(words, at)
				? "a loopback address"
				: "an embedded IPv4 address";
		}
		const isMapped = byteAt(words, at, 8) === 0 && byteAt(words, at, 9) === 0;
		return isMapped && byteAt(words, at, 10) === 0xff && byteAt(words, at, 11) === 0xff
			? "an embedded IPv4 address"
			: undefined;
	}
	const first = byteAt(words, at, 0);
	if (first === 0) return "the unspecified address";
	if (first === 127) return "a loopback address";
	if (first >= 224 && first < 240) return "a multicast address";
	return words[at] === -1 ? "the broadcast address" : undefined;
}

/** The bytes 12, 13 and 14 are zero. */
const isLast = (words: Int32Array, at: number): boolean =>
	byteAt(words, at, 12) === 0 && byteAt(words, at, 13) === 0 && byteAt(words, at, 14) === 0;

/** Byte `i` of an address in network order, whatever the order of this processor. */
function byteAt(words: Int32Array, at: number, i: number): number {
	const word = words[at + (i >> 2)]!;
	return (word >>> (IS_LITTLE_ENDIAN ? 8 * (i & 3) : 24 - 8 * (i & 3))) & 0xff;
}

const IS_LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1;
