import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
	CHALLENGE_SIZE,
	epochTagOf,
	type Greeting,
	type Hello,
	KEYS_MAX,
	nothingSaid,
	PROTOCOL_VERSION,
	PROTOCOL_VERSION_MIN,
	readHello,
	sameBytes,
	writeHello,
} from "./handshake.ts";
import { type SimulatedNode, Simulation } from "./simulation.ts";
import { EPOCH_SIZE, FLAG_HELLO, Frame, HEADER_SIZE, writeHeader } from "./wire/frame.ts";
import { MsgpackWriter } from "./wire/msgpack.ts";
import { PlainSeal } from "./wire/seal.ts";

/** What a node says of itself that is nothing in particular. */
const state = nothingSaid();

const u32s = fc.integer({ min: 0, max: 0xffffffff });
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });

const arbitraryGreeting: fc.Arbitrary<Greeting> = fc.record(
	{
		node: u32s,
		adoptedTag: u32s,
		isHeard: fc.boolean(),
		challenge: bytes(CHALLENGE_SIZE),
		echo: fc.constantFrom(0, CHALLENGE_SIZE).chain(bytes),
		offered: u32s,
	},
	{ noNullPrototype: true },
);
const arbitraryList = fc.uniqueArray(arbitraryGreeting, { maxLength: 48, selector: ({ node }) => node });
const arbitraryOwn = fc.record(
	{
		credit: fc.nat(0xffff),
		state: fc.record(
			{
				isPrimary: fc.boolean(),
				isActiveActive: fc.boolean(),
				term: u32s,
				policy: u32s,
				mode: fc.nat(3),
				hasNoCache: fc.boolean(),
				keys: fc.array(u32s, { maxLength: KEYS_MAX }),
			},
			{ noNullPrototype: true },
		),
	},
	{ noNullPrototype: true },
);
const ROOM = 4096;

function written(
	own: Parameters<typeof writeHello>[1],
	list: readonly Greeting[],
	from = 0,
	max = ROOM,
): Uint8Array {
	const writer = new MsgpackWriter(new Uint8Array(ROOM));
	writeHello(writer, own, list, from, max);
	return writer.bytes.slice(0, writer.at);
}

test("a HELLO says to each peer what is for it, and to others nothing", () => {
	fc.assert(
		fc.property(arbitraryOwn, arbitraryList, u32s, (own, list, stranger) => {
			const hello = written(own, list);
			for (const node of [...list.map((entry) => entry.node), stranger]) {
				const expected: Hello = {
					versionMin: PROTOCOL_VERSION_MIN,
					version: PROTOCOL_VERSION,
					...own,
					forMe: list.filter((entry) => entry.node === node),
				};
				assert.deepEqual(readHello(hello, 0, hello.length, node), expected);
			}
		}),
	);
});

test("a list that does not fit goes round: every peer finds itself in some HELLO", () => {
	const own = { credit: 1, state };
	const many = fc.uniqueArray(arbitraryGreeting, {
		minLength: 21,
		maxLength: 40,
		selector: ({ node }) => node,
	});
	const list = fc.sample(many, 1)[0]!;
	const found = new Set<number>();
	const writer = new MsgpackWriter(new Uint8Array(ROOM));
	for (let round = 0, from = 0; round < 10; round++) {
		writer.at = 0;
		from = writeHello(writer, own, list, from, 600);
		assert.ok(writer.at <= 600);
		for (const { node } of list) {
			if (readHello(writer.bytes, 0, writer.at, node)!.forMe.length > 0) found.add(node);
		}
	}
	assert.equal(found.size, list.length);
});

test("what a later version has put behind the known elements is passed over", () => {
	const own = {
		credit: 5,
		state: { ...state, isPrimary: true, term: 2, policy: 3, keys: [4] },
	};
	const greeting = { ...fc.sample(arbitraryGreeting, 1)[0]!, node: 7 };
	const hello = written(own, [greeting]);
	// [..., [[...]]] with one element more in both arrays: an array, and a bin
	const entryAt = hello.length - written(own, [greeting]).length + written(own, []).length;
	assert.equal(hello[0], 0x99);
	assert.equal(hello[entryAt], 0x96);
	const later = Uint8Array.of(
		0x9a,
		...hello.slice(1, entryAt),
		0x97,
		...hello.slice(entryAt + 1),
		0x92,
		1,
		0xa1,
		0x61,
		0xc4,
		1,
		9,
	);
	assert.deepEqual(readHello(later, 0, later.length, 7), readHello(hello, 0, hello.length, 7));
});

test("a HELLO that is cut, or followed by anything, is none", () => {
	fc.assert(
		fc.property(arbitraryOwn, arbitraryList, fc.nat(255), (own, list, tail) => {
			const hello = written(own, list.slice(0, 5));
			const node = list[0]?.node ?? 0;
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
		fc.property(arbitraryOwn, arbitraryList, fc.nat(4000), fc.nat(255), (own, list, at, value) => {
			const hello = written(own, list);
			hello[at % hello.length] = value;
			const read = readHello(hello, 0, hello.length, list[0]?.node ?? 0);
			for (const { echo } of read?.forMe ?? []) assert.ok(echo.length <= CHALLENGE_SIZE);
		}),
		{ numRuns: 500 },
	);
});

test("a HELLO with more entries than there can be is refused", () => {
	const own = { credit: 1, state };
	const entry = {
		node: 3,
		adoptedTag: 0,
		isHeard: false,
		challenge: new Uint8Array(16),
		echo: new Uint8Array(0),
		offered: 0,
	};
	const full = written(
		own,
		Array.from({ length: 48 }, () => entry),
	);
	assert.equal(readHello(full, 0, full.length, 3)?.forMe.length, 48);
	const one = written(own, [entry]).slice(written(own, []).length);
	const tooMany = Uint8Array.from([...full, ...one]);
	const countAt = full.indexOf(0xdc);
	tooMany[countAt + 2]!++;
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
		return receive(bytes, start, end, now);
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
	assert.equal(b.ftfw.peers.length, 0, "who has not answered a challenge is no peer");
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
	assert.ok(recorded.length > 0 && recorded.every(({ flags }) => flags === FLAG_HELLO));
	assert.equal(b.ftfw.peers.length, 0);
	sim.weather.cut.clear();
	sim.run(1200);
	const peer = b.ftfw.peers[0]!;
	assert.ok(sameBytes(peer.epoch!, a.ftfw.epoch));
	const challenge = peer.challenge.slice();
	sim.start(a);
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
			writeHello(writer, { credit, state }, greetings(b), 0, ROOM),
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
		writeHello(writer, { credit: 1, state }, greetings(b), 0, ROOM),
	);
	assert.equal(b.ftfw.counters.badPayload, before + 1);
	assert.ok(sameBytes(b.ftfw.peers[0]!.epoch!, a.ftfw.epoch));
});

/** What node 1 says to `to` when all is well. */
const greetings = (to: SimulatedNode): Greeting[] => [
	{
		node: to.id,
		adoptedTag: epochTagOf(to.ftfw.epoch),
		isHeard: true,
		challenge: new Uint8Array(CHALLENGE_SIZE),
		echo: new Uint8Array(0),
		offered: 0,
	},
];

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
