import assert from "node:assert/strict";
import { test } from "node:test";
import { recordOf, type SimulatedNode, Simulation } from "./simulation.ts";

const SEEDS = Number(process.env.CTSYNC_SEEDS ?? 150);

/** Random changes on every node for a while. */
function disturb(sim: Simulation, milliseconds: number, keys: number): void {
	const { random } = sim;
	sim.run(milliseconds, () => {
		for (const node of sim.nodes) {
			for (let i = random.below(4); i > 0; i--) {
				const key = random.below(keys) + node.id * 100_000;
				if (random.chance(0.7)) sim.set(node, key, random.below(1000));
				else sim.destroy(node, key);
			}
			node.ftfw.pump(sim.now);
		}
	});
}

test("two nodes that start one after the other become equal", () => {
	const sim = new Simulation(1, 2);
	for (let key = 0; key < 3000; key++) sim.set(sim.nodes[0]!, key, key);
	sim.run(1500);
	assert.deepEqual(sim.differences().slice(0, 5), []);
});

test("a change is at the peer within a few milliseconds when nothing is lost", () => {
	const sim = new Simulation(2, 2);
	sim.run(1500);
	sim.set(sim.nodes[0]!, 7, 1);
	sim.nodes[0]!.ftfw.pump(sim.now);
	sim.run(3);
	assert.equal(sim.held(sim.nodes[1]!, sim.nodes[0]!).get(7), 1);
});

test("a thousand updates of one key while the link is cut cost one record", () => {
	const sim = new Simulation(3, 2);
	sim.set(sim.nodes[0]!, 7, 0);
	sim.run(2000);
	const before = sim.nodes[0]!.ftfw.counters.recordsSent;
	for (let i = 1; i <= 1000; i++) sim.nodes[0]!.internal.conntracks.apply(recordOf(7, i), false, 0);
	sim.nodes[0]!.kernel.set(7, 1000);
	sim.run(500);
	assert.deepEqual(sim.differences(), []);
	assert.equal(sim.nodes[0]!.ftfw.counters.recordsSent - before, 1);
});

test("a flow that ends before anybody was told of it costs nothing on the wire", () => {
	const sim = new Simulation(4, 2);
	sim.run(2000);
	const { counters } = sim.nodes[0]!.ftfw;
	const before = counters.recordsSent;
	for (let key = 0; key < 500; key++) {
		sim.nodes[0]!.internal.conntracks.apply(recordOf(key, 1), true, 0);
		sim.nodes[0]!.internal.conntracks.destroy(recordOf(key, 1), 0);
	}
	sim.run(500);
	assert.equal(counters.recordsSent, before);
	assert.equal(sim.nodes[0]!.internal.conntracks.store.count, 0);
});

test("after a restart of the sender its peer drops what the sender does not have any more", () => {
	const sim = new Simulation(5, 2);
	const [a, b] = sim.nodes as [(typeof sim.nodes)[0], (typeof sim.nodes)[0]];
	for (let key = 0; key < 2000; key++) sim.set(a, key, 1);
	sim.run(2000);
	for (let key = 0; key < 1000; key++) a.kernel.delete(key);
	sim.start(a);
	sim.run(20);
	// until the bulk is complete nothing that may still be needed is dropped
	assert.ok(sim.held(b, a).size >= 1000);
	sim.run(3000);
	assert.deepEqual(sim.differences().slice(0, 5), []);
});

test("a restart of the receiver fills it again without being asked", () => {
	const sim = new Simulation(6, 2);
	const [a, b] = sim.nodes as [(typeof sim.nodes)[0], (typeof sim.nodes)[0]];
	for (let key = 0; key < 2000; key++) sim.set(a, key, key);
	sim.run(2000);
	sim.start(b);
	sim.run(3000);
	assert.deepEqual(sim.differences().slice(0, 5), []);
});

test("a peer that was cut off for long is equal soon after", () => {
	const sim = new Simulation(7, 2);
	sim.run(1500);
	sim.weather.cut.add("1>2").add("2>1");
	disturb(sim, 8000, 500);
	sim.weather.cut.clear();
	sim.run(2500);
	assert.deepEqual(sim.differences().slice(0, 5), []);
	assert.ok(sim.notices.some((notice) => notice.includes("is silent")));
});

test("a recorded session changes nothing when it is replayed after a restart of both", () => {
	const sim = new Simulation(8, 2);
	const recorded: { to: number; bytes: Uint8Array }[] = [];
	for (const [i, node] of sim.nodes.entries()) {
		const receive = node.ftfw.receive.bind(node.ftfw);
		node.ftfw.receive = (bytes, start, end, now) => {
			recorded.push({ to: i, bytes: bytes.slice(start, end) });
			return receive(bytes, start, end, now);
		};
	}
	for (let key = 0; key < 500; key++) sim.set(sim.nodes[0]!, key, 1);
	sim.run(2000);
	sim.nodes[0]!.kernel.clear();
	for (const node of sim.nodes) sim.start(node);
	for (const { to, bytes } of recorded) sim.nodes[to]!.ftfw.receive(bytes, 0, bytes.length, sim.now);
	sim.run(2000);
	for (const { to, bytes } of recorded) sim.nodes[to]!.ftfw.receive(bytes, 0, bytes.length, sim.now);
	sim.run(100);
	assert.deepEqual(sim.differences(), []);
	assert.ok(recorded.length > 20);
});

test("garbage and bit flips are counted and change nothing", () => {
	const sim = new Simulation(9, 2);
	sim.set(sim.nodes[0]!, 1, 1);
	sim.run(2000);
	const { ftfw } = sim.nodes[1]!;
	for (let i = 0; i < 3000; i++) {
		const bytes = Uint8Array.from({ length: sim.random.below(200) }, () => sim.random.below(256));
		if (i % 2) bytes[0] = 0xc1;
		ftfw.receive(bytes, 0, bytes.length, sim.now);
	}
	sim.run(1000);
	assert.deepEqual(sim.differences(), []);
	const { badSize, badVersion, badHeader, badSeal, unknownEpoch, helloFlood } = ftfw.counters;
	assert.ok(badSize > 0 && badVersion > 0 && badHeader > 0);
	assert.ok(badSize + badVersion + badHeader + badSeal + unknownEpoch + helloFlood >= 2900);
});

test("nodes that could not hear each other at the start meet when they can", () => {
	const sim = new Simulation(10, 3);
	sim.weather.cut.add("1>2").add("2>1");
	for (const node of sim.nodes) for (let key = 0; key < 20; key++) sim.set(node, node.id * 1000 + key, 1);
	sim.run(5000);
	sim.weather.cut.clear();
	sim.run(5000);
	assert.deepEqual(sim.differences().slice(0, 5), []);
});

test("a peer that hears nothing while it is heard costs no memory and keeps nobody else waiting", () => {
	const sim = new Simulation(11, 3);
	sim.run(2000);
	sim.weather.cut.add("1>2");
	const [a, , c] = sim.nodes as [SimulatedNode, SimulatedNode, SimulatedNode];
	disturb(sim, 15_000, 200);
	sim.run(500);
	assert.ok(a.internal.conntracks.store.count < 600, `${a.internal.conntracks.store.count} slots`);
	const held = sim.held(c, a);
	assert.deepEqual(
		[...a.kernel].filter(([key, value]) => held.get(key) !== value),
		[],
	);
	sim.weather.cut.clear();
	sim.run(4000);
	assert.deepEqual(sim.differences().slice(0, 5), []);
});

test("a node that dies keeps the others from each other for half a second at most", () => {
	const sim = new Simulation(12, 3);
	sim.run(2000);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	for (const other of [1, 2]) sim.weather.cut.add(`3>${other}`).add(`${other}>3`);
	for (let key = 0; key < 3000; key++) sim.set(a, key, 1);
	sim.run(800);
	const held = sim.held(b, a);
	assert.equal(held.size, 3000);
});

test("a bulk over a bad link never lets an entry vanish that was not destroyed", () => {
	for (let seed = 1; seed <= 25; seed++) {
		const sim = new Simulation(seed, 2);
		const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
		for (let key = 0; key < 150; key++) sim.set(a, key, 0);
		sim.run(2500);
		sim.weather.loss = 0.25;
		sim.weather.delayMax = 10;
		a.ftfw.bulk(sim.now);
		sim.run(3000, () => {
			sim.set(a, sim.random.below(150), sim.random.below(1000));
			a.ftfw.pump(sim.now);
			assert.equal(sim.held(b, a).size, 150, `seed ${seed} at ${sim.now}`);
		});
	}
});

test(`${SEEDS} random schedules with loss, delay, duplicates, cuts and restarts all end equal`, () => {
	for (let seed = 1; seed <= SEEDS; seed++) {
		const sim = new Simulation(seed, seed % 5 === 0 ? 3 : 2);
		const { random, weather } = sim;
		weather.loss = random.chance(0.3) ? 0 : random.next() * 0.4;
		weather.duplicate = random.chance(0.5) ? 0 : 0.1;
		weather.delayMax = random.below(30);
		for (let phase = 0; phase < 3; phase++) {
			if (random.chance(0.4)) weather.cut.add(random.chance(0.5) ? "1>2" : "2>1");
			disturb(sim, 300 + random.below(1500), 200);
			if (random.chance(0.4)) sim.start(sim.nodes[random.below(sim.nodes.length)]!);
			if (random.chance(0.2)) sim.nodes[0]!.ftfw.bulk(sim.now);
			if (random.chance(0.2)) sim.nodes[1]!.ftfw.requestResync(sim.now);
			weather.cut.clear();
		}
		weather.loss = 0;
		let waited = 0;
		while (sim.differences().length > 0 && waited < 6000) {
			sim.run(50);
			waited += 50;
		}
		assert.deepEqual(sim.differences().slice(0, 5), [], `seed ${seed}: CTSYNC_SEED=${seed}`);
	}
});

test("a thousand changes in a second are acknowledged a hundred times, and at once when nothing follows", () => {
	const sim = new Simulation(31, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(5000);
	const before = b.ftfw.counters.sent;
	let key = 0;
	sim.run(1000, () => {
		sim.set(a, key++, 1);
		a.ftfw.pump(sim.now);
	});
	const acknowledgements = b.ftfw.counters.sent - before;
	// a datagram each millisecond; digests and HELLOs of the second are among them
	assert.ok(acknowledgements >= 80 && acknowledgements <= 120, `${acknowledgements} datagrams`);
	sim.run(30);
	assert.equal(a.ftfw.outgoing.inFlight.count, 0);
	assert.equal(a.ftfw.counters.recordsResent, 0);
});

test("the lost tail of a burst is at the peer within thirty milliseconds", () => {
	for (let start = 0; start < 20; start++) {
		const sim = new Simulation(300 + start, 2);
		sim.run(4000 + start);
		const [sender, receiver] = [sim.nodes[0]!, sim.nodes[1]!];
		sim.weather.cut.add("1>2");
		for (let key = 0; key < 200; key++) sim.set(sender, key, 1);
		sender.ftfw.pump(sim.now);
		sim.run(1);
		sim.weather.cut.clear();
		sim.run(29);
		assert.equal(sim.held(receiver, sender).size, 200, `after ${start} ms`);
	}
});
