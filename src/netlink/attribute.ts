// struct nlattr: u16 length (header included, padding not) and u16 type in host order, payload, padding to 4.
import { NAME_MAX } from "../conntrack/names.ts";
import { NLA_F_NESTED, NLA_HEADER } from "./constants.ts";

/** NLA_ALIGN: attributes and messages start at multiples of four. */
export const align = (length: number): number => (length + 3) & ~3;

/** A receive or send buffer seen as bytes, 16-bit and 32-bit words; its start is aligned for all three. */
export class WireBuffer {
	readonly bytes: Uint8Array;
	/** Host order: attribute headers. */
	readonly halves: Uint16Array;
	/** Raw words: addresses (moved unchanged), and host-order header fields. */
	readonly words: Int32Array;

	constructor(size: number | Uint8Array) {
		const bytes = typeof size === "number" ? new Uint8Array(size) : size;
		const aligned = (bytes.byteOffset & 3) === 0 ? bytes : bytes.slice();
		this.bytes = aligned;
		this.halves = new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length >> 1);
		this.words = new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length >> 2);
	}

	/** Big-endian numbers, as inside attributes. */
	u16(at: number): number {
		return (this.bytes[at]! << 8) | this.bytes[at + 1]!;
	}

	u32(at: number): number {
		const b = this.bytes;
		return ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0;
	}
}

/** Appends attributes to a buffer; nested lengths are patched when the nest ends. The caller keeps room. */
export class AttributeWriter {
	readonly wire: WireBuffer;
	/** Where the next attribute starts; always a multiple of four. */
	at = 0;

	constructor(size: number) {
		this.wire = new WireBuffer(size);
	}

	/** Opens a nest; hand the result to `end`. */
	begin(type: number): number {
		const start = this.at;
		this.wire.halves[(start >> 1) + 1] = type | NLA_F_NESTED;
		this.at = start + NLA_HEADER;
		return start;
	}

	end(start: number): void {
		this.wire.halves[start >> 1] = this.at - start;
	}

	u8(type: number, value: number): void {
		const p = this.#header(type, 1);
		this.wire.bytes[p] = value;
	}

	/** Network order. */
	u16(type: number, value: number): void {
		const p = this.#header(type, 2);
		this.wire.bytes[p] = value >>> 8;
		this.wire.bytes[p + 1] = value;
	}

	/** Network order. */
	u32(type: number, value: number): void {
		const p = this.#header(type, 4);
		const b = this.wire.bytes;
		b[p] = value >>> 24;
		b[p + 1] = value >>> 16;
		b[p + 2] = value >>> 8;
		b[p + 3] = value;
	}

	/** Two bytes: a value and its mask (struct nf_ct_tcp_flags). */
	pair(type: number, first: number, second: number): void {
		const p = this.#header(type, 2);
		this.wire.bytes[p] = first;
		this.wire.bytes[p + 1] = second;
	}

	/** Words moved unchanged, such as addresses that are in network order already. */
	raw(type: number, source: Int32Array, from: number, count: number): void {
		const p = this.#header(type, count * 4);
		const words = this.wire.words;
		for (let i = 0; i < count; i++) words[(p >> 2) + i] = source[from + i]!;
	}

	/** A string with its terminating zero, without which the kernel answers EINVAL. */
	string(type: number, text: string): void {
		const length = Math.min(text.length, NAME_MAX);
		const p = this.#header(type, length + 1);
		for (let i = 0; i < length; i++) this.wire.bytes[p + i] = text.charCodeAt(i);
		this.wire.bytes[p + length] = 0;
	}

	/** Writes the header, zeroes the last word (the padding), and answers where the payload goes. */
	#header(type: number, payload: number): number {
		const start = this.at;
		const length = NLA_HEADER + payload;
		this.wire.halves[start >> 1] = length;
		this.wire.halves[(start >> 1) + 1] = type;
		this.at = start + align(length);
		if (payload & 3) this.wire.words[(this.at >> 2) - 1] = 0;
		return start + NLA_HEADER;
	}
}
