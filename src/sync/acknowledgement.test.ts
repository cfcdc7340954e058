// An acknowledgement says of each of the last 512 numbers what the window says, and of numbers before the first nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { acknowledges, BITMAP_SIZE, writeOwedAck } from "./acknowledgement.ts";
import type { Peer } from "./peer.ts";
import { ReplayWindow } from "./replay-window.ts";
import { MsgpackWriter } from "./wire/msgpack.ts";

test("each of the last 512 numbers is acknowledged if it was seen", () => {
	const start = fc.oneof(fc.nat(1000), fc.integer({ min: 4000, max: 9000 }), fc.constant(2 ** 40));
	fc.assert(
		fc.property(start, fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 700 }), (from, gaps) => {
			const window = new ReplayWindow();
			window.reset(from);
			let sequence = from;
			for (const gap of gaps) window.mark((sequence += gap));
			const writer = new MsgpackWriter(new Uint8Array(256));
			writeOwedAck(
				writer,
				{ node: 1, epochTag: 2, epoch: new Uint8Array(16), ackOwed: 1, window } as Peer,
				64,
			);
			const { highest } = window;
			const ack = {
				node: 1,
				epochTag: 2,
				highest,
				credit: 64,
				bitmapAt: writer.at - BITMAP_SIZE,
				bitmapLength: BITMAP_SIZE,
			};
			for (let n = highest; n > highest - BITMAP_SIZE * 8; n--) {
				const isSeen = n > 0 && window.isSeen(n);
				assert.equal(acknowledges(ack, writer.bytes, n), isSeen, `${n} of ${highest}`);
			}
			assert.equal(acknowledges(ack, writer.bytes, highest - BITMAP_SIZE * 8), false);
		}),
	);
});
