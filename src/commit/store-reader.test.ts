// The stores as another thread sees them.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { ConntrackLayout } from "../cache/conntrack-layout.ts";
import { ExpectationLayout } from "../cache/expectation-layout.ts";
import { RecordStore } from "../cache/record-store.ts";
import type { Slab } from "../cache/slab.ts";
import { EXPECTATION_WORDS } from "../conntrack/expectation-record.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";
import { AF_INET, AF_INET6 } from "../conntrack/protocol.ts";
import * as R from "../conntrack/record.ts";
import { invertTuple } from "../conntrack/tuple.ts";
import { StoreReader } from "./store-reader.ts";

const KEYS = 48;
/** How long the two threads work against each other, milliseconds. */
const DURATION_MS = 700;

/** A word that nobody guesses: of number `n`, place `i`. */
const derive = (n: number, i: number): number => Math.imul(n + 0x9e3779b9, 0x85ebca6b + 2 * i) ^ n;

/**
 * The conntrack that follows from key and number alone. Every third key is IPv6; some numbers have rare attributes, some
 * no NAT.
 */
function conntrack(key: number, n: number): Int32Array {
	const record = R.newConntrackRecord();
	for (let i = 0; i < R.CONNTRACK_WORDS; i++) record[i] = derive(n, i);
	const isRare = n % 3 !== 0;
	const rare = R.H_MASTER | R.H_SEQ_ORIG | R.H_SEQ_REPLY | R.H_LABELS | R.H_SYNPROXY | R.H_SCTP;
	record[R.HAS] = (isRare ? rare : R.H_TCP) | R.H_REPLY | R.H_STATUS | R.H_TIMEOUT | R.H_MARK | R.H_HELPER;
	record[R.PROTOCOLS] = (key % 3 === 0 ? AF_INET6 : AF_INET) | (6 << 8);
	record[R.ZONES] = 0;
	record[R.ORIG_PORTS] = key;
	for (let i = 0; i < 4; i++) record[R.ORIG_SRC + i] = record[R.ORIG_DST + i] = 0;
	record[R.ORIG_SRC] = key;
	record[R.ORIG_DST] = ~key;
	if (key % 3 !== 0) {
		record.fill(0, R.REPLY_SRC + 1, R.REPLY_SRC + 4);
		record.fill(0, R.REPLY_DST + 1, R.REPLY_DST + 4);
		if (n % 5 === 0) invertTuple(record);
	}
	record[R.HELPER] = n & 0xffff;
	record[R.MARK] = n;
	if (!isRare) record.fill(0, R.MASTER_PROTOCOLS);
	return record;
}

function expectation(key: number, n: number): Int32Array {
	const record = new Int32Array(EXPECTATION_WORDS);
	for (let i = 0; i < EXPECTATION_WORDS; i++) record[i] = i >= 1 && i <= 22 ? key : derive(n, i);
	record[0] = n;
	return record;
}

interface Job {
	kind: Kind;
	chunks: SharedArrayBuffer[][];
	/** 1 while the writer writes, 2 when the reader reads. */
	flags: SharedArrayBuffer;
}

interface Findings {
	reads: number;
	torn: number;
	/** Reads of a slot that held something else than at the last one. */
	changes: number;
}

/** Worker: reads one slot after the other, and looks whether what it got belongs together. */
function read({ kind, chunks, flags }: Job): Findings {
	const reader = new StoreReader(kind, chunks, () => {});
	const record = new Int32Array(kind === CONNTRACK ? R.CONNTRACK_WORDS : EXPECTATION_WORDS);
	const state = new Int32Array(flags);
	const last = new Int32Array(KEYS);
	const out: Findings = { reads: 0, torn: 0, changes: 0 };
	Atomics.store(state, 1, 1);
	Atomics.notify(state, 1);
	while (Atomics.load(state, 0) === 1) {
		for (let slot = 0; slot < KEYS; slot++) {
			if (!reader.read(slot, record)) continue;
			out.reads++;
			const isConntrack = kind === CONNTRACK;
			const n = record[isConntrack ? R.MARK : 0]!;
			const expected = isConntrack ? conntrack(record[R.ORIG_PORTS]!, n) : expectation(record[1]!, n);
			if (n !== last[slot]) out.changes++;
			last[slot] = n;
			if (reader.updated !== n || expected.some((word, i) => word !== record[i])) out.torn++;
		}
	}
	return out;
}

function slabsOf(store: RecordStore): Slab[] {
	return [store.slab, ...store.layout.slabs];
}

async function race(kind: Kind): Promise<Findings & { writes: number }> {
	const store = new RecordStore(kind === CONNTRACK ? new ConntrackLayout() : new ExpectationLayout(), 1, 16);
	const sample = kind === CONNTRACK ? conntrack : expectation;
	const keys = Array.from({ length: KEYS }, (_, i) => i + 1);
	const slots = keys.map((key) => store.insert(sample(key, 1), 1));
	// both kinds of blocks exist before the reader starts
	const chunks = slabsOf(store).map((slab) => slab.chunks);
	const flags = new SharedArrayBuffer(8);
	const state = new Int32Array(flags);
	state[0] = 1;
	const worker = new Worker(new URL(import.meta.url), { workerData: { kind, chunks, flags } satisfies Job });
	const message = once(worker, "message");
	Atomics.wait(state, 1, 0, 10_000);
	const end = performance.now() + DURATION_MS;
	let n = 1;
	let next = KEYS + 1;
	while (performance.now() < end) {
		for (let i = 0; i < KEYS; i++) {
			n++;
			if (n % 16 === 0) {
				// another entry takes the slot
				store.remove(slots[i]!);
				keys[i] = next++;
				slots[i] = store.insert(sample(keys[i]!, n), n);
			} else {
				if (n % 16 === 8) store.bury(slots[i]!, n);
				store.replace(slots[i]!, sample(keys[i]!, n), n);
			}
		}
	}
	Atomics.store(state, 0, 0);
	const [findings] = await message;
	await worker.terminate();
	return { ...findings, writes: n };
}

function declareTests(): void {
	for (const [name, kind] of [
		["conntrack", CONNTRACK],
		["expectation", EXPECTATION],
	] as const) {
		test(`no ${name} is ever seen half written by the other thread`, async () => {
			const { reads, writes, changes, torn } = await race(kind);
			const report = `${writes} writes, ${reads} reads, ${changes} of them saw a change`;
			assert.ok(writes > 1000 && reads > 1000 && changes > 100, report);
			assert.equal(torn, 0, report);
		});
	}

	test("the reader fetches a chunk that it has not heard of, and sees neither free nor dead slots", () => {
		const store = new RecordStore(new ConntrackLayout(), 1);
		const waiting: [slab: number, chunk: SharedArrayBuffer][] = [];
		let fetched = 0;
		const reader: StoreReader = new StoreReader(CONNTRACK, [], () => {
			fetched++;
			for (const [slab, chunk] of waiting.splice(0)) reader.adopt(slab, chunk);
		});
		slabsOf(store).forEach((slab, i) => {
			slab.onChunk = (chunk) => waiting.push([i, chunk]);
		});
		const out = R.newConntrackRecord();
		for (let key = 1; key <= 9000; key++) store.insert(conntrack(key, key), key);
		for (const key of [1, 3, 4500, 9000]) {
			assert.equal(reader.read(key - 1, out), true);
			assert.deepEqual(out, conntrack(key, key));
			assert.equal(reader.updated, key);
		}
		assert.equal(fetched, 1);
		store.bury(2, 0);
		store.remove(0);
		assert.equal(reader.read(2, out), false);
		assert.equal(reader.read(0, out), false);
	});
}

if (isMainThread) declareTests();
else parentPort!.postMessage(read(workerData as Job));
