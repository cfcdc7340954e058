// DisableInternalCache: conntracks pass through the internal cache. What the peers hold must be right all the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNTRACK } from "../conntrack/kind.ts";
import * as R from "../conntrack/record.ts";
import { PassingNotrack } from "./notrack.ts";
import { recordOf, type SimulatedNode, Simulation } from "./simulation.ts";

interface Scene {
	sim: Simulation;
	a: SimulatedNode;
	b: SimulatedNode;
	/** Answers the dump that was asked for, if one was. */
	answer: (isComplete?: boolean) => void;
	hold: (isHeld: boolean) => void;
}

/** Two nodes; the first keeps nothing. Its dumps are answered by hand. */
function setUp(seed = 1): Scene {
	let isHeld = false;
	const waiting: ((isComplete: boolean) => void)[] = [];
	const sim = new Simulation(seed, 2, {
		mode: () => new PassingNotrack({ dump: (done) => void waiting.push(done), isHeld: () => isHeld }),
	});
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	const answer = (isComplete = true): void => {
		const done = waiting.splice(0);
		if (done.length === 0) return;
		const cache = a.internal.conntracks;
		cache.beginResync();
		for (const [key, value] of a.kernel) cache.applyDumped(recordOf(key, value), Math.floor(sim.now / 1000));
		for (let at = 0; at >= 0; ) at = cache.sweepResync(at, 8192, Math.floor(sim.now / 1000));
		for (const one of done) one(isComplete);
	};
	const hold = (is: boolean): void => {
		isHeld = is;
	};
	return { sim, a, b, answer, hold };
}

/** The bulks that follow a contact are over. */
function meet({ sim, answer }: Scene): void {
	sim.run(1500);
	answer();
	sim.run(4000);
}

const live = (node: SimulatedNode): number => node.internal.conntracks.store.live;

test("an entry goes a moment after it was told, and the peer keeps it", () => {
	const scene = setUp();
	const { sim, a, b } = scene;
	meet(scene);
	const released: number[] = [];
	(a.ftfw.mode as PassingNotrack).released = (record) => void released.push(record[R.ORIG_PORTS]!);
	sim.set(a, 7, 1);
	sim.run(100);
	assert.equal(sim.held(b, a).get(7), 1);
	assert.equal(live(a), 1);
	sim.run(4000);
	assert.equal(live(a), 0);
	assert.equal(a.internal.conntracks.store.count, 0);
	assert.deepEqual(released, [7]);
	assert.equal(sim.held(b, a).get(7), 1);
	assert.ok(
		a.internal.versions.digest.words.every((word) => word === 0),
		"the digest is of nothing",
	);
});

test("the end of an entry that is not kept any more reaches the peer", () => {
	const scene = setUp();
	const { sim, a, b } = scene;
	meet(scene);
	sim.set(a, 7, 1);
	sim.run(4000);
	assert.equal(live(a), 0);
	a.internal.conntracks.endPassed(recordOf(7, 0), Math.floor(sim.now / 1000));
	sim.run(100);
	assert.equal(sim.held(b, a).size, 0);
	assert.equal(a.internal.conntracks.store.count, 0);
});

test("an entry that comes again, and ends before that is told, is gone at the peer", () => {
	const scene = setUp();
	const { sim, a, b } = scene;
	meet(scene);
	sim.set(a, 7, 1);
	sim.run(4000);
	a.internal.conntracks.apply(recordOf(7, 2), false, Math.floor(sim.now / 1000));
	a.internal.conntracks.destroy(recordOf(7, 2), Math.floor(sim.now / 1000));
	sim.run(100);
	assert.equal(sim.held(b, a).size, 0);
});

test("masters stay: expectations refer to them", () => {
	const scene = setUp();
	const { sim, a } = scene;
	meet(scene);
	const master = recordOf(21, 1);
	master[R.HAS]! |= R.H_HELPER;
	master[R.HELPER] = a.names.intern("ftp");
	a.internal.conntracks.apply(master, true, Math.floor(sim.now / 1000));
	sim.run(10_000);
	assert.equal(live(a), 1);
});

test("while a commit works on them, and while a dump is read, entries stay", () => {
	const scene = setUp();
	const { sim, a, hold } = scene;
	meet(scene);
	hold(true);
	sim.set(a, 7, 1);
	sim.run(10_000);
	assert.equal(live(a), 1);
	hold(false);
	a.internal.conntracks.beginResync();
	sim.run(10_000);
	assert.equal(live(a), 1);
	a.internal.conntracks.abandonResync();
	sim.run(2000);
	assert.equal(live(a), 0);
});

test("a bulk is the kernel's table, with what changes and ends meanwhile, and drops the rest", () => {
	for (let seed = 1; seed <= 20; seed++) {
		const scene = setUp(seed);
		const { sim, a, b, answer } = scene;
		for (let key = 0; key < 500; key++) a.kernel.set(key, 1);
		meet(scene);
		assert.deepEqual(sim.differences().slice(0, 3), [], `seed ${seed}: contact`);
		assert.equal(live(a), 0);
		// ends that nobody saw: events were lost
		for (let key = 0; key < 100; key++) a.kernel.delete(key);
		b.ftfw.requestResync(sim.now);
		sim.run(50, () => {
			const key = 200 + sim.random.below(600);
			if (sim.random.chance(0.6)) sim.set(a, key, sim.random.below(100));
			else if (a.kernel.delete(key)) {
				const { store } = a.internal.conntracks;
				const slot = store.find(recordOf(key, 0));
				const now = Math.floor(sim.now / 1000);
				if (slot >= 0 && store.isLive(slot)) a.internal.conntracks.destroy(recordOf(key, 0), now);
				else a.internal.conntracks.endPassed(recordOf(key, 0), now);
			}
		});
		answer();
		sim.run(4000);
		assert.deepEqual(sim.differences().slice(0, 3), [], `seed ${seed}: -n`);
	}
});

test("a dump that fails leaves what the peer has, and the next one is taken", () => {
	const scene = setUp();
	const { sim, a, b, answer } = scene;
	for (let key = 0; key < 100; key++) a.kernel.set(key, 1);
	meet(scene);
	const all = new Map(a.kernel);
	a.kernel.clear();
	a.ftfw.bulk(sim.now);
	sim.run(50);
	answer(false);
	sim.run(3000);
	assert.equal(sim.held(b, a).size, 100);
	for (const [key, value] of all) if (key < 10) a.kernel.set(key, value);
	a.ftfw.bulk(sim.now);
	sim.run(50);
	answer();
	sim.run(3000);
	assert.equal(sim.held(b, a).size, 10);
});

test("whoever comes into contact while the table cannot be read is sent all of it as soon as it can", () => {
	const scene = setUp();
	const { sim, a, answer } = scene;
	sim.run(1500);
	// it breaks off before anything is read
	answer(false);
	sim.run(100);
	for (let key = 0; key < 100; key++) a.kernel.set(key, 1);
	answer();
	sim.run(3000);
	assert.deepEqual(sim.differences().slice(0, 3), []);
});

test("nothing is compared, and a claim about what is not kept changes nothing", () => {
	const scene = setUp();
	const { sim, a, b } = scene;
	for (let key = 0; key < 100; key++) a.kernel.set(key, 1);
	meet(scene);
	assert.equal(b.ftfw.peers[0]!.state.hasNoCache, true);
	assert.equal(b.ftfw.peers[0]!.equality.verifiedAt, Number.NEGATIVE_INFINITY);
	b.ftfw.verify(b.ftfw.peers[0]!, sim.now);
	sim.run(3000);
	assert.equal(sim.held(b, a).size, 100);
	assert.equal(b.ftfw.peers[0]!.external[CONNTRACK].store.live, 100);
});
