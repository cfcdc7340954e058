// The sending half: turns dirty slots into datagrams, and acknowledgements into rest.
//
// What is sent is always the slot's present state, read when its datagram is built. A lost datagram is not sent
// again: those of its keys that have not changed since become dirty again. Nothing is queued but slot numbers, so
// nothing has to be thrown away, however slow a peer is.
import { ALL_PEERS, type ChangeListener } from "../cache/internal-cache.ts";
import type { Kind } from "../conntrack/kind.ts";
import { Bulk } from "./bulk.ts";
import { controlOf, isControlOf, writeControls } from "./control-key.ts";
import { DirtySet, kindOf, slotOf } from "./dirty-set.ts";
import { InFlight, RECORDS_MAX } from "./in-flight.ts";
import type { OutgoingOptions } from "./outgoing-options.ts";
import { Pace, SteadyPace } from "./pace.ts";
import { Control, type Peer } from "./peer.ts";
import { encodePresent } from "./present-state.ts";
import { RecordEncoder } from "./wire/encode.ts";
import { bodyOffset, FLAG_ACK, HEADER_SIZE, writeHeader } from "./wire/frame.ts";
import { MsgpackWriter } from "./wire/msgpack.ts";
import { RECORD_MAX } from "./wire/record-type.ts";

/** Sequence numbers behind the highest acknowledged one at which a datagram counts as lost, not as late. */
const REORDER_MAX = 8;
/** Without acknowledgements: so long after a control record what follows it is sent, milliseconds. */
const CONTROL_SETTLES = 20;
/** Live changes per record of a bulk. */
const LIVE_PER_BULK = 4;
/** Datagrams sent in one go: building full ones takes two milliseconds. The first acknowledgement brings the next. */
const TURN_MAX = 64;

export class Outgoing {
	readonly dirty = new DirtySet();
	readonly inFlight = new InFlight();
	readonly bulk: Bulk;
	readonly writer: MsgpackWriter;
	/** The number of the next datagram. */
	nextSequence = 1;
	/** Milliseconds of the last transmission. */
	sentAt = Number.NEGATIVE_INFINITY;
	readonly #options: OutgoingOptions;
	readonly #encoder: RecordEncoder;
	readonly #records: readonly [Int32Array, Int32Array];
	#peers: readonly Peer[] = [];
	/** Bits of the peers that hear me. */
	#ready = 0;
	readonly pace = new Pace();
	/** Nothing is acknowledged: what was sent is settled at once. */
	readonly #steady: SteadyPace | undefined;

	constructor(options: OutgoingOptions) {
		this.#options = options;
		if (options.mode?.isAcknowledged === false) this.#steady = new SteadyPace();
		const [conntracks, expectations] = options.caches;
		const stores = [conntracks.store, expectations.store] as const;
		this.bulk = new Bulk(stores, this.dirty, this.inFlight, options.counters, options.mode?.dump);
		this.writer = new MsgpackWriter(new Uint8Array(options.datagramMax + RECORD_MAX + 256));
		this.#encoder = new RecordEncoder(this.writer, options.names);
		this.#records = [
			new Int32Array(conntracks.store.layout.recordWords),
			new Int32Array(expectations.store.layout.recordWords),
		];
	}

	/** What the internal cache of this kind tells its changes to. */
	listener(kind: Kind): ChangeListener {
		const cache = this.#options.caches[kind];
		return {
			changed: (slot) => {
				if (this.#ready !== 0) this.dirty.mark(kind, slot, this.#ready);
			},
			destroyed: (slot) => {
				// a flow that nobody was told of ends without a word
				// where nothing is kept nobody knows who was
				const told = (this.#options.mode?.dump ? ALL_PEERS : cache.store.peers(slot)) & this.#ready;
				this.dirty.clean(kind, slot);
				// whoever comes back before the others have acknowledged gets a bulk, in which the entry is not
				cache.store.setPeers(slot, told);
				if (told === 0) cache.forget(slot);
				else this.dirty.mark(kind, slot, told);
			},
		};
	}

	/** The peers, and which of them hear me, have changed. */
	setPeers(peers: readonly Peer[]): void {
		this.#peers = peers;
		let ready = 0;
		for (const peer of peers) if (peer.hears) ready |= peer.bit;
		const gone = this.#ready & ~ready;
		this.#ready = ready;
		for (const peer of peers) {
			if ((gone & peer.bit) === 0) continue;
			this.bulk.abort(peer);
			this.#forgetPeer(peer);
		}
	}

	/** Datagrams that may be sent now. */
	#room(now: number): number {
		if (this.#options.isCongested?.()) return 0;
		if (this.#steady) return this.#steady.room(now, this.#limit);
		return Math.floor(this.#limit) - this.inFlight.count;
	}

	/** Datagrams that may be in flight. */
	get #limit(): number {
		let window = this.#steady ? Number.POSITIVE_INFINITY : this.pace.window;
		for (const peer of this.#peers) if (peer.hears) window = Math.min(window, peer.credit);
		return window;
	}

	/** Whether any peer hears me. */
	get isHeard(): boolean {
		return this.#ready !== 0;
	}

	/** Whether something waits to be sent or to be acknowledged. */
	get isBusy(): boolean {
		if (this.inFlight.count > 0 || this.dirty.queue.length > 0 || this.bulk.retry.length > 0) return true;
		return this.#peers.some((peer) => peer.hears && (peer.bulkPhase !== "idle" || peer.control !== 0));
	}

	/** Sends what is dirty, as much as window and credit allow. */
	pump(now: number): void {
		if (this.#ready === 0) {
			this.#discard();
			return;
		}
		for (let turn = 0; turn < TURN_MAX; turn++) {
			this.bulk.step(this.#peers);
			if (!this.#hasWork || this.#room(now) <= 0 || !this.inFlight.hasRoom(this.nextSequence)) return;
			if (!this.#datagram(now)) return;
		}
	}

	get #hasWork(): boolean {
		for (const peer of this.#peers) if (peer.control !== 0) return true;
		return this.dirty.queue.length > 0 || this.bulk.retry.length > 0 || this.bulk.walkers !== 0;
	}

	/** Starts a datagram of other records: the writer stands where they begin. */
	begin(flags = 0): MsgpackWriter {
		this.writer.at = bodyOffset(flags);
		return this.writer;
	}

	/** Sends what was written since `begin`, untracked. */
	end(flags: number, now: number): void {
		if ((flags & FLAG_ACK) !== 0) this.pace.asked(this.nextSequence, now);
		this.#transmit(flags, 0, 0, now);
	}

	/** Milliseconds for which the oldest datagram that the peer has not acknowledged is in flight; 0 if there is none. */
	oldestPending(peer: Peer, now: number): number {
		for (let n = this.inFlight.lowest; n < this.nextSequence; n++) {
			if ((this.inFlight.pending(n) & peer.bit) !== 0) return now - this.inFlight.sentAt(n);
		}
		return 0;
	}

	/** A peer has acknowledged: `isAcked(n)` tells for each number up to `highest`. */
	acknowledge(peer: Peer, highest: number, isAcked: (sequence: number) => boolean, now: number): void {
		if (highest >= this.nextSequence) return;
		let acked = 0;
		for (let n = this.inFlight.lowest; n <= highest; n++) {
			if ((this.inFlight.pending(n) & peer.bit) === 0) continue;
			if (isAcked(n)) {
				if (n === highest) this.pace.sample(now - this.inFlight.sentAt(n));
				this.inFlight.settle(n, peer.bit, this.#settled);
				acked++;
			} else if (n <= highest - REORDER_MAX || this.pace.isLate(this.inFlight.sentAt(n), highest)) {
				this.#lose(n, peer.bit, now);
			}
		}
		if (acked > 0) {
			this.pace.acknowledged(acked);
			this.inFlight.answeredAt = now;
		}
		this.inFlight.advance(this.nextSequence);
	}

	/** Takes datagrams that were not acknowledged for too long as lost. */
	expire(now: number): void {
		const patience = this.#steady ? CONTROL_SETTLES : this.pace.patience;
		let isLost = false;
		for (let n = this.inFlight.lowest; n < this.nextSequence; n++) {
			const pending = this.inFlight.pending(n);
			if (pending === 0) continue;
			if (now - this.inFlight.sentAt(n) < patience) break;
			if (this.#steady) this.#settleAll(n);
			else for (const peer of this.#peers) if ((pending & peer.bit) !== 0) this.#lose(n, peer.bit, now);
			isLost = true;
		}
		if (isLost) this.pace.expired();
		this.inFlight.advance(this.nextSequence);
	}

	/** @returns whether there was anything to send */
	#datagram(now: number): boolean {
		const writer = this.begin();
		this.#options.writeAcks(writer);
		const bulkPeers = this.bulk.waiting(this.#peers);
		const controlled = writeControls(writer, this.#peers, this.inFlight, this.nextSequence);
		let peers = controlled;
		let isLast = false;
		for (let turn = 1; this.inFlight.building < RECORDS_MAX; turn++) {
			const isBulkTurn = turn % (LIVE_PER_BULK + 1) === 0;
			const first = isBulkTurn ? this.#bulkRecord(writer, now) : this.#liveRecord(writer, now);
			const sent = first || (isBulkTurn ? this.#liveRecord(writer, now) : this.#bulkRecord(writer, now));
			isLast = sent === 0;
			if (isLast || sent === FULL) break;
			peers |= sent;
		}
		if (writer.at === HEADER_SIZE) return false;
		const hasRecords = this.inFlight.building > 0;
		// a bulk does not go on before its control records, and does not end before all of it, is acknowledged
		const isUrgent = controlled !== 0 || (isLast && bulkPeers !== 0);
		const asks =
			hasRecords &&
			!this.#steady &&
			this.pace.asks(this.nextSequence, this.#limit, isUrgent, !this.#hasWork, now);
		this.#transmit(asks ? FLAG_ACK : 0, peers, bulkPeers, now);
		// whoever waits for the beginning of a bulk to be known waits for a moment instead
		if (this.#steady && peers !== 0 && controlled === 0) this.#settleAll(this.nextSequence - 1);
		return hasRecords;
	}

	/** @returns the peers that the record is for, 0 if there is none, FULL if it does not fit any more */
	#liveRecord(writer: MsgpackWriter, now: number): number {
		const { queue } = this.dirty;
		while (queue.length > 0) {
			const key = queue.peek();
			const sent = this.#record(writer, key, 0, now);
			if (sent === FULL) return FULL;
			this.dirty.shift();
			if (sent !== 0) return sent;
		}
		return 0;
	}

	#bulkRecord(writer: MsgpackWriter, now: number): number {
		const { retry } = this.bulk;
		while (retry.length > 0) {
			const sent = this.#record(writer, retry.peek(), 0, now);
			if (sent === FULL) return FULL;
			retry.shift();
			if (sent !== 0) return sent;
		}
		for (let key = this.bulk.next(this.#peers); key >= 0; key = this.bulk.next(this.#peers)) {
			const sent = this.#record(writer, key, this.bulk.walkers, now);
			if (sent === FULL) return FULL;
			this.bulk.advance();
			if (sent !== 0) return sent;
		}
		return 0;
	}

	/** Writes the slot's present state for whoever is dirty, and for `others`. */
	#record(writer: MsgpackWriter, key: number, others: number, now: number): number {
		const kind = kindOf(key);
		const slot = slotOf(key);
		const cache = this.#options.caches[kind];
		const { store } = cache;
		let peers = (this.dirty.peers(kind, slot) | others) & this.#ready;
		if (store.state(slot) === 0) return 0;
		// whoever cannot hold a dead entry need not hear of its end
		if (!store.isLive(slot)) peers &= store.peers(slot);
		if (peers === 0) {
			this.#release(kind, slot);
			return 0;
		}
		const version = store.version(slot);
		const start = writer.at;
		encodePresent(this.#encoder, store, kind, slot, this.#records[kind], now);
		if (writer.at > this.#options.datagramMax) {
			writer.at = start;
			return FULL;
		}
		this.inFlight.add(this.nextSequence, key, version);
		this.dirty.clean(kind, slot);
		// whoever hears me may take it, though the datagram is for another
		if (store.isLive(slot)) store.setPeers(slot, store.peers(slot) | this.#ready);
		this.#options.counters.recordsSent++;
		return peers;
	}

	#transmit(flags: number, peers: number, bulkPeers: number, now: number): void {
		const { node, epochTag, counters, sink } = this.#options;
		const sequence = this.nextSequence++;
		this.inFlight.commit(sequence, peers, bulkPeers, now);
		if (peers === 0) this.inFlight.advance(this.nextSequence);
		writeHeader(this.writer.bytes, flags, node, epochTag, sequence);
		this.sentAt = now;
		counters.sent++;
		if (peers !== 0) this.#steady?.sent();
		sink(this.writer.bytes, bodyOffset(flags), this.writer.at, sequence);
	}

	/** Nothing will be heard of the datagram. */
	#settleAll(sequence: number): void {
		for (const { bit } of this.#peers) {
			if ((this.inFlight.pending(sequence) & bit) !== 0) this.inFlight.settle(sequence, bit, this.#settled);
		}
		this.inFlight.advance(this.nextSequence);
	}

	readonly #settled = (key: number, version: number, bit: number): void => {
		if (key < 0) {
			const peer = this.#peers.find((candidate) => candidate.bit === bit)!;
			if (isControlOf(key, peer)) this.bulk.acknowledged(peer, controlOf(key), version);
			return;
		}
		const { store } = this.#options.caches[kindOf(key)];
		const slot = slotOf(key);
		if (store.state(slot) === 0 || store.version(slot) !== version || store.isLive(slot)) return;
		store.setPeers(slot, store.peers(slot) & ~bit);
		this.#release(kindOf(key), slot);
	};

	/** Forgets a dead slot that no peer has to hear of any more. */
	#release(kind: Kind, slot: number): void {
		const cache = this.#options.caches[kind];
		if (cache.store.isLive(slot) || (cache.store.peers(slot) & this.#ready) !== 0) return;
		this.dirty.clean(kind, slot);
		cache.forget(slot);
	}

	#lose(sequence: number, bit: number, now: number): void {
		const isBulk = this.inFlight.isBulk(sequence, bit);
		this.inFlight.settle(sequence, bit, isBulk ? this.#lostFromBulk : this.#lost);
		this.pace.lost(now);
	}

	readonly #lost = (key: number, version: number, bit: number): void => {
		if (key < 0) this.#lostControl(key, version, bit);
		else if (this.#isStill(key, version)) this.dirty.mark(kindOf(key), slotOf(key), bit);
	};

	readonly #lostFromBulk = (key: number, version: number, bit: number): void => {
		if (key < 0) this.#lostControl(key, version, bit);
		else if (this.#options.caches[kindOf(key)].store.state(slotOf(key)) !== 0) {
			// also if it has changed since: the bulk is not complete before the peer has the slot in some version
			this.#options.counters.recordsResent++;
			this.dirty.markUnqueued(kindOf(key), slotOf(key), bit);
			this.bulk.retry.push(key);
		}
	};

	#lostControl(key: number, id: number, bit: number): void {
		const peer = this.#peers.find((candidate) => candidate.bit === bit)!;
		const control = controlOf(key);
		if (isControlOf(key, peer) && id === (control === Control.resync ? peer.resyncId : peer.bulkId)) {
			peer.control |= control;
		}
	}

	/** Whether the slot's state is the one that was lost; a newer one is dirty already. */
	#isStill(key: number, version: number): boolean {
		const { store } = this.#options.caches[kindOf(key)];
		const isSame = store.state(slotOf(key)) !== 0 && store.version(slotOf(key)) === version;
		if (isSame) this.#options.counters.recordsResent++;
		return isSame;
	}

	/** The peer will not acknowledge what is in flight, and what was dirty for it comes with its next bulk. */
	#forgetPeer(peer: Peer): void {
		for (let n = this.inFlight.lowest; n < this.nextSequence; n++) {
			if ((this.inFlight.pending(n) & peer.bit) !== 0) this.inFlight.settle(n, peer.bit, this.#settled);
		}
		this.inFlight.advance(this.nextSequence);
		// the dead that still wait to be sent must not wait for it when it is back
		for (const queue of [this.dirty.queue, this.bulk.retry]) {
			queue.each((key) => {
				const { store } = this.#options.caches[kindOf(key)];
				const slot = slotOf(key);
				if (store.state(slot) !== 0 && !store.isLive(slot))
					store.setPeers(slot, store.peers(slot) & ~peer.bit);
			});
		}
	}

	/** Nobody hears: empties the queues, and forgets the dead in them. */
	#discard(): void {
		for (const queue of [this.dirty.queue, this.bulk.retry]) {
			while (queue.length > 0) {
				const key = queue.peek();
				const { store } = this.#options.caches[kindOf(key)];
				if (queue === this.dirty.queue) this.dirty.shift();
				else queue.shift();
				if (store.state(slotOf(key)) === 0) continue;
				this.dirty.clean(kindOf(key), slotOf(key));
				this.#release(kindOf(key), slotOf(key));
			}
		}
	}
}

/** What `#record` answers when the record does not fit: no peer mask. */
const FULL = 1 << 16;
