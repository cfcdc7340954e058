// The router with everything that stands before the cache, and a clock that the test moves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { newInternalCaches } from "./cache/internal-cache.ts";
import { CREATED, UPDATED } from "./cache/record-layout.ts";
import { type Conntrack, conntrackFromRecord, conntrackToRecord } from "./conntrack/conntrack.ts";
import { CONNTRACK } from "./conntrack/kind.ts";
import { labelMask } from "./conntrack/labels.ts";
import { NameTable } from "./conntrack/names.ts";
import { H_LABELS, H_WHOLE, HAS, LABELS } from "./conntrack/record.ts";
import { type ConntrackPolicy, ConntrackRules } from "./conntrack-rules.ts";
import { EventRouter, type RouterOptions } from "./event-router.ts";
import { OwnConnections } from "./own-connections.ts";
import type { Clock } from "./system/clock.ts";
import { YoungEntries } from "./young-entries.ts";

const FLUSH_PORT = 77;
const names = new NameTable();

interface Made {
	labels?: number[];
	/** An answer to a question: what is not in it the entry does not have. */
	isWhole?: boolean;
}

function flow(change: Partial<Conntrack> = {}, { labels, isWhole }: Made = {}): Int32Array {
	const record = conntrackToRecord(
		{
			family: "ipv4",
			protocol: 6,
			zoneOrig: 0,
			zoneReply: 0,
			orig: { src: "10.0.0.1", dst: "192.0.2.9", sport: 1000, dport: 80 },
			reply: { src: "192.0.2.9", dst: "10.0.0.1", sport: 80, dport: 1000 },
			status: 0xe,
			timeout: 100,
			...change,
		},
		names,
	);
	if (labels) {
		record.set(labelMask(labels), LABELS);
		record[HAS]! |= H_LABELS;
	}
	if (isWhole) record[HAS]! |= H_WHOLE;
	return record;
}
const ESTABLISHED = {
	state: "ESTABLISHED",
	scaleOrig: 7,
	scaleReply: 7,
	flagsOrig: 3,
	flagsReply: 3,
} as const;

class Node {
	readonly told: string[] = [];
	readonly asked: number[] = [];
	readonly rounds: boolean[] = [];
	readonly own = new Set<number>();
	readonly ownEver = new Set<number>();
	/** DisableInternalCache: what is wanted of the kernel, which this answers. */
	kernel: Int32Array[] = [];
	readonly #caches = newInternalCaches(1, 100);
	readonly cache = this.#caches.conntracks;
	readonly young: YoungEntries | undefined;
	readonly sweep: OwnConnections;
	readonly rules: ConntrackRules;
	readonly router: EventRouter;
	now = 0;
	#timers: { at: number; callback: () => void }[] = [];
	readonly clock: Clock = {
		now: () => this.now * 1000,
		after: (milliseconds, callback) => {
			const timer = { at: this.now * 1000 + milliseconds, callback };
			this.#timers.push(timer);
			return () => {
				this.#timers = this.#timers.filter((other) => other !== timer);
			};
		},
		pause: async () => {},
		wall: () => new Date(0),
	};

	constructor(policy: ConntrackPolicy, minimumAge?: number, limit = 100, isPassing = false) {
		this.cache.listener = {
			changed: (slot) => {
				const record = new Int32Array(this.cache.store.layout.recordWords);
				this.cache.store.read(slot, record);
				const { tcp, mark = 0 } = conntrackFromRecord(record, names);
				this.told.push(`${mark} ${tcp?.state ?? "-"}`);
			},
			destroyed: (slot) => {
				this.told.push(this.cache.store.isWithdrawn(slot) ? "withdrawn" : "gone");
				this.cache.forget(slot);
			},
		};
		if (minimumAge !== undefined) {
			this.young = new YoungEntries({
				minimumAge,
				limit,
				seed: 1,
				clock: this.clock,
				full: () => void this.told.push("full"),
				matured: (record, created, updated) => this.router.matured(record, created, updated),
				roundEnd: (hasHelper) => void this.rounds.push(hasHelper),
			});
		}
		const firstWord = (set: Set<number>) => ({
			has: (words: Int32Array, at: number) => set.has(words[at]!),
		});
		this.rules = new ConntrackRules({
			policy,
			own: [],
			addresses: { ...firstWord(this.own), hadEver: firstWord(this.ownEver).has },
			stores: () => (this.young ? [this.cache.store, this.young.store] : [this.cache.store]),
		});
		this.sweep = new OwnConnections({
			clock: this.clock,
			cache: this.cache,
			isOwn: (record) => this.rules.isOwn(record),
			ended: () => void this.told.push("pump"),
		});
		this.router = new EventRouter({
			internal: [this.cache, this.#caches.expectations],
			passes: (kind, record) => kind === CONNTRACK && this.rules.passes(record),
			rules: this.rules,
			...(this.young && { young: this.young }),
			...(isPassing && {
				lookup: {
					want: (record) => void this.asked.push(record[3]! & 0xffff),
					forget: () => {},
					ask: () => {},
					flush: (found) => {
						for (const record of this.kernel.splice(0)) found(record);
						return false;
					},
				},
			}),
			query: { want: (record) => void this.asked.push(record[3]! & 0xffff), flush: () => false },
			masters: {
				find: () => undefined,
				arrived: () => [],
				isAwaited: false,
			} as unknown as RouterOptions["masters"],
			flushPort: FLUSH_PORT,
			clock: this.clock,
			ended: () => {},
			announced: () => {},
			helped: () => {},
			seen: () => {},
			changed: () => {},
			overrun: () => {},
		});
	}

	event(kind: "new" | "update" | "destroy", record: Int32Array, port = 0): void {
		this.router.conntrack(kind, record, port);
		this.router.batchEnd();
	}

	dump(records: readonly Int32Array[], isWithdrawal = false): Promise<void> {
		const read = async (): Promise<void> => {
			for (const record of records) {
				if (this.router.isDumped(CONNTRACK, record)) this.cache.applyDumped(record, this.now);
			}
		};
		this.cache.beginResync();
		const done = this.young ? this.young.compare(read) : read();
		return done.then(() => void this.cache.sweepResync(0, 1000, this.now, isWithdrawal));
	}

	/** So many seconds pass. */
	async pass(seconds: number): Promise<void> {
		const end = this.now + seconds;
		for (;;) {
			const next = this.#timers.toSorted((a, b) => a.at - b.at)[0];
			if (!next || next.at > end * 1000) break;
			this.#timers = this.#timers.filter((other) => other !== next);
			this.now = next.at / 1000;
			next.callback();
			await new Promise((resolve) => setImmediate(resolve));
		}
		this.now = end;
	}

	take(): string[] {
		return this.told.splice(0);
	}
}

const MARKED: ConntrackPolicy = { mark: { accept: true, marks: [{ value: 0x10, mask: 0xf0 }] } };

test("a connection that gets a mark that counts is told whole, one that loses it is gone", () => {
	const node = new Node(MARKED);
	node.event("new", flow());
	node.event("update", flow({ tcp: ESTABLISHED }));
	assert.deepEqual([node.take(), node.asked], [[], []]);
	// the event of a mark says nothing of the state
	node.event("update", flow({ mark: 0x13 }));
	assert.deepEqual(node.asked, [1000]);
	node.router.refreshed(flow({ mark: 0x13, tcp: ESTABLISHED }, { isWhole: true }));
	assert.deepEqual(node.take(), ["19 -", "19 ESTABLISHED"]);
	node.event("update", flow({ mark: 0x1f }));
	assert.deepEqual([node.take(), node.asked.length], [["31 ESTABLISHED"], 1], "it is known now");
	node.event("update", flow({ mark: 0x20 }));
	assert.deepEqual(node.take(), ["gone"]);
	node.event("destroy", flow({ mark: 0x20 }));
	assert.deepEqual([node.take(), node.cache.store.count], [[], 0]);
});

test("a mark that is taken away altogether is 0: the kernel leaves it out", () => {
	const node = new Node(MARKED);
	node.event("new", flow({ mark: 0x10 }));
	node.event("update", flow());
	assert.deepEqual(node.take(), ["16 -", "gone"]);
});

test("what an operator or a program changes counts as well; a flush still withdraws", () => {
	const node = new Node(MARKED);
	node.event("new", flow({ mark: 0x10 }));
	node.event("update", flow({ mark: 1 }), 4711);
	node.event("update", flow({ mark: 0x10 }), 4711);
	node.event("destroy", flow({ mark: 0x10 }), FLUSH_PORT);
	assert.deepEqual(node.take(), ["16 -", "gone", "16 -", "withdrawn"]);
});

test("an answer that does not pass takes back what was taken on trust", () => {
	const node = new Node({ ...MARKED, label: { accept: true, labels: [5] } });
	node.event("new", flow({ mark: 0x10 }));
	assert.deepEqual([node.take(), node.asked], [["16 -"], [1000]], "perhaps it has had its label for long");
	node.router.refreshed(flow({ mark: 0x10 }, { isWhole: true }));
	assert.deepEqual(node.take(), ["gone"]);
	node.event("new", flow({ mark: 0x10 }, { labels: [5] }));
	node.event("update", flow({ mark: 0x11 }));
	assert.deepEqual([node.take(), node.asked.length], [["16 -", "17 -"], 1], "the cache knows the label");
	node.event("update", flow({ mark: 0x11 }, { labels: [6] }));
	assert.deepEqual(node.take(), ["gone"]);
});

test("with labels alone nobody is asked: who is not held has none that counts", () => {
	const node = new Node({ label: { accept: true, labels: [5] } });
	node.event("new", flow());
	node.event("update", flow({ tcp: ESTABLISHED }));
	assert.deepEqual([node.take(), node.asked], [[], []]);
	node.event("update", flow({}, { labels: [5] }));
	assert.deepEqual([node.take(), node.asked], [["0 -"], [1000]]);
});

test("a dump finds what has changed unheard of, and after a flush, too, it is gone and not withdrawn", async () => {
	for (const isWithdrawal of [false, true]) {
		const node = new Node(MARKED);
		node.event("new", flow({ mark: 0x10 }));
		await node.dump([flow({ mark: 0x20 })], isWithdrawal);
		await node.dump([flow({ mark: 0x10, tcp: ESTABLISHED })]);
		assert.deepEqual(node.take(), ["16 -", "gone", "16 ESTABLISHED"]);
	}
});

test("a connection is told when it is old enough, as it is then; what ends before is told to nobody", async () => {
	const node = new Node({}, 10);
	const other = { orig: { src: "10.0.0.1", dst: "192.0.2.9", sport: 7, dport: 80 } };
	node.now = 100;
	node.event("new", flow());
	node.event("new", flow(other));
	await node.pass(4);
	node.event("update", flow({ tcp: ESTABLISHED, helper: "ftp" }));
	node.event("destroy", flow(other));
	await node.pass(5);
	assert.deepEqual([node.take(), node.young!.size], [[], 1]);
	await node.pass(2);
	assert.deepEqual([node.take(), node.young!.size, node.rounds], [["0 ESTABLISHED"], 0, [true]]);
	const slot = node.cache.store.find(flow());
	assert.equal(node.cache.store.header(slot, CREATED), 100);
	assert.equal(node.cache.store.header(slot, UPDATED), 104);
	// from now on it is like any other
	node.event("update", flow({ mark: 3 }));
	node.event("destroy", flow());
	assert.deepEqual([node.take(), node.cache.store.count], [["3 ESTABLISHED", "gone"], 0]);
	assert.equal(node.cache.counters.destroyNotFound, 0);
});

test("a tuple that is used again is another connection, and young again", async () => {
	const node = new Node({}, 10);
	node.event("new", flow());
	await node.pass(11);
	assert.deepEqual(node.take(), ["0 -"]);
	node.event("new", flow({ mark: 9 }));
	assert.deepEqual(node.take(), ["gone"]);
	await node.pass(11);
	assert.deepEqual(node.take(), ["9 -"]);
});

test("the first dump is old enough; what a later one finds is not, and what it misses is forgotten", async () => {
	const node = new Node({}, 10);
	const numbered = (sport: number) => flow({ orig: { src: "10.0.0.1", dst: "192.0.2.9", sport, dport: 80 } });
	node.event("new", numbered(1));
	await node.dump([numbered(1), numbered(2)]);
	assert.deepEqual([node.take(), node.young!.size], [["0 -"], 1]);
	node.event("new", numbered(3));
	await node.dump([numbered(2), numbered(4), numbered(3)]);
	assert.deepEqual([node.take(), node.young!.size], [[], 2], "1 has ended, 3 and 4 are young");
	await node.pass(11);
	assert.deepEqual(node.take(), ["0 -", "0 -"]);
});

test("one that finds no room among the young is told at once", () => {
	const node = new Node({}, 10, 1);
	node.event("new", flow());
	node.event("new", flow({ orig: { src: "10.0.0.1", dst: "192.0.2.9", sport: 7, dport: 80 }, mark: 5 }));
	assert.deepEqual([node.take(), node.young!.overflows], [["full", "5 -"], 1]);
});

test("a mark that does not count any more ends youth as well", async () => {
	const node = new Node(MARKED, 10);
	node.event("new", flow({ mark: 0x10 }));
	await node.pass(5);
	node.event("update", flow({ mark: 0x20 }));
	assert.equal(node.young!.size, 0);
	node.event("update", flow({ mark: 0x10 }));
	await node.pass(9);
	assert.deepEqual(node.take(), [], "its age is what has been seen of it under this mark");
	await node.pass(2);
	assert.deepEqual(node.take(), ["16 -"]);
});

test("own connections go when the address comes, and those it leaves behind do not come back by a dump", async () => {
	const node = new Node({ ownConnections: "Ignore" });
	const server = flow()[13]!;
	node.event("new", flow());
	assert.deepEqual(node.take(), ["0 -"]);
	node.own.add(server);
	node.ownEver.add(server);
	node.sweep.changed();
	node.sweep.changed();
	await node.pass(1);
	assert.deepEqual(node.take(), ["gone", "pump"]);
	node.event("update", flow({ mark: 1 }));
	await node.dump([flow()]);
	assert.deepEqual(node.take(), []);
	node.own.delete(server);
	await node.dump([flow()]);
	assert.deepEqual(node.take(), [], "nobody's");
	node.event("update", flow({ mark: 2 }));
	assert.deepEqual([node.take(), node.asked], [["2 -"], [1000]], "a packet says that it is forwarded");
	const plain = new Node({});
	plain.own.add(server);
	plain.event("new", flow());
	assert.deepEqual(plain.take(), ["0 -"], "unless they are to be ignored they count");
});

test("where conntracks are not kept, whatever a peer may hold and does not count any more is ended", () => {
	const node = new Node(MARKED, undefined, 100, true);
	node.event("new", flow({ mark: 0x10 }));
	assert.deepEqual(node.take(), ["16 -"]);
	node.cache.release(node.cache.store.find(flow()));
	node.event("update", flow({ mark: 0x20 }));
	assert.deepEqual(node.take(), ["gone"]);
	node.event("update", flow({ mark: 0x11 }));
	node.kernel = [flow({ mark: 0x11, tcp: ESTABLISHED }, { isWhole: true })];
	node.router.batchEnd();
	assert.deepEqual(node.take(), ["17 ESTABLISHED"], "and what comes is asked for, whole");
	node.cache.release(node.cache.store.find(flow()));
	node.event("destroy", flow());
	assert.deepEqual(node.take(), ["gone"]);
});
