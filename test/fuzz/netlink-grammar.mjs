// Netlink messages that look like the kernel's conntrack and expectation events, and lie: about lengths, nests and
// types. Attributes may be missing, doubled, out of order, or where they do not belong.
const IP = { 1: 4, 2: 4, 3: 16, 4: 16 };
const PROTO = { 1: 1, 2: 2, 3: 2, 4: 2, 5: 1, 6: 1, 7: 2, 8: 1, 9: 1 };
const TUPLE = { 1: IP, 2: PROTO, 3: 2 };
const THREE = { 1: 4, 2: 4, 3: 4 };
const PROTOINFO = { 1: { 1: 1, 2: 1, 3: 1, 4: 2, 5: 2 }, 3: { 1: 1, 2: 4, 3: 4 } };
/** Attribute numbers of linux/netfilter/nfnetlink_conntrack.h: bytes of a leaf, the nest, or "name". */
const CONNTRACK = {
	1: TUPLE,
	2: TUPLE,
	3: 4,
	4: PROTOINFO,
	5: { 1: "name" },
	7: 4,
	8: 4,
	12: 4,
	14: TUPLE,
	15: THREE,
	16: THREE,
	18: 2,
	22: 16,
	24: THREE,
};
const EXPECTATION = {
	1: TUPLE,
	2: TUPLE,
	3: TUPLE,
	4: 4,
	5: 4,
	6: "name",
	7: 2,
	8: 4,
	9: 4,
	10: { 1: 4, 2: TUPLE },
	11: "name",
};
const NAMES = [
	"ftp\0",
	"sip\0",
	"Q.931\0",
	"a b\0",
	"\0",
	"",
	"x".repeat(15),
	"nat-follow-master\0",
	"../../x\0",
];
const NESTED = 0x8000;
/** The entries of each nest, their types as numbers. */
const ENTRIES = new Map(
	[
		IP,
		PROTO,
		TUPLE,
		THREE,
		PROTOINFO,
		PROTOINFO[1],
		PROTOINFO[3],
		CONNTRACK,
		EXPECTATION,
		CONNTRACK[5],
		EXPECTATION[10],
	].map((nest) => [nest, Object.entries(nest).map(([type, inner]) => [Number(type), inner])]),
);

export class NetlinkGrammar {
	#random;
	#bytes = new Uint8Array(8192);
	/** Host order, as the kernel writes. */
	#halves = new Uint16Array(this.#bytes.buffer);
	#words = new Uint32Array(this.#bytes.buffer);
	#at = 0;

	constructor(random) {
		this.#random = random;
	}

	datagram() {
		const count = this.#random.chance(0.9) ? 1 : this.#random.below(5);
		for (let i = 0; i < count; i++) this.#message();
		return this.#bytes.slice(0, this.#at);
	}

	#message() {
		const random = this.#random;
		const start = this.#at;
		const isExpectation = random.chance(0.4);
		const family = random.pick([2, 2, 10, random.below(256)]);
		this.#at += 20;
		this.#attributes(isExpectation ? EXPECTATION : CONNTRACK, family === 10);
		const length = this.#at - start;
		const lie = random.pick([0, 15, 16, 19, length + 1, 2 ** 32 - 1]);
		this.#words[start >> 2] = random.chance(0.97) ? length : lie;
		const type = ((isExpectation ? 2 : 1) << 8) | random.pick([0, 0, 2]);
		this.#halves[(start >> 1) + 2] = random.chance(0.97) ? type : random.below(65536);
		this.#halves[(start >> 1) + 3] = random.pick([0, 0x600]);
		this.#words[(start >> 2) + 3] = random.below(3);
		this.#bytes[start + 16] = family;
	}

	/** A nest: mostly what belongs there, in mostly the right order. */
	#attributes(vocabulary, isV6) {
		const random = this.#random;
		const entries = random.chance(0.05) ? shuffled(random, ENTRIES.get(vocabulary)) : ENTRIES.get(vocabulary);
		for (const [type, inner] of entries) {
			// addresses of the other family
			if (vocabulary === IP && isV6 !== type > 2 && random.chance(0.95)) continue;
			const isNeeded = inner === TUPLE || vocabulary === TUPLE || vocabulary === IP;
			if (random.chance(isNeeded ? 0.03 : 0.4)) continue;
			this.#attribute(type, inner, isV6);
			if (random.chance(0.01)) this.#attribute(type, inner, isV6);
		}
		if (random.chance(0.02)) this.#attribute(random.below(40), random.below(40), isV6);
	}

	#attribute(type, inner, isV6) {
		const random = this.#random;
		const start = this.#at;
		this.#at += 4;
		if (typeof inner === "object") this.#attributes(inner, isV6);
		else if (inner === "name") this.#put(Buffer.from(random.pick(NAMES), "latin1"));
		// the protocol number decides how the rest is read
		else if (inner === 1 && type === 1)
			this.#put([random.pick([1, 6, 6, 17, 47, 58, 132, random.below(256)])]);
		else this.#put(random.bytes(random.chance(0.99) ? inner : random.below(20)));
		const length = this.#at - start;
		const lie = random.pick([0, 1, 3, 4, 5, length - 1, length + 1, length + 4, 0xffff]);
		this.#halves[start >> 1] = random.chance(0.995) ? length : lie;
		this.#halves[(start >> 1) + 1] = type | (typeof inner === "object" ? NESTED : 0);
		this.#put(new Uint8Array(-length & 3));
	}

	#put(bytes) {
		this.#bytes.set(bytes, this.#at);
		this.#at += bytes.length;
	}
}

function shuffled(random, list) {
	return list
		.map((one) => [random.next(), one])
		.sort(([a], [b]) => a - b)
		.map(([, one]) => one);
}
