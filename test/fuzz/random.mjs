// Chance from a seed, and the mutations that every target shares.

/** mulberry32 */
export class Random {
	#state;

	constructor(seed) {
		this.#state = seed | 0;
	}

	/** 0 <= x < 1 */
	next() {
		this.#state = (this.#state + 0x6d2b79f5) | 0;
		let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	}

	below(limit) {
		return Math.floor(this.next() * limit);
	}

	chance(probability) {
		return this.next() < probability;
	}

	pick(list) {
		return list[this.below(list.length)];
	}

	bytes(length) {
		const bytes = new Uint8Array(length);
		for (let i = 0; i < length; i++) bytes[i] = this.below(256);
		return bytes;
	}
}

/** Lengths, counts and types at which things change. */
const EDGES = [
	0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 31, 32, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xc0, 0xc1, 0xc4, 0xcc,
];
const MORE_EDGES = [0xcd, 0xce, 0xcf, 0xd0, 0xd9, 0xdc, 0xdd, 0xdf, 0xe0, 0xfe, 0xff];
export const EDGE_BYTES = [...EDGES, ...MORE_EDGES];

/** Few long ones: most of what is long is refused at its beginning. */
export function randomBytes(random) {
	return random.bytes(random.chance(0.95) ? random.below(64) : random.below(2000));
}

/** One of the corpus with one to four changes. */
export function mutate(random, corpus) {
	let bytes = random.pick(corpus);
	for (let i = 1 + random.below(4); i > 0; i--) bytes = change(random, bytes, corpus);
	return bytes;
}

function change(random, bytes, corpus) {
	const at = random.below(bytes.length + 1);
	const length = Math.min(bytes.length - at, 1 + random.below(random.chance(0.8) ? 4 : 40));
	const before = bytes.subarray(0, at);
	const after = bytes.subarray(at + length);
	switch (random.below(8)) {
		case 0:
			return join(before, after);
		case 1:
			return join(before, bytes.subarray(at, at + length), bytes.subarray(at));
		case 2:
			return join(before, random.bytes(length), bytes.subarray(at));
		case 3:
			return before;
		case 4: {
			const other = random.pick(corpus);
			return join(before, other.subarray(random.below(other.length + 1))).subarray(0, 8192);
		}
		default: {
			const changed = bytes.slice();
			if (at === bytes.length) return changed;
			if (random.chance(0.5)) changed[at] ^= 1 << random.below(8);
			else changed[at] = random.pick(EDGE_BYTES);
			return changed;
		}
	}
}

export function join(...parts) {
	const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
	let at = 0;
	for (const part of parts) {
		bytes.set(part, at);
		at += part.length;
	}
	return bytes;
}
