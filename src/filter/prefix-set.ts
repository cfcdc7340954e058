// A set of address prefixes. One lookup per prefix length in use, which in practice is one or two.
import { AF_INET6 } from "../conntrack/protocol.ts";

export interface Prefix {
	family: 4 | 6;
	/** 4 or 16 bytes in network order. */
	address: Uint8Array;
	prefixLength: number;
}

/** Prefixes of one length: masked addresses by their first non-trivial word. */
interface LengthGroup {
	/** Mask of each of four words, in the byte order of record words. */
	mask: Int32Array;
	/** Last masked word -> the masked addresses that end with it. */
	members: Map<number, Int32Array[]>;
}

export class PrefixSet {
	readonly #groups: { 4: LengthGroup[]; 6: LengthGroup[] } = { 4: [], 6: [] };

	constructor(prefixes: readonly Prefix[]) {
		for (const { family, address, prefixLength } of prefixes) {
			const mask = maskWords(prefixLength);
			const words = new Int32Array(4);
			new Uint8Array(words.buffer).set(address);
			let group = this.#groups[family].find((candidate) =>
				candidate.mask.every((word, i) => word === mask[i]),
			);
			if (!group) {
				group = { mask, members: new Map() };
				this.#groups[family].push(group);
			}
			for (let i = 0; i < 4; i++) words[i]! &= mask[i]!;
			const key = keyOf(words, 0, mask);
			group.members.set(key, [...(group.members.get(key) ?? []), words]);
		}
	}

	/** Whether the address in words[at..] of a record of this family (2 or 10) is in the set. */
	has(family: number, words: Int32Array, at: number): boolean {
		const groups = family === AF_INET6 ? this.#groups[6] : this.#groups[4];
		for (const { mask, members } of groups) {
			const candidates = members.get(keyOf(words, at, mask));
			if (!candidates) continue;
			for (const member of candidates) {
				let i = 0;
				while (i < 4 && (words[at + i]! & mask[i]!) === member[i]) i++;
				if (i === 4) return true;
			}
		}
		return false;
	}
}

/** Mixes the masked words to a number. */
function keyOf(words: Int32Array, at: number, mask: Int32Array): number {
	let key = 0;
	for (let i = 0; i < 4; i++) key = (Math.imul(key, 31) + (words[at + i]! & mask[i]!)) | 0;
	return key;
}

/** The mask of a prefix as words whose bytes are in network order. */
function maskWords(prefixLength: number): Int32Array {
	const words = new Int32Array(4);
	const bytes = new Uint8Array(words.buffer);
	for (let bit = 0; bit < prefixLength; bit++) bytes[bit >>> 3]! |= 0x80 >>> (bit & 7);
	return words;
}
