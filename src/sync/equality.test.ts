import assert from "node:assert/strict";
import { test } from "node:test";
import { HEADER_WORDS, VERSION_LOW } from "../cache/record-layout.ts";
import { MARK, newConntrackRecord } from "../conntrack/record.ts";
import { VERDICT } from "./equality.ts";
import { recordOf, type SimulatedNode, Simulation } from "./simulation.ts";

/** Two nodes, the first of which has these many entries, in contact and equal. */
function pair(entries: number, nodes = 2): { sim: Simulation; a: SimulatedNode; b: SimulatedNode } {
	const sim = new Simulation(entries, nodes);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	for (let key = 0; key < entries; key++) sim.set(a, key, 1);
	sim.run(5000);
	assert.deepEqual(sim.differences(), []);
	return { sim, a, b };
}

const externalOf = (holder: SimulatedNode, origin: SimulatedNode) =>
	holder.ftfw.peers.find(({ node }) => node === origin.id)!.external[0];
const equalityOf = (holder: SimulatedNode, origin: SimulatedNode) =>
	holder.ftfw.peers.find(({ node }) => node === origin.id)!.equality;

/** Spoils a word of the slot of a key, behind everybody's back. */
function rot(
	holder: SimulatedNode,
	origin: SimulatedNode,
	key: number,
	spoil: (words: Int32Array, at: number) => void,
) {
	const { store } = externalOf(holder, origin);
	const slot = store.find(recordOf(key, 0));
	spoil(store.slab.words(slot), store.slab.offset(slot));
}

/** -f external: the node forgets what the other has told. */
function takeOut(node: SimulatedNode, of: SimulatedNode): void {
	const { store } = externalOf(node, of);
	equalityOf(node, of).suspend();
	for (let slot = 0; slot < store.end; slot++) if (store.isLive(slot)) externalOf(node, of).drop(slot);
	equalityOf(node, of).emptied();
}

test("nodes at rest find each other equal, again and again", () => {
	const { sim, a, b } = pair(300);
	for (const [holder, origin] of [
		[a, b],
		[b, a],
	] as const) {
		assert.ok(sim.now - equalityOf(holder, origin).verifiedAt < 5000);
		const report = equalityOf(origin, holder).report!;
		assert.ok(report.age < 5000 && report.differing === 0, "and say so");
	}
	sim.run(60_000);
	assert.ok(sim.now - equalityOf(b, a).verifiedAt < 5000);
	assert.equal(equalityOf(b, a).repairs, 0);
	assert.equal(equalityOf(b, a).refuted, 0);
});

test("a digest leaves behind the changes that it counts", () => {
	const { sim, a, b } = pair(50);
	sim.weather.delayMax = 0;
	let value = 1;
	let most = 0;
	sim.run(20_000, () => {
		most = Math.max(most, equalityOf(b, a).differing);
		if (sim.now < a.ftfw.dueAt) return;
		value++;
		// without a word to the protocol, as within a burst of events
		for (let key = 0; key < 20; key++) {
			a.kernel.set(key, value);
			a.internal.conntracks.apply(recordOf(key, value), false, Math.floor(sim.now / 1000));
		}
	});
	assert.ok(value > 50, String(value));
	assert.equal(most, 0);
});

test("every node is told how equal it is, however many do not fit one datagram", () => {
	const { sim } = pair(50, 6);
	for (const holder of sim.nodes) {
		for (const origin of sim.nodes) {
			if (origin !== holder) assert.ok(sim.now - equalityOf(origin, holder).report!.at < 5000);
		}
	}
});

test("an entry that was lost is found missing and comes back, and the origin looks at itself, too", () => {
	const { sim, a, b } = pair(300);
	const external = externalOf(b, a);
	external.drop(external.store.find(recordOf(7, 0)));
	sim.run(12_000);
	assert.deepEqual(sim.differences(), []);
	assert.equal(equalityOf(b, a).repairs, 1);
	assert.equal(a.suspicions, 1);
});

test("an entry that should be gone is found and goes", () => {
	const { sim, a, b } = pair(300);
	externalOf(b, a).set(recordOf(5000, 3), 17, 0);
	assert.equal(sim.differences().length, 1);
	sim.run(12_000);
	assert.deepEqual(sim.differences(), []);
	assert.equal(equalityOf(b, a).refuted, 1);
	assert.equal(a.internal.conntracks.store.count, 300, "the grave is gone, too");
});

test("a verdict on what was claimed before the origin restarted takes nothing out", () => {
	const { a, b } = pair(50);
	const external = externalOf(b, a);
	const record = recordOf(7, 0);
	const version = external.store.version(external.store.find(record));
	const verdict = {
		kind: 0,
		op: "verdict",
		record,
		version,
		hash: 0,
		node: b.id,
		detail: VERDICT.neverWas,
	} as const;
	const told = (): void => b.ftfw.equality.refuted(b.ftfw.peers[0]!, verdict);
	// the versions of its new life are another count, and none of them is as high
	external.beginEpoch();
	told();
	assert.ok(external.store.find(record) >= 0, "it is all that is known of the entry until the bulk comes");
	external.set(recordOf(7, 1), version, 0);
	told();
	assert.equal(external.store.find(record), -1, "of the same life it counts");
});

test("an old state under an old version is found", () => {
	const { sim, a, b } = pair(300);
	const external = externalOf(b, a);
	const slot = external.store.find(recordOf(7, 0));
	sim.set(a, 7, 2);
	sim.run(100);
	external.drop(slot);
	external.set(recordOf(7, 1), 8, 0);
	sim.run(12_000);
	assert.deepEqual(sim.differences(), []);
});

test("a version that has rotted is found, whichever way it went", () => {
	for (const bit of [0, 3, 12, 31]) {
		const { sim, a, b } = pair(50);
		rot(b, a, 7, (words, at) => {
			words[at + VERSION_LOW]! ^= 1 << bit;
		});
		rot(b, a, 8, (words, at) => {
			words[at + VERSION_LOW]! &= ~(1 << bit);
		});
		sim.run(20_000);
		assert.deepEqual(sim.differences(), [], `bit ${bit}`);
		sim.set(a, 7, 5);
		sim.run(20_000);
		assert.deepEqual(sim.differences(), [], `bit ${bit}, and changes reach it again`);
		assert.ok(sim.now - equalityOf(b, a).verifiedAt < 5000);
	}
});

test("a state that has rotted under its right version is found within an hour, and by verify at once", () => {
	const { sim, a, b } = pair(200);
	const spoil = (words: Int32Array, at: number) => {
		words[at + HEADER_WORDS + 8]! ^= 1;
	};
	rot(b, a, 7, spoil);
	assert.equal(sim.differences().length, 1);
	const peer = b.ftfw.peers[0]!;
	b.ftfw.verify(peer, sim.now);
	sim.run(3000);
	assert.deepEqual(sim.differences(), []);
	assert.equal(equalityOf(b, a).refuted, 1);
	rot(b, a, 9, spoil);
	const { claimed } = equalityOf(b, a);
	for (let minute = 0; minute < 61 && sim.differences().length > 0; minute++) sim.run(60_000);
	assert.deepEqual(sim.differences(), []);
	assert.ok(equalityOf(b, a).claimed - claimed <= 4000, "little by little");
});

test("changes on a lossy link are no differences: nothing is sent twice because of them", () => {
	const { sim, a, b } = pair(500);
	Object.assign(sim.weather, { loss: 0.2, duplicate: 0.1, delayMax: 20 });
	for (let round = 0; round < 200; round++) {
		for (let i = 0; i < 20; i++) sim.set(a, sim.random.below(500), round);
		sim.run(20);
	}
	Object.assign(sim.weather, { loss: 0, duplicate: 0, delayMax: 1 });
	sim.run(6000);
	assert.deepEqual(sim.differences(), []);
	assert.equal(equalityOf(b, a).refuted, 0);
	assert.ok(sim.now - equalityOf(b, a).verifiedAt < 5000);
});

test("a peer without room is equal all the same, and says what it refuses", () => {
	const sim = new Simulation(9, 2, { externalLimit: 100 });
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	for (let key = 0; key < 130; key++) sim.set(a, key, 1);
	sim.run(8000);
	assert.equal(externalOf(b, a).store.live, 100);
	assert.equal(externalOf(b, a).refused, 30);
	assert.ok(sim.now - equalityOf(b, a).verifiedAt < 5000);
	assert.equal(equalityOf(a, b).report!.refused, 30);
	assert.equal(equalityOf(b, a).repairs, 0);
});

test("what was refused is asked for again when there is room", () => {
	const sim = new Simulation(10, 2, { externalLimit: 100 });
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	for (let key = 0; key < 80; key++) sim.set(a, key, 1);
	sim.run(2000);
	// while the old ones are still held for it, there is no room for the new ones
	for (let key = 0; key < 80; key++) a.kernel.delete(key);
	for (let key = 1000; key < 1080; key++) a.kernel.set(key, 2);
	sim.start(a);
	sim.run(15_000);
	assert.deepEqual(sim.differences(), []);
	assert.equal(externalOf(b, a).refused, 0);
	// a cache that is full stays so, and nobody asks again and again
	for (let key = 2000; key < 2040; key++) sim.set(a, key, 1);
	sim.run(10_000);
	const { recordsSent } = a.ftfw.counters;
	sim.run(60_000);
	assert.deepEqual([externalOf(b, a).store.live, externalOf(b, a).refused], [100, 20]);
	assert.equal(a.ftfw.counters.recordsSent, recordsSent);
	for (let key = 2000; key < 2040; key++) sim.destroy(a, key);
	sim.run(10_000);
	assert.deepEqual(sim.differences(), []);
});

test("what an operator has taken out of the external cache stays out until the next bulk", () => {
	const { sim, a, b } = pair(100);
	const external = externalOf(b, a);
	takeOut(b, a);
	sim.run(20_000);
	assert.equal(external.store.live, 0);
	sim.set(a, 7, 9);
	sim.run(100);
	assert.equal(external.store.live, 1, "but what happens is told");
	sim.run(10_000);
	assert.equal(equalityOf(b, a).isSuspended, true);
	assert.ok(equalityOf(b, a).differing > 50, "and how much is not there is known");
	const { isEmptied, differing } = equalityOf(a, b).report!;
	assert.deepEqual([isEmptied, differing], [true, equalityOf(b, a).differing], "at the origin, too");
	a.ftfw.bulk(sim.now);
	sim.run(8000);
	assert.equal(equalityOf(a, b).report!.isEmptied, false);
	assert.deepEqual(sim.differences(), []);
	assert.ok(sim.now - equalityOf(b, a).verifiedAt < 5000);
});

test("what was taken out of the external cache and has ended everywhere since leaves it equal, and repaired as ever", () => {
	const { sim, a, b } = pair(30);
	takeOut(b, a);
	for (let key = 0; key < 30; key++) sim.destroy(a, key);
	sim.run(8000);
	assert.deepEqual([equalityOf(b, a).isSuspended, equalityOf(b, a).differing], [false, 0]);
	assert.equal(equalityOf(a, b).report!.isEmptied, false);
	sim.set(a, 7, 9);
	sim.run(100);
	externalOf(b, a).drop(externalOf(b, a).store.find(recordOf(7, 9)));
	sim.run(12_000);
	assert.deepEqual(sim.differences(), []);
});

test("what is withdrawn stays at the peers, unconfirmed and out of the comparison, until a bulk without it", () => {
	const { sim, a, b } = pair(100);
	const internal = a.internal.conntracks;
	for (let key = 0; key < 40; key++) internal.withdraw(internal.store.find(recordOf(key, 0)), 0);
	a.ftfw.pump(sim.now);
	sim.run(8000);
	const external = externalOf(b, a);
	assert.deepEqual([external.store.live, external.confirmed], [100, 60]);
	assert.equal(internal.store.count, 60, "everybody has been told");
	assert.ok(sim.now - equalityOf(b, a).verifiedAt < 5000, "and both sides agree on that");
	const record = newConntrackRecord();
	external.store.read(external.store.find(recordOf(5, 0)), record);
	assert.equal(record[MARK], 1);
	// read from the kernel again: it is confirmed again
	internal.apply(recordOf(5, 1), false, 0);
	a.ftfw.pump(sim.now);
	sim.run(100);
	assert.equal(external.confirmed, 61);
	a.ftfw.bulk(sim.now);
	sim.run(500);
	assert.deepEqual([external.store.live, external.confirmed], [61, 61]);
});
