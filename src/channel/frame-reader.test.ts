import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FrameReader, LENGTH_SIZE } from "./frame-reader.ts";

const MAX = 50;

function framed(datagrams: readonly Uint8Array[]): Uint8Array {
	return Buffer.concat(datagrams.flatMap((one) => [Uint8Array.of(one.length >>> 8, one.length & 0xff), one]));
}

/** What comes out of a stream that arrives in these pieces, and whether it was sound to the end. */
function read(stream: Uint8Array, cuts: readonly number[]): { out: string[]; isSound: boolean } {
	const reader = new FrameReader(MAX);
	const out: string[] = [];
	const places = [
		0,
		...cuts.map((cut) => cut % (stream.length + 1)).toSorted((a, b) => a - b),
		stream.length,
	];
	for (let i = 1; i < places.length; i++) {
		const piece = stream.slice(places[i - 1], places[i]);
		const take = (bytes: Uint8Array, start: number, end: number): void =>
			void out.push(Buffer.from(bytes.subarray(start, end)).toString("hex"));
		if (!reader.take(piece, take)) return { out, isSound: false };
	}
	return { out, isSound: true };
}

const datagrams = fc.array(fc.uint8Array({ minLength: 1, maxLength: MAX }), { maxLength: 12 });
const cuts = fc.array(fc.nat(1000), { maxLength: 20 });

test("however a stream is cut, its datagrams come out whole and in order", () => {
	fc.assert(
		fc.property(datagrams, cuts, (list, places) => {
			const { out, isSound } = read(framed(list), places);
			assert.ok(isSound);
			assert.deepEqual(
				out,
				list.map((one) => Buffer.from(one).toString("hex")),
			);
		}),
		{ numRuns: 500 },
	);
});

test("a length of nothing or of too much ends it, and nothing behind it comes out", () => {
	for (const length of [0, MAX + 1, 0xffff]) {
		const stream = Buffer.concat([
			framed([Uint8Array.of(1)]),
			Uint8Array.of(length >>> 8, length & 0xff, 9, 9, 9),
		]);
		for (let cut = 0; cut <= stream.length; cut++) {
			assert.deepEqual(
				read(stream, [cut]),
				{ out: ["01"], isSound: false },
				`length ${length}, cut at ${cut}`,
			);
		}
	}
});

test("it holds no more than one datagram", () => {
	const stream = framed([new Uint8Array(MAX).fill(7)]);
	for (let i = 0; i < stream.length; i++) {
		const { out } = read(stream.subarray(0, i), [1, LENGTH_SIZE, 10]);
		assert.deepEqual(out, []);
	}
});
