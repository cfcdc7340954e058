// Direct injection against a real kernel's table: what a peer tells, what this kernel then has, and what is told back.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { ConntrackLayout } from "./cache/conntrack-layout.ts";
import { ExpectationLayout } from "./cache/expectation-layout.ts";
import { ExternalCache } from "./cache/external-cache.ts";
import { type InternalCaches, newInternalCaches } from "./cache/internal-cache.ts";
import { RecordStore } from "./cache/record-store.ts";
import { replicated, replicatedExpectations } from "./commit/failover-kit.ts";
import { Injection } from "./commit/injection.ts";
import { KernelTables } from "./commit/kernel-tables.ts";
import type { Refusal } from "./commit/messages.ts";
import {
	type Conntrack,
	conntrackFromRecord,
	conntrackToRecord,
	type Expectation,
	expectationToRecord,
} from "./conntrack/conntrack.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "./conntrack/kind.ts";
import { NameTable } from "./conntrack/names.ts";
import { EventRouter } from "./event-router.ts";
import { ExpectationMasters } from "./expectation-masters.ts";
import { EventListener } from "./netlink/event-listener.ts";
import { CONTROL, EXPECTATION as HOLE, MASTER, TCP, UDP, udpEntries } from "./netlink/kernel-cases.ts";
import { type Clock, systemClock } from "./system/clock.ts";
import { loadNative } from "./system/native.ts";
import { isInPrivateNetwork } from "./system/private-network.ts";

const SEED = 4711;
const LIMIT = 200_000;

/** The data connection that HOLE lets in. */
const DATA: Conntrack = {
	...TCP,
	orig: { src: HOLE.src!, dst: HOLE.dst!, sport: 20, dport: HOLE.dport! },
	reply: { src: HOLE.dst!, dst: HOLE.src!, sport: HOLE.dport!, dport: 20 },
	status: 0xf,
	master: MASTER,
};
const SNAT: Conntrack = { ...TCP, reply: { ...TCP.reply, dst: "203.0.113.9", dport: 2000 }, status: 0x19e };

/** The receiving node: everything between a peer's cache and the kernel, with a clock that stands still by itself. */
class Node {
	readonly names = new NameTable();
	readonly internal: InternalCaches = newInternalCaches(SEED, LIMIT);
	readonly external: readonly [ExternalCache, ExternalCache];
	readonly kernel: KernelTables;
	readonly injection: Injection;
	readonly router: EventRouter;
	readonly refusals: Refusal[] = [];
	readonly peer: {
		external: readonly [ExternalCache, ExternalCache];
		isUp: boolean;
		epochTag: number;
		isReceivingBulk: boolean;
		state: { isPrimary: boolean };
	};
	/** Slots of the internal cache that the peers are to hear of. */
	told = 0;
	/** Calls into the kernel. */
	calls = 0;
	isPrimary = false;
	isCommitting = false;
	termBegan = Number.POSITIVE_INFINITY;
	/** The rule by which every expectation is refused; 0: none is. */
	rule = 0;
	readonly #listener: EventListener;
	#now = systemClock.now();
	#version = 0;

	constructor() {
		const real = loadNative();
		const native = {
			...real,
			send: (...args: Parameters<typeof real.send>) => {
				this.calls++;
				return real.send(...args);
			},
		};
		const clock: Clock = { ...systemClock, now: () => this.#now };
		const { conntracks, expectations } = this.internal;
		const internal = [conntracks, expectations] as const;
		for (const cache of internal) {
			cache.listener = {
				changed: () => void this.told++,
				destroyed: (slot) => {
					this.told++;
					cache.forget(slot);
				},
			};
		}
		this.external = [
			new ExternalCache(new RecordStore(new ConntrackLayout(), SEED), LIMIT),
			new ExternalCache(new RecordStore(new ExpectationLayout(), SEED, 64), LIMIT),
		];
		this.peer = {
			external: this.external,
			isUp: true,
			epochTag: 1,
			isReceivingBulk: false,
			state: { isPrimary: false },
		};
		this.kernel = new KernelTables(real, systemClock, this.names);
		this.injection = new Injection({
			native,
			names: this.names,
			clock,
			internal,
			windowTracking: false,
			termBegan: () => this.termBegan,
			isPrimary: () => this.isPrimary,
			isCommitting: () => this.isCommitting,
			drain: () => this.#listener.drain(),
			pump: () => {},
			policy: () => () => this.rule,
			refused: (_, refusal) => void this.refusals.push(refusal),
			failed: (error) => assert.fail(error),
		});
		this.injection.follow(this.peer);
		this.router = new EventRouter({
			internal,
			passes: () => true,
			masters: new ExpectationMasters(internal, clock),
			injection: this.injection,
			flushPort: -1,
			clock,
			ended: () => {},
			announced: () => {},
			helped: () => {},
			seen: () => {},
			changed: () => {},
			overrun: () => assert.fail("events were lost"),
		});
		this.#listener = new EventListener({
			native: real,
			clock: systemClock,
			names: this.names,
			handler: this.router,
			expectations: true,
			receiveBuffer: 16 << 20,
			reliable: false,
			ignorePorts: [this.injection.port],
		});
	}

	close(): void {
		this.kernel.flush();
		this.injection.close();
		this.#listener.close();
		this.kernel.close();
	}

	/** Seconds pass, here and not in the kernel. */
	pass(seconds: number): void {
		this.#now += seconds * 1000;
	}

	tell(...conntracks: Conntrack[]): void {
		for (const conntrack of conntracks) {
			this.external[CONNTRACK].set(this.record(conntrack), ++this.#version, this.#seconds);
		}
	}

	tellExpectation(expectation: Expectation): void {
		this.external[EXPECTATION].set(
			expectationToRecord(expectation, this.names),
			++this.#version,
			this.#seconds,
		);
	}

	tellEnd(...conntracks: Conntrack[]): void {
		for (const conntrack of conntracks) {
			this.external[CONNTRACK].delete(this.record(conntrack), ++this.#version, 0, this.#seconds);
		}
	}

	/** A packet of this connection passes, and the kernel tells so. */
	packet(conntrack: Conntrack, event: "new" | "update" = "update"): void {
		this.router.conntrack(event, this.record(conntrack), 0);
	}

	/** Everything that was told has been written, and every event has been heard. */
	async settle(): Promise<void> {
		for (let i = 0; i < 3; i++) await systemClock.pause();
		for (;;) {
			this.injection.work();
			if (this.injection.waiting === 0 || this.refusals.length > 0) break;
			await systemClock.pause();
		}
		await systemClock.pause();
		this.#listener.drain();
	}

	async inKernel(): Promise<Conntrack[]> {
		return this.kernel.conntracks();
	}

	/** The internal cache's conntracks. */
	own(): Conntrack[] {
		const { store } = this.internal.conntracks;
		const out: Conntrack[] = [];
		const record = new Int32Array(store.layout.recordWords);
		for (let slot = 0; slot < store.end; slot++) {
			if (!store.isLive(slot)) continue;
			store.read(slot, record);
			out.push(conntrackFromRecord(record, this.names));
		}
		return out;
	}

	record(conntrack: Conntrack): Int32Array {
		return conntrackToRecord(conntrack, this.names);
	}

	isForeign(kind: Kind, record: Int32Array): boolean {
		return this.injection.isForeign(kind, record);
	}

	get #seconds(): number {
		return Math.floor(this.#now / 1000);
	}
}

if (isInPrivateNetwork(import.meta.url)) {
	let node: Node;
	beforeEach(() => {
		node = new Node();
	});
	afterEach(() => node.close());

	const has = async (...expected: Conntrack[]): Promise<void> => {
		assert.deepEqual(replicated(await node.inKernel()), replicated(expected));
	};
	/** The entry is in the kernel before long. */
	const comes = async (entry: Conntrack): Promise<void> => {
		const until = systemClock.now() + 10_000;
		while (node.kernel.get(entry) === "ENOENT" && systemClock.now() < until) {
			await new Promise((resolve) => systemClock.after(20, () => resolve(undefined)));
		}
		await has(entry);
	};
	const counts = () => node.injection.counters[CONNTRACK];

	test("what is told is in the kernel at the end of the turn, and is not told back", async () => {
		node.tell(SNAT);
		await Promise.resolve();
		await has(SNAT);
		const further: Conntrack = { ...SNAT, tcp: { ...TCP.tcp, state: "FIN_WAIT" }, mark: 7 };
		node.tell(further);
		await node.settle();
		await has(further);
		node.tell({ ...further, mark: 0 });
		await node.settle();
		await has({ ...further, mark: 0 });
		node.tellEnd(further);
		await node.settle();
		await has();
		assert.deepEqual(node.own(), []);
		assert.equal(node.told, 0, "no echo");
		assert.deepEqual([counts().created, counts().updated, counts().destroyed], [1, 2, 1]);
	});

	test("masters come before what hangs from them, in whatever order they are told", async () => {
		node.tellExpectation(HOLE);
		node.tell(DATA, CONTROL);
		await node.settle();
		await has(DATA, CONTROL);
		assert.deepEqual(
			replicatedExpectations(await node.kernel.expectations()),
			replicatedExpectations([HOLE]),
		);
		assert.deepEqual(node.refusals, []);
		assert.equal(node.told, 0);
	});

	test("an expectation that the policy forbids never gets into the kernel", async () => {
		node.rule = 7;
		node.tell(CONTROL);
		node.tellExpectation(HOLE);
		await node.settle();
		assert.deepEqual(await node.kernel.expectations(), []);
		node.rule = 0;
		node.tellExpectation({ ...HOLE, timeout: HOLE.timeout! - 1 });
		await node.settle();
		assert.equal((await node.kernel.expectations()).length, 1);
	});

	test("an expectation that ends at the peer ends here", async () => {
		node.tell(CONTROL);
		node.tellExpectation(HOLE);
		await node.settle();
		node.external[EXPECTATION].delete(expectationToRecord(HOLE, node.names), 1000, 0, 0);
		await node.settle();
		assert.deepEqual(await node.kernel.expectations(), []);
	});

	test("a storm costs a call for hundreds of entries, and what is told again costs none", async () => {
		const storm = udpEntries(20_000);
		node.tell(...storm);
		await node.settle();
		assert.equal((await node.inKernel()).length, storm.length);
		assert.ok(node.calls < storm.length / 100, `${node.calls} calls`);
		node.calls = 0;
		node.tell(...storm);
		await node.settle();
		assert.equal(node.calls, 0);
		node.tell(...storm.map((one) => ({ ...one, mark: 1 })));
		node.tellEnd(...storm.slice(0, 10_000));
		await node.settle();
		assert.equal((await node.inKernel()).length, 10_000);
		assert.ok(node.calls < storm.length / 100, `${node.calls} calls`);
		assert.equal(node.told, 0);
	});

	test("a commit that is under way holds the injection up", async () => {
		node.isCommitting = true;
		node.tell(TCP);
		for (let i = 0; i < 3; i++) await systemClock.pause();
		await has();
		node.isCommitting = false;
		await node.settle();
		await has(TCP);
	});

	test("a packet makes an entry this node's own, with all that the peer has told", async () => {
		node.tell(CONTROL);
		await node.settle();
		const { helper: _, ...event } = CONTROL;
		node.packet({ ...event, tcp: { ...TCP.tcp, state: "FIN_WAIT" } });
		assert.deepEqual(
			node.own().map(({ helper, tcp }) => [helper, tcp?.state]),
			[["ftp", "FIN_WAIT"]],
		);
		assert.ok(node.told > 0, "and the peer hears of it");
	});

	test("the end of an entry that has seen packets here is not its end", async () => {
		node.tell(TCP);
		await node.settle();
		node.packet(TCP);
		node.tellEnd(TCP);
		await node.settle();
		await has(TCP);
		assert.equal(counts().kept, 1);
	});

	test("nor of one that packets have prolonged in silence", async () => {
		const stream: Conntrack = { ...UDP, timeout: 100 };
		node.tell(stream, TCP);
		await node.settle();
		// the kernel's clock stands still: 100 s are left where there should be 50
		node.pass(50);
		node.tellEnd(stream);
		await node.settle();
		await has(stream, TCP);
		assert.deepEqual(replicated(node.own()), replicated([stream]));
	});

	test("a left-over becomes the peer's, and is not told of any more", async () => {
		assert.equal(node.kernel.create({ ...TCP, mark: 5 }), "ok");
		await node.settle();
		assert.equal(node.own().length, 1);
		node.pass(10);
		const now: Conntrack = { ...TCP, tcp: { ...TCP.tcp, state: "SYN_SENT" } };
		node.tell(now);
		await node.settle();
		await has({ ...now, mark: 0 });
		assert.deepEqual(node.own(), []);
		node.tellEnd(now);
		await node.settle();
		await has();
	});

	test("an entry that is alive here is joined", async () => {
		node.termBegan = -1;
		assert.equal(node.kernel.create({ ...TCP, mark: 5 }), "ok");
		await node.settle();
		node.pass(10);
		node.tell({ ...TCP, tcp: { ...TCP.tcp, state: "SYN_SENT" }, mark: 1 });
		await node.settle();
		await has({ ...TCP, mark: 5 });
		node.tellEnd(TCP);
		await node.settle();
		await has({ ...TCP, mark: 5 });
	});

	test("what a bulk says of an entry that is alive here may be of long ago", async () => {
		node.termBegan = -1;
		assert.equal(node.kernel.create(TCP), "ok");
		await node.settle();
		node.pass(10);
		node.peer.isReceivingBulk = true;
		node.tell({ ...TCP, tcp: { ...TCP.tcp, state: "TIME_WAIT" } });
		await node.settle();
		await has(TCP);
	});

	test("a node in charge takes nothing from the bulk of one that is not", async () => {
		node.isPrimary = true;
		node.peer.isReceivingBulk = true;
		node.tell(TCP);
		await node.settle();
		await has();
		node.peer.isReceivingBulk = false;
		node.tell({ ...TCP, mark: 3 });
		await node.settle();
		await has({ ...TCP, mark: 3 });
	});

	test("whose reply tuple is taken comes when it is free", async () => {
		const other: Conntrack = { ...SNAT, orig: { ...SNAT.orig, sport: 1001 } };
		node.termBegan = -1;
		assert.equal(node.kernel.create(other), "ok");
		await node.settle();
		node.tell(SNAT);
		await node.settle();
		await has(other);
		// once, and more often on a slow machine: it is tried again meanwhile
		assert.ok(node.refusals.length > 0 && node.refusals.every(({ cause }) => cause === "reply tuple"));
		assert.equal(counts().createFailed, node.refusals.length);
		assert.equal(node.injection.waiting, 1);
		node.kernel.delete(other);
		await comes(SNAT);
		assert.equal(node.injection.waiting, 0);
	});

	test("a port that the peer has given to another connection changes hands before the end is told", async () => {
		const next: Conntrack = { ...SNAT, orig: { ...SNAT.orig, sport: 1001 } };
		node.tell(SNAT);
		await node.settle();
		node.tell(next);
		await node.settle();
		await has(next);
		node.tellEnd(SNAT);
		await node.settle();
		await has(next);
		assert.deepEqual(node.refusals, []);
	});

	test("another connection with the same tuple takes the old one's place", async () => {
		node.tell(SNAT);
		await node.settle();
		const next: Conntrack = { ...SNAT, reply: { ...SNAT.reply!, dport: 2001 } };
		node.tell(next);
		await node.settle();
		await has(next);
	});

	test("what this kernel drops by itself comes back while the peer has it", async () => {
		node.tell(TCP);
		await node.settle();
		// as the kernel tells of a timeout
		node.kernel.delete(TCP);
		node.router.conntrack("destroy", node.record(TCP), 0);
		await has();
		await comes(TCP);
		node.peer.isUp = false;
		node.kernel.delete(TCP);
		node.router.conntrack("destroy", node.record(TCP), 0);
		await new Promise((resolve) => systemClock.after(1100, () => resolve(undefined)));
		await has();
		assert.equal(node.told, 0);
	});

	test("a helper that this kernel does not know costs the helper", async () => {
		node.tell({ ...CONTROL, helper: "no-such-helper" });
		await node.settle();
		assert.equal((await node.inKernel())[0]?.helper, undefined);
		assert.equal((await node.inKernel()).length, 1);
	});

	test("a dump does not make a peer's entry this node's own, unless packets have prolonged it", async () => {
		const stream: Conntrack = { ...UDP, timeout: 100 };
		node.tell(stream);
		await node.settle();
		assert.ok(node.isForeign(CONNTRACK, node.record(stream)));
		assert.ok(!node.isForeign(CONNTRACK, node.record(TCP)), "nobody's");
		node.pass(50);
		assert.ok(node.isForeign(CONNTRACK, node.record({ ...stream, timeout: 50 })));
		assert.ok(!node.isForeign(CONNTRACK, node.record({ ...stream, timeout: 100 })));
	});

	test("what a request of somebody's has made of a peer's entry is not told", async () => {
		node.tell(TCP);
		await node.settle();
		assert.equal(node.kernel.update({ ...TCP, mark: 9 }), "ok");
		await node.settle();
		assert.equal(node.told, 0);
		assert.deepEqual(node.own(), []);
	});

	test("flushes and sweeps: an operator's leave the kernel alone, a bulk's do not", async () => {
		node.tell(TCP, UDP, SNAT_OF_ANOTHER);
		await node.settle();
		const [external] = node.external;
		external.withdraw(node.record(TCP), 100, 0, 0);
		external.beginGeneration();
		node.peer.isReceivingBulk = true;
		external.set(node.record(SNAT_OF_ANOTHER), 3, 0);
		assert.equal(external.sweep(0, 1000), -1);
		await node.settle();
		await has(TCP, SNAT_OF_ANOTHER);
		external.drop(external.store.find(node.record(SNAT_OF_ANOTHER)));
		await node.settle();
		await has(TCP, SNAT_OF_ANOTHER);
	});

	test("a node that gives its entries up hands them over to the peer", async () => {
		assert.equal(node.kernel.create({ ...TCP, mark: 5 }), "ok");
		await node.settle();
		node.tell({ ...TCP, mark: 1 });
		await node.settle();
		assert.ok(node.injection.handOver(node.record(TCP)));
		assert.ok(!node.injection.handOver(node.record(UDP)));
		await node.settle();
		await has({ ...TCP, mark: 1 });
		assert.deepEqual(node.own(), []);
	});
}

const SNAT_OF_ANOTHER: Conntrack = {
	...SNAT,
	orig: { ...SNAT.orig, sport: 1001 },
	reply: { ...SNAT.reply!, dport: 2001 },
};
