// For tests: a receive buffer that throws when anything outside of one message is read.
import { WireBuffer } from "./attribute.ts";

/** What stands before the message in the buffer, and behind it. */
const MARGIN = 64;

export interface GuardedMessage {
	wire: WireBuffer;
	start: number;
	end: number;
}

/** A message in the middle of a buffer; reading another byte than its own throws a RangeError. */
export function guardMessage(bytes: Uint8Array): GuardedMessage {
	const buffer = new Uint8Array(Math.ceil((bytes.length + 2 * MARGIN) / 4) * 4).fill(0xff);
	buffer.set(bytes, MARGIN);
	const plain = new WireBuffer(buffer);
	const start = MARGIN;
	const end = MARGIN + bytes.length;
	const guard = <T extends Uint8Array | Uint16Array | Int32Array>(array: T): T =>
		new Proxy(array, {
			get(target, property) {
				const index = typeof property === "string" ? Number(property) : Number.NaN;
				if (Number.isInteger(index)) {
					const from = index * target.BYTES_PER_ELEMENT;
					if (from < start || from + target.BYTES_PER_ELEMENT > end) {
						throw new RangeError(`read ${from} outside of ${start}..${end}`);
					}
				}
				if (property === "subarray") {
					return (from: number, to: number) => {
						if (from < start || to > end)
							throw new RangeError(`read ${from}..${to} outside of ${start}..${end}`);
						return target.subarray(from, to);
					};
				}
				return Reflect.get(target, property, target);
			},
		});
	const wire = Object.create(WireBuffer.prototype, {
		bytes: { value: guard(plain.bytes) },
		halves: { value: guard(plain.halves) },
		words: { value: guard(plain.words) },
	}) as WireBuffer;
	return { wire, start, end };
}
