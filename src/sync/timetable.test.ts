// A node at rest sleeps, and wakes up in time for what nobody else reminds it of.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Simulation } from "./simulation.ts";

/** Two nodes in contact, with nothing under way. */
function atRest(): Simulation {
	const sim = new Simulation(1, 2);
	for (let key = 0; key < 100; key++) sim.set(sim.nodes[0]!, key, 1);
	sim.run(15_000);
	assert.deepEqual(sim.differences(), []);
	return sim;
}

test("a pair at rest wakes up for its digests, and says no more", () => {
	const sim = atRest();
	const before = sim.nodes.map(({ ticks }) => ticks);
	const { datagrams } = sim;
	sim.run(60_000);
	for (const [i, { ticks }] of sim.nodes.entries()) {
		// datagrams of 600 bytes take four slices, so that 4 a second make a sweep of four seconds; and HELLO, and claims
		assert.ok(ticks - before[i]! <= 6 * 60, `${ticks - before[i]!} in a minute`);
	}
	assert.ok(sim.datagrams - datagrams <= 2 * 6 * 60);
});

test("every bucket is compared within five seconds also at rest", () => {
	const sim = atRest();
	for (const { ftfw } of sim.nodes)
		for (const { equality } of ftfw.peers) assert.ok(sim.now - equality.verifiedAt < 5000);
});

test("a peer that is not heard for one and a half seconds is asked four times a second, and given up after three and a half", () => {
	const sim = atRest();
	const [a, b] = [sim.nodes[0]!.ftfw, sim.nodes[1]!.ftfw];
	sim.weather.cut.add("2>1");
	const peer = a.peers[0]!;
	sim.run(10);
	const { heardAt } = peer;
	const asked = new Set<number>();
	const told = b.counters.received;
	while (peer.isUp) {
		sim.run(1);
		if (a.outgoing.pace.askedAt > heardAt) asked.add(a.outgoing.pace.askedAt - heardAt);
	}
	// two ms are between two ticks
	const quarters = [...asked].map((after) => Math.floor(after / 2) * 2);
	assert.deepEqual(quarters, [1500, 1750, 2000, 2250, 2500, 2750, 3000, 3250]);
	assert.ok(b.counters.received - told >= asked.size);
	assert.equal(sim.now - heardAt, 3501);
	assert.equal(peer.heardAt, heardAt);
});

test("a lost datagram is missed in time, though nothing else happens", () => {
	const sim = atRest();
	sim.weather.cut.add("1>2");
	const begin = sim.now;
	sim.set(sim.nodes[0]!, 7, 2);
	sim.run(1);
	sim.weather.cut.clear();
	while (sim.differences().length > 0) {
		sim.run(1);
		assert.ok(sim.now - begin < 50, `${sim.now - begin} ms`);
	}
});

test("a node that nobody hears has nothing to put right until somebody does, and rests", () => {
	const sim = new Simulation(2, 3);
	const [a, b] = [sim.nodes[0]!, sim.nodes[1]!];
	for (let key = 0; key < 100; key++) sim.set(b, key, 1);
	sim.run(5000);
	for (const way of ["1>2", "1>3", "2>1"]) sim.weather.cut.add(way);
	sim.run(5000);
	sim.set(b, 7, 2);
	sim.run(50);
	sim.weather.cut.delete("2>1");
	sim.run(10_000);
	const peer = a.ftfw.peers.find(({ node }) => node === b.id)!;
	assert.ok(peer.isUp && !peer.hears && peer.equality.differing > 0, "it knows of the difference");
	const before = a.ticks;
	sim.run(5000);
	assert.ok(a.ticks - before < 150, `${a.ticks - before} times in five seconds`);
	sim.weather.cut.clear();
	sim.run(5000);
	assert.deepEqual(sim.differences(), []);
});
