import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNTRACK } from "./conntrack/kind.ts";
import { VERDICT } from "./sync/ftfw.ts";
import { recordOf, type SimulatedNode, Simulation } from "./sync/simulation.ts";
import { Ticker } from "./sync/ticker.ts";
import type { Clock } from "./system/clock.ts";
import { Verification } from "./verification.ts";

/** Three nodes in contact, and what verifies for the first. */
function setUp() {
	const sim = new Simulation(1, 3);
	const [a] = sim.nodes as [SimulatedNode];
	sim.run(2000);
	const clock: Clock = {
		now: () => sim.now,
		after: (milliseconds, callback) => {
			setImmediate(() => {
				sim.run(milliseconds);
				callback();
			});
			return () => {};
		},
		pause: async () => {},
		wall: () => new Date(0),
	};
	const verification = new Verification({
		ftfw: a.ftfw,
		ticker: new Ticker(a.ftfw, clock),
		names: a.names,
		clock,
	});
	/** An entry of the node with this source port was held otherwise. */
	const differ = (node: number, port: number): void => {
		const peer = a.ftfw.peers.find((one) => one.node === node)!;
		verification.differs(peer, { kind: CONNTRACK, record: recordOf(port, 0), what: VERDICT.older });
	};
	return { sim, a, verification, differ };
}

/** By node, the source ports of which the answer tells. */
function told({ json }: { json: string }): number[][] {
	const { peers } = JSON.parse(json) as { peers: { differences: string[] }[] };
	const portOf = (text: string): number => Number(/ sport=(\d+) /.exec(text)![1]);
	return peers.map(({ differences }) => differences.map(portOf));
}

test("two verifications at once each tell what differed while they ran", async () => {
	const { verification, differ } = setUp();
	const first = verification.run(undefined);
	differ(2, 1);
	const second = verification.run(undefined);
	differ(3, 2);
	const [one, other] = await Promise.all([first, second]);
	assert.deepEqual(told(one), [[1], [2]]);
	assert.deepEqual(told(other), [[], [2]]);
	assert.deepEqual(told(await verification.run(undefined)), [[], []], "nor does it stay for the next");
});

test("a verification of one node leaves what differs of the other to the other's", async () => {
	const { verification, differ } = setUp();
	const both = [verification.run("2"), verification.run("3")];
	differ(2, 1);
	differ(3, 2);
	assert.deepEqual((await Promise.all(both)).map(told), [[[1]], [[2]]]);
});

test("what differs while nobody verifies is not even put into words", async () => {
	const { a, verification } = setUp();
	await verification.run(undefined);
	const record = new Proxy(recordOf(1, 0), { get: () => assert.fail("it was read") });
	const [peer] = a.ftfw.peers;
	verification.differs(peer!, { kind: CONNTRACK, record, what: VERDICT.gone });
});

test("what differs is told of a hundred entries of each node", async () => {
	const { verification, differ } = setUp();
	const run = verification.run(undefined);
	for (let port = 1; port <= 150; port++) differ(2, port);
	differ(3, 7);
	assert.deepEqual(
		told(await run).map((keys) => keys.length),
		[100, 1],
	);
});

test("a copy that an operator has emptied is not equal, on either side, and is told at once", async () => {
	const { sim, a, verification } = setUp();
	const [b] = sim.nodes.slice(1) as [SimulatedNode];
	const { ftfw } = b;
	for (let key = 0; key < 50; key++) sim.set(a, key, 1);
	for (let key = 50; key < 100; key++) sim.set(b, key, 1);
	sim.run(8000);
	assert.equal((await verification.run("2")).isEqual, true);
	const empty = (peer: (typeof ftfw.peers)[number]): void => {
		const [external] = peer.external;
		peer.equality.suspend();
		for (let slot = 0; slot < external.store.end; slot++)
			if (external.store.isLive(slot)) external.drop(slot);
		peer.equality.emptied();
	};
	const [ofB] = a.ftfw.peers.filter(({ node }) => node === b.id);
	const [ofA] = ftfw.peers.filter(({ node }) => node === a.id);
	for (const peer of [ofB!, ofA!]) {
		empty(peer);
		const before = sim.now;
		const { text, json, isEqual } = await verification.run("2");
		assert.equal(isEqual, false);
		const { equal, theirs, ours } = JSON.parse(json).peers[0];
		assert.equal(equal, false);
		const [told, other] = peer === ofB ? [theirs, ours] : [ours, theirs];
		assert.deepEqual([told.suspended, told.equal, other.suspended], [true, false, false]);
		const place =
			peer === ofB ? "held here: EMPTIED by -f external" : "held there: EMPTIED there by -f external";
		assert.match(text, new RegExp(place));
		assert.ok(sim.now - before < 3000, "nobody waits for what cannot come");
		(peer === ofB ? b : a).ftfw.bulk(sim.now);
		sim.run(3000);
		assert.equal((await verification.run("2")).isEqual, true);
	}
});
