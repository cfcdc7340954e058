import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
	CHALLENGE_SIZE,
	epochTagOf,
	type Hello,
	PROTOCOL_VERSION,
	readHello,
	sameBytes,
	writeHello,
} from "./handshake.ts";
import { PEERS_MAX, Peer } from "./peer.ts";
import { type SimulatedNode, Simulation } from "./simulation.ts";
import { EPOCH_SIZE, FLAG_HELLO, Frame, HEADER_SIZE, writeHeader } from "./wire/frame.ts";
import { MsgpackWriter } from "./wire/msgpack.ts";
import { PlainSeal } from "./wire/seal.ts";

const noCaches = [] as unknown as Peer["external"];
const u32s = fc.integer({ min: 0, max: 0xffffffff });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const arbitraryPeer = fc
	.record({
		node: u32s,
		epoch: fc.option(bytes(EPOCH_SIZE), { nil: undefined }),
		hears: fc.boolean(),
		challenge: bytes(CHALLENGE_SIZE),
		theirChallenge: fc.constantFrom(0, CHALLENGE_SIZE).chain(bytes),
	})
	.map(({ node, challenge, epoch, ...rest }) => {
		const peer = new Peer(node, 0, noCaches, challenge);
		return Object.assign(peer, rest, { epoch, epochTag: epoch ? epochTagOf(epoch) : 0 });
	});
const arbitraryPeers = fc.uniqueArray(arbitraryPeer, {
	maxLength: PEERS_MAX,
	selector: (peer) => peer.node,
});
const arbitraryOwn = fc.record({
	credit: fc.nat(0xffff),
	nextSequence: fc.maxSafeNat(),
});

function written(own: Parameters<typeof writeHello>[1], peers: readonly Peer[]): Uint8Array {
	const writer = new MsgpackWriter(new Uint8Array(2048));
	writeHello(writer, own, peers);
	return writer.bytes.slice(0, writer.at);
}

test("a HELLO says to each peer what is for it, and to others nothing", () => {
	fc.assert(
		fc.property(arbitraryOwn, arbitraryPeers, u32s, (own, peers, stranger) => {
			const hello = written(own, peers);
			for (const node of [...peers.map((peer) => peer.node), stranger]) {
				const peer = peers.find((candidate) => candidate.node === node);
				const expected: Hello = { version: PROTOCOL_VERSION, ...own };
				if (peer) {
					expected.forMe = {
						adoptedTag: peer.isUp ? peer.epochTag : 0,
						isHeard: peer.hears,
						challenge: peer.challenge,
						echo: peer.theirChallenge,
					};
				}
				assert.deepEqual(readHello(hello, 0, hello.length, node), expected);
			}
		}),
	);
});

test("a HELLO that is cut, or followed by anything, is none", () => {
	fc.assert(
		fc.property(arbitraryOwn, arbitraryPeers, fc.nat(255), (own, peers, tail) => {
			const hello = written(own, peers);
			const node = peers[0]?.node ?? 0;
			for (let end = 0; end < hello.length; end++) {
				assert.equal(readHello(hello, 0, end, node), undefined, `cut at ${end}`);
			}
			assert.equal(readHello(Uint8Array.of(...hello, tail), 0, hello.length + 1, node), undefined);
		}),
		{ numRuns: 30 },
	);
});

test("a HELLO with any byte changed is read or refused, and never throws", () => {
	fc.assert(
		fc.property(arbitraryOwn, arbitraryPeers, fc.nat(2000), fc.nat(255), (own, peers, at, value) => {
			const hello = written(own, peers);
			hello[at % hello.length] = value;
			const read = readHello(hello, 0, hello.length, peers[0]?.node ?? 0);
			assert.ok((read?.forMe?.echo.length ?? 0) <= CHALLENGE_SIZE);
		}),
		{ numRuns: 500 },
	);
});

test("a HELLO with more entries than there can be peers is refused", () => {
	const own = { credit: 1, nextSequence: 1 };
	const peers = Array.from(
		{ length: PEERS_MAX + 1 },
		(_, i) => new Peer(i + 1, 0, noCaches, new Uint8Array(CHALLENGE_SIZE)),
	);
	const full = written(own, peers.slice(1));
	assert.ok(readHello(full, 0, full.length, 3)?.forMe);
	const tooMany = written(own, peers);
	assert.equal(readHello(tooMany, 0, tooMany.length, 3), undefined);
});

test("an epoch's tag is its first word, and never the 0 that says none", () => {
	assert.equal(epochTagOf(Uint8Array.of(0xfe, 2, 3, 4, 5)), 0xfe020304);
	assert.equal(epochTagOf(new Uint8Array(EPOCH_SIZE)), 1);
	assert.equal(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2)), true);
	assert.equal(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)), false);
	assert.equal(sameBytes(Uint8Array.of(), Uint8Array.of(1)), false);
});

interface Recorded {
	to: SimulatedNode;
	bytes: Uint8Array;
	flags: number;
	sender: number;
	sequence: number;
}

/** Keeps a copy of every datagram that a node receives; to be called after each start. */
function record(node: SimulatedNode, recorded: Recorded[]): void {
	const { ftfw } = node;
	const receive = ftfw.receive.bind(ftfw);
	ftfw.receive = (bytes, start, end, now) => {
		const frame = new Frame();
		frame.parse(bytes, start, end);
		const { flags, sender, sequence } = frame;
		recorded.push({ to: node, bytes: bytes.slice(start, end), flags, sender, sequence });
		receive(bytes, start, end, now);
	};
}

const replay = (sim: Simulation, { to, bytes }: Recorded): void => {
	to.ftfw.receive(bytes, 0, bytes.length, sim.now);
};

/** Two nodes of which the first has lived three times; what they have received, and the third life's epoch. */
function threeLives(seed: number): { sim: Simulation; a: SimulatedNode; b: SimulatedNode; old: Recorded[] } {
	const sim = new Simulation(seed, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	const recorded: Recorded[] = [];
	record(b, recorded);
	let old: Recorded[] = [];
	for (let life = 1; life <= 3; life++) {
		for (let key = 0; key < 50; key++) sim.set(a, key, life);
		for (let key = 50; key < 60; key++) sim.set(a, key + life * 10, life);
		sim.run(1500);
		if (life === 3) break;
		old = [...recorded];
		a.kernel.clear();
		sim.start(a);
	}
	assert.deepEqual(sim.differences(), []);
	return { sim, a, b, old };
}

test("a HELLO replayed from an old epoch never brings it back, nor does anything else of it", () => {
	for (let seed = 1; seed <= 5; seed++) {
		const { sim, a, b, old } = threeLives(seed);
		const { random } = sim;
		const peer = b.ftfw.peers[0]!;
		const before = { version: peer.external[0].store.count, destroyed: peer.external[0].counters.destroyed };
		assert.ok(old.some(({ flags }) => flags === FLAG_HELLO));
		for (const datagram of old) replay(sim, datagram);
		for (let i = 0; i < 2000; i++) {
			replay(sim, old[random.below(old.length)]!);
			if (i % 100 === 0) sim.run(5);
			assert.ok(sameBytes(peer.epoch!, a.ftfw.epoch), `seed ${seed}: an old epoch is back`);
		}
		assert.deepEqual(sim.differences(), []);
		assert.equal(peer.external[0].store.count, before.version);
		assert.equal(peer.external[0].counters.destroyed, before.destroyed);
		// and the living are not kept from talking
		sim.set(a, 999, 1);
		sim.run(300);
		assert.equal(sim.held(b, a).get(999), 1);
	}
});

test("a node that has just started adopts no epoch from a recording", () => {
	const { sim, b, old } = threeLives(9);
	sim.weather.cut.add("1>2").add("2>1");
	sim.start(b);
	for (let round = 0; round < 5; round++) {
		for (const datagram of old) replay(sim, datagram);
		sim.run(600);
	}
	const peer = b.ftfw.peers[0]!;
	assert.equal(peer.node, 1);
	assert.equal(peer.epoch, undefined);
	assert.equal(peer.isUp, false);
	assert.equal(peer.external[0].store.count, 0);
	sim.weather.cut.clear();
	sim.run(2000);
	assert.deepEqual(sim.differences(), []);
});

test("an epoch is adopted by an echo of the challenge alone, and the challenge is spent", () => {
	const sim = new Simulation(3, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	const recorded: Recorded[] = [];
	record(b, recorded);
	sim.weather.cut.add("2>1");
	sim.run(1200);
	// a has heard nothing of b: its HELLOs echo nothing
	const peer = b.ftfw.peers[0]!;
	const challenge = peer.challenge.slice();
	assert.ok(recorded.length > 0 && recorded.every(({ flags }) => flags === FLAG_HELLO));
	assert.equal(peer.epoch, undefined);
	sim.weather.cut.clear();
	sim.run(1200);
	assert.ok(sameBytes(peer.epoch!, a.ftfw.epoch));
	assert.ok(!sameBytes(peer.challenge, challenge), "the same challenge would let a recording through");
});

test("a HELLO that was overtaken by a later one changes nothing", () => {
	const sim = new Simulation(4, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(1500);
	const peer = b.ftfw.peers[0]!;
	const hello = (sequence: number, credit: number) =>
		sendHello(sim, b, a.ftfw.epoch, a.ftfw.epoch, sequence, (writer) =>
			writeHello(writer, { credit, nextSequence: sequence + 1 }, a.ftfw.peers),
		);
	const next = a.ftfw.outgoing.nextSequence;
	hello(next + 9, 77);
	assert.equal(peer.credit, 77);
	hello(next + 5, 66);
	assert.equal(peer.credit, 77);
	hello(next + 12, 0);
	assert.equal(peer.credit, 1, "no credit at all would be for ever");
});

test("a HELLO whose header names another epoch is malformed", () => {
	const sim = new Simulation(5, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(1500);
	const before = b.ftfw.counters.badPayload;
	sendHello(sim, b, a.ftfw.epoch, new Uint8Array(16).fill(9), a.ftfw.outgoing.nextSequence + 3, (writer) =>
		writeHello(writer, { credit: 1, nextSequence: 1 }, a.ftfw.peers),
	);
	assert.equal(b.ftfw.counters.badPayload, before + 1);
	assert.ok(sameBytes(b.ftfw.peers[0]!.epoch!, a.ftfw.epoch));
});

/** Has a node receive a HELLO of node 1, with the tag of one epoch in its header and another one behind it. */
function sendHello(
	sim: Simulation,
	to: SimulatedNode,
	tagged: Uint8Array,
	epoch: Uint8Array,
	sequence: number,
	write: (writer: MsgpackWriter) => void,
): void {
	const writer = new MsgpackWriter(new Uint8Array(1024));
	writer.bytes.set(epoch, HEADER_SIZE);
	writer.at = HEADER_SIZE + EPOCH_SIZE;
	write(writer);
	writeHeader(writer.bytes, FLAG_HELLO, 1, epochTagOf(tagged), sequence);
	const end = new PlainSeal().seal(writer.bytes, HEADER_SIZE + EPOCH_SIZE, writer.at);
	to.ftfw.receive(writer.bytes, 0, end, sim.now);
}
