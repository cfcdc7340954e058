// Events where conntracks are not kept (DisableInternalCache): the kernel is asked for what an event leaves out.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { type InternalCache, newInternalCaches } from "./cache/internal-cache.ts";
import { UPDATED } from "./cache/record-layout.ts";
import { conntrackToRecord, expectationToRecord } from "./conntrack/conntrack.ts";
import { CONNTRACK, EXPECTATION } from "./conntrack/kind.ts";
import { NameTable } from "./conntrack/names.ts";
import * as R from "./conntrack/record.ts";
import { EventRouter } from "./event-router.ts";
import { ExpectationMasters } from "./expectation-masters.ts";
import { CONTROL, EXPECTATION as HOLE } from "./netlink/kernel-cases.ts";
import { recordOf } from "./sync/simulation.ts";
import type { Clock } from "./system/clock.ts";

const FLUSH_PORT = 77;

/** A router with a kernel that is a list of records. */
class Node {
	readonly names = new NameTable();
	readonly internal: readonly [InternalCache, InternalCache];
	readonly router: EventRouter;
	kernel: Int32Array[] = [];
	/** Milliseconds. */
	now = 5000;
	/** Ports of what was asked for, one list for each call. */
	readonly asked: number[][] = [];
	helped = 0;
	/** Slots that were told to be dead. */
	readonly ended: number[] = [];
	#wanted: Int32Array[] = [];
	/** Times that what has become dirty was to be sent. */
	changes = 0;
	readonly nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

	constructor() {
		const { conntracks, expectations } = newInternalCaches(1, 10_000);
		this.internal = [conntracks, expectations];
		conntracks.listener = { changed: () => {}, destroyed: (slot) => this.ended.push(slot) };
		const clock: Clock = {
			now: () => this.now,
			after: () => () => {},
			pause: this.nextTurn,
			wall: () => new Date(0),
		};
		const masters = new ExpectationMasters(this.internal, clock);
		this.router = new EventRouter({
			internal: this.internal,
			passes: (kind, record) =>
				kind === CONNTRACK ? record[R.MARK] !== 666 : masters.find(record) !== undefined,
			masters,
			lookup: {
				want: (record) => this.#wanted.push(record.slice()),
				forget: (record) => {
					this.#wanted = this.#wanted.filter((one) => one[R.ORIG_PORTS] !== record[R.ORIG_PORTS]);
				},
				ask: (record, found) => this.#answer([record], found),
				flush: (found, most) => {
					this.#answer(this.#wanted.splice(0, most), found);
					return this.#wanted.length > 0;
				},
			},
			flushPort: FLUSH_PORT,
			clock,
			ended: () => {},
			announced: () => {},
			helped: () => this.helped++,
			seen: () => {},
			changed: () => this.changes++,
			overrun: () => {},
		});
	}

	#answer(wanted: readonly Int32Array[], found: (record: Int32Array) => void): void {
		const { layout } = this.internal[CONNTRACK].store;
		if (wanted.length > 0) this.asked.push(wanted.map((one) => one[R.ORIG_PORTS]!));
		for (const one of wanted) {
			const known = this.kernel.find((entry) => layout.hash(entry, 1) === layout.hash(one, 1));
			if (known) found(known);
		}
	}

	held(port: number): Int32Array | undefined {
		const { store } = this.internal[CONNTRACK];
		const slot = store.find(recordOf(port, 0));
		if (slot < 0 || !store.isLive(slot)) return undefined;
		const record = R.newConntrackRecord();
		store.read(slot, record);
		return record;
	}
}

/** What an event tells of a change of the status: no mark, no protocol state. */
function partOf(port: number): Int32Array {
	const part = recordOf(port, 0);
	part[R.HAS] = R.H_REPLY | R.H_STATUS;
	return part;
}

let node: Node;
beforeEach(() => {
	node = new Node();
});

test("a change of a connection that is not kept is told with its whole state, asked for once a batch", () => {
	node.kernel = [recordOf(7, 42), recordOf(8, 43)];
	node.router.conntrack("update", partOf(7), 0);
	node.router.conntrack("update", partOf(8), 0);
	assert.equal(node.held(7), undefined);
	node.router.batchEnd();
	assert.deepEqual(node.asked, [[7, 8]]);
	assert.equal(node.held(7)?.[R.MARK], 42);
	assert.equal(node.held(8)?.[R.MARK], 43);
});

test("many are looked up in several turns of the event loop, each followed by what sends", async () => {
	for (let port = 1; port <= 600; port++) node.router.conntrack("update", partOf(port), 0);
	node.router.batchEnd();
	const sizes = (): number[] => node.asked.map(({ length }) => length);
	assert.deepEqual(sizes(), [256]);
	assert.equal(node.changes, 1);
	for (let turn = 0; turn < 5; turn++) await node.nextTurn();
	assert.deepEqual(sizes(), [256, 256, 88]);
	assert.equal(node.changes, 3);
});

test("one that is new, or still kept, needs no question", () => {
	node.router.conntrack("new", recordOf(7, 1), 0);
	node.router.conntrack("update", partOf(7), 0);
	node.router.batchEnd();
	assert.deepEqual(node.asked, []);
	assert.equal(node.held(7)?.[R.MARK], 1);
});

test("what was passed on is counted by event; what the filter leaves out, and a flush, is not", () => {
	node.router.conntrack("new", recordOf(7, 1), 0);
	node.router.conntrack("update", partOf(7), 0);
	node.router.conntrack("update", partOf(8), 0);
	node.router.conntrack("new", recordOf(9, 666), 0);
	node.router.conntrack("destroy", partOf(7), 0);
	node.router.conntrack("destroy", partOf(8), 0);
	node.router.conntrack("destroy", partOf(10), FLUSH_PORT);
	assert.deepEqual(node.router.bypass, { created: 1, updated: 2, destroyed: 2 });
});

test("one that has ended by then is not asked for, and one that the kernel has no more is nothing", () => {
	node.router.conntrack("update", partOf(7), 0);
	node.router.conntrack("destroy", partOf(7), 0);
	node.router.conntrack("update", partOf(8), 0);
	node.router.batchEnd();
	assert.deepEqual(node.asked, [[8]]);
	assert.equal(node.internal[CONNTRACK].store.live, 0);
	assert.equal(node.ended.length, 1, "the end is told");
});

test("what the filter does not let pass is not taken from an answer either", () => {
	node.kernel = [recordOf(7, 666)];
	node.router.conntrack("update", partOf(7), 0);
	node.router.batchEnd();
	assert.equal(node.held(7), undefined);
	assert.equal(node.router.filtered, 1);
});

test("our own flush of what is not kept is no end of it", () => {
	node.router.conntrack("destroy", partOf(7), FLUSH_PORT);
	node.router.batchEnd();
	assert.deepEqual(node.ended, []);
});

test("an expectation whose master is not kept finds it in the kernel", () => {
	const master = conntrackToRecord(CONTROL, node.names);
	node.kernel = [master];
	node.router.expectation("new", expectationToRecord(HOLE, node.names), 0);
	assert.equal(node.internal[EXPECTATION].store.live, 1);
	assert.equal(node.internal[CONNTRACK].store.live, 1, "the peers need the master, too");
	assert.equal(node.helped, 1);
});

test("an expectation whose master the kernel does not have waits for it", () => {
	node.router.expectation("new", expectationToRecord(HOLE, node.names), 0);
	assert.equal(node.internal[EXPECTATION].store.live, 0);
	node.router.conntrack("new", conntrackToRecord(CONTROL, node.names), 0);
	assert.equal(node.internal[EXPECTATION].store.live, 1);
});

test("a connection that has matured between two batches leaves the next one its own time", () => {
	const master = conntrackToRecord(CONTROL, node.names);
	node.router.expectation("new", expectationToRecord(HOLE, node.names), 0);
	node.router.batchEnd();
	node.router.matured(master, 3, 4);
	assert.equal(node.internal[EXPECTATION].store.live, 1, "what has waited for it is taken");
	node.now = 900_000;
	node.router.conntrack("new", recordOf(7, 1), 0);
	node.router.batchEnd();
	const { store } = node.internal[CONNTRACK];
	assert.equal(store.header(store.find(recordOf(7, 1)), UPDATED), 900);
});
