// Mode FTFW: latest-state replication. The protocol core of one node: no sockets, no timers, no clock, no
// randomness; datagrams and milliseconds come in, datagrams go out through the sink, the caches change in place.
import { ConntrackLayout } from "../cache/conntrack-layout.ts";
import { ExpectationLayout } from "../cache/expectation-layout.ts";
import { ExternalCache } from "../cache/external-cache.ts";
import type { InternalCaches } from "../cache/internal-cache.ts";
import { RecordStore } from "../cache/record-store.ts";
import type { NameTable } from "../conntrack/names.ts";
import { formatNode } from "../conntrack/node-id.ts";
import { ACK_MAX, acknowledges, writeAck } from "./acknowledgement.ts";
import { beginReceipt, endReceipt, sweepReceipt } from "./bulk-receipt.ts";
import { type Ack, type ControlRecord, Datagram } from "./datagram.ts";
import {
	CHALLENGE_SIZE,
	epochTagOf,
	PROTOCOL_VERSION,
	readHello,
	sameBytes,
	writeHello,
} from "./handshake.ts";
import { Outgoing } from "./outgoing.ts";
import { Control, PEERS_MAX, Peer } from "./peer.ts";
import { RateLimit } from "./rate-limit.ts";
import {
	FRAME_REJECT,
	newSyncCounters,
	PAYLOAD_REJECT,
	type Reject,
	type SyncCounters,
} from "./sync-counters.ts";
import { FLAG_ACK, FLAG_HELLO, Frame, HEADER_SIZE } from "./wire/frame.ts";
import type { MsgpackWriter } from "./wire/msgpack.ts";
import { RecordType } from "./wire/record-type.ts";
import type { Seal } from "./wire/seal.ts";

// Specification constants (docs/protocol.md), milliseconds.
/** A node that has nothing else to say says ALIVE this often. */
const ALIVE_EVERY = 1000;
/** A peer that has not been heard for this long is down. */
const DOWN_AFTER = 3500;
/** A peer that acknowledges nothing for this long leaves the set that others share. */
const LAGGARD_AFTER = 300;
/** HELLO while some peer is not up; else now and then, so that nodes which missed each other meet; and in answer. */
const HELLO_EVERY = 500;
const HELLO_ALWAYS_EVERY = 3000;
const HELLO_ANSWER_EVERY = 20;
/** HELLOs of unknown epochs that are looked into: each costs a key derivation, and anybody can send them. */
const STRANGERS_PER_SECOND = 200;

// Tuning constants.
/** Datagrams that are acknowledged together, and the longest that one waits for it, milliseconds. */
const ACK_EVERY = 8;
const ACK_WITHIN = 2;

export interface FtfwOptions {
	/** This node's id, unique in the cluster. */
	node: number;
	/** EPOCH_SIZE random bytes, drawn for this start of the daemon and no other. */
	epoch: Uint8Array;
	internal: InternalCaches;
	names: NameTable;
	/** Seed of the key hash of the external caches. */
	hashSeed: number;
	/** Entries that one peer may have here, of each kind. */
	externalLimit: number;
	/** Bytes of a datagram, the seal included. */
	datagramMax: number;
	/** Datagrams that the receive buffer takes in. */
	credit: number;
	seal: Seal;
	/** Takes the sealed datagram in bytes [0, end), and copies what it keeps. */
	sink: (bytes: Uint8Array, end: number) => void;
	/** Random bytes: from the system, or from a test's seed. */
	entropy: (size: number) => Uint8Array;
	/** Something that an operator would want to know. */
	notice: (text: string) => void;
	/** A datagram was thrown away and counted: worth a log line, not one each. */
	rejected: (reason: Reject) => void;
}

export class Ftfw {
	readonly node: number;
	readonly counters: SyncCounters = newSyncCounters();
	readonly outgoing: Outgoing;
	/** In the order in which they were first heard. Bounded: PEERS_MAX. */
	readonly peers: Peer[] = [];
	/** A peer's external caches were made. */
	onPeer: (peer: Peer) => void = () => {};
	readonly epoch: Uint8Array;
	readonly #epochTag: number;
	readonly #options: FtfwOptions;
	readonly #frame = new Frame();
	readonly #datagram: Datagram;
	#helloAt = Number.NEGATIVE_INFINITY;
	#helloWanted = false;
	readonly #strangers = new RateLimit(STRANGERS_PER_SECOND);

	constructor(options: FtfwOptions) {
		this.#options = options;
		this.node = options.node;
		this.epoch = options.epoch;
		this.#epochTag = epochTagOf(this.epoch);
		this.#datagram = new Datagram(options.names);
		const { conntracks, expectations } = options.internal;
		this.outgoing = new Outgoing({
			node: options.node,
			epochTag: this.#epochTag,
			caches: [conntracks, expectations],
			names: options.names,
			datagramMax: options.datagramMax - options.seal.overhead,
			counters: this.counters,
			sink: (bytes, body, end, sequence) => {
				options.sink(bytes, options.seal.seal(bytes, body, end, sequence));
			},
			writeAcks: (writer, now) => this.#writeAcks(writer, now),
		});
		conntracks.listener = this.outgoing.listener(0);
		expectations.listener = this.outgoing.listener(1);
	}

	/** Something came over the dedicated link, in bytes [start, end). `now` in milliseconds, as everywhere here. */
	receive(bytes: Uint8Array, start: number, end: number, now: number): void {
		const { counters } = this;
		counters.received++;
		const frame = this.#frame;
		const fault = frame.parse(bytes, start, end);
		if (fault) {
			this.#reject(FRAME_REJECT[fault]);
			return;
		}
		if (frame.sender === this.node) {
			this.#reject("ownNode");
			return;
		}
		const peer = this.peers.find((candidate) => candidate.node === frame.sender);
		const isKnownEpoch = peer?.epoch !== undefined && peer.epochTag === frame.epochTag;
		if (isKnownEpoch && !peer.window.isFresh(frame.sequence)) {
			counters.replayed++;
			return;
		}
		const isHello = (frame.flags & FLAG_HELLO) !== 0;
		if (!isHello && !isKnownEpoch) {
			// not answered: whoever is not heard says HELLO by itself
			counters.unknownEpoch++;
			return;
		}
		if (isHello && !isKnownEpoch && !(peer?.greetings ?? this.#strangers).take(now)) {
			this.#reject("helloFlood");
			return;
		}
		const epoch = isHello ? bytes.slice(start + HEADER_SIZE, frame.body) : peer!.epoch!;
		const stop = this.#options.seal.unseal(frame, epoch, bytes, start, end);
		if (stop < 0) this.#reject("badSeal");
		else if (isHello) this.#hello(peer, epoch, bytes, stop, now);
		else this.#data(peer!, bytes, stop, now);
	}

	/** What has to be done without anything happening: call it every few milliseconds while `isBusy`, else often. */
	tick(now: number): void {
		for (const peer of this.peers) {
			if (peer.isUp && now - peer.heardAt > DOWN_AFTER) this.#down(peer);
			else if (this.#holdsUpOthers(peer, now)) this.#setHears(peer, false, now);
			sweepReceipt(peer);
		}
		this.outgoing.expire(now);
		this.pump(now);
		if (this.peers.some((peer) => peer.ackOwed > 0 && now - peer.ackSince >= ACK_WITHIN)) this.#sendAcks(now);
		const isAlone = this.peers.length === 0 || this.peers.some((peer) => !peer.isUp || !peer.hears);
		const every = this.#helloWanted ? HELLO_ANSWER_EVERY : isAlone ? HELLO_EVERY : HELLO_ALWAYS_EVERY;
		if (now - this.#helloAt >= every) this.#sendHello(now);
		if (now - this.outgoing.sentAt >= ALIVE_EVERY) {
			const writer = this.outgoing.begin();
			this.#writeAcks(writer, now);
			writer.array(1);
			writer.uint(RecordType.alive);
			this.outgoing.end(0, now);
		}
	}

	/** Sends what has become dirty. */
	pump(now: number): void {
		this.outgoing.pump(now);
	}

	get isBusy(): boolean {
		return (
			this.#helloWanted ||
			this.outgoing.isBusy ||
			this.peers.some((peer) => peer.ackOwed > 0 || peer.sweepAt[0] >= 0 || peer.sweepAt[1] >= 0)
		);
	}

	/** -B: sends everything to everybody. */
	bulk(now: number): void {
		for (const peer of this.peers) if (peer.hears) this.outgoing.bulk.start(peer);
		this.pump(now);
	}

	/** -n: asks every peer for everything it has. Peers that are not up send it anyhow when they come. */
	requestResync(now: number): void {
		for (const peer of this.peers) {
			peer.resyncId++;
			if (peer.hears) peer.control |= Control.resync;
		}
		this.pump(now);
	}

	#hello(known: Peer | undefined, epoch: Uint8Array, bytes: Uint8Array, stop: number, now: number): void {
		const hello = readHello(bytes, this.#frame.body, stop, this.node);
		if (!hello || epochTagOf(epoch) !== this.#frame.epochTag) {
			this.#reject("badPayload");
			return;
		}
		if (hello.version !== PROTOCOL_VERSION) {
			this.#reject("badVersion");
			return;
		}
		const peer = known ?? this.#meet(this.#frame.sender);
		if (!peer) {
			this.#reject("tooManyPeers");
			return;
		}
		const isAdopted = peer.epoch !== undefined && sameBytes(peer.epoch, epoch);
		const hasEchoed = hello.forMe !== undefined && sameBytes(hello.forMe.echo, peer.challenge);
		if (!isAdopted && !hasEchoed) {
			if (hello.forMe) peer.theirChallenge = hello.forMe.challenge;
			this.#wantHello(now);
			return;
		}
		if (!isAdopted) this.#adopt(peer, epoch, now);
		this.#heard(peer, now);
		// one that was overtaken by a later HELLO describes what is over
		if (this.#frame.sequence < peer.helloSequence) return;
		peer.helloSequence = this.#frame.sequence;
		peer.credit = Math.max(1, hello.credit);
		if (hello.forMe) peer.theirChallenge = hello.forMe.challenge;
		const hears = hello.forMe?.adoptedTag === this.#epochTag;
		this.#setHears(peer, hears, now);
		if (!hears || !hello.forMe?.isHeard) this.#wantHello(now);
	}

	#adopt(peer: Peer, epoch: Uint8Array, now: number): void {
		const isRestart = peer.epoch !== undefined;
		peer.epoch = epoch;
		peer.epochTag = epochTagOf(epoch);
		peer.window.reset(this.#frame.sequence - 1);
		peer.challenge = this.#options.entropy(CHALLENGE_SIZE);
		peer.helloSequence = 0;
		peer.bulkReceiving = 0;
		peer.bulkReceived = 0;
		peer.resyncServed = 0;
		peer.sweepAt[0] = peer.sweepAt[1] = -1;
		peer.ackOwed = 0;
		for (const external of peer.external) external.beginEpoch();
		// whoever has restarted knows nothing of what I sent
		this.#setHears(peer, false, now);
		if (isRestart) this.#options.notice(`node ${formatNode(peer.node)} has restarted`);
	}

	#setHears(peer: Peer, hears: boolean, now: number): void {
		if (peer.hears === hears) return;
		peer.hears = hears;
		this.outgoing.setPeers(this.peers);
		if (!hears) return;
		this.#options.notice(`node ${formatNode(peer.node)} is in contact: sending bulk update`);
		this.outgoing.bulk.start(peer);
		if (peer.resyncId > 0) peer.control |= Control.resync;
		this.pump(now);
	}

	#data(peer: Peer, bytes: Uint8Array, stop: number, now: number): void {
		const { counters } = this;
		const datagram = this.#datagram;
		const fault = datagram.decode(bytes, this.#frame.body, stop);
		if (fault) {
			this.#reject(PAYLOAD_REJECT[fault]);
			return;
		}
		this.#heard(peer, now);
		if ((this.#frame.flags & FLAG_ACK) !== 0) {
			if (peer.ackOwed++ === 0) peer.ackSince = now;
		}
		const seconds = Math.floor(now / 1000);
		for (let i = 0; i < datagram.stateCount; i++) {
			const { kind, isSet, record, version } = datagram.states[i]!;
			if (isSet) peer.external[kind].set(record, version, seconds);
			else peer.external[kind].delete(record, version, this.#frame.sequence, seconds);
		}
		counters.recordsReceived += datagram.stateCount;
		for (const external of peer.external) external.collect(peer.window.low);
		for (const control of datagram.controls) this.#control(peer, control);
		for (const ack of datagram.acks) this.#acknowledged(peer, ack, bytes, now);
		if (peer.ackOwed >= ACK_EVERY) this.#sendAcks(now);
	}

	#control(peer: Peer, control: ControlRecord): void {
		if (control.node !== this.node) return;
		switch (control.type) {
			case RecordType.bulkBegin:
				beginReceipt(peer, control.id);
				return;
			case RecordType.bulkEnd:
				if (endReceipt(peer, control.id)) this.counters.bulksReceived++;
				return;
			case RecordType.resync:
				if (control.id <= peer.resyncServed) return;
				peer.resyncServed = control.id;
				this.#options.notice("resync requested by other node");
				this.#options.notice("sending bulk update");
				this.outgoing.bulk.start(peer);
				return;
			default:
				return;
		}
	}

	#acknowledged(peer: Peer, ack: Ack, bytes: Uint8Array, now: number): void {
		if (ack.node !== this.node || ack.epochTag !== this.#epochTag) return;
		peer.credit = Math.max(1, ack.credit);
		this.outgoing.acknowledge(peer, ack.highest, (sequence) => acknowledges(ack, bytes, sequence), now);
	}

	/** Appends an acknowledgement for every peer to which one is owed. */
	#writeAcks(writer: MsgpackWriter, now: number): void {
		for (const peer of this.peers) {
			if (peer.ackOwed === 0 || !peer.epoch || writer.at + ACK_MAX > this.#options.datagramMax) continue;
			writeAck(writer, peer, this.#options.credit);
			peer.ackOwed = 0;
			peer.ackSince = now;
		}
	}

	#sendAcks(now: number): void {
		const writer = this.outgoing.begin();
		this.#writeAcks(writer, now);
		this.outgoing.end(0, now);
	}

	#sendHello(now: number): void {
		this.#helloAt = now;
		this.#helloWanted = false;
		const { credit } = this.#options;
		const writer = this.outgoing.begin(FLAG_HELLO);
		writer.bytes.set(this.epoch, HEADER_SIZE);
		writeHello(writer, { credit, nextSequence: this.outgoing.nextSequence }, this.peers);
		this.outgoing.end(FLAG_HELLO, now);
	}

	/** Answers at once, or with the next tick if an answer has just gone out. */
	#wantHello(now: number): void {
		if (now - this.#helloAt >= HELLO_ANSWER_EVERY) this.#sendHello(now);
		else this.#helloWanted = true;
	}

	/** The datagram counts: its number is used up, and its sender is alive. */
	#heard(peer: Peer, now: number): void {
		const gap = this.#frame.sequence - peer.window.highest - 1;
		this.counters.lost += gap > 0 ? gap : gap < 0 ? -1 : 0;
		peer.window.mark(this.#frame.sequence);
		peer.heardAt = now;
		peer.isUp = true;
	}

	#down(peer: Peer): void {
		peer.isUp = false;
		peer.hears = false;
		peer.ackOwed = 0;
		this.outgoing.setPeers(this.peers);
		this.#options.notice(`node ${formatNode(peer.node)} is silent`);
	}

	/** A silent peer must not fill the window that others share: it leaves the set and gets a bulk when it is back. */
	#holdsUpOthers(peer: Peer, now: number): boolean {
		if (!peer.hears || now - peer.heardAt < LAGGARD_AFTER) return false;
		if (!this.peers.some((other) => other !== peer && other.hears)) return false;
		return this.outgoing.oldestPending(peer, now) >= LAGGARD_AFTER;
	}

	#meet(node: number): Peer | undefined {
		if (this.peers.length === PEERS_MAX) return undefined;
		const { hashSeed, externalLimit, entropy } = this.#options;
		const external = [
			new ExternalCache(new RecordStore(new ConntrackLayout(), hashSeed), externalLimit),
			new ExternalCache(new RecordStore(new ExpectationLayout(), hashSeed, 64), externalLimit),
		] as const;
		const peer = new Peer(node, this.peers.length, external, entropy(CHALLENGE_SIZE));
		this.peers.push(peer);
		this.onPeer(peer);
		return peer;
	}

	/** Counts a datagram of which nothing was applied. */
	#reject(reason: Reject): void {
		this.counters[reason]++;
		this.#options.rejected(reason);
	}
}
