// Writes MessagePack, and lies now and then: about a count, a length, or the kind of a value.
import { EDGE_BYTES } from "./random.mjs";

const SIZE = 65_536;

export class MsgpackLiar {
	#random;
	/** Lies per lie that is thought of. */
	#share;
	#bytes = new Uint8Array(1024);
	#at = 0;

	constructor(random, share = 1) {
		this.#random = random;
		this.#share = share;
	}

	bytes() {
		return this.#bytes.slice(0, this.#at);
	}

	lies(probability) {
		return this.#random.chance(probability * this.#share);
	}

	array(count) {
		if (count < 16 && !this.lies(0.02)) this.put(0x90 | count);
		else this.put(0xdc, count >>> 8, count & 0xff);
	}

	bin(length) {
		const random = this.#random;
		const said = this.lies(0.01) ? random.pick(EDGE_BYTES) : length;
		const there = this.lies(0.01) ? random.below(70) : length;
		this.put(0xc4, said & 0xff);
		this.#room(there);
		for (let i = 0; i < there; i++) this.#bytes[this.#at++] = random.below(256);
	}

	exactBin(bytes) {
		this.put(0xc4, bytes.length);
		for (const byte of bytes) this.put(byte);
	}

	string(text) {
		this.put(0xa0 | (this.lies(0.01) ? this.#random.below(32) : text.length));
		for (let i = 0; i < text.length; i++) this.put(text.charCodeAt(i));
	}

	integer(value) {
		if (value > 0xffffffff || this.lies(0.02)) {
			this.put(0xcf);
			this.#word(Math.floor(value / 2 ** 32));
			this.#word(value);
		} else if (value >= 0x10000 || this.lies(0.02)) {
			this.put(0xce);
			this.#word(value);
		} else if (value >= 0x100) this.put(0xcd, value >>> 8, value & 0xff);
		else if (value >= 0x80) this.put(0xcc, value);
		else this.put(value);
	}

	/** A value of the kinds that the wire uses. */
	value(depth) {
		const random = this.#random;
		switch (random.below(depth > 0 ? 4 : 3)) {
			case 0:
				return this.integer(random.chance(0.5) ? random.below(300) : random.below(2 ** 53));
			case 1:
				return this.bin(random.below(256));
			case 2:
				return this.string("x".repeat(random.below(32)));
			default: {
				const count = random.below(random.chance(0.95) ? 4 : 40);
				this.array(count);
				for (let i = 0; i < count; i++) this.value(depth - 1);
			}
		}
	}

	/** Every kind that MessagePack has, and the byte that it has not. */
	anything(depth) {
		const random = this.#random;
		switch (random.below(9)) {
			case 0:
				return this.put(0x80 | random.below(16));
			case 1:
				return this.put(random.pick([0xca, 0xcb]), ...random.bytes(8));
			case 2:
				return this.put(0xe0 | random.below(32));
			case 3:
				return this.put(random.pick([0xc7, 0xd4, 0xd5, 0xd8]), ...random.bytes(3));
			case 4:
				return this.put(random.pick([0xc0, 0xc1, 0xc2, 0xc3]));
			case 5:
				return this.put(random.pick([0xdd, 0xdf, 0xdb, 0xc6, 0xc9]), ...random.bytes(4));
			case 6: {
				const count = random.below(4);
				this.array(count);
				for (let i = 0; depth > 0 && i < count; i++) this.anything(depth - 1);
				return undefined;
			}
			case 7:
				return this.bin(random.below(300));
			default:
				return this.put(random.pick(EDGE_BYTES));
		}
	}

	put(...bytes) {
		this.#room(bytes.length);
		for (const byte of bytes) this.#bytes[this.#at++] = byte;
	}

	#word(value) {
		this.put((value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
	}

	#room(count) {
		while (this.#at + count > this.#bytes.length) {
			if (this.#bytes.length >= SIZE) throw new Error("the grammar writes too much");
			const bytes = new Uint8Array(this.#bytes.length * 2);
			bytes.set(this.#bytes);
			this.#bytes = bytes;
		}
	}
}
