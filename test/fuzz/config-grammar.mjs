// Configuration files as the table of directives has them, with slips: words of other sections, arguments of other
// types, braces too many and too few.

const NUMBERS = ["0", "1", "20", "3780", "65535", "2147483647", "-1", "+5", "99999999999", "1e3", "007"];
const ADDRESSES = [
	"225.0.0.50",
	"10.0.0.1",
	"10.0.0.0/8",
	"0.0.0.0/0",
	"fd00::1",
	"ff02::1",
	"fe80::1",
	"::/0",
	"1.2.3",
];
const WORDS = {
	onoff: ["on", "off", "yes", "No"],
	number: NUMBERS,
	signed: NUMBERS,
	path: ["/tmp/x", "/tmp/x#y", '"/with blank/{x}"', "x", "/"],
	ipv4: ADDRESSES,
	ipv6: ADDRESSES,
	"ipv4-net": ADDRESSES,
	"ipv6-net": ADDRESSES,
	interface: ["eth0", "br-lan.7", "a/b", "..", "sixteen-letters-"],
	name: ["node1", '"a b"', '""', "é"],
};
const LISTS = {
	protocols: ["TCP", "udp", "112", "256", "icmpv6", "NOPE"],
	"TCP states": ["ESTABLISHED", "CLOSED", "TIME_WAIT", "LISTEN", "for", "TCP"],
	"helper names": ["ftp", "sip", '"q.931"', "*"],
	"numbers of labels": ["0", "127", "128", "first"],
	marks: ["0", "0x10/0xff", "7/7", "1/", "0x100000000", "red"],
	zones: ["0", "1", "65535", "65536", "-1", "home"],
};
const STRAYS = [
	"{",
	"}",
	"#",
	"\n",
	'"',
	'"a"',
	"\u0000",
	"\ufeff",
	"__proto__",
	"constructor",
	"for",
	"Default",
	"Hashsize",
];
/** A word that is hardly like any other is the most work. */
const LONG = "x".repeat(40);

export class ConfigGrammar {
	#random;
	#directives;
	#text = "";

	/** @param directives the table, by section */
	constructor(random, directives) {
		this.#random = random;
		this.#directives = directives;
	}

	file() {
		this.#section("the top level", 3);
		return Uint8Array.from(Buffer.from(this.#text));
	}

	#section(place, depth) {
		const random = this.#random;
		const here = random.chance(0.98)
			? this.#directives.get(place)
			: random.pick([...this.#directives.values()]);
		for (let i = 1 + random.below(5); i > 0; i--) {
			if (random.chance(0.01)) this.#put(random.chance(0.9) ? random.pick(STRAYS) : LONG);
			this.#directive(random.pick(here), depth);
		}
	}

	#directive({ word, args, block, blockOptional, words }, depth) {
		const random = this.#random;
		this.#put(word);
		const given = [];
		for (const spec of args) {
			if (spec.optional && random.chance(0.5)) break;
			if (blockOptional && random.chance(0.5)) break;
			given.push(this.#argument(spec));
			this.#put(given.at(-1));
		}
		if (words) this.#list(LISTS[words]);
		if (!block || (blockOptional && given.length > 0) || random.chance(0.01)) return;
		if (depth === 0) return;
		this.#put(random.chance(0.99) ? "{" : "");
		if (block.list) this.#list(LISTS[block.list]);
		else {
			const place = block.place ?? block.placeByArgument[given[0]];
			if (this.#directives.has(place)) this.#section(place, depth - 1);
		}
		this.#put(random.chance(0.99) ? "}" : "");
	}

	#argument(spec) {
		const random = this.#random;
		if (random.chance(0.02)) return random.pick([...NUMBERS, ...ADDRESSES, ...STRAYS]);
		if (spec.type === "choice") return random.pick(spec.words);
		const [type, other] = spec.type.split("-or-");
		if (other === undefined || random.chance(0.5)) return random.pick(WORDS[type] ?? WORDS.name);
		return random.pick(WORDS[other] ?? ["local3", "daemon", "nowhere"]);
	}

	#list(items) {
		for (let i = this.#random.below(4); i > 0; i--) this.#put(this.#random.pick(items));
	}

	#put(text) {
		this.#text += text + (this.#random.chance(0.8) ? " " : this.#random.pick(["\n", "", "\t"]));
	}
}
