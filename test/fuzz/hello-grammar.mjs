// HELLO records that look like ours, and lie: about versions, terms, keys, the list and its entries; and those of a
// later version, which has more to say.
import { MsgpackLiar } from "./msgpack-liar.mjs";

const WORDS = [0, 1, 2, 0x7f, 0xff, 0xffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];

export class HelloGrammar {
	#random;
	#out;

	constructor(random) {
		this.#random = random;
		this.#out = new MsgpackLiar(random, 0.5);
	}

	/** @param echo what some entries echo, if it is known */
	hello(echo = undefined) {
		const random = this.#random;
		const out = this.#out;
		const more = random.chance(0.2) ? random.below(4) : 0;
		out.array(out.lies(0.03) ? random.below(40) : 9 + more);
		out.integer(out.lies(0.03) ? random.below(256) : 1);
		out.integer(random.chance(0.9) ? 1 : random.below(300));
		out.integer(random.chance(0.9) ? 1 : random.below(300));
		out.integer(random.below(random.chance(0.9) ? 2 : 256));
		out.integer(this.#word());
		out.integer(random.below(out.lies(0.05) ? 70_000 : 65_536));
		out.integer(this.#word());
		out.bin(random.chance(0.9) ? 4 * random.below(5) : random.below(out.lies(0.2) ? 150 : 129));
		const entries = random.chance(0.9) ? random.below(4) : random.below(out.lies(0.2) ? 60 : 49);
		out.array(out.lies(0.02) ? random.below(70) : entries);
		for (let i = 0; i < entries; i++) this.#entry(echo);
		for (let i = 0; i < more; i++) this.#later();
		return out.bytes();
	}

	#entry(echo) {
		const random = this.#random;
		const out = this.#out;
		const more = random.chance(0.1) ? random.below(3) : 0;
		out.array(out.lies(0.02) ? random.below(20) : 6 + more);
		out.integer(random.chance(0.8) ? 1 + random.below(2) : this.#word());
		out.integer(random.chance(0.5) ? 0x07070707 : this.#word());
		out.integer(random.below(out.lies(0.05) ? 300 : 2));
		out.bin(out.lies(0.05) ? random.below(40) : 16);
		if (echo && random.chance(0.5)) out.exactBin(echo);
		else out.bin(random.chance(0.4) ? 0 : random.below(out.lies(0.1) ? 40 : 17));
		out.integer(this.#word());
		for (let i = 0; i < more; i++) this.#later();
	}

	#later() {
		if (this.#out.lies(0.1)) this.#out.anything(5);
		else this.#out.value(3);
	}

	#word() {
		return this.#random.chance(0.5) ? this.#random.pick(WORDS) : this.#random.below(2 ** 32);
	}
}
