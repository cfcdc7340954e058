// Nodes that all forward: whose view of a connection counts that packets pass both of, against a real kernel's table.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { replicated, replicatedExpectations } from "./commit/failover-kit.ts";
import type { Conntrack } from "./conntrack/conntrack.ts";
import { InjectingNode } from "./injection-kit.ts";
import { CONTROL, EXPECTATION as HOLE, TCP, UDP } from "./netlink/kernel-cases.ts";
import { systemClock } from "./system/clock.ts";
import { isInPrivateNetwork } from "./system/private-network.ts";

const inState = (state: string, changes: Partial<Conntrack> = {}): Conntrack => ({
	...TCP,
	...changes,
	tcp: { ...TCP.tcp, state: state as never },
});

if (isInPrivateNetwork(import.meta.url)) {
	let node: InjectingNode;
	beforeEach(() => {
		node = new InjectingNode(true);
	});
	afterEach(() => node.close());

	const has = async (...expected: Conntrack[]): Promise<void> => {
		assert.deepEqual(replicated(await node.inKernel()), replicated(expected));
	};
	/** The kernel has it because its packets pass here. */
	const passes = async (conntrack: Conntrack, event: "new" | "update" = "new"): Promise<void> => {
		if (node.kernel.get(conntrack) === "ENOENT") assert.equal(node.kernel.create(conntrack), "ok");
		else assert.equal(node.kernel.update(conntrack), "ok");
		await node.settle();
		node.packet(conntrack, event);
	};
	const later = (milliseconds: number): Promise<void> =>
		new Promise((resolve) => systemClock.after(milliseconds, () => resolve()));

	test("each half of a connection takes the other along: the further state, and all bits of both", async () => {
		await passes(inState("SYN_SENT", { status: 0x8, timeout: 120 }));
		node.tell(inState("SYN_RECV", { status: 0xa, timeout: 60 }));
		await node.settle();
		await has(inState("SYN_RECV", { status: 0xa, timeout: 60 }));
		await passes(inState("ESTABLISHED", { status: 0xe }), "update");
		node.tell(inState("SYN_RECV", { status: 0xa, timeout: 60, mark: 4 }));
		await node.settle();
		await has(inState("ESTABLISHED", { status: 0xe, mark: 4 }));
		node.tell(inState("FIN_WAIT", { status: 0xe, timeout: 100, mark: 4 }));
		await node.settle();
		await has(inState("FIN_WAIT", { status: 0xe, timeout: 100, mark: 4 }));
	});

	test("what was injected is not told back, and what both know costs nothing more", async () => {
		node.tell(TCP);
		await node.settle();
		assert.equal(node.told, 0);
		node.packet(TCP);
		assert.equal(node.told, 1, "its packets pass here");
		node.tell({ ...TCP, mark: 1 });
		await node.settle();
		assert.equal(node.told, 2, "what has become of it");
		node.tell({ ...TCP, mark: 1, timeout: TCP.timeout - 1 });
		node.tell({ ...TCP, mark: 1 });
		await node.settle();
		assert.equal(node.told, 2);
	});

	test("ports that begin another connection at the peer do so here, where the one before is over", async () => {
		await passes(inState("TIME_WAIT", { timeout: 100 }));
		node.tell(inState("SYN_SENT", { status: 0x8, timeout: 120 }));
		await node.settle();
		const [entry] = await node.inKernel();
		assert.equal(entry?.tcp?.state, "SYN_SENT");
		assert.deepEqual(node.own(), [], "it is the peer's");
	});

	test("news of the connection that is over are no other connection, a while later they are", async () => {
		await passes(inState("CLOSE", { timeout: 9 }));
		node.tell(inState("ESTABLISHED"));
		await node.settle();
		await has(inState("CLOSE", { timeout: 9 }));
		node.pass(3);
		node.tell(inState("ESTABLISHED", { mark: 1 }));
		await node.settle();
		await has(inState("ESTABLISHED", { mark: 1 }));
	});

	test("an end that the peer told of before the ports were used again does not end the new connection", async () => {
		node.tell(inState("TIME_WAIT", { timeout: 100 }));
		await node.settle();
		node.pass(5);
		node.kernel.delete(TCP);
		await node.settle();
		await passes(inState("SYN_SENT", { status: 0x8, timeout: 120 }));
		node.peer.isReceivingBulk = true;
		node.tell(inState("TIME_WAIT", { timeout: 100, mark: 1 }));
		await node.settle();
		assert.equal((await node.inKernel())[0]?.tcp?.state, "SYN_SENT");
	});

	test("a peer's end ends what has seen no packet here since the peer's last word", async () => {
		await passes(TCP);
		node.tell(TCP);
		await node.settle();
		node.pass(10);
		// the kernel's clock stands still, so what it has left is what ten seconds without a packet leave
		assert.equal(node.kernel.update({ ...TCP, timeout: TCP.timeout - 10 }), "ok");
		node.tellEnd(TCP);
		await node.settle();
		await has();
		assert.deepEqual(node.own(), []);
	});

	test("it does not end what has: neither where an event says so, nor where only the timeout does", async () => {
		const other: Conntrack = { ...UDP, orig: { ...UDP.orig, sport: 7 }, reply: { ...UDP.reply, dport: 7 } };
		await passes(UDP);
		await passes(other);
		node.tell(UDP, other);
		await node.settle();
		node.pass(10);
		const idle = { ...UDP, timeout: UDP.timeout - 10 };
		assert.equal(node.kernel.update(idle), "ok");
		node.packet(idle, "update");
		node.tellEnd(UDP, other);
		await node.settle();
		await has(idle, other);
		assert.equal(node.own().length, 2);
	});

	test("what is joined has seen no packet by that, however late it is joined", async () => {
		await passes(inState("SYN_RECV", { status: 0xa, timeout: 60 }));
		node.isCommitting = true;
		node.tell(TCP);
		await systemClock.pause();
		node.pass(5);
		node.isCommitting = false;
		await node.settle();
		await has(TCP);
		node.tellEnd(inState("TIME_WAIT", { timeout: 0 }));
		assert.equal(node.kernel.update({ ...TCP, timeout: TCP.timeout - 10 }), "ok");
		await node.settle();
		await has();
		assert.deepEqual(node.own(), []);
	});

	test("what expires here and goes on at the peer comes back as the peer's", async () => {
		await passes(UDP);
		node.tell(UDP);
		await node.settle();
		node.router.conntrack("destroy", node.record(UDP), 0);
		node.kernel.delete(UDP);
		await later(1300);
		await node.settle();
		await has(UDP);
		assert.deepEqual(node.own(), []);
		node.tellEnd(UDP);
		// without a packet it has the time that it was injected with
		node.kernel.update({ ...UDP, timeout: UDP.timeout - 100 });
		await node.settle();
		await has();
	});

	test("what closes does not come back", async () => {
		const closing = inState("LAST_ACK", { timeout: 20 });
		await passes(closing);
		node.tell(closing);
		await node.settle();
		node.router.conntrack("destroy", node.record(closing), 0);
		node.kernel.delete(closing);
		await later(1300);
		await node.settle();
		await has();
	});

	test("nor does what the peer has told of before it was started again", async () => {
		await passes(UDP);
		node.tell(UDP);
		await node.settle();
		node.external[0].beginEpoch();
		node.router.conntrack("destroy", node.record(UDP), 0);
		node.kernel.delete(UDP);
		await later(1300);
		await node.settle();
		await has();
	});

	test("what the peer told before the last packet here is not the end of the connection", async () => {
		await passes(TCP);
		node.isCommitting = true;
		node.tell(inState("TIME_WAIT", { timeout: 100 }));
		await systemClock.pause();
		node.pass(5);
		node.packet(TCP);
		node.isCommitting = false;
		await node.settle();
		await has(TCP);
	});

	test("what a silent peer has told becomes this node's own", async () => {
		node.tell(CONTROL, UDP);
		node.tellExpectation(HOLE);
		await node.settle();
		assert.deepEqual(node.own(), []);
		node.peer.isUp = false;
		await later(400);
		assert.deepEqual(replicated(node.own()), replicated([CONTROL, UDP]));
		assert.equal(node.internal.expectations.store.live, 1);
		await has(CONTROL, UDP);
		assert.deepEqual(
			replicatedExpectations(await node.kernel.expectations()),
			replicatedExpectations([HOLE]),
		);
	});

	test("so does what one has told that was started again", async () => {
		node.tell(UDP);
		await node.settle();
		node.peer.epochTag = 2;
		await later(400);
		assert.deepEqual(replicated(node.own()), replicated([UDP]));
	});
}
