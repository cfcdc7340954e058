import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { AttributeWriter } from "./attribute.ts";
import { AccountDecoder } from "./decode-accounting.ts";
import { guardMessage } from "./guarded-wire.ts";

/** A nest of two u64, numbered 1 and 2, as linux/netfilter/nfnetlink_conntrack.h has them. */
function nest(writer: AttributeWriter, type: number, values: readonly (bigint | undefined)[]): void {
	const start = writer.begin(type);
	values.forEach((value, i) => {
		if (value === undefined) return;
		const inner = writer.begin(i + 1);
		const view = new DataView(writer.wire.bytes.buffer, writer.wire.bytes.byteOffset);
		view.setBigUint64(writer.at, value);
		writer.at += 8;
		writer.end(inner);
	});
	writer.end(start);
}

const [COUNTERS_ORIG, COUNTERS_REPLY, TIMESTAMP] = [9, 10, 20];
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const pair = fc.option(fc.tuple(u64, u64), { nil: undefined });

function decode(attributes: Uint8Array): AccountDecoder {
	const { wire, start, end } = guardMessage(attributes);
	const decoder = new AccountDecoder();
	decoder.orig = { packets: 1n, bytes: 1n };
	decoder.stoppedAt = 1;
	decoder.decode(wire, start, end);
	return decoder;
}

test("counters of each direction and whole seconds of the timestamps are read, wherever they stand", () => {
	fc.assert(
		fc.property(pair, pair, pair, fc.boolean(), (orig, reply, stamp, isTurned) => {
			const writer = new AttributeWriter(256);
			const parts: [number, typeof orig][] = [
				[COUNTERS_ORIG, orig],
				[COUNTERS_REPLY, reply],
				[TIMESTAMP, stamp],
			];
			for (const [type, values] of isTurned ? parts.reverse() : parts) if (values) nest(writer, type, values);
			const decoder = decode(writer.wire.bytes.slice(0, writer.at));
			const count = (values: typeof orig) => values && { packets: values[0], bytes: values[1] };
			assert.deepEqual(decoder.orig, count(orig));
			assert.deepEqual(decoder.reply, count(reply));
			assert.equal(decoder.startedAt, stamp && Number(stamp[0] / 10n ** 9n));
			assert.equal(decoder.stoppedAt, stamp && Number(stamp[1] / 10n ** 9n));
		}),
	);
});

test("half a direction is none, and a cut message tells nothing that is not in it", () => {
	const writer = new AttributeWriter(256);
	nest(writer, COUNTERS_ORIG, [5n, undefined]);
	nest(writer, COUNTERS_REPLY, [6n, 7n]);
	const bytes = writer.wire.bytes.slice(0, writer.at);
	assert.equal(decode(bytes).orig, undefined);
	assert.deepEqual(decode(bytes).reply, { packets: 6n, bytes: 7n });
	for (let length = 0; length < bytes.length; length++)
		assert.equal(decode(bytes.slice(0, length)).reply, undefined);
});
