// MessagePack records that look like ours, and lie: about counts, lengths, kinds and attribute bits.
import { EDGE_BYTES } from "./random.mjs";

const INTEGERS = [0, 1, 2, 10, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];
const NAMES = [
	"ftp",
	"Q.931",
	"a b",
	"../x",
	"%s%n",
	"",
	"x".repeat(15),
	"x".repeat(31),
	"\u0000",
	"__proto__",
];
/** How many elements each attribute bit of a conntrack adds; 0 and 13 are the two replies. */
const CONNTRACK_PARTS = {
	0: "uA",
	1: "u",
	2: "u",
	3: "u",
	5: "t",
	6: "suu",
	7: "n",
	8: "puuM",
	9: "uuu",
	10: "uuu",
	11: "uuuu",
	12: "uuu",
	13: "",
};
const EXPECTATION_PARTS = { 0: "u", 2: "n", 3: "n", 4: "u", 5: "", 6: "duuA" };

export class WireGrammar {
	#random;
	#bytes = [];

	constructor(random) {
		this.#random = random;
	}

	/** Some records. */
	datagram() {
		this.#bytes = [];
		const count = this.#random.chance(0.9) ? 1 + this.#random.below(4) : this.#random.below(70);
		for (let i = 0; i < count; i++) this.#record();
		return Uint8Array.from(this.#bytes);
	}

	#record() {
		const random = this.#random;
		const type = random.chance(0.97) ? 1 + random.below(10) : random.below(256);
		if (type === 2) this.#state(type, CONNTRACK_PARTS, "puuA");
		else if (type === 3) this.#elements([type], "vpuuA");
		else if (type === 4) this.#state(type, EXPECTATION_PARTS, "puuuuKpuA");
		else if (type === 5) this.#elements([type], "vpuuuuK");
		else if (type === 6) this.#elements([type], "uuvuB");
		else if (type >= 7 && type <= 9) this.#elements([type], "uu");
		else if (type === 10) this.#elements([type], "");
		else this.#elements([type], "uuu");
	}

	/** A SET: its attribute bits decide what follows. */
	#state(type, parts, fixed) {
		const random = this.#random;
		let bits = 0;
		for (const bit of Object.keys(parts)) if (random.chance(0.3)) bits |= 1 << bit;
		if (type === 2 && random.chance(0.9) && bits & 1) bits &= ~(1 << 13);
		if (type === 2 && random.chance(0.9) && bits & (1 << 5)) bits &= ~(1 << 6);
		let shape = fixed;
		for (const [bit, part] of Object.entries(parts)) if (bits & (1 << bit)) shape += part;
		if (random.chance(0.05)) bits ^= 1 << random.below(20);
		this.#elements([type, "v", bits], shape);
	}

	#elements(first, shape) {
		const random = this.#random;
		const isV6 = random.chance(0.3);
		let count = first.length + shape.length;
		if (random.chance(0.03)) count = random.below(40);
		this.#array(count);
		for (const element of first) {
			if (element === "v") this.#integer(random.below(2 ** 20));
			else this.#integer(element);
		}
		for (const kind of shape) {
			if (random.chance(0.01)) this.#anything(3);
			else this.#element(kind, isV6);
		}
	}

	#element(kind, isV6) {
		const random = this.#random;
		const family = random.chance(0.99) ? (isV6 ? 10 : 2) : random.below(256);
		switch (kind) {
			case "p":
				return this.#integer(family | (random.pick([1, 6, 17, 47, 58, 132, random.below(256)]) << 8));
			case "t":
				return this.#integer(random.below(random.chance(0.9) ? 10 : 256) | (random.below(2 ** 24) * 256));
			case "s":
				return this.#integer(random.below(random.chance(0.9) ? 12 : 300));
			case "d":
				return this.#integer(random.below(random.chance(0.9) ? 2 : 5));
			case "v":
				return this.#integer(random.chance(0.9) ? random.below(2 ** 20) : Number.MAX_SAFE_INTEGER);
			case "n":
				return this.#string(random.pick(NAMES));
			case "A":
			case "M":
				return this.#bin(isV6 ? 32 : 8);
			case "K":
				return this.#bin(isV6 ? 64 : 16);
			case "B":
				return this.#bin(random.chance(0.9) ? 64 : random.below(80));
			default:
				return this.#integer(random.chance(0.5) ? random.pick(INTEGERS) : random.below(2 ** 32));
		}
	}

	/** Every kind that MessagePack has, and the byte that it has not. */
	#anything(depth) {
		const random = this.#random;
		switch (random.below(9)) {
			case 0:
				return this.#put(0x80 | random.below(16));
			case 1:
				return this.#put(random.pick([0xca, 0xcb]), ...random.bytes(8));
			case 2:
				return this.#put(0xe0 | random.below(32));
			case 3:
				return this.#put(random.pick([0xc7, 0xd4, 0xd5, 0xd8]), ...random.bytes(3));
			case 4:
				return this.#put(random.pick([0xc0, 0xc1, 0xc2, 0xc3]));
			case 5:
				return this.#put(random.pick([0xdd, 0xdf, 0xdb, 0xc6, 0xc9]), ...random.bytes(4));
			case 6: {
				const count = random.below(4);
				this.#array(count);
				for (let i = 0; depth > 0 && i < count; i++) this.#anything(depth - 1);
				return undefined;
			}
			case 7:
				return this.#bin(random.below(300));
			default:
				return this.#put(random.pick(EDGE_BYTES));
		}
	}

	#array(count) {
		if (count < 16 && !this.#random.chance(0.02)) this.#put(0x90 | count);
		else this.#put(0xdc, count >>> 8, count & 0xff);
	}

	#bin(length) {
		const random = this.#random;
		const said = random.chance(0.99) ? length : random.pick(EDGE_BYTES);
		this.#put(0xc4, said & 0xff, ...random.bytes(random.chance(0.99) ? length : random.below(70)));
	}

	#string(text) {
		const said = this.#random.chance(0.99) ? text.length : this.#random.below(32);
		this.#put(0xa0 | said, ...Buffer.from(text, "latin1"));
	}

	#integer(value) {
		if (value > 0xffffffff || this.#random.chance(0.02)) {
			const big = BigInt(value);
			this.#put(0xcf, ...Array.from({ length: 8 }, (_, i) => Number((big >> BigInt(56 - 8 * i)) & 0xffn)));
		} else if (value >= 0x10000 || this.#random.chance(0.02)) {
			this.#put(0xce, value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
		} else if (value >= 0x100) this.#put(0xcd, value >>> 8, value & 0xff);
		else if (value >= 0x80) this.#put(0xcc, value);
		else this.#put(value);
	}

	#put(...bytes) {
		for (const byte of bytes) this.#bytes.push(byte);
	}
}
