import assert from "node:assert/strict";
import { HelloGrammar } from "../hello-grammar.mjs";
import { importer } from "../importer.mjs";
import { loadNodeKit } from "../node-kit.mjs";
import { join } from "../random.mjs";
import { POOL } from "../wire-grammar.mjs";

const THEM = 1;
const ME = 2;

/** Whole datagrams at a node that is in contact with another. */
export async function createFrame(dist) {
	const load = importer(dist);
	const [frame, handshake, msgpack, counters, kit] = await Promise.all([
		load("sync/wire/frame.js"),
		load("sync/handshake.js"),
		load("sync/wire/msgpack.js"),
		load("sync/sync-counters.js"),
		loadNodeKit(dist),
	]);
	const { FLAG_ACK, FLAG_HELLO, HEADER_SIZE, EPOCH_SIZE, bodyOffset, putU32, writeHeader } = frame;
	const { seal } = kit;
	const HELLO_BODY = HEADER_SIZE + EPOCH_SIZE;
	const rejects = [...Object.keys(counters.REJECTS), "replayed", "unknownEpoch"];

	/** Seals a datagram in a buffer of its own. */
	function sealed(bytes) {
		const body = bodyOffset(bytes[3]);
		if (bytes.length < body) return bytes;
		const room = join(bytes, new Uint8Array(seal.overhead));
		return room.subarray(0, seal.seal(room, body, bytes.length, 0));
	}

	return (seed) => {
		let entropy = seed | 0;
		/** The challenge in the node's last HELLO for us. */
		let challenge = new Uint8Array(0);
		const node = kit.newNode({
			id: ME,
			epoch: new Uint8Array(EPOCH_SIZE).fill(7),
			entropy: (size) => new Uint8Array(size).fill(++entropy),
			sink: (bytes, end) => {
				if ((bytes[3] & FLAG_HELLO) === 0) return;
				const hello = handshake.readHello(bytes, HELLO_BODY, end - seal.overhead, THEM);
				assert.ok(hello, "a node reads its own HELLO");
				challenge = hello.forMe.at(-1)?.challenge ?? challenge;
			},
		});
		const { ftfw } = node;
		for (const kind of [0, 1]) {
			for (let key = 0; key < POOL; key += 2) node.internal[kind].apply(kit.entry(kind, key, key), false, 1);
		}
		let now = 1000;

		/** A HELLO of the other node, of these records or else one that echoes what it is asked to. */
		function hello(epoch, sequence, records) {
			const writer = new msgpack.MsgpackWriter(new Uint8Array(16_384));
			writer.bytes.set(epoch, HEADER_SIZE);
			writer.at = HELLO_BODY;
			if (records) {
				writer.bytes.set(records, writer.at);
				writer.at += records.length;
			} else {
				const adoptedTag = handshake.epochTagOf(ftfw.epoch);
				const mine = new Uint8Array(16).fill(3);
				const list = [{ node: ME, adoptedTag, isHeard: true, challenge: mine, echo: challenge, offered: 0 }];
				const state = { isPrimary: false, term: 0, policy: 0, mode: 0, hasNoCache: false, keys: [] };
				handshake.writeHello(writer, { credit: 50, state }, list, 0, 1024);
			}
			writeHeader(writer.bytes, FLAG_HELLO, THEM, handshake.epochTagOf(epoch), sequence);
			return sealed(writer.bytes.slice(0, writer.at));
		}
		const epoch = new Uint8Array(EPOCH_SIZE).fill(9);
		kit.receive(node, hello(epoch, 1), now);
		kit.receive(node, hello(epoch, 2), now);
		const them = ftfw.peers[0];
		assert.ok(them?.hears, "the two nodes are in contact");

		/** Makes of any bytes what the other node could send next, or almost. */
		function dress(bytes, random) {
			const way = random.below(20);
			if (way === 0) return bytes;
			const isHello = bytes[0] >= 0x99 && bytes[1] === 1 && random.chance(0.95);
			if (way === 1 || isHello) {
				const next = random.chance(0.1) ? random.bytes(EPOCH_SIZE) : them.epoch;
				const echoing = random.chance(0.3) ? new HelloGrammar(random).hello(challenge) : undefined;
				const records = isHello && bytes.length <= 8192 ? bytes : echoing;
				return hello(next, them.window.highest + 1 + random.below(3), records);
			}
			const flags = way === 2 ? FLAG_HELLO : random.pick([0, FLAG_ACK]);
			const body = bodyOffset(flags);
			const isWhole = bytes[0] === 0xc1 && bytes.length >= body;
			const dressed = isWhole ? bytes.slice() : join(new Uint8Array(body), bytes);
			let sequence = them.window.highest + 1;
			if (random.chance(0.2)) sequence = Math.max(1, sequence + random.below(9000) - 4500);
			writeHeader(dressed, flags, random.chance(0.98) ? THEM : random.below(40), them.epochTag, sequence);
			if (way === 2) dressed.set(them.epoch, HEADER_SIZE);
			const whole = sealed(dressed);
			if (random.chance(0.02)) putU32(whole, random.below(whole.length - 3), random.below(2 ** 32));
			return whole;
		}

		const refused = () => rejects.reduce((sum, name) => sum + ftfw.counters[name], 0);
		const before = [];
		const after = [];

		/** Everything that a datagram of the other node can change. */
		function state(into) {
			let at = 0;
			const put = (value) => {
				into[at++] = value;
			};
			put(ftfw.peers.length);
			for (const key of PEER) put(them[key]);
			for (const key of EQUALITY) put(them.equality[key]);
			put(them.window.highest);
			put(them.sweepAt[0]);
			put(them.sweepAt[1]);
			put(ftfw.contacts.state.term);
			put(ftfw.outgoing.inFlight.count);
			put(ftfw.outgoing.dirty.queue.tail);
			put(ftfw.outgoing.nextSequence);
			put(ftfw.equality.isBusy);
			put(ftfw.returned.caches);
			put(ftfw.returned.isBusy);
			put(node.versions.value);
			for (const { store } of node.internal) {
				put(store.count);
				put(store.live);
			}
			for (const cache of [...them.external, ...(ftfw.returned.caches ?? [])]) {
				const { store, counters: counted } = cache;
				put(store.count);
				put(store.live);
				for (const key of CACHE) put(cache[key]);
				for (const key in counted) put(counted[key]);
			}
			into.length = at;
		}

		return {
			run(bytes, random) {
				const datagram = dress(bytes, random);
				state(before);
				const refusedBefore = refused();
				kit.receive(node, datagram, now);
				const wasRefused = refused() !== refusedBefore;
				if (wasRefused) {
					state(after);
					for (let i = 0; i < before.length; i++) {
						assert.equal(after[i], before[i], `a refused datagram has changed something (${i})`);
					}
				}
				kit.tick(node, ++now);
				return !wasRefused;
			},
			finish() {
				kit.checkBounds(node);
			},
		};
	};
}

const PEER = [
	...[
		"epoch",
		"epochTag",
		"heardAt",
		"isUp",
		"hears",
		"ackOwed",
		"credit",
		"version",
		"state",
		"helloSequence",
	],
	...["challenge", "theirChallenge", "heldUntil", "offered", "bulkReceiving", "bulkReceived", "resyncServed"],
	...["bulkPhase", "bulkAgain", "bulkId"],
];
const EQUALITY = ["checked", "wrong", "claimed", "refuted", "repairs", "report", "repairedAt"];
const CACHE = ["generation", "epochGeneration", "confirmed", "refused"];
