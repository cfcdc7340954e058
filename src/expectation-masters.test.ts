import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { type InternalCache, newInternalCaches } from "./cache/internal-cache.ts";
import {
	type Conntrack,
	conntrackFromRecord,
	conntrackToRecord,
	type Expectation,
	expectationToRecord,
} from "./conntrack/conntrack.ts";
import { EXP_ID, EXP_ZONE } from "./conntrack/expectation-record.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "./conntrack/kind.ts";
import { NameTable } from "./conntrack/names.ts";
import { EventRouter } from "./event-router.ts";
import { ExpectationMasters } from "./expectation-masters.ts";
import { CONTROL, EXPECTATION as HOLE } from "./netlink/kernel-cases.ts";
import type { Clock } from "./system/clock.ts";

const FLUSH_PORT = 77;

/** A router as the daemon has it, whose filter keeps TCP port 2121 out. */
class Node {
	readonly names = new NameTable();
	readonly internal: readonly [InternalCache, InternalCache];
	readonly masters: ExpectationMasters;
	readonly router: EventRouter;
	/** What happened, in order: "+kind", "~kind" withdrawn, "-kind". */
	readonly log: string[] = [];
	readonly announced: number[] = [];
	now = 0;

	constructor() {
		const { conntracks, expectations } = newInternalCaches(1, 10_000);
		this.internal = [conntracks, expectations];
		for (const kind of [CONNTRACK, EXPECTATION] as const) {
			this.internal[kind].listener = {
				changed: () => this.log.push(`+${kind}`),
				destroyed: (slot) => {
					const { store } = this.internal[kind];
					this.log.push(`${store.isWithdrawn(slot) ? "~" : "-"}${kind}`);
					this.internal[kind].forget(slot);
				},
			};
		}
		const clock: Clock = {
			now: () => this.now,
			after: () => () => {},
			pause: async () => {},
			wall: () => new Date(0),
		};
		this.masters = new ExpectationMasters(this.internal, clock);
		this.router = new EventRouter({
			internal: this.internal,
			passes: (kind: Kind, record) =>
				kind === CONNTRACK ? record[3]! >>> 16 !== 2121 : this.masters.find(record) !== undefined,
			masters: this.masters,
			flushPort: FLUSH_PORT,
			clock,
			ended: () => {},
			announced: (record) => this.announced.push(record[EXP_ZONE]!),
			helped: () => {},
			seen: () => {},
			changed: () => {},
			overrun: () => {},
		});
	}

	conntrack(event: "new" | "update" | "destroy", conntrack: Conntrack, port = 0): void {
		this.router.conntrack(event, conntrackToRecord(conntrack, this.names), port);
	}

	/** As the kernel tells it: without a zone. */
	expectation(event: "new" | "destroy", expectation: Expectation, port = 0): void {
		this.router.expectation(event, expectationToRecord({ ...expectation, zone: 0 }, this.names), port);
	}

	/** The zones of the expectations that are held. */
	zones(): number[] {
		const { store } = this.internal[EXPECTATION];
		const record = new Int32Array(store.layout.recordWords);
		const out: number[] = [];
		for (let slot = 0; slot < store.end; slot++) {
			if (!store.isLive(slot)) continue;
			store.read(slot, record);
			out.push(record[EXP_ZONE]!);
		}
		return out.sort();
	}
}

const inZone = (zone: number): Conntrack => ({ ...CONTROL, zoneOrig: zone, zoneReply: zone });
let node: Node;
beforeEach(() => {
	node = new Node();
});

test("an expectation that comes before its master is told of after it", () => {
	node.expectation("new", HOLE);
	assert.deepEqual(node.log, []);
	node.conntrack("new", CONTROL);
	assert.deepEqual([node.log, node.announced], [["+0", "+1"], [0]]);
	assert.equal(node.masters.isAwaited, false);
	node.conntrack("update", CONTROL);
	assert.deepEqual(node.zones(), [0]);
});

test("one that ends while it waits is nobody's news, nor is one whose master the filter keeps out", () => {
	node.expectation("new", HOLE);
	node.expectation("destroy", HOLE);
	node.conntrack("new", CONTROL);
	assert.deepEqual(node.log, ["+0"]);
	const orig = { ...CONTROL.orig, dport: 2121 };
	node.expectation("new", { ...HOLE, master: { ...HOLE.master, dport: 2121 } });
	node.conntrack("new", { ...CONTROL, orig });
	assert.deepEqual([node.log, node.router.filtered], [["+0"], 2]);
});

test("whoever waits too long is given up, and so is the oldest when too many wait", () => {
	node.expectation("new", HOLE);
	node.now = 6000;
	node.expectation("new", { ...HOLE, dport: 1 });
	assert.equal(node.masters.givenUp, 1);
	for (let dport = 2; dport <= 1025; dport++) node.expectation("new", { ...HOLE, dport });
	assert.equal(node.masters.givenUp, 2);
	node.conntrack("new", CONTROL);
	assert.equal(node.internal[EXPECTATION].store.live, 1024);
});

test("a master in a zone is found, and its expectation is held in that zone until its end", () => {
	node.conntrack("new", { ...inZone(9), orig: { ...CONTROL.orig, sport: 5 } });
	node.conntrack("new", inZone(7));
	node.expectation("new", HOLE);
	assert.deepEqual([node.zones(), node.announced], [[7], [7]]);
	// the kernel ends the master first
	node.conntrack("destroy", inZone(7));
	node.expectation("destroy", HOLE);
	assert.deepEqual(node.zones(), []);
	assert.deepEqual(node.log.slice(-2), ["-0", "-1"]);
});

test("of masters in several zones the one with a helper is meant; two with a helper are one too many", () => {
	const { helper: _, ...plain } = CONTROL;
	node.conntrack("new", plain);
	node.conntrack("new", { ...inZone(3), helper: undefined! });
	node.conntrack("new", inZone(4));
	node.expectation("new", HOLE);
	assert.deepEqual([node.zones(), node.masters.ambiguous], [[4], 0]);
	node.conntrack("new", inZone(5));
	node.expectation("new", { ...HOLE, dport: 9 });
	assert.deepEqual(node.zones(), [4]);
	assert.ok(node.masters.ambiguous > 0);
});

test("the end of one of two expectations with the same tuple in different zones is that of the one with its id", () => {
	node.conntrack("new", inZone(4));
	node.expectation("new", { ...HOLE, id: 4 });
	node.conntrack("destroy", inZone(4));
	node.conntrack("new", inZone(5));
	node.expectation("new", { ...HOLE, id: 5 });
	assert.deepEqual(node.zones(), [4, 5]);
	const ended = expectationToRecord({ ...HOLE, id: 5 }, node.names);
	assert.equal(ended[EXP_ID], 5);
	node.router.expectation("destroy", ended, 0);
	assert.deepEqual(node.zones(), [4]);
});

test("the expectations of a conntrack that we flush are withdrawn with it; those of its successor end", () => {
	node.conntrack("new", CONTROL);
	node.expectation("new", HOLE);
	node.log.length = 0;
	node.conntrack("destroy", CONTROL, FLUSH_PORT);
	node.expectation("destroy", HOLE, 0);
	assert.deepEqual(node.log, ["~0", "~1"]);
	node.conntrack("new", CONTROL);
	node.expectation("new", HOLE);
	node.log.length = 0;
	node.expectation("destroy", HOLE, 0);
	assert.deepEqual(node.log, ["-1"]);
});

test("of masters with one tuple in several zones, that of the expectation's zone is found for a commit", () => {
	const node = new Node();
	const conntracks = node.internal[CONNTRACK];
	for (const [zone, dst] of [
		[0, "203.0.113.1"],
		[7, "203.0.113.7"],
	] as const) {
		const master = { ...CONTROL, zoneOrig: zone, zoneReply: zone, reply: { ...CONTROL.reply!, dst } };
		conntracks.apply(conntrackToRecord(master, node.names), true, 0);
	}
	const reply = (zone: number): string | undefined => {
		const record = expectationToRecord({ ...HOLE, zone }, node.names);
		const master = node.masters.findInZone(record);
		return master && conntrackFromRecord(master, node.names).reply!.dst;
	};
	assert.equal(node.masters.find(expectationToRecord(HOLE, node.names)), undefined);
	assert.deepEqual([0, 7, 8].map(reply), ["203.0.113.1", "203.0.113.7", undefined]);
});
