// The addresses of this node's interfaces. One address may be on several (fe80::1, or a gateway address during a
// move), and goes when the last of them loses it.
import { AF_INET, AF_INET6 } from "../conntrack/protocol.ts";

/** Addresses held at most; those beyond it count as somebody else's. */
export const ADDRESSES_MAX = 65_536;

interface Held {
	family: number;
	words: Int32Array;
	/** Indices of the interfaces that have it. */
	interfaces: Set<number>;
}

/** The first byte of an IPv4 address; its words are in network order, whatever this machine's is. */
const firstByte = (words: Int32Array, at: number): number => {
	scratch[0] = words[at]!;
	return scratchBytes[0]!;
};
const scratch = new Int32Array(1);
const scratchBytes = new Uint8Array(scratch.buffer);
const lastWordOfV6Loopback = new Int32Array(new Uint8Array([0, 0, 0, 1]).buffer)[0]!;

export class AddressTable {
	size = 0;
	/** Addresses that found no room. */
	ignored = 0;
	readonly #limit: number;
	readonly #held = new Map<number, Held[]>();

	constructor(limit: number = ADDRESSES_MAX) {
		this.#limit = limit;
	}

	/** Whether the address in words[at..] of a record of this family (2 or 10) is this node's; loopback always is. */
	has(words: Int32Array, at: number, family: number): boolean {
		return isLoopback(words, at, family) || this.#find(words, at, family) !== undefined;
	}

	/** @returns whether it was not there before, on whatever interface */
	add(words: Int32Array, at: number, family: number, index: number): boolean {
		const known = this.#find(words, at, family);
		if (known) {
			known.interfaces.add(index);
			return false;
		}
		if (this.size >= this.#limit) {
			this.ignored++;
			return false;
		}
		this.size++;
		const held = { family, words: words.slice(at, at + wordsOf(family)), interfaces: new Set([index]) };
		const key = keyOf(words, at, family);
		const others = this.#held.get(key);
		if (others) others.push(held);
		else this.#held.set(key, [held]);
		return true;
	}

	/** @returns whether it is on no interface any more */
	remove(words: Int32Array, at: number, family: number, index: number): boolean {
		const known = this.#find(words, at, family);
		if (!known?.interfaces.delete(index) || known.interfaces.size > 0) return false;
		this.size--;
		const key = keyOf(words, at, family);
		const others = this.#held.get(key)!.filter((one) => one !== known);
		if (others.length > 0) this.#held.set(key, others);
		else this.#held.delete(key);
		return true;
	}

	/** Adds all of them to another table. */
	addTo(other: AddressTable): void {
		for (const held of this.#held.values()) {
			for (const { family, words, interfaces } of held) {
				for (const index of interfaces) other.add(words, 0, family, index);
			}
		}
	}

	#find(words: Int32Array, at: number, family: number): Held | undefined {
		const candidates = this.#held.get(keyOf(words, at, family));
		if (!candidates) return undefined;
		const count = wordsOf(family);
		for (const held of candidates) {
			if (held.family !== family) continue;
			let i = 0;
			while (i < count && held.words[i] === words[at + i]) i++;
			if (i === count) return held;
		}
		return undefined;
	}
}

const wordsOf = (family: number): number => (family === AF_INET6 ? 4 : 1);

function keyOf(words: Int32Array, at: number, family: number): number {
	let key = family;
	for (let i = 0; i < wordsOf(family); i++) key = (Math.imul(key, 31) + words[at + i]!) | 0;
	return key;
}

/** 127.0.0.0/8 and ::1. */
function isLoopback(words: Int32Array, at: number, family: number): boolean {
	if (family === AF_INET) return firstByte(words, at) === 127;
	return (
		words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0 && words[at + 3] === lastWordOfV6Loopback
	);
}
