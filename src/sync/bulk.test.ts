import assert from "node:assert/strict";
import { test } from "node:test";
import { type InternalCaches, newInternalCaches } from "../cache/internal-cache.ts";
import { EXP_PORTS, EXP_PROTOCOLS, newExpectationRecord } from "../conntrack/expectation-record.ts";
import { CONNTRACK, EXPECTATION } from "../conntrack/kind.ts";
import { Bulk } from "./bulk.ts";
import { DirtySet, keyOf, kindOf, slotOf } from "./dirty-set.ts";
import { InFlight } from "./in-flight.ts";
import { Control, Peer } from "./peer.ts";
import { PeerEquality } from "./peer-equality.ts";
import { recordOf, type SimulatedNode, Simulation } from "./simulation.ts";
import { newSyncCounters } from "./sync-counters.ts";

const newPeer = (node: number): Peer =>
	new Peer(node, node, [] as unknown as Peer["external"], new PeerEquality(), new Uint8Array(16));

function expectationOf(key: number): Int32Array {
	const record = newExpectationRecord();
	record[EXP_PROTOCOLS] = 2 | (6 << 8);
	record[EXP_PORTS] = key;
	return record;
}

/** A bulk over so many conntracks and expectations. */
function setUp(conntracks: number, expectations: number) {
	const caches: InternalCaches = newInternalCaches(1, 100_000);
	for (let key = 0; key < conntracks; key++) caches.conntracks.apply(recordOf(key, 0), true, 0);
	for (let key = 0; key < expectations; key++) caches.expectations.apply(expectationOf(key), true, 0);
	const dirty = new DirtySet();
	const inFlight = new InFlight();
	const counters = newSyncCounters();
	const stores = [caches.conntracks.store, caches.expectations.store] as const;
	return { caches, dirty, inFlight, counters, bulk: new Bulk(stores, dirty, inFlight, counters) };
}

/** Walks to the end; the keys on the way. */
function walk(bulk: Bulk, peers: readonly Peer[]): number[] {
	const keys: number[] = [];
	for (let key = bulk.next(peers); key >= 0; key = bulk.next(peers)) {
		keys.push(key);
		bulk.advance();
	}
	return keys;
}

test("a bulk goes through its phases, and each waits for what it has to wait for", () => {
	const { bulk, dirty, inFlight, counters } = setUp(3, 2);
	const peer = newPeer(0);
	const peers = [peer];
	const phaseAfterStep = () => {
		bulk.step(peers);
		return peer.bulkPhase;
	};

	assert.equal(phaseAfterStep(), "idle");
	assert.equal(bulk.next(peers), -1, "no walk without a bulk");
	bulk.start(peer);
	assert.deepEqual([peer.bulkPhase, peer.bulkId, peer.control], ["begin", 1, Control.begin]);
	assert.equal(phaseAfterStep(), "begin", "BEGIN is not acknowledged");
	bulk.acknowledged(peer, Control.begin, 7);
	bulk.acknowledged(peer, Control.end, 1);
	assert.equal(phaseAfterStep(), "begin", "neither another bulk's BEGIN nor END counts");
	bulk.acknowledged(peer, Control.begin, 1);
	assert.equal(peer.bulkPhase, "ready");
	assert.equal(phaseAfterStep(), "walk");
	assert.equal(bulk.walkers, peer.bit);
	assert.equal(bulk.waiting(peers), peer.bit);

	dirty.mark(CONNTRACK, 0, peer.bit);
	dirty.mark(CONNTRACK, 1, peer.bit);
	assert.deepEqual(walk(bulk, peers), [
		keyOf(CONNTRACK, 0),
		keyOf(CONNTRACK, 1),
		keyOf(CONNTRACK, 2),
		keyOf(EXPECTATION, 0),
		keyOf(EXPECTATION, 1),
	]);
	assert.deepEqual([peer.bulkPhase, bulk.walkers], ["flush", 0]);
	dirty.shift();
	assert.equal(phaseAfterStep(), "flush", "one that was dirty at the end of the walk is unsent");
	dirty.shift();
	dirty.mark(CONNTRACK, 2, peer.bit);
	inFlight.commit(1, peer.bit, peer.bit, 0);
	assert.equal(phaseAfterStep(), "drain", "what became dirty later does not count");
	assert.equal(bulk.waiting(peers), 0);

	assert.equal(phaseAfterStep(), "drain", "a datagram is in flight");
	bulk.retry.push(keyOf(CONNTRACK, 0));
	inFlight.settle(1, peer.bit, () => {});
	assert.equal(phaseAfterStep(), "drain", "a key of a lost one is unsent");
	assert.equal(bulk.waiting(peers), peer.bit);
	bulk.retry.shift();
	peer.control = 0;
	assert.equal(phaseAfterStep(), "end");
	assert.equal(peer.control, Control.end);
	bulk.acknowledged(peer, Control.begin, 1);
	assert.equal(peer.bulkPhase, "end", "a late acknowledgement of BEGIN");
	assert.equal(counters.bulksSent, 0);
	bulk.acknowledged(peer, Control.end, 1);
	assert.deepEqual([peer.bulkPhase, counters.bulksSent], ["idle", 1]);
});

test("the walk passes over the dead and the gone", () => {
	const { bulk, caches } = setUp(6, 1);
	const { store } = caches.conntracks;
	store.bury(1, 0);
	store.remove(4);
	const peer = newPeer(0);
	bulk.start(peer);
	bulk.acknowledged(peer, Control.begin, 1);
	bulk.step([peer]);
	const slots = walk(bulk, [peer])
		.filter((key) => kindOf(key) === CONNTRACK)
		.map(slotOf);
	assert.deepEqual(slots, [0, 2, 3, 5]);
});

test("a key stays under the cursor until it was sent", () => {
	const { bulk } = setUp(2, 0);
	const peer = newPeer(0);
	bulk.start(peer);
	bulk.acknowledged(peer, Control.begin, 1);
	bulk.step([peer]);
	assert.equal(bulk.next([peer]), keyOf(CONNTRACK, 0));
	assert.equal(bulk.next([peer]), keyOf(CONNTRACK, 0));
	bulk.advance();
	assert.equal(bulk.next([peer]), keyOf(CONNTRACK, 1));
});

test("peers that are ready together share a walk; one that comes later has the next", () => {
	const { bulk } = setUp(3, 0);
	const [a, b, late] = [newPeer(0), newPeer(1), newPeer(2)] as const;
	const peers = [a, b, late];
	for (const peer of [a, b]) {
		bulk.start(peer);
		bulk.acknowledged(peer, Control.begin, 1);
	}
	bulk.step(peers);
	assert.equal(bulk.walkers, a.bit | b.bit);
	bulk.next(peers);
	bulk.advance();
	bulk.start(late);
	bulk.acknowledged(late, Control.begin, 1);
	bulk.step(peers);
	assert.deepEqual([late.bulkPhase, bulk.walkers], ["ready", a.bit | b.bit]);
	assert.equal(walk(bulk, peers).length, 2);
	bulk.step(peers);
	assert.deepEqual([late.bulkPhase, bulk.walkers], ["walk", late.bit]);
	assert.equal(walk(bulk, peers).length, 3, "from the beginning");
});

test("a bulk asked for during another follows it; before BEGIN has arrived it is the same one", () => {
	const { bulk } = setUp(1, 0);
	const peer = newPeer(0);
	bulk.start(peer);
	bulk.start(peer);
	assert.deepEqual([peer.bulkId, peer.bulkAgain], [1, false]);
	bulk.acknowledged(peer, Control.begin, 1);
	bulk.step([peer]);
	bulk.start(peer);
	assert.deepEqual([peer.bulkId, peer.bulkAgain, peer.bulkPhase], [1, true, "walk"]);
	walk(bulk, [peer]);
	bulk.step([peer]);
	bulk.step([peer]);
	bulk.acknowledged(peer, Control.end, 1);
	assert.deepEqual([peer.bulkId, peer.bulkAgain, peer.bulkPhase], [2, false, "begin"]);
});

test("a peer that goes away leaves the walk to the others", () => {
	const { bulk } = setUp(2, 0);
	const [a, b] = [newPeer(0), newPeer(1)] as const;
	for (const peer of [a, b]) {
		bulk.start(peer);
		bulk.acknowledged(peer, Control.begin, 1);
	}
	bulk.step([a, b]);
	bulk.abort(a);
	assert.deepEqual([a.bulkPhase, a.control, bulk.walkers], ["idle", 0, b.bit]);
	assert.equal(walk(bulk, [a, b]).length, 2);
	assert.deepEqual([a.bulkPhase, b.bulkPhase], ["idle", "flush"]);
});

test("a bulk brings what live changes could not, and drops what the sender does not have", () => {
	const sim = new Simulation(1, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	for (let key = 0; key < 300; key++) sim.set(a, key, 1);
	sim.run(2000);
	// spoiled behind the protocol's back: the bulk alone can tell
	const external = b.ftfw.peers[0]!.external[0];
	for (let key = 0; key < 300; key += 3) external.drop(external.store.find(recordOf(key, 0)));
	for (let key = 1000; key < 1100; key++) external.set(recordOf(key, 1), key, 0);
	assert.ok(sim.differences().length > 0);
	a.ftfw.bulk(sim.now);
	sim.run(1000);
	assert.deepEqual(sim.differences().slice(0, 5), []);
	assert.equal(b.ftfw.counters.bulksReceived, 2, "the first came with the contact");
});

test("bulks end, and leave both equal, on a link that loses a third of everything", () => {
	for (let seed = 1; seed <= 5; seed++) {
		const sim = new Simulation(seed, 2);
		const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
		for (let key = 0; key < 400; key++) sim.set(a, key, 1);
		sim.weather.loss = 0.33;
		sim.weather.delayMax = 5;
		sim.run(4000);
		a.ftfw.bulk(sim.now);
		b.ftfw.requestResync(sim.now);
		sim.run(20_000);
		assert.deepEqual(sim.differences().slice(0, 5), [], `seed ${seed}`);
		assert.equal(a.ftfw.peers[0]!.bulkPhase, "idle", `seed ${seed}`);
		assert.ok(a.ftfw.counters.bulksSent >= 2, `seed ${seed}`);
	}
});
