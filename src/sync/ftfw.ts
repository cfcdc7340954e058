// Latest-state replication, the protocol core of one node: Mode FTFW, and what the other modes leave of it (mode.ts). No
// sockets, no timers, no clock, no randomness; datagrams and milliseconds come in, datagrams go out through the sink, the
// caches change in place.
//
//   contacts   who is there, and hears whom          bulk, outgoing   my entries to the peers
//   equality   do all hold the same?                 return-snapshot  a rebooted node gets its entries back
import type { ExternalCache } from "../cache/external-cache.ts";
import type { VersionDigest } from "../cache/version-digest.ts";
import { CONNTRACK, KINDS } from "../conntrack/kind.ts";
import { ACK_MAX, acknowledges, writeOwedAck } from "./acknowledgement.ts";
import { receiveBulkRecord, sweepReceipt } from "./bulk-receipt.ts";
import { Contacts } from "./contacts.ts";
import { type Ack, Datagram, type OtherRecord, type StateRecord } from "./datagram.ts";
import { type Difference, Equality, VERDICT } from "./equality.ts";
import { ExpectationGate } from "./expectation-gate.ts";
import type { FtfwOptions } from "./ftfw-options.ts";
import { copyOf, epochTagOf, readHello, sameBytes } from "./handshake.ts";
import { lookAhead } from "./look-ahead.ts";
import { ftfwMode, type ModeParts, type ReplicationMode } from "./mode.ts";
import { Outgoing } from "./outgoing.ts";
import { supersede, unsupersede } from "./ownership.ts";
import { Control, Peer } from "./peer.ts";
import { expireSilent, newPeerCaches } from "./peer-caches.ts";
import { PeerEquality } from "./peer-equality.ts";
import { RateLimit } from "./rate-limit.ts";
import { ReturnSnapshot } from "./return-snapshot.ts";
import {
	FRAME_REJECT,
	newSyncCounters,
	PAYLOAD_REJECT,
	type Reject,
	type SyncCounters,
} from "./sync-counters.ts";
import { ALIVE_EVERY, dueAt, questionAt } from "./timetable.ts";
import { FLAG_ACK, FLAG_HELLO, Frame, HEADER_SIZE } from "./wire/frame.ts";
import type { MsgpackWriter } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";

export { type Difference, VERDICT };

/** HELLOs of unknown epochs that are looked into: each costs a key derivation, and anybody can send them. */
const STRANGERS_PER_SECOND = 1000;
/** Datagrams that are acknowledged together where more come at once than are read before anything is sent. */
const ACK_EVERY = 8;
/** Graves that go with one datagram: more than it can bring, and well below a millisecond. */
const GRAVES_AT_ONCE = 1024;

export class Ftfw {
	readonly node: number;
	readonly counters: SyncCounters = newSyncCounters();
	readonly outgoing: Outgoing;
	readonly contacts: Contacts;
	readonly equality: Equality;
	readonly returned: ReturnSnapshot;
	/** External caches were made. */
	onCaches: (caches: readonly [ExternalCache, ExternalCache]) => void = () => {};
	/** A peer was met for the first time. */
	onPeer: (peer: Peer) => void = () => {};
	readonly epoch: Uint8Array;
	readonly #epochTag: number;
	readonly mode: ReplicationMode;
	readonly #options: FtfwOptions;
	readonly #parts: ModeParts;
	readonly #frame = new Frame();
	readonly #datagram: Datagram;
	readonly #strangers = new RateLimit(STRANGERS_PER_SECOND);
	#tickedAt = Number.NEGATIVE_INFINITY;

	constructor(options: FtfwOptions) {
		this.#options = options;
		this.mode = options.mode ?? ftfwMode;
		this.node = options.node;
		this.epoch = options.epoch;
		this.#epochTag = epochTagOf(this.epoch);
		this.#datagram = new Datagram(options.names);
		const { node, epoch, names, credit, entropy, notice } = options;
		const { counters } = this;
		const { conntracks, expectations, versions } = options.internal;
		const internal = [conntracks, expectations] as const;
		const datagramMax = options.datagramMax - options.seal.overhead;
		this.outgoing = new Outgoing({
			node,
			epochTag: this.#epochTag,
			caches: internal,
			names,
			datagramMax,
			counters,
			mode: this.mode,
			...(options.isCongested && { isCongested: options.isCongested }),
			sink: (bytes, body, end, sequence) => {
				options.sink(bytes, options.seal.seal(bytes, body, end, sequence));
			},
			writeAcks: (writer) => this.#writeAcks(writer),
		});
		const { outgoing } = this;
		for (const kind of KINDS) internal[kind].listener = outgoing.listener(kind);
		this.contacts = new Contacts({
			node,
			epoch,
			datagramMax,
			credit,
			outgoing,
			counters,
			newPeer: (id, index, challenge) => this.#newPeer(id, index, challenge),
			policy: options.policy ?? 0,
			mode: this.mode,
			hasNoCache: this.mode.dump !== undefined,
			isActiveActive: options.isActiveActive ?? false,
			keys: options.keys ?? (() => []),
			entropy,
			notice,
			hearingChanged: (peer, now) => this.#hearingChanged(peer, now),
			// whom a peer had taken over from may be the owner again
			termChanged: (peer, hasFallen) => unsupersede(hasFallen ? this.peers : [peer]),
		});
		this.equality = new Equality({
			node,
			internal,
			digest: versions.digest,
			highestVersion: () => versions.value,
			names,
			datagramMax,
			outgoing,
			isBlind: this.mode.dump !== undefined,
			repairs: (peer) => this.mode.repairs && peer.isReliable,
			suspected: options.suspected ?? (() => {}),
			repairing: options.repairing ?? (() => {}),
			differs: options.differs ?? (() => {}),
		});
		this.#parts = { peers: this.peers, outgoing, internal, notice };
		this.returned = new ReturnSnapshot(
			{
				node,
				names,
				datagramMax,
				outgoing,
				newCaches: () => this.#newCaches(),
				notice,
			},
			[conntracks.store.layout.recordWords, expectations.store.layout.recordWords],
		);
	}

	get peers(): readonly Peer[] {
		return this.contacts.peers;
	}

	/** Live entries of both kinds that are mine. */
	get entries(): number {
		const { conntracks, expectations } = this.#options.internal;
		return conntracks.store.live + expectations.store.live;
	}

	/**
	 * Something came over the dedicated link, in bytes [start, end). `now` in milliseconds, as everywhere here.
	 *
	 * @returns whether it came from a node that has shaken hands, and was good
	 */
	receive(bytes: Uint8Array, start: number, end: number, now: number): boolean {
		const { counters } = this;
		counters.received++;
		const frame = this.#frame;
		const fault = frame.parse(bytes, start, end);
		if (fault) return this.#reject(FRAME_REJECT[fault]);
		if (frame.sender === this.node) return this.#reject("ownNode");
		const peer = this.contacts.find(frame.sender);
		const isHello = (frame.flags & FLAG_HELLO) !== 0;
		const isKnownEpoch =
			peer?.epoch !== undefined &&
			peer.epochTag === frame.epochTag &&
			(!isHello || sameBytes(peer.epoch, bytes.subarray(start + HEADER_SIZE, frame.body)));
		const isStale = isKnownEpoch && !peer.window.isFresh(frame.sequence);
		// a peer that has fallen silent may come back by an answer to a new challenge, wherever its window stands
		if (isStale && (!isHello || peer.isUp)) {
			counters.replayed++;
			return false;
		}
		if (!isHello && !isKnownEpoch) {
			// not answered: whoever is not heard says HELLO by itself
			counters.unknownEpoch++;
			return false;
		}
		if (isHello && (!isKnownEpoch || isStale) && !(peer?.greetings ?? this.#strangers).take(now)) {
			return this.#reject("helloFlood");
		}
		const epoch = isHello ? copyOf(bytes, start + HEADER_SIZE, frame.body) : peer!.epoch!;
		const stop = this.#options.seal.unseal(frame, epoch, bytes, start, end);
		if (stop < 0) return this.#reject("badSeal");
		if (isKnownEpoch && !isStale) peer.keyId = frame.keyId;
		return isHello ? this.#hello(epoch, bytes, stop, now) : this.#data(peer!, bytes, stop, now);
	}

	/** What has to be done without anything happening: call it at `dueAt`, which every other call may bring forward. */
	tick(now: number): void {
		this.#tickedAt = now;
		for (const peer of this.peers) {
			sweepReceipt(peer, now);
			expireSilent(peer, now);
			peer.gate?.review(now);
		}
		this.mode.tick?.(this.#parts, now);
		this.outgoing.expire(now);
		// a digest that is sent before the changes that it counts differs where nothing does
		this.outgoing.pump(now);
		this.equality.tick(this.peers, now);
		this.returned.tick(now);
		this.pump(now);
		this.contacts.tick(now);
		if (now >= questionAt(this)) this.sayAlive(now, FLAG_ACK);
		else if (now - this.outgoing.sentAt >= ALIVE_EVERY) this.sayAlive(now);
	}

	/** Says that this node is there, and acknowledges what it owes; with FLAG_ACK it asks for the same. */
	sayAlive(now: number, flags = 0): void {
		const writer = this.outgoing.begin();
		this.#writeAcks(writer);
		writer.array(1);
		writer.uint(RecordType.alive);
		this.outgoing.end(flags, now);
	}

	/** Sends what has become dirty, and what is owed: call it whenever all that had come was received. */
	pump(now: number): void {
		this.outgoing.pump(now);
		for (const peer of this.peers) if (peer.ackOwed > 0) this.#sendAcks(now);
	}

	/** When the next tick is due, whatever happens until then. */
	get dueAt(): number {
		return dueAt(this, this.#tickedAt);
	}

	/** -B: sends everything to everybody. Mode ALARM does so all the time, and knows no bulk. */
	bulk(now: number): void {
		if (!this.mode.hasBulk) return;
		for (const peer of this.peers) if (peer.hears) this.outgoing.bulk.start(peer);
		this.pump(now);
	}

	/** -n: asks every peer for everything it has. Peers that are not up send it anyhow when they come. */
	requestResync(now: number): void {
		if (!this.mode.hasBulk) return;
		for (const peer of this.peers) {
			peer.resyncId++;
			if (peer.hears) peer.control |= Control.resync;
		}
		this.pump(now);
	}

	/** Has this peer compare what it holds of mine, as I do with what I hold of its. */
	verify(peer: Peer, now: number): void {
		this.equality.verify(peer, now);
		const writer = this.outgoing.begin();
		writer.array(2);
		writer.uint(RecordType.verify);
		writer.uint(peer.node);
		this.outgoing.end(0, now);
	}

	#hello(epoch: Uint8Array, bytes: Uint8Array, stop: number, now: number): boolean {
		const hello = readHello(bytes, this.#frame.body, stop, this.node);
		if (!hello || epochTagOf(epoch) !== this.#frame.epochTag) return this.#reject("badPayload");
		const fault = this.contacts.greeted(hello, epoch, this.#frame, now);
		if (fault === "pending") return false;
		if (fault) return this.#reject(fault);
		const peer = this.contacts.find(this.#frame.sender)!;
		if (peer.offered > 0) this.returned.offered(peer, now);
		return true;
	}

	#hearingChanged(peer: Peer, now: number): void {
		if (peer.hears) this.equality.hurry(now);
		else this.equality.forget(peer);
		this.pump(now);
	}

	#data(peer: Peer, bytes: Uint8Array, stop: number, now: number): boolean {
		const { counters } = this;
		const datagram = this.#datagram;
		const fault = datagram.decode(bytes, this.#frame.body, stop);
		if (fault) return this.#reject(PAYLOAD_REJECT[fault]);
		this.contacts.heard(peer, this.#frame, now);
		if ((this.#frame.flags & FLAG_ACK) !== 0) peer.ackOwed++;
		if (datagram.stateCount > 0) peer.toldSince = Math.max(peer.toldSince, this.#frame.sequence);
		lookAhead(datagram, peer.external);
		const verdicts: [StateRecord, number][] = [];
		for (let i = 0; i < datagram.stateCount; i++) this.#state(peer, datagram.states[i]!, verdicts, now);
		counters.recordsReceived += datagram.stateCount;
		peer.gate?.review(now);
		for (const external of peer.external) external.collect(peer.window.low, GRAVES_AT_ONCE);
		for (const other of datagram.others) this.#other(peer, other, bytes, now);
		for (const ack of datagram.acks) this.#acknowledged(peer, ack, bytes, now);
		this.equality.sendVerdicts(peer, verdicts, now);
		if (peer.ackOwed >= ACK_EVERY) this.#sendAcks(now);
		return true;
	}

	#state(peer: Peer, state: StateRecord, verdicts: [StateRecord, number][], now: number): void {
		const { kind, op, record, version, hash } = state;
		const seconds = Math.floor(now / 1000);
		const external = peer.external[kind];
		const isOld = this.#frame.sequence < peer.bulkSince;
		if (isOld && (op === "set" || op === "delete" || op === "withdraw")) return;
		switch (op) {
			case "set": {
				const slot = external.set(record, version, seconds, hash);
				if (slot < 0) return;
				if (this.peers.length > 1) supersede(this.peers, peer, kind, slot, record);
				if (kind === CONNTRACK) peer.gate?.masterTold(record);
				else peer.gate?.taken(slot, now);
				return;
			}
			case "delete":
				external.delete(record, version, this.#frame.sequence, seconds, hash);
				return;
			case "withdraw":
				external.withdraw(record, version, this.#frame.sequence, seconds, hash);
				return;
			case "claim": {
				const wrong = state.node === this.node ? this.equality.judge(peer, state, now) : 0;
				if (wrong !== 0) verdicts.push([state, wrong]);
				return;
			}
			case "verdict":
				if (state.node === this.node) this.equality.refuted(peer, state);
				return;
			case "return":
			// it belongs to the FETCHED record of the datagram
		}
	}

	#other(peer: Peer, other: OtherRecord, bytes: Uint8Array, now: number): void {
		const [node, id = 0] = other.numbers;
		const datagram = this.#datagram;
		if (this.equality.other(peer, other, bytes, this.#frame.sequence, now)) return;
		if (this.returned.other(peer, other, datagram.states, datagram.stateCount, now)) return;
		if (node !== this.node) return;
		const isOver = receiveBulkRecord(peer, other.type, id, this.#frame.sequence, now);
		if (isOver) {
			this.counters.bulksReceived++;
			this.equality.hurry(now);
			if (peer.heldUntil > 0) this.contacts.sendHello(now);
		}
		if (other.type !== RecordType.resync || id <= peer.resyncServed) return;
		peer.resyncServed = id;
		this.#options.notice("resync requested by other node");
		if (!this.mode.hasBulk) return;
		this.#options.notice("sending bulk update");
		this.outgoing.bulk.start(peer);
	}

	#acknowledged(peer: Peer, ack: Ack, bytes: Uint8Array, now: number): void {
		if (ack.node !== this.node || ack.epochTag !== this.#epochTag) return;
		peer.credit = Math.max(1, ack.credit);
		this.outgoing.acknowledge(peer, ack.highest, (sequence) => acknowledges(ack, bytes, sequence), now);
	}

	/** Appends an acknowledgement for every peer to which one is owed. */
	#writeAcks(writer: MsgpackWriter): void {
		const { credit, datagramMax } = this.#options;
		for (const peer of this.peers) if (writer.at + ACK_MAX <= datagramMax) writeOwedAck(writer, peer, credit);
	}

	#sendAcks(now: number): void {
		const writer = this.outgoing.begin();
		this.#writeAcks(writer);
		this.outgoing.end(0, now);
	}

	#newPeer(node: number, index: number, challenge: Uint8Array): Peer {
		const equality = new PeerEquality();
		const external = this.#newCaches(equality.digest);
		const peer = new Peer(node, index, external, equality, challenge);
		const { expectations } = this.#options;
		if (expectations) peer.gate = new ExpectationGate(external, expectations);
		this.onPeer(peer);
		return peer;
	}

	#newCaches(digest?: VersionDigest): readonly [ExternalCache, ExternalCache] {
		const caches = newPeerCaches({ ...this.#options, mode: this.mode }, digest);
		this.onCaches(caches);
		return caches;
	}

	/** Counts a datagram of which nothing was applied. */
	#reject(reason: Reject): false {
		this.counters[reason]++;
		this.#options.rejected(reason);
		return false;
	}
}
