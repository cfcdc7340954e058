import assert from "node:assert/strict";
import { test } from "node:test";
import { recordOf, type SimulatedNode, Simulation } from "./simulation.ts";

/** Two nodes that are equal; the first then reboots with an empty table. */
function reboot(entries: number, remaining = 0): { sim: Simulation; a: SimulatedNode; b: SimulatedNode } {
	const sim = new Simulation(entries, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	for (let key = 0; key < entries; key++) sim.set(a, key, key % 7);
	sim.run(3000);
	assert.deepEqual(sim.differences(), []);
	for (let key = remaining; key < entries; key++) a.kernel.delete(key);
	sim.start(a);
	return { sim, a, b };
}

const heldOf = (b: SimulatedNode): number => b.ftfw.peers[0]!.external[0].store.live;

test("a node that reboots with an empty table gets back what its peer had kept", () => {
	const { sim, a, b } = reboot(3000);
	sim.run(3000);
	assert.equal(heldOf(b), 3000, "the only copy is kept");
	const { caches } = a.ftfw.returned;
	assert.equal(caches![0].store.live, 3000);
	const slot = caches![0].store.find(recordOf(1234, 0));
	const record = recordOf(0, 0);
	caches![0].store.read(slot, record);
	assert.deepEqual(record, recordOf(1234, 1234 % 7));
	assert.ok(sim.notices.some((text) => text.includes("3000 entries of before the restart came back")));
	// committed: they are in its kernel, hence confirmed at the peer
	for (let key = 0; key < 3000; key++) sim.set(a, key, key % 7);
	sim.run(500);
	assert.deepEqual(sim.differences(), []);
	assert.equal(b.ftfw.peers[0]!.unconfirmed, 0);
});

test("it comes back over a lossy link, too, each entry once", () => {
	const { sim, a } = reboot(2000);
	Object.assign(sim.weather, { loss: 0.3, duplicate: 0.2, delayMax: 15 });
	sim.run(20_000);
	assert.equal(a.ftfw.returned.caches![0].store.live, 2000);
	assert.equal(a.ftfw.returned.isBusy, false);
});

test("what nobody fetches or commits is dropped after two minutes, on both sides", () => {
	const { sim, a, b } = reboot(500);
	sim.run(100_000);
	assert.equal(heldOf(b), 500);
	assert.equal(a.ftfw.returned.caches![0].store.live, 500);
	sim.run(25_000);
	assert.equal(heldOf(b), 0);
	assert.equal(a.ftfw.returned.caches![0].store.live, 0);
	assert.deepEqual(sim.differences(), []);
});

test("a restart with the table intact keeps nothing that has ended meanwhile, and returns nothing", () => {
	const { sim, a, b } = reboot(1000, 500);
	sim.run(3000);
	assert.equal(heldOf(b), 500);
	assert.equal(a.ftfw.returned.caches, undefined);
	assert.deepEqual(sim.differences(), []);
});

test("new connections of the rebooted node are replicated beside what is kept for it", () => {
	const { sim, a, b } = reboot(500);
	sim.run(1500);
	for (let key = 10_000; key < 10_020; key++) sim.set(a, key, 1);
	sim.run(5000);
	assert.equal(heldOf(b), 520);
	assert.equal(b.ftfw.peers[0]!.unconfirmed, 500);
	assert.ok(sim.now - b.ftfw.peers[0]!.equality.verifiedAt < 5000, "what is kept is not compared");
});
