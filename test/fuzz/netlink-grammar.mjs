// Netlink messages that look like the kernel's conntrack and expectation events, and lie: about lengths, nests and
// types. Attributes may be missing, doubled, out of order, or where they do not belong.
import { endianness } from "node:os";
import { join } from "./random.mjs";

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
const isLittle = endianness() === "LE";

export class NetlinkGrammar {
	#random;

	constructor(random) {
		this.#random = random;
	}

	datagram() {
		const count = this.#random.chance(0.9) ? 1 : this.#random.below(5);
		return join(...Array.from({ length: count }, () => this.#message()));
	}

	#message() {
		const random = this.#random;
		const isExpectation = random.chance(0.4);
		const family = random.pick([2, 2, 10, random.below(256)]);
		const body = this.#attributes(isExpectation ? EXPECTATION : CONNTRACK, family === 10);
		const type = random.chance(0.97)
			? ((isExpectation ? 2 : 1) << 8) | random.pick([0, 0, 2])
			: random.below(65536);
		const bytes = new Uint8Array(20);
		const view = new DataView(bytes.buffer);
		const length = 20 + body.length;
		view.setUint32(
			0,
			random.chance(0.97) ? length : random.pick([0, 15, 16, 19, length + 1, 2 ** 32 - 1]),
			isLittle,
		);
		view.setUint16(4, type, isLittle);
		view.setUint16(6, random.pick([0, 0x600]), isLittle);
		view.setUint32(12, random.below(3), isLittle);
		bytes[16] = family;
		return join(bytes, body);
	}

	/** A nest: mostly what belongs there, in mostly the right order. */
	#attributes(vocabulary, isV6) {
		const random = this.#random;
		const parts = [];
		for (const [type, inner] of Object.entries(vocabulary)) {
			// addresses of the other family
			if (vocabulary === IP && isV6 !== Number(type) > 2 && random.chance(0.95)) continue;
			const isNeeded = inner === TUPLE || vocabulary === TUPLE || vocabulary === IP;
			if (random.chance(isNeeded ? 0.03 : 0.4)) continue;
			parts.push(this.#attribute(Number(type), inner, isV6));
			if (random.chance(0.01)) parts.push(this.#attribute(Number(type), inner, isV6));
		}
		if (random.chance(0.02)) parts.push(this.#attribute(random.below(40), random.below(40), isV6));
		if (random.chance(0.05)) parts.sort(() => random.next() - 0.5);
		return join(...parts);
	}

	#attribute(type, inner, isV6) {
		const random = this.#random;
		let payload;
		if (typeof inner === "object") payload = this.#attributes(inner, isV6);
		else if (inner === "name") payload = Buffer.from(random.pick(NAMES), "latin1");
		else payload = random.bytes(random.chance(0.99) ? inner : random.below(20));
		// the protocol number decides how the rest is read
		if (inner === 1 && type === 1)
			payload = Uint8Array.of(random.pick([1, 6, 6, 17, 47, 58, 132, random.below(256)]));
		const length = 4 + payload.length;
		const header = new Uint8Array(4);
		const view = new DataView(header.buffer);
		const lie = random.pick([0, 1, 3, 4, 5, length - 1, length + 1, length + 4, 0xffff]);
		view.setUint16(0, random.chance(0.995) ? length : lie, isLittle);
		view.setUint16(2, type | (typeof inner === "object" ? NESTED : 0), isLittle);
		return join(header, payload, new Uint8Array(-length & 3));
	}
}
