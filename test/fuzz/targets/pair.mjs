import assert from "node:assert/strict";
import { HelloGrammar } from "../hello-grammar.mjs";
import { importer } from "../importer.mjs";
import { DATAGRAM_MAX, LIMIT, loadNodeKit } from "../node-kit.mjs";
import { Random } from "../random.mjs";
import { POOL } from "../wire-grammar.mjs";

/** Inputs after which the nodes have to become equal again, and the milliseconds in which they have to. */
const BATCH = 100;
const SETTLED_WITHIN = 30_000;
/** Claims in a datagram of many. */
const FLOOD_CLAIMS = 20;
const FLAG_HELLO = 1;
const FLAG_ACK = 2;
const EPOCH_SIZE = 16;

/**
 * Two nodes in contact, of which one lies: besides what it has to say it says the inputs, under its own sequence
 * numbers. Whatever it says, the other one goes on; and they become equal again, by themselves when the lies were
 * about how equal they are, else when the liar has restarted.
 */
export async function createPair(dist) {
	const kit = await loadNodeKit(dist);
	const load = importer(dist);
	const [{ RecordType }, { RecordEncoder }] = await Promise.all([
		load("sync/wire/record-type.js"),
		load("sync/wire/encode.js"),
	]);
	/** Records that change nothing but what is known about the equality. */
	const HARMLESS_STATES = ["claim", "verdict", "return"];
	const HARMFUL_OTHERS = [RecordType.bulkBegin, RecordType.bulkEnd];

	return (seed) => {
		const random = new Random(seed ^ 0x5bd1e995);
		const probe = new kit.Datagram(new kit.NameTable());
		const loss = random.chance(0.5) ? 0 : 0.1;
		const isMild = random.chance(0.5);
		const kernels = new Map([1, 2].map((id) => [id, [new Map(), new Map()]]));
		const nodes = [];
		let packets = [];
		let now = 1000;
		let isLossy = true;
		/** Two entries may have one version: the digests cannot tell, but the audit of an hour, or `verify`, can. */
		let isTwisted = false;
		/** The liar does not hear the other one. */
		let isDeaf = false;
		let inputs = 0;

		function start(i) {
			const id = i + 1;
			nodes[i] = kit.newNode({
				id,
				epoch: random.bytes(EPOCH_SIZE),
				entropy: (size) => random.bytes(size),
				sink: (bytes, end) => {
					if ((isLossy && random.chance(loss)) || (isDeaf && i !== liar)) return;
					packets.push({ at: now + random.below(2), to: 1 - i, bytes: bytes.slice(0, end) });
				},
			});
			for (const kind of [0, 1]) {
				for (const [key, value] of kernels.get(id)[kind]) {
					nodes[i].internal[kind].apply(kit.entry(kind, key, value), false, Math.floor(now / 1000));
				}
			}
		}

		/** The kernel of a node makes, changes or ends an entry. */
		function change(i) {
			const kind = random.below(2);
			const key = random.below(POOL);
			const kernel = kernels.get(i + 1)[kind];
			const cache = nodes[i].internal[kind];
			const seconds = Math.floor(now / 1000);
			if (random.chance(0.7)) {
				kernel.set(key, random.below(8));
				cache.apply(kit.entry(kind, key, kernel.get(key)), false, seconds);
			} else if (kernel.delete(key)) cache.destroy(kit.entry(kind, key, 0), seconds);
		}

		function pass(milliseconds) {
			now += milliseconds;
			const due = packets.filter(({ at }) => at <= now);
			packets = packets.filter(({ at }) => at > now);
			for (const { to, bytes } of due) kit.receive(nodes[to], bytes, now);
			for (const node of nodes) kit.tick(node, now);
		}

		const differ = () => kit.difference(nodes[0], nodes[1]) ?? kit.difference(nodes[1], nodes[0]);

		function settle() {
			isLossy = false;
			const until = now + SETTLED_WITHIN;
			for (let i = 0; ; i++) {
				pass(2);
				if (i % 20 !== 0) continue;
				const found = differ();
				if (!found) break;
				assert.ok(
					now < until,
					`not equal again: ${found} (liar ${liar + 1}, ${isMild ? "mild" : "any"} lies)`,
				);
				if (!isTwisted || until - now > SETTLED_WITHIN / 2) continue;
				for (const { ftfw } of nodes) ftfw.verify(ftfw.peers[0], now);
				isTwisted = false;
			}
			isLossy = true;
			isTwisted = false;
			for (const node of nodes) kit.checkBounds(node);
		}

		for (const id of [1, 2]) {
			for (const kernel of kernels.get(id)) {
				for (let key = 0; key < POOL; key += 1 + random.below(3)) kernel.set(key, random.below(8));
			}
			start(id - 1);
		}
		let liar = 0;
		settle();
		liar = random.below(2);

		/** Whether it is a lie about the equality alone. */
		function isHarmless() {
			for (let i = 0; i < probe.stateCount; i++) {
				if (!HARMLESS_STATES.includes(probe.states[i].op)) return false;
			}
			return probe.acks.length === 0 && !probe.others.some(({ type }) => HARMFUL_OTHERS.includes(type));
		}

		/** @returns whether it could be said */
		function say(bytes, inputRandom) {
			const { outgoing, epoch } = nodes[liar].ftfw;
			const isHello = !isMild && inputRandom.chance(0.05);
			const said = isHello ? new HelloGrammar(inputRandom).hello() : bytes;
			const flags = isHello ? FLAG_HELLO : inputRandom.pick([0, FLAG_ACK]);
			if (said.length > DATAGRAM_MAX - 100) return false;
			if (!isHello) {
				const fault = probe.decode(said, 0, said.length);
				// of what is refused nothing is applied: some of it is said all the same
				if (fault ? inputRandom.chance(0.9) : isMild && !isHarmless()) return false;
			}
			const writer = outgoing.begin(flags);
			if (isHello) writer.bytes.set(epoch, writer.at - EPOCH_SIZE);
			writer.bytes.set(said, writer.at);
			writer.at += said.length;
			outgoing.end(flags, now);
			return true;
		}

		/** A lie about an entry that is there, under its very version or one near it. */
		function sayPointed() {
			const { outgoing, peers } = nodes[liar].ftfw;
			const encoder = new RecordEncoder(outgoing.writer, new kit.NameTable());
			const listener = nodes[1 - liar];
			const kind = random.below(2);
			const record = kit.entry(kind, random.below(POOL), random.below(8));
			const version = ({ store }) => {
				const slot = store.find(record);
				return slot < 0 ? random.below(200) : store.version(slot);
			};
			const held = listener.ftfw.peers.find(({ node }) => node === nodes[liar].id)?.external[kind];
			if (!held || peers.length === 0) return;
			outgoing.begin();
			const way = random.below(3);
			const { value } = nodes[liar].versions;
			if (way === 0) encoder.verdict(kind, record, version(held), listener.id, random.below(6));
			else if (way === 1) encoder.claim(kind, record, version(listener.internal[kind]), listener.id, 0);
			else {
				isTwisted = true;
				encoder.set(kind, record, Math.max(1, value + random.below(100) - 50));
			}
			outgoing.end(random.pick([0, FLAG_ACK]), now);
		}

		/** More claims about entries that never were than there may be graves, and no acknowledgement of these. */
		function flood() {
			const { outgoing } = nodes[liar].ftfw;
			const encoder = new RecordEncoder(outgoing.writer, new kit.NameTable());
			isDeaf = true;
			for (let datagrams = 0; datagrams < 2 * (LIMIT / FLOOD_CLAIMS) + 5; datagrams++) {
				outgoing.begin();
				const kind = random.below(2);
				for (let i = 0; i < FLOOD_CLAIMS; i++) {
					const key = POOL + random.below(2 ** 31);
					encoder.claim(kind, kit.entry(kind, key, 0), 1, 2 - liar, 0);
				}
				outgoing.end(FLAG_ACK, now);
				pass(1);
				kit.checkBounds(nodes[1 - liar]);
			}
			isDeaf = false;
		}

		return {
			run(bytes, inputRandom) {
				if (inputs % BATCH === 50 && random.chance(0.3)) flood();
				if (inputs % BATCH === 0 && isMild && random.chance(0.3)) {
					// the other one loses its table: the liar has it to give back
					for (const kernel of kernels.get(2 - liar)) kernel.clear();
					start(1 - liar);
				}
				if (random.chance(0.1)) sayPointed();
				const isSaid = say(bytes, inputRandom);
				if (isSaid || inputs % 10 === 0) {
					if (random.chance(0.5)) change(random.below(2));
					pass(1 + random.below(random.chance(0.95) ? 3 : 60));
				}
				if (++inputs % BATCH !== 0) return isSaid;
				if (!isMild) start(liar);
				settle();
				if (random.chance(0.2)) nodes[1 - liar].ftfw.requestResync(now);
				return isSaid;
			},
			finish() {
				for (const node of nodes) kit.checkBounds(node);
			},
		};
	};
}
