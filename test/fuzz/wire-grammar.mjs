// MessagePack records that look like ours, and lie: about counts, lengths, kinds and attribute bits; about entries that
// are not there, nodes that are somebody else, and numbers that nobody would say.
import { MsgpackLiar } from "./msgpack-liar.mjs";

const INTEGERS = [0, 1, 2, 10, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff];
const VERSIONS = [0, 1, 0xffffffff, 2 ** 32, 2 ** 52, Number.MAX_SAFE_INTEGER];
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
/** Version and key. */
const CONNTRACK_KEY = "vkzoA";
const EXPECTATION_KEY = "vkzoccK";
/** Behind the type; N is a node, i a slot or a bulk's number, l a small one, B, D bins of 64 and 128. */
const SHAPES = {
	3: CONNTRACK_KEY,
	5: EXPECTATION_KEY,
	6: "NuvuB",
	7: "Ni",
	8: "Ni",
	9: "Ni",
	10: "",
	11: CONNTRACK_KEY,
	12: EXPECTATION_KEY,
	64: "lD",
	65: "ND",
	66: `${CONNTRACK_KEY}Nu`,
	67: `${EXPECTATION_KEY}Nu`,
	68: `${CONNTRACK_KEY}Nl`,
	69: `${EXPECTATION_KEY}Nl`,
	70: "Nuuuuu",
	71: "N",
	72: "Nli",
	73: "Nliil",
};
const CONNTRACK_STATES = [2, 74];
const EXPECTATION_STATES = [4, 75];
const TYPES = [...CONNTRACK_STATES, ...EXPECTATION_STATES, ...Object.keys(SHAPES).map(Number)];
/** Ports of the entries that are likely to be there. */
export const POOL = 48;

export class WireGrammar {
	#random;
	#out;
	/** Whether this record speaks of an entry that may well be there. */
	#isPooled = false;

	/** @param isEarnest few lies about the form, and mostly entries that are there */
	constructor(random, isEarnest = false) {
		this.#random = random;
		this.#out = new MsgpackLiar(random, isEarnest ? 0.1 : 1);
		this.isEarnest = isEarnest;
	}

	/** Some records. */
	datagram() {
		const random = this.#random;
		const count = random.chance(0.9) ? 1 + random.below(4) : random.below(70);
		for (let i = 0; i < count; i++) this.#record();
		return this.#out.bytes();
	}

	#record() {
		const random = this.#random;
		this.#isPooled = random.chance(this.isEarnest ? 0.9 : 0.4);
		const type = this.#out.lies(0.03) ? random.below(256) : random.pick(TYPES);
		if (CONNTRACK_STATES.includes(type)) this.#state(type, CONNTRACK_PARTS, "kzoA");
		else if (EXPECTATION_STATES.includes(type)) this.#state(type, EXPECTATION_PARTS, "kzoccKpuA");
		else if (SHAPES[type] !== undefined) this.#elements([type], SHAPES[type]);
		else this.#elements([type], "uuu");
		if (random.chance(0.03)) this.#unknown();
	}

	/** A record of a type that a later version may have. */
	#unknown() {
		const random = this.#random;
		const count = random.below(5);
		this.#out.array(1 + count);
		this.#out.integer(76 + random.below(180));
		for (let i = 0; i < count; i++) {
			if (this.#out.lies(0.3)) this.#out.anything(5);
			else this.#out.value(3);
		}
	}

	/** A SET: its attribute bits decide what follows. */
	#state(type, parts, fixed) {
		const random = this.#random;
		let bits = 0;
		for (const bit of Object.keys(parts)) if (random.chance(0.3)) bits |= 1 << bit;
		const isConntrack = parts === CONNTRACK_PARTS;
		if (isConntrack && bits & 1 && !this.#out.lies(0.1)) bits &= ~(1 << 13);
		if (isConntrack && bits & (1 << 5) && !this.#out.lies(0.1)) bits &= ~(1 << 6);
		let shape = fixed;
		for (const [bit, part] of Object.entries(parts)) if (bits & (1 << bit)) shape += part;
		if (this.#out.lies(0.05)) bits ^= 1 << random.below(20);
		this.#elements([type, "v", bits], shape);
	}

	#elements(first, shape) {
		const out = this.#out;
		const isV6 = !this.#isPooled && this.#random.chance(0.3);
		out.array(out.lies(0.03) ? this.#random.below(40) : first.length + shape.length);
		for (const element of first) {
			if (element === "v") this.#element("v", isV6);
			else out.integer(element);
		}
		for (const kind of shape) {
			if (out.lies(0.01)) out.anything(3);
			else this.#element(kind, isV6);
		}
	}

	#element(kind, isV6) {
		const random = this.#random;
		const out = this.#out;
		switch (kind) {
			case "k":
				return out.integer(this.#isPooled ? 2 | (6 << 8) : this.#protocols(isV6));
			case "p":
				return out.integer(this.#protocols(isV6));
			case "z":
				return out.integer(this.#isPooled ? 0 : random.below(2 ** 16));
			case "o":
				return out.integer(this.#isPooled ? random.below(POOL) : random.below(2 ** 32));
			case "c":
				return out.integer(this.#isPooled ? 0 : random.below(2 ** 32));
			case "t":
				return out.integer(random.below(out.lies(0.1) ? 256 : 10) | (random.below(2 ** 24) * 256));
			case "s":
				return out.integer(random.below(out.lies(0.1) ? 300 : 12));
			case "d":
				return out.integer(random.below(out.lies(0.1) ? 5 : 2));
			case "l":
				return out.integer(random.chance(0.9) ? random.below(6) : random.below(100));
			case "i":
				return out.integer(random.chance(0.7) ? random.below(POOL * 2) : random.pick(INTEGERS));
			case "v":
				return out.integer(this.#version());
			case "N":
				return out.integer(random.chance(0.9) ? 1 + random.below(2) : random.pick(INTEGERS));
			case "n":
				return out.string(this.isEarnest ? random.pick(["ftp", "sip", "x"]) : random.pick(NAMES));
			case "A":
				if (this.#isPooled) return out.exactBin([10, 0, 0, 1, 10, 0, 0, 2]);
				return out.bin(isV6 ? 32 : 8);
			case "M":
				return out.bin(isV6 ? 32 : 8);
			case "K":
				if (this.#isPooled)
					return out.exactBin([10, 0, 0, 1, 10, 0, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255]);
				return out.bin(isV6 ? 64 : 16);
			case "B":
				return out.bin(random.chance(0.9) ? 64 : random.below(this.isEarnest ? 65 : 80));
			case "D":
				return random.chance(0.2) ? out.exactBin(new Uint8Array(128).fill(255)) : out.bin(128);
			default:
				return out.integer(random.chance(0.5) ? random.pick(INTEGERS) : random.below(2 ** 32));
		}
	}

	#protocols(isV6) {
		const random = this.#random;
		const family = this.#out.lies(0.01) ? random.below(256) : isV6 ? 10 : 2;
		return family | (random.pick([1, 6, 17, 47, 58, 132, random.below(256)]) << 8);
	}

	#version() {
		const random = this.#random;
		if (random.chance(0.05)) return random.pick(VERSIONS);
		return random.below(this.#isPooled ? 4 * POOL : 2 ** 20);
	}
}
