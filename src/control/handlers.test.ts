import assert from "node:assert/strict";
import { test } from "node:test";
import { ExpectationLayout } from "../cache/expectation-layout.ts";
import { ExternalCache } from "../cache/external-cache.ts";
import { type InternalCache, newInternalCaches } from "../cache/internal-cache.ts";
import { AWAITS_MASTER } from "../cache/record-layout.ts";
import { RecordStore } from "../cache/record-store.ts";
import { conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import type { Clock } from "../system/clock.ts";
import { type DaemonControl, requestHandler } from "./handlers.ts";
import { Opcode } from "./request.ts";

test("others have their turn while what is kept back is listed", async () => {
	const external = new ExternalCache(new RecordStore(new ExpectationLayout(), 1, 64), 10_000);
	external.provisional = AWAITS_MASTER;
	const record = new Int32Array(external.store.layout.recordWords);
	for (let i = 0; i < 2000; i++) {
		record[6] = i + 1;
		external.set(record, i + 1, 1);
	}
	let pauses = 0;
	let text = "";
	const daemon: Partial<DaemonControl> = {
		externals: () => [external],
		names: new NameTable(),
		clock: {
			now: () => 0,
			pause: async () => {
				pauses++;
			},
		} as DaemonControl["clock"],
		originOf: () => "10.0.0.2",
		whyRejected: () => "why",
	};
	const handle = requestHandler(daemon as DaemonControl);
	const reply = await handle(Opcode.policyRejected, (piece) => {
		text += piece;
		return undefined;
	});
	assert.deepEqual(reply, { status: 0 });
	assert.equal(text.split(" [why]\n").length - 1, external.store.live);
	assert.equal(external.store.live, 2000);
	assert.equal(pauses, 16);

	text = "";
	external.store.setVerdict(8, 7);
	await handle(
		Opcode.policyRejected,
		(piece) => {
			text += piece;
			return undefined;
		},
		{ form: "json" },
	);
	const lines = text.trimEnd().split("\n");
	assert.equal(lines.length, 2000);
	const { node, rule, reason, mask } = JSON.parse(lines[7]!);
	assert.deepEqual(
		[node, rule, reason, mask.dst],
		["10.0.0.2", null, "why", "0.0.0.0"],
		"it waits for its master",
	);
	assert.equal(JSON.parse(lines[8]!).rule, "X07", "as everywhere else");
});

test("a number that is no request is refused, whatever form is asked for, and told to the daemon", async () => {
	const unknown: number[] = [];
	const handle = requestHandler({
		statistics: () => undefined,
		unknown: (op) => unknown.push(op),
	} as Partial<DaemonControl> as DaemonControl);
	for (const detail of [{}, { form: "json" }] as const) {
		assert.deepEqual(await handle(27, () => undefined, detail), {
			status: 1,
			error: "unknown request 27",
		});
	}
	assert.deepEqual(unknown, [27, 27]);
});

test("what has no answer in JSON says so and does nothing", async () => {
	const handle = requestHandler({} as DaemonControl);
	for (const op of [Opcode.kill, Opcode.flushKernelAll, Opcode.dumpInternalCtXml, Opcode.commitAll]) {
		const reply = await handle(op, () => undefined, { form: "json" });
		assert.deepEqual(reply, { status: 1, error: `request ${op} has no answer in JSON` });
	}
});

const ENTRIES = 1000;
/** An internal cache of so many TCP connections. */
function filled(names: NameTable): InternalCache {
	const { conntracks } = newInternalCaches(1, ENTRIES);
	for (let i = 0; i < ENTRIES; i++) {
		const src = `10.0.${i >> 8}.${i & 255}`;
		const entry = conntrackToRecord(
			{
				family: "ipv4",
				protocol: 6,
				zoneOrig: 0,
				zoneReply: 0,
				orig: { src, dst: "1.1.1.1", sport: 1, dport: 2 },
				reply: { src: "1.1.1.1", dst: src, sport: 2, dport: 1 },
				status: 0xe,
				mark: 0xffffffff,
			},
			names,
		);
		conntracks.apply(entry, true, 1);
	}
	return conntracks;
}

test("of several dumps one makes a piece in a turn of the event loop", async () => {
	const names = new NameTable();
	const internal = filled(names);
	let pieces = 0;
	let most = 0;
	const handle = requestHandler({
		internal: [internal, internal],
		names,
		hasExpectations: false,
		clock: {
			now: () => 5000,
			pause: () =>
				new Promise<void>((resolve) => {
					most = Math.max(most, pieces);
					pieces = 0;
					setImmediate(resolve);
				}),
		} as Partial<Clock> as Clock,
	} as Partial<DaemonControl> as DaemonControl);
	let bytes = 0;
	const dumps = Array.from({ length: 16 }, () =>
		handle(Opcode.dumpInternalCt, (piece) => {
			pieces++;
			bytes += piece.length;
			return undefined;
		}),
	);
	await Promise.all(dumps);
	assert.ok(bytes > 16 * ENTRIES * 80);
	// the last piece of a dump needs no turn of its own
	assert.ok(most <= 2, `${most} pieces between two pauses`);
});

test("a dump is written piece by piece, and waits for a client that has not taken the last piece", async () => {
	const names = new NameTable();
	const internal = filled(names);
	const pieces: string[] = [];
	let takes = (): void => {};
	const handle = requestHandler({
		internal: [internal, internal],
		names,
		hasExpectations: false,
		clock: { now: () => 5000, pause: async () => {} } as Partial<Clock> as Clock,
	} as Partial<DaemonControl> as DaemonControl);
	const done = handle(
		Opcode.dumpInternalCt,
		(piece) => {
			pieces.push(piece);
			return new Promise<void>((resolve) => {
				takes = resolve;
			});
		},
		{ form: "json" },
	);
	for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
	assert.equal(pieces.length, 1, "while nobody reads, one piece waits");
	let isDone = false;
	void done.then(() => {
		isDone = true;
	});
	while (!isDone) {
		takes();
		await new Promise((resolve) => setImmediate(resolve));
	}
	assert.ok(pieces.length >= 7 && pieces.every((piece) => piece.length < 100_000));
	const entries = pieces
		.join("")
		.trimEnd()
		.split("\n")
		.map((line) => JSON.parse(line));
	assert.equal(entries.length, ENTRIES);
	assert.deepEqual(entries[259], {
		age: 4,
		family: "ipv4",
		protocol: 6,
		protocolName: "tcp",
		zoneOrig: 0,
		zoneReply: 0,
		orig: { src: "10.0.1.3", dst: "1.1.1.1", sport: 1, dport: 2 },
		reply: { src: "1.1.1.1", dst: "10.0.1.3", sport: 2, dport: 1 },
		status: 0xe,
		mark: 0xffffffff,
		statusNames: ["seenReply", "assured", "confirmed"],
	});
});
