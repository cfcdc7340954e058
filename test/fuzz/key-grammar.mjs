// Key files: numbers, keys, marks and comments, mostly in order.

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const LAST = "AEIMQUYcgkosw048";
const IDS = ["0", "00", "-1", "+1", "1e1", "0x1", "255", "256", "999", "1000", "", "\u0661", "one"];
const WORDS = [
	"primary",
	"Primary",
	"primary primary",
	"#primary",
	"secondary",
	"\u00a0primary",
	"__proto__",
];
const ENDS = ["\n", "\r\n", "\n\n", "\r", "", "\u2028", "\u0000\n"];

export class KeyGrammar {
	#random;

	constructor(random) {
		this.#random = random;
	}

	file() {
		const random = this.#random;
		let text = random.chance(0.02) ? "\ufeff" : "";
		const count = random.chance(0.98) ? random.below(5) : random.below(300);
		const primary = random.below(count);
		for (let i = 0; i < count; i++) text += this.#line(i, i === primary);
		return Uint8Array.from(Buffer.from(text));
	}

	#line(i, isPrimary) {
		const random = this.#random;
		if (random.chance(0.1)) return `# ${random.pick(WORDS)}\n`;
		const id = random.chance(0.96) ? i + 1 : random.chance(0.5) ? random.below(300) : random.pick(IDS);
		const blank = random.chance(0.9) ? " " : random.pick(["\t", "  ", "\u00a0", "", "\v"]);
		let mark = isPrimary !== random.chance(0.03) ? " primary" : "";
		if (random.chance(0.02)) mark = ` ${random.pick(WORDS)}`;
		const comment = random.chance(0.2) ? random.pick(["# old", " # 2 x primary", "#"]) : "";
		return `${id}${blank}${this.#key()}${mark}${comment}${random.chance(0.97) ? "\n" : random.pick(ENDS)}`;
	}

	#key() {
		const random = this.#random;
		if (random.chance(0.02)) return Buffer.from(random.bytes(random.below(48))).toString("base64");
		if (random.chance(0.03)) return `${"A".repeat(43)}=`;
		let text = "";
		for (let i = 0; i < 42; i++) text += random.pick(ALPHABET);
		return `${text}${random.pick(random.chance(0.99) ? LAST : ALPHABET)}=`;
	}
}
