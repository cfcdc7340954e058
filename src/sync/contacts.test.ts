import assert from "node:assert/strict";
import { test } from "node:test";
import { epochTagOf, nothingSaid, PROTOCOL_VERSION, writeHello } from "./handshake.ts";
import { recordOf, type SimulatedNode, Simulation } from "./simulation.ts";
import { EPOCH_SIZE, FLAG_HELLO, HEADER_SIZE, writeHeader } from "./wire/frame.ts";
import { MsgpackWriter } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";
import { PlainSeal } from "./wire/seal.ts";

const peerOf = (holder: SimulatedNode, other: SimulatedNode) =>
	holder.ftfw.peers.find(({ node }) => node === other.id)!;

const rivalOf = ({ ftfw }: SimulatedNode): number | undefined => ftfw.contacts.conflict?.node;

/** A HELLO of somebody who says it speaks these versions. */
function greet(to: SimulatedNode, sender: number, versions: [number, number], now: number): void {
	const writer = new MsgpackWriter(new Uint8Array(1024));
	writer.bytes.fill(sender, HEADER_SIZE, HEADER_SIZE + EPOCH_SIZE);
	writer.at = HEADER_SIZE + EPOCH_SIZE;
	writeHello(writer, { credit: 9, state: nothingSaid() }, [], 0, 1000);
	[writer.bytes[HEADER_SIZE + EPOCH_SIZE + 2], writer.bytes[HEADER_SIZE + EPOCH_SIZE + 3]] = versions;
	const tag = (sender * 0x01010101) >>> 0;
	writeHeader(writer.bytes, FLAG_HELLO, sender, tag, 1);
	const end = new PlainSeal().seal(writer.bytes, HEADER_SIZE + EPOCH_SIZE, writer.at);
	to.ftfw.receive(writer.bytes, 0, end, now);
}

test("a node of another version is named once, with both versions, and is no peer", () => {
	const sim = new Simulation(1, 2);
	const [a] = sim.nodes as [SimulatedNode];
	sim.run(1000);
	for (let i = 0; i < 5; i++) greet(a, 9, [PROTOCOL_VERSION + 1, PROTOCOL_VERSION + 3], sim.now);
	assert.equal(a.ftfw.counters.badVersion, 5);
	const told = sim.notices.filter((text) => text.includes("do not understand each other"));
	assert.equal(told.length, 1);
	assert.match(told[0]!, /node 0\.0\.0\.9 speaks versions 2 to 4 .* this node 1 to 1/);
	assert.equal(peerOf(a, { id: 9 } as SimulatedNode), undefined);
});

test("a node that speaks a later version, and ours too, is understood", () => {
	const sim = new Simulation(1, 2);
	const [a] = sim.nodes as [SimulatedNode];
	sim.run(1000);
	greet(a, 9, [PROTOCOL_VERSION, PROTOCOL_VERSION + 1], sim.now);
	assert.equal(a.ftfw.counters.badVersion, 0);
});

test("two nodes that meet hear each other within some round trips", () => {
	const sim = new Simulation(1, 2);
	const begin = sim.now;
	const hearEachOther = () => sim.nodes.every(({ ftfw }) => ftfw.peers[0]?.hears);
	while (!hearEachOther() && sim.now < begin + 100) sim.run(1);
	assert.ok(sim.now - begin <= 12, `${sim.now - begin} ms`);
});

test("who greets in a flood gets a few answers at once, and one in twenty milliseconds", () => {
	const sim = new Simulation(1, 1);
	const [a] = sim.nodes as [SimulatedNode];
	sim.run(15_000);
	const before = sim.datagrams;
	for (let i = 0; i < 1000; i++) {
		sim.run(1);
		greet(a, 9, [PROTOCOL_VERSION, PROTOCOL_VERSION], sim.now);
	}
	assert.ok(sim.datagrams - before <= 56, `${sim.datagrams - before} answers`);
});

test("strangers who answer no challenge never take the place of a peer", () => {
	const sim = new Simulation(2, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.weather.cut.add("1>2").add("2>1");
	for (let round = 0; round < 100; round++) {
		for (let sender = 10; sender < 60; sender++) greet(a, sender, [1, 1], sim.now);
		sim.run(20);
	}
	assert.equal(a.ftfw.peers.length, 0);
	sim.weather.cut.clear();
	sim.run(5000);
	assert.deepEqual(
		a.ftfw.peers.map(({ node }) => node),
		[b.id],
	);
});

test("a greeting forged in a peer's name does not make the peer believe that it is not heard, however long the list", () => {
	const sim = new Simulation(2, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(1500);
	for (let round = 0; round < 50; round++) {
		for (let sender = 10; sender < 42; sender++) greet(a, sender, [1, 1], sim.now);
		greet(a, b.id, [1, 1], sim.now);
		sim.run(20);
	}
	assert.equal(sim.notices.filter((text) => text.includes("is in contact")).length, 2);
});

test("strangers do not keep out a peer that has restarted either", () => {
	const sim = new Simulation(2, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(1500);
	sim.start(b);
	for (let i = 0; i < 60; i++) {
		for (let sender = 10; sender < 60; sender++) greet(a, sender, [1, 1], sim.now);
		sim.run(20);
	}
	assert.deepEqual(peerOf(a, b).epoch, b.ftfw.epoch);
	assert.ok(peerOf(a, b).hears);
});

test("a forged number from far ahead blinds a node for no longer than it takes to miss its peer", () => {
	const sim = new Simulation(8, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(1500);
	const writer = new MsgpackWriter(new Uint8Array(64));
	writer.at = HEADER_SIZE;
	writer.array(1);
	writer.uint(RecordType.alive);
	for (const ahead of [2 ** 23, 2 ** 40]) {
		writeHeader(writer.bytes, 0, a.id, epochTagOf(a.ftfw.epoch), a.ftfw.outgoing.nextSequence + ahead);
		const end = new PlainSeal().seal(writer.bytes, HEADER_SIZE, HEADER_SIZE + 2);
		b.ftfw.receive(writer.bytes.slice(), 0, end, sim.now);
	}
	sim.set(a, 7, 1);
	sim.run(100);
	assert.equal(sim.differences().length, 1, "the forgery has an effect without a key");
	sim.run(6000);
	assert.deepEqual(sim.differences(), []);
	assert.ok(peerOf(b, a).window.highest < 2 ** 20);
	assert.ok(!sim.notices.some((text) => text.includes("restarted")));
});

test("every takeover has a higher term than any before it", () => {
	const sim = new Simulation(3, 3);
	const [a, b, c] = sim.nodes as [SimulatedNode, SimulatedNode, SimulatedNode];
	sim.run(1000);
	a.ftfw.contacts.becomePrimary(sim.now);
	sim.run(100);
	assert.deepEqual([peerOf(b, a).state.term, peerOf(c, a).state.isPrimary], [1, true]);
	b.ftfw.contacts.becomePrimary(sim.now);
	a.ftfw.contacts.becomeBackup(sim.now);
	sim.run(100);
	assert.deepEqual([peerOf(c, b).state.term, peerOf(c, a).state.isPrimary], [2, false]);
	b.ftfw.contacts.becomePrimary(sim.now);
	assert.equal(b.ftfw.contacts.state.term, 2, "a hook that runs twice changes nothing");
	a.ftfw.contacts.becomePrimary(sim.now);
	assert.equal(a.ftfw.contacts.state.term, 3);
});

test("the term begins when a node comes into charge that was not, and is for ever while nobody says that it was not", () => {
	const sim = new Simulation(5, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	const began = ({ ftfw }: SimulatedNode): number => ftfw.contacts.termBegan;
	sim.run(1000);
	a.ftfw.contacts.becomePrimary(sim.now);
	assert.equal(began(a), -1);
	sim.run(100);
	// the other one was heard to be primary, though no hook has told b that it is backup
	b.ftfw.contacts.becomePrimary(sim.now);
	const first = sim.now;
	assert.equal(began(b), first);
	a.ftfw.contacts.becomeBackup(sim.now);
	sim.run(100);
	b.ftfw.contacts.becomePrimary(sim.now);
	assert.equal(began(b), first, "a hook that runs twice changes nothing");
	a.ftfw.contacts.becomePrimary(sim.now);
	assert.equal(began(a), sim.now);
	// a hook that says backup first, as keepalived does when it starts
	const other = new Simulation(5, 2);
	const [c] = other.nodes as [SimulatedNode];
	other.run(100);
	c.ftfw.contacts.becomeBackup(other.now);
	c.ftfw.contacts.becomePrimary(other.now);
	assert.equal(began(c), other.now);
});

test("the highest term of all leaves a node that can still be understood", () => {
	const sim = new Simulation(6, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(1000);
	a.ftfw.contacts.state.term = 0xffffffff;
	a.ftfw.contacts.sendHello(sim.now);
	sim.run(50);
	b.ftfw.contacts.becomePrimary(sim.now);
	sim.run(50);
	assert.equal(peerOf(a, b).state.term, 0xffffffff);
	assert.equal(a.ftfw.counters.badPayload, 0);
});

test("two primaries are a conflict when it lasts, and both say so until one gives in", () => {
	const sim = new Simulation(4, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(1000);
	a.ftfw.contacts.becomePrimary(sim.now);
	sim.run(100);
	b.ftfw.contacts.becomePrimary(sim.now);
	sim.run(2000);
	assert.equal(rivalOf(a), undefined, "a failover passes through it");
	sim.run(2000);
	assert.deepEqual([rivalOf(a), rivalOf(b)], [b.id, a.id]);
	const conflicts = sim.notices.filter((text) => text.includes("two primaries"));
	assert.equal(conflicts.length, 2);
	a.ftfw.contacts.becomeBackup(sim.now);
	sim.run(100);
	assert.deepEqual([rivalOf(a), rivalOf(b)], [undefined, undefined]);
});

test("of three nodes the one that took over last owns an entry, also after it has ended it", () => {
	const sim = new Simulation(5, 3);
	const [a, b, c] = sim.nodes as [SimulatedNode, SimulatedNode, SimulatedNode];
	for (const key of [1, 2, 3]) sim.set(a, key, 10);
	a.ftfw.contacts.becomePrimary(sim.now);
	sim.run(2000);
	// a dies; b commits what it had, and is primary
	sim.weather.cut.add("1>2").add("1>3").add("2>1").add("3>1");
	sim.run(4000);
	b.ftfw.contacts.becomePrimary(sim.now);
	for (const key of [1, 2, 3]) sim.set(b, key, 20);
	b.ftfw.pump(sim.now);
	sim.run(200);
	const counts = (origin: SimulatedNode, key: number): boolean => {
		const { store } = peerOf(c, origin).external[0];
		const slot = store.find(recordOf(key, 0));
		return slot >= 0 && store.isLive(slot) && store.isOwned(slot);
	};
	assert.deepEqual([counts(a, 1), counts(b, 1)], [false, true]);
	sim.destroy(b, 1);
	b.ftfw.pump(sim.now);
	sim.run(200);
	assert.deepEqual(
		[counts(a, 1), counts(b, 1)],
		[false, false],
		"what the owner has ended does not come back",
	);
	// a comes back, takes over again and tells of what it has
	sim.weather.cut.clear();
	sim.run(3000);
	assert.deepEqual([counts(a, 2), counts(b, 2)], [false, true]);
	a.ftfw.contacts.becomePrimary(sim.now);
	sim.set(a, 2, 30);
	a.ftfw.pump(sim.now);
	sim.run(200);
	assert.deepEqual([counts(a, 2), counts(b, 2)], [true, false]);
});

test("nodes that all forward are neither primary nor backup, and no two of them are a conflict", () => {
	const sim = new Simulation(13, 2, { isActiveActive: () => true });
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(1500);
	for (const { ftfw } of [a, b]) ftfw.contacts.becomePrimary(sim.now);
	sim.run(5000);
	for (const { ftfw } of [a, b]) {
		assert.equal(ftfw.contacts.conflict, undefined);
		const { isPrimary, isActiveActive, term } = ftfw.contacts.state;
		assert.deepEqual([isPrimary, isActiveActive, term], [false, true, 0]);
		ftfw.contacts.becomeBackup(sim.now);
	}
	assert.ok(peerOf(a, b).state.isActiveActive);
	assert.ok(!sim.notices.some((text) => /primar|Role/.test(text)));
});

test("a node that is active-active and one that is not are told of, once", () => {
	const sim = new Simulation(14, 2, { isActiveActive: (node) => node === 1 });
	sim.run(5000);
	const told = sim.notices.filter((text) => text.includes("Role")).map((text) => text.replace(/^.*?: /, ""));
	assert.deepEqual(told.toSorted(), [
		"node 0.0.0.1 is active-active and this node is not: all nodes need the same Role",
		"this node is active-active and node 0.0.0.2 is not: all nodes need the same Role",
	]);
});
