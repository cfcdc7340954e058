// What Mode ALARM promises: after any losses both nodes hold the same within RefreshTime (what is missing) and
// CacheTimeout (what is too much); the entries of a dead node go; the repetition is spread and bounded.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SlotSet } from "../cache/slot-set.ts";
import { AlarmMode } from "./alarm.ts";
import type { Ftfw } from "./ftfw.ts";
import { ftfwMode, type ModeParts } from "./mode.ts";
import { type SimulatedNode, Simulation } from "./simulation.ts";
import { dueAt } from "./timetable.ts";

type Pair = [SimulatedNode, SimulatedNode];
const SEEDS = Number(process.env.CTSYNC_SEEDS ?? 20);
const REFRESH = 4;
const TIMEOUT = 10;

function pair(seed: number, refreshTime = REFRESH): { sim: Simulation; a: SimulatedNode; b: SimulatedNode } {
	const sim = new Simulation(seed, 2, {
		mode: (entropy) => new AlarmMode({ refreshTime, cacheTimeout: TIMEOUT, entropy }),
	});
	const [a, b] = sim.nodes as Pair;
	return { sim, a, b };
}

test("whoever comes into contact has everything within RefreshTime, without a bulk", () => {
	const { sim, a, b } = pair(1);
	for (let key = 0; key < 2000; key++) sim.set(a, key, 1);
	sim.run(1000 + REFRESH * 1000);
	assert.deepEqual(sim.differences().slice(0, 3), []);
	assert.equal(b.ftfw.counters.bulksReceived, 0);
	assert.equal(sim.notices.filter((line) => line.includes("sending bulk")).length, 0);
});

test("a change is told at once", () => {
	const { sim, a, b } = pair(2);
	sim.run(1500);
	sim.set(a, 7, 1);
	a.ftfw.pump(sim.now);
	sim.run(3);
	assert.equal(sim.held(b, a).get(7), 1);
});

test("after losses what is missing comes within RefreshTime, and what is too much goes after CacheTimeout", () => {
	for (let seed = 1; seed <= SEEDS; seed++) {
		const { sim, a, b } = pair(seed);
		for (let key = 0; key < 300; key++) sim.set(a, key, 1);
		sim.run(1000 + REFRESH * 1000);
		sim.weather.cut.add("1>2");
		for (let key = 0; key < 100; key++) sim.set(a, key, 2);
		for (let key = 100; key < 150; key++) sim.destroy(a, key);
		sim.run(50);
		sim.weather.cut.clear();
		sim.run(REFRESH * 1000);
		const held = sim.held(b, a);
		for (const [key, value] of a.kernel) assert.equal(held.get(key), value, `seed ${seed}, key ${key}`);
		assert.equal(held.size, 300, `seed ${seed}: nothing was lost`);
		sim.run((TIMEOUT + 2) * 1000);
		assert.deepEqual(sim.differences().slice(0, 3), [], `seed ${seed}`);
	}
});

test("the entries of a node that has died expire, and not before", () => {
	const { sim, a, b } = pair(3);
	for (let key = 0; key < 300; key++) sim.set(a, key, 1);
	sim.run(1000 + REFRESH * 1000);
	sim.weather.cut.add("1>2");
	sim.run((TIMEOUT - REFRESH - 1) * 1000);
	assert.equal(sim.held(b, a).size, 300);
	const { store, expiry } = b.ftfw.peers[0]!.external[0];
	const left = Array.from({ length: store.end }, (_, slot) => expiry!.left(slot, Math.floor(sim.now / 1000)));
	assert.ok(Math.max(...left) < TIMEOUT && Math.min(...left) >= 0);
	sim.run((REFRESH + 3) * 1000);
	assert.equal(sim.held(b, a).size, 0);
	assert.equal(expiry!.expired, 300);
});

test("while a commit runs nothing expires", () => {
	const { sim, a, b } = pair(4);
	for (let key = 0; key < 30; key++) sim.set(a, key, 1);
	sim.run(1000 + REFRESH * 1000);
	sim.weather.cut.add("1>2");
	const external = b.ftfw.peers[0]!.external[0];
	external.touched = new SlotSet();
	sim.run((TIMEOUT + 3) * 1000);
	assert.equal(sim.held(b, a).size, 30);
	external.touched = undefined;
	sim.run(1000);
	assert.equal(sim.held(b, a).size, 0);
});

test("the repetition is spread: no hundred milliseconds have more than a fair share of it", () => {
	const { sim, a, b } = pair(5);
	for (let key = 0; key < 2000; key++) sim.set(a, key, 1);
	sim.run(1000 + REFRESH * 1000);
	const { counters } = a.ftfw;
	const portions: number[] = [];
	for (let i = 0; i < (REFRESH * 1000) / 100; i++) {
		const before = counters.recordsSent;
		sim.run(100);
		portions.push(counters.recordsSent - before);
	}
	const sum = portions.reduce((all, one) => all + one, 0);
	assert.ok(sum >= 2000, `${sum} records in ${REFRESH} s`);
	assert.ok(sum <= 4500, `${sum} records in ${REFRESH} s`);
	// a pass takes half of RefreshTime at least
	assert.ok(Math.max(...portions) <= (2000 / ((REFRESH * 10) / 2)) * 1.5, portions.join(" "));
	assert.equal(b.ftfw.counters.recordsReceived > 0, true);
});

test("passes differ in length, so that nodes do not stay in step", () => {
	const { sim, a } = pair(6, 1);
	for (let key = 0; key < 10; key++) sim.set(a, key, 1);
	sim.run(1000);
	const { mode } = a.ftfw;
	assert.ok(mode instanceof AlarmMode);
	const ends: number[] = [];
	let seen = mode.passes;
	sim.run(20_000, () => {
		if (mode.passes === seen) return;
		seen = mode.passes;
		ends.push(sim.now);
	});
	const lengths = ends.slice(1).map((end, i) => end - ends[i]!);
	assert.ok(Math.min(...lengths) >= 499 && Math.max(...lengths) <= 1010, lengths.join(" "));
	// it looks every 50 ms, so there are eleven lengths; what counts is that one says nothing of the next
	const changes = lengths.filter((length, i) => i > 0 && Math.abs(length - lengths[i - 1]!) >= 50).length;
	assert.ok(changes > lengths.length * 0.75, lengths.join(" "));
	assert.ok(new Set(lengths).size >= 6, lengths.join(" "));
	assert.equal(mode.latePasses, 0);
});

test("more entries than the link can repeat in time: the queue stays short, and that is told", () => {
	const { sim, a } = pair(7, 1);
	for (let key = 0; key < 20_000; key++) sim.set(a, key, 1);
	sim.run(2000);
	sim.congested.add(a.id);
	let longest = 0;
	sim.run(3000, () => {
		longest = Math.max(longest, a.ftfw.outgoing.dirty.queue.length);
	});
	assert.ok(longest <= 4096, `${longest} wait`);
	sim.congested.clear();
	sim.run(2000);
	assert.match(sim.notices.join("\n"), /sending all entries again took [3-5]\.\d s, RefreshTime is 1 s/);
});

test("a large store of which most is empty is passed over in time", () => {
	const end = 1_000_000;
	const mode = new AlarmMode({ refreshTime: 2, cacheTimeout: 5, entropy: () => Uint8Array.of(0, 0) });
	const notices: string[] = [];
	let marked = 0;
	const parts = {
		peers: [{ hears: true, bit: 1 }],
		outgoing: { dirty: { queue: { length: 0 }, mark: () => marked++ } },
		internal: [
			{ store: { end, isLive: (slot: number) => slot % 10_000 === 0 } },
			{ store: { end: 0, isLive: () => false } },
		],
		notice: (text: string) => notices.push(text),
	} as unknown as ModeParts;
	const ftfw = {
		mode,
		peers: [],
		equality: { isBusy: false },
		returned: { isBusy: false },
		contacts: { dueAt: Number.POSITIVE_INFINITY },
		outgoing: { isBusy: false, inFlight: { count: 0 }, isHeard: false },
	} as unknown as Ftfw;
	let most = 0;
	for (let now = 0; now < 20_000; ) {
		const before = marked;
		Object.assign(ftfw.outgoing, { sentAt: now });
		mode.tick(parts, now);
		most = Math.max(most, marked - before);
		now = dueAt(ftfw, now);
	}
	// half of RefreshTime is what its entropy makes of a pass, and the turn in which it ends
	assert.ok(mode.passes >= 18 && mode.passes <= 20, `${mode.passes} passes`);
	assert.equal(mode.latePasses, 0);
	assert.deepEqual(notices, []);
	assert.ok(marked >= mode.passes * 100 && marked <= (mode.passes + 1) * 100, `${marked}`);
	assert.ok(most <= 1 + Math.ceil(8192 / 10_000), `${most} at a time`);
});

test("-n and -B have no effect, and a request of the peer's is told and not answered", () => {
	const { sim, a, b } = pair(8);
	sim.run(1500);
	a.ftfw.bulk(sim.now);
	a.ftfw.requestResync(sim.now);
	sim.run(500);
	assert.equal(b.ftfw.counters.bulksReceived, 0);
	assert.equal(sim.notices.filter((line) => line.includes("resync requested")).length, 0);
});

test("entries of a peer that does not repeat them do not expire", () => {
	const sim = new Simulation(9, 2, {
		mode: (entropy, node) =>
			node === 1 ? ftfwMode : new AlarmMode({ refreshTime: REFRESH, cacheTimeout: TIMEOUT, entropy }),
	});
	const [a, b] = sim.nodes as Pair;
	for (let key = 0; key < 30; key++) sim.set(a, key, 1);
	sim.run((TIMEOUT + 5) * 1000);
	assert.equal(sim.held(b, a).size, 30);
	assert.match(sim.notices.join("\n"), /node 1: node 0\.0\.0\.2 runs Mode ALARM and this node Mode FTFW/);
});

test("a restart of the origin: what it has no more goes after CacheTimeout", () => {
	const { sim, a, b } = pair(10);
	for (let key = 0; key < 100; key++) sim.set(a, key, 1);
	sim.run(1000 + REFRESH * 1000);
	for (let key = 0; key < 40; key++) a.kernel.delete(key);
	sim.start(a);
	sim.run(1000 + REFRESH * 1000);
	assert.equal(sim.held(b, a).size, 100);
	sim.run((TIMEOUT + 2) * 1000);
	assert.deepEqual(sim.differences(), []);
	assert.equal(b.ftfw.peers[0]!.equality.differing, 0);
});
