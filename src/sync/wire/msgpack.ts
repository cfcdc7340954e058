// The part of MessagePack (msgpack.org/specification) that the wire uses: unsigned integers, bin, short str, array.
// No maps, no extensions, no floats, no signed numbers. The reader is directed by what the record must look like:
// it never builds a value that the sender describes, and never believes a length before checking it.

/** The one byte that no value begins with (msgpack's specification: "never used"). */
const NEVER = 0xc1;
const IS_LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

/** Writes into a buffer that the caller keeps large enough; integers take their shortest form. */
export class MsgpackWriter {
	bytes: Uint8Array;
	at = 0;

	constructor(bytes: Uint8Array) {
		this.bytes = bytes;
	}

	/** Starts an array of up to 65535 elements. */
	array(count: number): void {
		if (count < 16) this.bytes[this.at++] = 0x90 | count;
		else {
			this.bytes[this.at++] = 0xdc;
			this.bytes[this.at++] = count >>> 8;
			this.bytes[this.at++] = count;
		}
	}

	/** An integer of 0 .. 2^53 - 1. */
	uint(value: number): void {
		if (value <= 0xffffffff) {
			this.uint32(value);
			return;
		}
		const b = this.bytes;
		b[this.at] = 0xcf;
		this.#big(this.at + 1, Math.floor(value / 2 ** 32));
		this.#big(this.at + 5, value >>> 0);
		this.at += 9;
	}

	/** The 32 bits of a word as an unsigned integer. */
	uint32(word: number): void {
		const value = word >>> 0;
		const b = this.bytes;
		if (value < 0x80) b[this.at++] = value;
		else if (value < 0x100) {
			b[this.at] = 0xcc;
			b[this.at + 1] = value;
			this.at += 2;
		} else if (value < 0x10000) {
			b[this.at] = 0xcd;
			b[this.at + 1] = value >>> 8;
			b[this.at + 2] = value;
			this.at += 3;
		} else {
			b[this.at] = 0xce;
			this.#big(this.at + 1, value);
			this.at += 5;
		}
	}

	/** The same in five bytes, whatever the value: to be written when what follows is there already. */
	fixed32(word: number): void {
		this.bytes[this.at] = 0xce;
		this.#big(this.at + 1, word >>> 0);
		this.at += 5;
	}

	/** Up to 255 bytes. */
	bin(source: Uint8Array): void {
		this.binHeader(source.length);
		this.bytes.set(source, this.at);
		this.at += source.length;
	}

	/** Announces `length` bytes (255 at most), which the caller appends. */
	binHeader(length: number): void {
		this.bytes[this.at++] = 0xc4;
		this.bytes[this.at++] = length;
	}

	/** A string of up to 31 ASCII characters. */
	str(text: string): void {
		this.bytes[this.at++] = 0xa0 | text.length;
		for (let i = 0; i < text.length; i++) this.bytes[this.at++] = text.charCodeAt(i);
	}

	#big(at: number, value: number): void {
		const b = this.bytes;
		b[at] = value >>> 24;
		b[at + 1] = value >>> 16;
		b[at + 2] = value >>> 8;
		b[at + 3] = value;
	}
}

/**
 * Reads what it is told to expect. The first thing that is something else, or runs over the end, sets `failed`;
 * from then on every call answers 0, so that a decoder checks once at its end.
 */
export class MsgpackReader {
	bytes: Uint8Array = new Uint8Array(0);
	at = 0;
	end = 0;
	/** The same, and below everything once it has failed. */
	#limit = 0;
	failed = false;
	/** It failed because the bytes came to an end. */
	hasRunOut = false;

	/** Aims the reader at bytes [start, end). */
	reset(bytes: Uint8Array, start: number, end: number): void {
		this.bytes = bytes;
		this.at = start;
		this.end = this.#limit = end;
		this.failed = false;
		this.hasRunOut = false;
	}

	fail(): number {
		this.failed = true;
		this.#limit = -1;
		return 0;
	}

	/** The element count of an array. Each element takes a byte at least, so a larger count is a lie. */
	array(): number {
		const head = this.#take(1);
		if (this.failed) return 0;
		const first = this.bytes[head]!;
		let count: number;
		if ((first & 0xf0) === 0x90) count = first & 0x0f;
		else if (first === 0xdc) {
			const at = this.#take(2);
			if (this.failed) return 0;
			count = (this.bytes[at]! << 8) | this.bytes[at + 1]!;
		} else return this.fail();
		return count <= this.end - this.at ? count : this.fail();
	}

	/** An unsigned integer of at most `max` (2^53 - 1 or less). */
	uint(max: number): number {
		const { at } = this;
		const first = at < this.#limit ? this.bytes[at]! : NEVER;
		if (first < 0x80) {
			this.at = at + 1;
			return first <= max ? first : this.fail();
		}
		this.#take(1);
		let value: number;
		if (first === 0xcc) value = this.#number(1);
		else if (first === 0xcd) value = this.#number(2);
		else if (first === 0xce) value = this.#number(4);
		else if (first === 0xcf) value = this.#number(4) * 2 ** 32 + this.#number(4);
		else return this.fail();
		return value <= max ? value : this.fail();
	}

	/**
	 * An unsigned integer of up to 32 bits, as a word, which is signed. Most of a datagram is such numbers: they are read
	 * without a call for each byte, and none becomes a number on the heap, as one of 2^31 or more would.
	 */
	word(): number {
		const { at, bytes } = this;
		if (at + 5 > this.#limit) return this.uint(0xffffffff) | 0;
		const first = bytes[at]!;
		if (first < 0x80) {
			this.at = at + 1;
			return first;
		}
		if (first === 0xcc) {
			this.at = at + 2;
			return bytes[at + 1]!;
		}
		if (first === 0xcd) {
			this.at = at + 3;
			return (bytes[at + 1]! << 8) | bytes[at + 2]!;
		}
		if (first !== 0xce) return this.uint(0xffffffff) | 0;
		this.at = at + 5;
		return (bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!;
	}

	/** The word whose four bytes stand there, in the order in which memory holds them. They have been taken. */
	raw(at: number): number {
		const { bytes } = this;
		return IS_LITTLE_ENDIAN
			? bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
			: (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
	}

	/** Exactly `length` bytes; the offset at which they begin. */
	bin(length: number): number {
		const at = this.#take(2);
		if (this.failed || this.bytes[at] !== 0xc4 || this.bytes[at + 1] !== length) return this.fail();
		return this.#take(length);
	}

	/** Up to `max` bytes (255 at most): [offset, length] as offset and the reader's `length`. */
	binUpTo(max: number): number {
		const at = this.#take(2);
		if (this.failed || this.bytes[at] !== 0xc4 || this.bytes[at + 1]! > max) return this.fail();
		this.length = this.bytes[at + 1]!;
		return this.#take(this.length);
	}

	/** A string of 1 to 31 bytes; its offset, its length in `length`. */
	str(): number {
		const at = this.#take(1);
		if (this.failed || (this.bytes[at]! & 0xe0) !== 0xa0) return this.fail();
		this.length = this.bytes[at]! & 0x1f;
		return this.length > 0 ? this.#take(this.length) : this.fail();
	}

	/** Passes over `count` values of the kinds that the wire uses: what a later version has added. */
	skip(count: number, depth = 3): void {
		for (let i = 0; i < count && !this.failed; i++) {
			const first = this.at < this.#limit ? this.bytes[this.at]! : NEVER;
			if ((first & 0xf0) === 0x90 || first === 0xdc) {
				if (depth === 0) this.fail();
				else this.skip(this.array(), depth - 1);
			} else if (first === 0xc4) this.binUpTo(0xff);
			else if ((first & 0xe0) === 0xa0) {
				this.#take(1);
				this.#take(first & 0x1f);
			} else this.uint(Number.MAX_SAFE_INTEGER);
		}
	}

	/** Length of the last `binUpTo` or `str`. */
	length = 0;

	#take(count: number): number {
		const { at } = this;
		if (at + count > this.#limit) {
			if (!this.failed) this.hasRunOut = true;
			return this.fail();
		}
		this.at = at + count;
		return at;
	}

	#number(size: number): number {
		const at = this.#take(size);
		if (this.failed) return 0;
		let value = 0;
		for (let i = 0; i < size; i++) value = value * 256 + this.bytes[at + i]!;
		return value;
	}
}
