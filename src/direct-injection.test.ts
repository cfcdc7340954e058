// Direct injection against a real kernel's table: what a peer tells, what this kernel then has, and what is told back.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { replicated, replicatedExpectations } from "./commit/failover-kit.ts";
import { type Conntrack, expectationToRecord } from "./conntrack/conntrack.ts";
import { CONNTRACK, EXPECTATION } from "./conntrack/kind.ts";
import { InjectingNode } from "./injection-kit.ts";
import { CONTROL, EXPECTATION as HOLE, MASTER, TCP, UDP, udpEntries } from "./netlink/kernel-cases.ts";
import { systemClock } from "./system/clock.ts";
import { isInPrivateNetwork } from "./system/private-network.ts";

/** The data connection that HOLE lets in. */
const DATA: Conntrack = {
	...TCP,
	orig: { src: HOLE.src!, dst: HOLE.dst!, sport: 20, dport: HOLE.dport! },
	reply: { src: HOLE.dst!, dst: HOLE.src!, sport: HOLE.dport!, dport: 20 },
	status: 0xf,
	master: MASTER,
};
const SNAT: Conntrack = { ...TCP, reply: { ...TCP.reply, dst: "203.0.113.9", dport: 2000 }, status: 0x19e };

if (isInPrivateNetwork(import.meta.url)) {
	let node: InjectingNode;
	beforeEach(() => {
		node = new InjectingNode();
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

	test("what the kernel could not be told is told again, the ends, too", async () => {
		const [first, ...others] = udpEntries(1000);
		node.tell(first!, ...others);
		await node.settle();
		node.refusedCalls = 1;
		node.tellEnd(...others);
		await node.settle();
		assert.equal(node.refusedCalls, 0);
		await has(first!);
		assert.equal(counts().destroyed, others.length);
	});

	test("so is an expectation", async () => {
		node.tell(CONTROL);
		await node.settle();
		node.refusedCalls = 1;
		node.tellExpectation(HOLE);
		for (let i = 0; node.refusedCalls > 0 && i < 100; i++) await systemClock.pause();
		assert.equal(node.refusedCalls, 0);
		await node.settle();
		assert.deepEqual(
			replicatedExpectations(await node.kernel.expectations()),
			replicatedExpectations([HOLE]),
		);
	});

	test("so is what becomes of an expectation that is in the kernel already", async () => {
		node.tell(CONTROL);
		node.tellExpectation(HOLE);
		await node.settle();
		const further = { ...HOLE, flags: 1 };
		node.refusedCalls = 1;
		node.tellExpectation(further);
		for (let i = 0; node.refusedCalls > 0 && i < 100; i++) await systemClock.pause();
		assert.equal(node.refusedCalls, 0);
		await node.settle();
		assert.deepEqual(
			replicatedExpectations(await node.kernel.expectations()),
			replicatedExpectations([further]),
		);
		assert.equal(node.injection.waiting, 0);
	});

	test("so is the end of an expectation, with what is told next", async () => {
		node.tell(CONTROL);
		node.tellExpectation(HOLE);
		await node.settle();
		node.refusedCalls = 1;
		node.external[EXPECTATION].delete(expectationToRecord(HOLE, node.names), 1000, 0, 0);
		await node.settle();
		assert.equal(node.refusedCalls, 0);
		node.tell(UDP);
		await node.settle();
		assert.deepEqual(await node.kernel.expectations(), []);
	});

	test("what was this node's own and is not kept any more ends as its own, and is in its dumps", async () => {
		const other: Conntrack = { ...UDP, orig: { ...UDP.orig, sport: 7 }, reply: { ...UDP.reply, dport: 7 } };
		node.tell(UDP, other);
		await node.settle();
		node.packet(UDP);
		const record = node.record(UDP);
		const { conntracks } = node.internal;
		conntracks.release(conntracks.store.find(record));
		node.injection.released(record);
		assert.equal(node.isForeign(CONNTRACK, record), false);
		assert.equal(node.injection.gone(CONNTRACK, record, true), false, "the peer has to hear of it");
		assert.equal(
			node.injection.gone(CONNTRACK, node.record(other), true),
			true,
			"not of what it has told itself",
		);
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
