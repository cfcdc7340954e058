// What is fuzzed. Each target's `create` builds one life of the code under test from a built dist; a life takes inputs
// one after another and throws when something is wrong with how it took one.
import assert from "node:assert/strict";
import { ConfigGrammar } from "./config-grammar.mjs";
import { NetlinkGrammar } from "./netlink-grammar.mjs";
import { join, mutate, randomBytes } from "./random.mjs";
import { WireGrammar } from "./wire-grammar.mjs";

const importer = (dist) => (path) => import(new URL(path, dist).href);

/** Records in a datagram: Datagram.decode, and back through the encoder. */
async function createRecord(dist) {
	const load = importer(dist);
	const [{ Datagram }, { NameTable }, { RecordEncoder }, { MsgpackWriter }, { Packr }] = await Promise.all([
		load("sync/datagram.js"),
		load("conntrack/names.js"),
		load("sync/wire/encode.js"),
		load("sync/wire/msgpack.js"),
		import("msgpackr"),
	]);
	const oracle = new Packr({ useRecords: false, int64AsType: "number" });
	return () => {
		const names = new NameTable();
		const datagram = new Datagram(names);
		const again = new Datagram(names);
		const writer = new MsgpackWriter(new Uint8Array(65536));
		const encoder = new RecordEncoder(writer, names);
		return {
			run(bytes) {
				if (datagram.decode(bytes, 0, bytes.length)) return false;
				// what is taken is MessagePack, arrays and nothing else, to the last byte
				if (bytes.length > 0) for (const one of oracle.unpackMultiple(bytes)) assert.ok(Array.isArray(one));
				const isFull = names.overflow > 0;
				const states = datagram.states.slice(0, datagram.stateCount);
				writer.at = 0;
				for (const state of states) encode(encoder, state);
				assert.equal(again.decode(writer.bytes, 0, writer.at), undefined, "what was decoded encodes");
				assert.equal(again.stateCount, states.length);
				for (const [i, { record, ...rest }] of states.entries()) {
					const { record: other, ...otherRest } = again.states[i];
					// what is given back has no version
					if (rest.op === "return") rest.version = 0;
					assert.deepEqual(otherRest, rest);
					// a name that found no room in the table is left out
					if (!isFull) assert.deepEqual(other, record);
				}
				return true;
			},
			finish() {
				assert.ok(names.names.length <= 1024, "names are bounded");
			},
		};
	};
}

function encode(encoder, { kind, op, record, version, node, detail }) {
	if (op === "claim" || op === "verdict") encoder[op](kind, record, version, node, detail);
	else if (op === "return") encoder.giveBack(kind, record);
	else encoder[op](kind, record, version);
}

/** Whole datagrams at a node that is in contact with another. */
async function createFrame(dist) {
	const load = importer(dist);
	const [cache, { NameTable }, ftfw, frame, handshake, peers, seals, msgpack, counters] = await Promise.all([
		load("cache/internal-cache.js"),
		load("conntrack/names.js"),
		load("sync/ftfw.js"),
		load("sync/wire/frame.js"),
		load("sync/handshake.js"),
		load("sync/peer.js"),
		load("sync/wire/seal.js"),
		load("sync/wire/msgpack.js"),
		load("sync/sync-counters.js"),
	]);
	const { FLAG_ACK, FLAG_HELLO, HEADER_SIZE, EPOCH_SIZE, bodyOffset, putU32, writeHeader } = frame;
	const LIMIT = 300;
	const THEM = 1;
	const rejects = [...Object.keys(counters.REJECTS), "replayed", "unknownEpoch"];
	const seal = new seals.PlainSeal();

	/** Seals a datagram in a buffer of its own. */
	function sealed(bytes) {
		const body = bodyOffset(bytes[3]);
		if (bytes.length < body) return bytes;
		const room = join(bytes, new Uint8Array(seal.overhead));
		return room.subarray(0, seal.seal(room, body, bytes.length, 0));
	}

	return (seed) => {
		let entropy = seed | 0;
		let isWatched = true;
		let heard;
		const node = new ftfw.Ftfw({
			node: 2,
			epoch: new Uint8Array(EPOCH_SIZE).fill(7),
			internal: cache.newInternalCaches(1, LIMIT),
			names: new NameTable(),
			hashSeed: 1,
			externalLimit: LIMIT,
			datagramMax: 1400,
			credit: 64,
			seal,
			sink: (bytes, end) => {
				if (isWatched && (bytes[3] & FLAG_HELLO) !== 0) heard = bytes.slice(0, end - seal.overhead);
			},
			entropy: (size) => new Uint8Array(size).fill(++entropy),
			rejected: () => {},
			notice: () => {},
		});
		let now = 1000;

		/** The challenge that the node has set us in its last HELLO. */
		function asked() {
			if (!heard) return undefined;
			const read = handshake.readHello(heard, HEADER_SIZE + EPOCH_SIZE, heard.length, THEM);
			return read.forMe[0]?.challenge;
		}

		/** A HELLO of the other node, which echoes what it is asked to. */
		function hello(epoch, sequence, options = {}) {
			const writer = new msgpack.MsgpackWriter(new Uint8Array(1024));
			writer.bytes.set(epoch, HEADER_SIZE);
			writer.at = HEADER_SIZE + EPOCH_SIZE;
			const known = node.peers.find((peer) => peer.node === THEM);
			const greeting = {
				node: 2,
				adoptedTag: handshake.epochTagOf(node.epoch),
				isHeard: true,
				challenge: new Uint8Array(16).fill(3),
				echo: known?.challenge ?? asked() ?? new Uint8Array(0),
				offered: 0,
			};
			const state = { isPrimary: false, term: 0, policy: 0, keys: [] };
			handshake.writeHello(writer, { credit: options.credit ?? 50, state }, [greeting], 0, 1024);
			writeHeader(writer.bytes, FLAG_HELLO, THEM, handshake.epochTagOf(epoch), sequence);
			return sealed(writer.bytes.slice(0, writer.at));
		}
		const receive = (bytes) => node.receive(bytes, 0, bytes.length, now);
		const epoch = new Uint8Array(EPOCH_SIZE).fill(9);
		receive(hello(epoch, 1));
		receive(hello(epoch, 2));
		const them = node.peers[0];
		isWatched = false;
		assert.ok(them?.hears, "the two nodes are in contact");

		/** Makes of any bytes what the other node could send next, or almost. */
		function dress(bytes, random) {
			const way = random.below(20);
			if (way === 0) return bytes;
			if (way === 1) {
				const next = random.chance(0.2) ? random.bytes(EPOCH_SIZE) : them.epoch;
				return hello(next, them.window.highest + 1 + random.below(3), {
					credit: random.below(70000) & 0xffff,
				});
			}
			const isHello = way === 2;
			const body = isHello ? HEADER_SIZE + EPOCH_SIZE : HEADER_SIZE;
			const isWhole = bytes[0] === 0xc1 && bytes.length >= body;
			const dressed = isWhole ? bytes.slice() : join(new Uint8Array(body), bytes);
			const flags = isHello ? FLAG_HELLO : random.pick([0, FLAG_ACK]);
			let sequence = them.window.highest + 1;
			if (random.chance(0.2)) sequence = Math.max(1, sequence + random.below(9000) - 4500);
			writeHeader(dressed, flags, random.chance(0.98) ? THEM : random.below(40), them.epochTag, sequence);
			if (isHello) dressed.set(them.epoch, HEADER_SIZE);
			const whole = sealed(dressed);
			if (random.chance(0.02)) putU32(whole, random.below(whole.length - 3), random.below(2 ** 32));
			return whole;
		}

		const refused = () => rejects.reduce((sum, name) => sum + node.counters[name], 0);
		/** Everything that a datagram of the other node can change. */
		function state() {
			const {
				window,
				epoch: theirs,
				heardAt,
				ackOwed,
				credit,
				bulkReceiving,
				bulkReceived,
				resyncServed,
			} = them;
			const held = them.external.flatMap(({ store, counters: counted, generation, epochGeneration }) => [
				store.count,
				store.live,
				generation,
				epochGeneration,
				...Object.values(counted),
			]);
			return [
				node.peers.length,
				window.highest,
				theirs,
				heardAt,
				ackOwed,
				credit,
				bulkReceiving,
				bulkReceived,
				resyncServed,
				them.helloSequence,
				them.challenge,
				node.outgoing.inFlight.count,
				...held,
			];
		}

		return {
			run(bytes, random) {
				const datagram = dress(bytes, random);
				const before = state();
				const refusedBefore = refused();
				receive(datagram);
				const wasRefused = refused() !== refusedBefore;
				if (wasRefused) {
					const after = state();
					for (let i = 0; i < before.length; i++) {
						assert.equal(after[i], before[i], `a refused datagram has changed something (${i})`);
					}
				}
				node.tick(++now);
				for (const { store } of them.external) {
					assert.ok(store.live <= LIMIT, `${store.live} entries live`);
				}
				return !wasRefused;
			},
			finish() {
				assert.ok(node.peers.length <= peers.PEERS_MAX);
			},
		};
	};
}

/** Netlink datagrams at the event listener, and what it delivers in a cache and on the wire. */
async function createNetlink(dist) {
	const load = importer(dist);
	const [{ EventListener }, { NameTable }, cache, { Datagram }, { RecordEncoder }, { MsgpackWriter }] =
		await Promise.all([
			load("netlink/event-listener.js"),
			load("conntrack/names.js"),
			load("cache/internal-cache.js"),
			load("sync/datagram.js"),
			load("sync/wire/encode.js"),
			load("sync/wire/msgpack.js"),
		]);
	const EAGAIN = 11;
	const LIMIT = 200;
	const clock = { now: () => 0, after: () => () => {}, pause: async () => {}, wall: () => new Date(0) };
	return () => {
		const names = new NameTable();
		const { conntracks, expectations } = cache.newInternalCaches(1, LIMIT);
		const halves = [conntracks, expectations];
		const writer = new MsgpackWriter(new Uint8Array(4096));
		const encoder = new RecordEncoder(writer, names);
		const datagram = new Datagram(names);
		let waiting;
		let delivered = 0;
		const native = {
			openSocket: () => 3,
			bindSocket() {},
			netlinkPort: () => 1,
			setOption() {},
			getOption: () => 0,
			attachFilter() {},
			closeSocket() {},
			receive(_fd, buffer, stride, lengths) {
				if (!waiting) return -EAGAIN;
				buffer.set(waiting.subarray(0, stride), 0);
				lengths[0] = waiting.length;
				waiting = undefined;
				return 1;
			},
		};
		const take = (kind, event, record) => {
			delivered++;
			const family = record[1] & 0xff;
			assert.ok(family === 2 || family === 10, `family ${family}`);
			if (event === "destroy") halves[kind].destroy(record, 0);
			else halves[kind].apply(record, event === "new", 0);
			writer.at = 0;
			encoder[event === "destroy" ? "delete" : "set"](kind, record, 1);
			assert.ok(writer.at < 512, `${writer.at} bytes on the wire`);
			// a master without an address, of which the kernel knows none, is refused by the peer
			const fault = datagram.decode(writer.bytes, 0, writer.at);
			assert.ok(fault === undefined || fault === "payload" || fault === "truncated", fault);
		};
		const listener = new EventListener({
			native,
			clock,
			names,
			handler: {
				conntrack: (event, record) => take(0, event, record),
				expectation: (event, record) => take(1, event, record),
				batchEnd() {},
				overrun() {},
			},
			expectations: true,
			receiveBuffer: 0,
			reliable: false,
			ignorePorts: [],
		});
		const { counters } = listener;
		return {
			run(bytes) {
				const before = delivered;
				const malformed = counters.malformed + counters.unknownType;
				waiting = bytes;
				listener.drain();
				const news = delivered - before;
				assert.ok(delivered + counters.malformed + counters.unknownType >= counters.received);
				return news > 0 && counters.malformed + counters.unknownType === malformed;
			},
			finish() {
				for (const half of halves) assert.ok(half.store.live <= LIMIT);
				assert.ok(names.names.length <= 1024, "names are bounded");
			},
		};
	};
}

/** Requests at the control socket, and answers at the client. */
async function createControl(dist) {
	const load = importer(dist);
	const [{ parseReply, parseRequest, REQUEST_MAX }, { ReplySplitter }] = await Promise.all([
		load("control/request.js"),
		load("control/client.js"),
	]);
	return () => ({
		run(bytes, random) {
			const request = parseRequest(bytes);
			if (request.kind === "opcode" || request.kind === "json") {
				assert.ok(Number.isInteger(request.op) && request.op >= 0 && request.op <= 255);
			} else if (request.kind === "bad") assert.ok(request.reason.length > 0);
			else assert.ok(request.kind === "incomplete" && bytes.length < REQUEST_MAX);
			// in pieces: it is undecided until it is decided, and then for good
			const cut = random.below(bytes.length + 1);
			const early = parseRequest(bytes.subarray(0, cut));
			if (early.kind !== "incomplete") assert.equal(early.kind, request.kind);
			if (early.kind === "json" || early.kind === "opcode") assert.deepEqual(early, request);
			const splitter = new ReplySplitter();
			splitter.push(bytes.subarray(0, cut));
			splitter.push(bytes.subarray(cut));
			const reply = splitter.end();
			const at = bytes.indexOf(0);
			const whole = at < 0 ? undefined : parseReply(Buffer.from(bytes.subarray(at + 1)).toString());
			if (bytes.length < 60_000) assert.deepEqual(reply, whole);
			return request.kind === "opcode" || request.kind === "json";
		},
		finish() {},
	});
}

/** Configuration files. */
async function createConfig(dist) {
	const load = importer(dist);
	const [{ ConfigError, formatProblem, parseConfig }, { printConfig }] = await Promise.all([
		load("config/config.js"),
		load("config/print.js"),
	]);
	const parse = (text) => {
		try {
			return parseConfig(text, "fuzz");
		} catch (error) {
			if (!(error instanceof ConfigError)) throw error;
			assert.ok(error.problems.length > 0 && error.problems.length <= 20);
			for (const problem of error.problems) {
				assert.ok(problem.line >= 1 && problem.column >= 1);
				assert.ok(!formatProblem(problem).includes("undefined"), formatProblem(problem));
			}
			return undefined;
		}
	};
	return () => ({
		run(bytes) {
			const parsed = parse(Buffer.from(bytes).toString());
			if (!parsed) return false;
			assert.ok(Object.isFrozen(parsed.config));
			// what is printed means the same
			const text = printConfig(parsed.config);
			const again = parse(text);
			assert.ok(again, `what was printed is no configuration:\n${text}`);
			assert.equal(printConfig(again.config), text);
			return true;
		},
		finish() {},
	});
}

/** The table of directives, by section. */
async function directivesByPlace(dist) {
	const { DIRECTIVES } = await import(new URL("config/directives.js", dist).href);
	const places = new Set(DIRECTIVES.flatMap((spec) => spec.in));
	return new Map([...places].map((place) => [place, DIRECTIVES.filter((spec) => spec.in.includes(place))]));
}

const CONTROL_PIECES = [
	...'{ } [ ] : , " op json true false null 0 18 255 256 -1 1e9 0.5 \\u0000 \n \n status error __proto__'.split(
		" ",
	),
	'{"op":18,"json":true}\n',
	'\0{"status":0}',
];

function words(random, pieces, most) {
	let text = "";
	for (let i = random.below(most); i > 0; i--) text += random.pick(pieces);
	return Uint8Array.from(Buffer.from(text));
}

/** Name, what makes a life, and what makes an input of its grammar. */
export const TARGETS = {
	frame: { create: createFrame, grammar: (random) => new WireGrammar(random).datagram() },
	record: { create: createRecord, grammar: (random) => new WireGrammar(random).datagram() },
	netlink: { create: createNetlink, grammar: (random) => new NetlinkGrammar(random).datagram() },
	control: {
		create: createControl,
		grammar: (random) =>
			random.chance(0.3)
				? new Uint8Array(Int32Array.of(random.chance(0.8) ? random.below(300) : random.below(2 ** 32)).buffer)
				: words(random, CONTROL_PIECES, random.chance(0.99) ? 20 : 2000),
	},
	config: {
		create: createConfig,
		prepare: directivesByPlace,
		grammar: (random, directives) => new ConfigGrammar(random, directives).file(),
	},
};

/** One input: random bytes, a mutation of the corpus, or the grammar's. */
export function generate(target, random, corpus, prepared) {
	const way = random.below(10);
	if (way === 0) return randomBytes(random);
	return way < 5 ? mutate(random, corpus) : target.grammar(random, prepared);
}
