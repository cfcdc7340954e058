// What Mode NOTRACK promises: without losses both nodes hold the same; what was lost is told and not sent again; a bulk
// that comes whole makes them equal, and one that does not drops nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ftfwMode } from "./mode.ts";
import { notrackMode } from "./notrack.ts";
import { type SimulatedNode, Simulation } from "./simulation.ts";

type Pair = [SimulatedNode, SimulatedNode];
const SEEDS = Number(process.env.CTSYNC_SEEDS ?? 40);

function pair(seed: number): { sim: Simulation; a: SimulatedNode; b: SimulatedNode } {
	const sim = new Simulation(seed, 2, { mode: () => notrackMode });
	const [a, b] = sim.nodes as Pair;
	return { sim, a, b };
}

/** Random changes on both nodes for a while. */
function disturb(sim: Simulation, milliseconds: number): void {
	const { random } = sim;
	sim.run(milliseconds, () => {
		for (const node of sim.nodes) {
			const key = random.below(300) + node.id * 100_000;
			if (random.chance(0.7)) sim.set(node, key, random.below(1000));
			else sim.destroy(node, key);
		}
	});
}

test("without losses both hold the same, whatever is repeated or overtaken", () => {
	for (let seed = 1; seed <= SEEDS; seed++) {
		const { sim } = pair(seed);
		sim.weather.duplicate = 0.1;
		sim.weather.delayMax = sim.random.below(4);
		disturb(sim, 2500);
		sim.run(1500);
		assert.deepEqual(sim.differences().slice(0, 3), [], `seed ${seed}`);
	}
});

test("nothing is acknowledged, and nothing waits to be", () => {
	const { sim, a, b } = pair(2);
	disturb(sim, 2000);
	sim.run(100);
	for (const { ftfw } of [a, b]) {
		assert.equal(ftfw.outgoing.inFlight.count, 0);
		assert.equal(ftfw.outgoing.isBusy, false);
		assert.equal(ftfw.peers[0]!.ackOwed, 0);
	}
});

test("an entry that has ended leaves its slot as soon as that is told", () => {
	const { sim, a, b } = pair(3);
	sim.set(a, 1, 1);
	sim.run(1500);
	assert.equal(sim.held(b, a).get(1), 1);
	sim.destroy(a, 1);
	sim.run(5);
	assert.equal(sim.held(b, a).size, 0);
	assert.equal(a.internal.conntracks.store.count, 0);
});

test("what was lost stays lost, is told as a difference, and -n makes both equal", () => {
	for (let seed = 1; seed <= SEEDS; seed++) {
		const { sim, a, b } = pair(seed);
		disturb(sim, 1500);
		sim.run(500);
		sim.weather.loss = 0.3;
		disturb(sim, 1000);
		sim.weather.loss = 0;
		sim.weather.delayMax = 1 + (seed % 12);
		// two sweeps of the digest
		sim.run(10_000);
		const differences = sim.differences().length;
		assert.ok(differences > 0, `seed ${seed}: nothing was lost`);
		const found = [a, b].map(({ ftfw }) => ftfw.peers[0]!.equality.differing);
		assert.ok(
			found.some((count) => count > 0),
			`seed ${seed}: the loss was not noticed`,
		);
		assert.equal(a.ftfw.peers[0]!.equality.claimed, 0, `seed ${seed}: a repair began`);
		for (const { ftfw } of [a, b]) ftfw.requestResync(sim.now);
		sim.run(3000);
		assert.deepEqual(sim.differences().slice(0, 3), [], `seed ${seed}`);
		sim.run(5000);
		assert.equal(a.ftfw.peers[0]!.equality.differing, 0);
	}
});

test("a bulk of which a datagram is lost drops nothing that is still there", () => {
	for (let seed = 1; seed <= SEEDS; seed++) {
		const { sim, a, b } = pair(seed);
		for (let key = 0; key < 500; key++) sim.set(a, key, 1);
		sim.run(2000);
		assert.equal(sim.held(b, a).size, 500);
		sim.weather.delayMax = 1 + (seed % 40);
		sim.weather.loss = 0.3;
		a.ftfw.bulk(sim.now);
		sim.run(1000);
		sim.weather.loss = 0;
		sim.run(70_000);
		assert.equal(sim.held(b, a).size, 500, `seed ${seed}`);
		// and the next one is taken again, if its beginning comes before the rest
		sim.weather.delayMax = 1 + (seed % 15);
		for (let key = 0; key < 100; key++) a.kernel.delete(key);
		sim.start(a);
		sim.run(3000);
		assert.deepEqual(sim.differences(), [], `seed ${seed}`);
	}
});

test("a large table goes out no faster than a receive buffer of half its credit takes in", () => {
	const { sim, a, b } = pair(5);
	for (let key = 0; key < 20_000; key++) sim.set(a, key, 1);
	let most = 0;
	let before = sim.datagrams;
	sim.run(2500, () => {
		most = Math.max(most, sim.datagrams - before);
		before = sim.datagrams;
	});
	assert.equal(sim.held(b, a).size, 20_000);
	assert.ok(most <= 32 + 8, `${most} datagrams in a millisecond`);
});

test("nothing is sent while the link would drop it", () => {
	const { sim, a } = pair(6);
	sim.run(1500);
	sim.congested.add(a.id);
	sim.set(a, 1, 1);
	sim.run(200);
	assert.equal(a.ftfw.outgoing.dirty.queue.length, 1);
	sim.congested.clear();
	sim.run(20);
	assert.deepEqual(sim.differences(), []);
});

test("a pair of different modes says so, and each direction works by its sender's mode", () => {
	const sim = new Simulation(7, 2, { mode: (_, node) => (node === 1 ? notrackMode : ftfwMode) });
	const [a, b] = sim.nodes as Pair;
	disturb(sim, 2000);
	sim.run(500);
	assert.deepEqual(sim.differences(), []);
	const told = sim.notices.filter((line) => line.includes("compare the configurations"));
	assert.equal(told.length, 2, told.join("\n"));
	assert.match(told.find((line) => line.includes("node 1:"))!, /Mode FTFW and this node Mode NOTRACK/);
	sim.weather.loss = 0.3;
	disturb(sim, 1000);
	sim.weather.loss = 0;
	sim.run(10_000);
	// what the reliable one sends is complete
	assert.deepEqual(sim.held(a, b), b.kernel);
});
