// Nodes for the targets that talk to whole ones: with entries of which the wire grammar knows the keys, and with what
// must hold for a node whatever it is told.
import assert from "node:assert/strict";
import { importer } from "./importer.mjs";
import { POOL } from "./wire-grammar.mjs";

/** Entries of a kind that one node may hold. */
export const LIMIT = 400;
export const DATAGRAM_MAX = 1400;
/** Datagrams with which a node may answer one datagram at once, besides what its records ask for. */
const ANSWERS = 5;
/** Datagrams that one FETCH may bring. */
const FETCH_ANSWERS = 16;
/** Datagrams that a millisecond may bring: claims, a sweep, a bulk of all entries, and their repetition. */
const TICK_ANSWERS = 80;
const RECORDS_MAX = 64;
const IN_FLIGHT_MAX = 1024;
const REFUSED_MAX = 65_536;
const NAMES_MAX = 1024;

export async function loadNodeKit(dist) {
	const load = importer(dist);
	const [
		cache,
		{ NameTable },
		{ Ftfw },
		{ PlainSeal },
		X,
		{ recordOf },
		{ StateHash },
		datagrams,
		types,
		peers,
	] = await Promise.all([
		load("cache/internal-cache.js"),
		load("conntrack/names.js"),
		load("sync/ftfw.js"),
		load("sync/wire/seal.js"),
		load("conntrack/expectation-record.js"),
		load("sync/simulation.js"),
		load("sync/state-hash.js"),
		load("sync/datagram.js"),
		load("sync/wire/record-type.js"),
		load("sync/peer.js"),
	]);
	const { RecordType } = types;
	const seal = new PlainSeal();

	function expectationOf(key, value) {
		const record = X.newExpectationRecord();
		record[X.EXP_HAS] = X.X_TIMEOUT | X.X_FLAGS;
		record[X.EXP_PROTOCOLS] = record[X.EXP_MASK_PROTOCOLS] = record[X.EXP_MASTER_PROTOCOLS] = 2 | (6 << 8);
		record[X.EXP_PORTS] = key;
		record[X.EXP_SRC] = record[X.EXP_MASTER_SRC] = 0x0100000a;
		record[X.EXP_DST] = record[X.EXP_MASTER_DST] = 0x0200000a;
		record[X.EXP_MASK_SRC] = record[X.EXP_MASK_DST] = -1;
		record[X.EXP_TIMEOUT] = 300;
		record[X.EXP_FLAGS] = value & 7;
		return record;
	}

	/** The entry of this key: a conntrack (0) or an expectation (1). */
	const entry = (kind, key, value) => (kind === 0 ? recordOf(key, value) : expectationOf(key, value));

	/** @param given id, epoch, entropy, sink, notice */
	function newNode(given) {
		const internal = cache.newInternalCaches(given.id, LIMIT);
		const names = new NameTable();
		const { id, ...rest } = given;
		const ftfw = new Ftfw({
			node: id,
			internal,
			names,
			hashSeed: 1,
			externalLimit: LIMIT,
			datagramMax: DATAGRAM_MAX,
			credit: 64,
			seal,
			rejected: () => {},
			notice: () => {},
			...rest,
		});
		return {
			id,
			ftfw,
			names,
			internal: [internal.conntracks, internal.expectations],
			versions: internal.versions,
		};
	}

	/** What a node may send at once when it gets this datagram. */
	function answersTo({ others }) {
		let answers = ANSWERS;
		for (const { type } of others) {
			if (type === RecordType.fetch) answers += FETCH_ANSWERS;
			else if (type === RecordType.bulkEnd || type === RecordType.fetched) answers++;
		}
		return answers;
	}

	const probe = new datagrams.Datagram(new NameTable());

	/**
	 * Has the node receive a datagram, at `now`.
	 *
	 * @returns whether it was taken
	 */
	function receive(node, bytes, now) {
		const { counters } = node.ftfw;
		const { sent } = counters;
		const isTaken = node.ftfw.receive(bytes, 0, bytes.length, now);
		const answers = counters.sent - sent;
		if (answers > ANSWERS) {
			const fault = probe.decode(bytes, bytes[3] & 1 ? 40 : 24, bytes.length - seal.overhead);
			const most = fault ? ANSWERS : answersTo(probe);
			assert.ok(answers <= most, `${answers} datagrams in answer to one (${most} at most)`);
		}
		return isTaken;
	}

	function tick(node, now) {
		const { counters } = node.ftfw;
		const { sent } = counters;
		node.ftfw.tick(now);
		assert.ok(counters.sent - sent <= TICK_ANSWERS, `${counters.sent - sent} datagrams in one millisecond`);
	}

	/** What must hold for a node, whatever it was told. */
	function checkBounds({ ftfw, internal, names }) {
		const { outgoing } = ftfw;
		assert.ok(ftfw.peers.length <= peers.PEERS_MAX);
		assert.ok(names.names.length <= NAMES_MAX, "names are bounded");
		assert.ok(outgoing.inFlight.count <= IN_FLIGHT_MAX, `${outgoing.inFlight.count} datagrams in flight`);
		let slots = 0;
		for (const { store } of internal) {
			slots += store.count;
			assert.ok(store.live <= LIMIT, `${store.live} entries of its own`);
			assert.ok(store.count - store.live <= LIMIT + POOL, `${store.count - store.live} graves of its own`);
		}
		assert.ok(outgoing.bulk.retry.length <= IN_FLIGHT_MAX * RECORDS_MAX);
		// a slot stands in the queue once; one that was freed and used again may do so twice for a moment
		assert.ok(
			outgoing.dirty.queue.length <= 2 * Math.max(slots, LIMIT),
			`${outgoing.dirty.queue.length} dirty`,
		);
		for (const { external } of ftfw.peers) {
			for (const { store, refused, confirmed } of external) {
				assert.ok(store.live <= LIMIT, `${store.live} entries of a peer`);
				assert.ok(refused <= REFUSED_MAX);
				assert.ok(confirmed >= 0 && confirmed <= store.live, `${confirmed} of ${store.live} confirmed`);
			}
		}
		for (const { store } of ftfw.returned.caches ?? [])
			assert.ok(store.live <= LIMIT, `${store.live} came back`);
	}

	const hash = new StateHash(new NameTable());
	const scratch = [recordOf(0, 0), X.newExpectationRecord()];

	/** @returns what the holder has otherwise than the origin, undefined if nothing */
	function difference(holder, origin) {
		const peer = holder.ftfw.peers.find(({ node }) => node === origin.id);
		if (!peer?.hears || peer.isReceivingBulk) return "not in contact, or no complete bulk";
		for (const kind of [0, 1]) {
			const found = differenceOf(kind, peer, origin.internal[kind].store);
			if (found) return `${kind === 0 ? "conntracks" : "expectations"}: ${found}`;
		}
		const mine = peer.equality.digest.words;
		const theirs = origin.versions.digest.words;
		for (let i = 0; i < mine.length; i++) if (mine[i] !== theirs[i]) return "the digests differ";
		return undefined;
	}

	function differenceOf(kind, peer, store) {
		const external = peer.external[kind];
		const held = external.store;
		const record = scratch[kind];
		let missing = 0;
		for (let slot = 0; slot < store.end; slot++) {
			if (!store.isLive(slot)) continue;
			store.read(slot, record);
			const there = held.find(record);
			if (there < 0 || !held.isLive(there) || !external.isConfirmed(there)) {
				missing++;
				continue;
			}
			const version = store.version(slot);
			if (held.version(there) !== version) return `version ${held.version(there)} instead of ${version}`;
			const mine = hash.of(kind, record);
			held.read(there, record);
			if (hash.of(kind, record) !== mine) return `another state of version ${version}`;
		}
		if (missing > external.refused) return `${missing} missing`;
		const more = external.confirmed - (store.live - missing);
		if (more > 0) return `${more} too many`;
		if (peer.heldUntil < 0 && held.live > external.confirmed)
			return `${held.live - external.confirmed} stale`;
		return undefined;
	}

	return {
		seal,
		entry,
		newNode,
		receive,
		tick,
		checkBounds,
		difference,
		Datagram: datagrams.Datagram,
		NameTable,
	};
}
