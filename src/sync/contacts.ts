// Who else is there: nodes that greet become peers when they have shown that they are alive now, not a recording, and
// leave the set when they fall silent. Times in milliseconds.
import { formatNode } from "../conntrack/node-id.ts";
import {
	CHALLENGE_SIZE,
	epochTagOf,
	type Greeting,
	type Hello,
	type NodeState,
	PROTOCOL_VERSION,
	PROTOCOL_VERSION_MIN,
	sameBytes,
	writeHello,
} from "./handshake.ts";
import type { ReplicationMode } from "./mode.ts";
import type { Outgoing } from "./outgoing.ts";
import { Control, PEERS_MAX, type Peer } from "./peer.ts";
import { differencesOf } from "./peer-differences.ts";
import { RateLimit } from "./rate-limit.ts";
import { Rivalry } from "./rivalry.ts";
import type { Reject, SyncCounters } from "./sync-counters.ts";
import { EPOCH_SIZE, FLAG_HELLO, type Frame, HEADER_SIZE } from "./wire/frame.ts";

// Specification constants (docs/protocol.md).
/** A peer that has not been heard for this long is down. */
const DOWN_AFTER = 3500;
/** A peer that acknowledges nothing for this long leaves the set that others share. */
const LAGGARD_AFTER = 300;
/** HELLO while some peer is not up; else now and then, so that nodes which missed each other meet; and in answer. */
const HELLO_EVERY = 500;
/** ... in the first seconds of a start more often: floods of forged ones must not keep nodes apart. */
const HELLO_FIRST_EVERY = 100;
const FIRST = 10_000;
const HELLO_ALWAYS_EVERY = 3000;
const HELLO_ANSWER_EVERY = 20;
/** So many answers go at once: two nodes that meet need two each, and a flood gets no more than one in HELLO_ANSWER_EVERY. */
const HELLO_ANSWERS_AT_ONCE = 4;
/** Epochs that greet and are not adopted: who does not answer its challenge makes room for others. */
const CANDIDATES_MAX = 32;
const CANDIDATE_KEPT = 2000;

/** The log has a line about two nodes with one number this often. */
const TWINS_TOLD_EVERY = 10_000;
/** A term has 32 bits. At the end of them all primaries are alike, and who was heard last counts. */
const TERM_MAX = 0xffffffff;

/** An epoch that greets, of a node that is no peer yet or has restarted. */
interface Candidate {
	node: number;
	/** What it must echo. */
	challenge: Uint8Array;
	/** What it wants echoed; empty before it said. */
	theirChallenge: Uint8Array;
	seenAt: number;
}

export interface ContactsOptions {
	node: number;
	/** My epoch. */
	epoch: Uint8Array;
	datagramMax: number;
	credit: number;
	outgoing: Outgoing;
	counters: SyncCounters;
	/** Makes a peer, with this number and challenge. */
	newPeer: (node: number, index: number, challenge: Uint8Array) => Peer;
	/** Checksum of what decides which entries are replicated, and the keys in use now. */
	policy: number;
	mode: ReplicationMode;
	hasNoCache: boolean;
	/** All nodes forward: none is ever primary or backup. */
	isActiveActive: boolean;
	keys: () => readonly number[];
	entropy: (size: number) => Uint8Array;
	notice: (text: string) => void;
	/** A peer has begun to hear me, or has stopped. */
	hearingChanged: (peer: Peer, now: number) => void;
	/** The order of terms has changed: another peer is the latest primary. */
	termChanged: (peer: Peer, hasFallen: boolean) => void;
}

export class Contacts {
	/** In the order in which they were first heard. Bounded: PEERS_MAX. */
	readonly peers: Peer[] = [];
	/** What every HELLO of mine says. */
	readonly state: NodeState;
	readonly #options: ContactsOptions;
	readonly #rivalry: Rivalry;
	readonly #epochTag: number;
	/** In the order in which they were first seen. Bounded: CANDIDATES_MAX, and one for each peer. */
	readonly #candidates: Candidate[] = [];
	/** Nodes that speak no version that I speak, by number. Bounded: PEERS_MAX. */
	readonly #incompatible = new Map<number, number>();
	#helloAt = Number.NEGATIVE_INFINITY;
	#helloFrom = 0;
	#twinsToldAt = Number.NEGATIVE_INFINITY;
	/**
	 * When I was last put in charge, while I was not: what my kernel has seen packets of since then is of this term.
	 * Below zero while nobody has told me that I am backup, and no peer that it is primary: for ever, for all I know.
	 */
	termBegan = -1;
	#hasBeenBackup = false;
	readonly #answers = new RateLimit(1000 / HELLO_ANSWER_EVERY, HELLO_ANSWERS_AT_ONCE);
	#startedAt: number | undefined;
	#isHelloWanted = false;
	/** Milliseconds between two HELLOs that nobody waits for. */
	#every = HELLO_FIRST_EVERY;

	constructor(options: ContactsOptions) {
		this.#options = options;
		this.#rivalry = new Rivalry(options.notice);
		this.#epochTag = epochTagOf(options.epoch);
		const { policy, mode, hasNoCache, isActiveActive } = options;
		const role = { isPrimary: false, isActiveActive, term: 0 };
		this.state = { ...role, policy, mode: mode.id, hasNoCache, keys: [] };
	}

	/** The peer that says it is primary while I am, for longer than a failover takes. */
	get conflict(): Peer | undefined {
		return this.#rivalry.conflict;
	}

	find(node: number): Peer | undefined {
		// for each datagram: no closure
		for (const peer of this.peers) if (peer.node === node) return peer;
		return undefined;
	}

	/** A HELLO whose seal is right. @returns why nothing of it counts; "pending" if its sender has to answer first */
	greeted(hello: Hello, epoch: Uint8Array, frame: Frame, now: number): Reject | "pending" | undefined {
		const { versionMin, version } = hello;
		if (version < PROTOCOL_VERSION_MIN || versionMin > PROTOCOL_VERSION) {
			this.#refuseVersion(frame.sender, versionMin, version);
			return "badVersion";
		}
		let peer = this.find(frame.sender);
		if (!peer?.epoch || !sameBytes(peer.epoch, epoch) || !peer.window.isFresh(frame.sequence)) {
			const candidate = this.#candidate(frame.sender, peer, now);
			if (!candidate) return "tooManyPeers";
			const hasEchoed = hello.forMe.some(({ echo }) => sameBytes(echo, candidate.challenge));
			if (!hasEchoed) {
				if (hello.forMe[0]) candidate.theirChallenge = hello.forMe[0].challenge;
				this.#wantHello(now);
				return "pending";
			}
			if (peer?.epoch && !sameBytes(peer.epoch, epoch) && !peer.restarts.take(now)) {
				this.#tellOfTwins(peer, now);
				return "pending";
			}
			if (!peer && this.peers.length === PEERS_MAX) return "tooManyPeers";
			peer ??= this.#meet(candidate);
			this.#candidates.splice(this.#candidates.indexOf(candidate), 1);
			this.#adopt(peer, epoch, frame, now);
		}
		peer.version = Math.min(version, PROTOCOL_VERSION);
		this.heard(peer, frame, now);
		// one that was overtaken by a later HELLO describes what is over
		if (frame.sequence < peer.helloSequence) return undefined;
		peer.helloSequence = frame.sequence;
		peer.credit = Math.max(1, hello.credit);
		this.#learn(peer, hello.state, now);
		const forMe = hello.forMe.find(({ adoptedTag }) => adoptedTag !== 0) ?? hello.forMe[0];
		// there was no room for me in its list: it says nothing
		if (!forMe) return undefined;
		peer.theirChallenge = forMe.challenge;
		peer.offered = forMe.offered;
		const hears = forMe.adoptedTag === this.#epochTag;
		this.#setHears(peer, hears, now);
		if (!hears || !forMe.isHeard) this.#wantHello(now);
		return undefined;
	}

	/** The datagram counts: its number is used up, and its sender is alive. */
	heard(peer: Peer, { sequence }: Frame, now: number): void {
		const gap = sequence - peer.window.highest - 1;
		this.#options.counters.lost += gap > 0 ? gap : gap < 0 ? -1 : 0;
		if (gap > 0) peer.missing += gap;
		else if (gap < 0 && sequence > peer.bulkSince) peer.missing--;
		peer.window.mark(sequence);
		peer.heardAt = now;
		peer.isUp = true;
	}

	tick(now: number): void {
		for (const peer of this.peers) {
			if (peer.isUp && now - peer.heardAt > DOWN_AFTER) this.#down(peer, now);
			else if (this.#holdsUpOthers(peer, now)) this.#setHears(peer, false, now);
		}
		while (this.#candidates[0] && now - this.#candidates[0].seenAt > CANDIDATE_KEPT) this.#candidates.shift();
		this.#rivalry.watch(this.state, this.peers, now);
		const isAlone = this.peers.length === 0 || this.peers.some((peer) => !peer.isUp || !peer.hears);
		this.#startedAt ??= now;
		const alone = now - this.#startedAt < FIRST ? HELLO_FIRST_EVERY : HELLO_EVERY;
		this.#every = isAlone ? alone : HELLO_ALWAYS_EVERY;
		if (now - this.#helloAt < this.#helloEvery) return;
		if (this.#isHelloWanted) this.#answers.take(now);
		this.sendHello(now);
	}

	get #helloEvery(): number {
		return this.#isHelloWanted ? HELLO_ANSWER_EVERY : this.#every;
	}

	/** When a tick is needed: for the next HELLO, and for whoever falls silent. */
	get dueAt(): number {
		let due = this.#helloAt + this.#helloEvery;
		for (const { isUp, heardAt } of this.peers) if (isUp) due = Math.min(due, heardAt + DOWN_AFTER + 1);
		return due;
	}

	sendHello(now: number): void {
		this.#helloAt = now;
		this.#isHelloWanted = false;
		const { outgoing, epoch, credit, datagramMax, keys } = this.#options;
		const writer = outgoing.begin(FLAG_HELLO);
		writer.bytes.set(epoch.subarray(0, EPOCH_SIZE), HEADER_SIZE);
		this.state.keys = keys();
		this.#helloFrom = writeHello(
			writer,
			{ credit, state: this.state },
			this.#list(),
			this.#helloFrom,
			datagramMax,
		);
		outgoing.end(FLAG_HELLO, now);
	}

	/** I have taken over: from now on my view of an entry counts more than any that there was. */
	becomePrimary(now: number): void {
		if (this.state.isActiveActive) return;
		const highest = Math.max(0, ...this.peers.map((peer) => peer.state.term));
		if (!this.state.isPrimary || highest >= this.state.term) {
			this.termBegan = this.termFrom(now);
			this.#hasBeenBackup = false;
			this.state.term = Math.min(TERM_MAX, Math.max(this.state.term, highest) + 1);
		}
		this.state.isPrimary = true;
		this.sendHello(now);
	}

	/** When my term began or, if I am not in charge, would have begun were I put in charge now; see `termBegan`. */
	termFrom(now: number): number {
		const { isPrimary, term } = this.state;
		if (isPrimary && this.peers.every((peer) => peer.state.term < term)) return this.termBegan;
		return this.#hasBeenBackup || this.peers.some((peer) => peer.state.isPrimary) ? now : this.termBegan;
	}

	/** Another node is in charge. */
	becomeBackup(now: number): void {
		if (this.state.isActiveActive) return;
		this.#hasBeenBackup = true;
		if (!this.state.isPrimary) return;
		this.state.isPrimary = false;
		this.#rivalry.watch(this.state, this.peers, now);
		this.sendHello(now);
	}

	#list(): Greeting[] {
		const list = this.peers.map((peer) => this.#greeting(peer, peer.challenge, peer.theirChallenge));
		for (const { node, challenge, theirChallenge } of this.#candidates) {
			const peer = this.find(node);
			// the list may be cut between this entry and the peer's first one: both say whom this node hears, or a forged
			// greeting in a peer's name would make the peer believe that it is not heard
			if (peer) list.push(this.#greeting(peer, challenge, theirChallenge));
			else list.push({ node, adoptedTag: 0, isHeard: false, challenge, echo: theirChallenge, offered: 0 });
		}
		return list;
	}

	#greeting(peer: Peer, challenge: Uint8Array, echo: Uint8Array): Greeting {
		return {
			node: peer.node,
			adoptedTag: peer.epoch && peer.isUp ? peer.epochTag : 0,
			isHeard: peer.hears,
			challenge,
			echo,
			// of nodes that all forward this one has taken it over, and tells of it as its own
			offered: peer.heldUntil > 0 && !this.state.isActiveActive ? peer.unconfirmed : 0,
		};
	}

	#candidate(node: number, peer: Peer | undefined, now: number): Candidate | undefined {
		let candidate = this.#candidates.find((one) => one.node === node);
		if (!candidate) {
			// strangers must not keep out a peer that has restarted
			if (!peer && this.#candidates.length >= CANDIDATES_MAX) return undefined;
			const challenge = peer?.challenge ?? this.#options.entropy(CHALLENGE_SIZE);
			candidate = { node, challenge, theirChallenge: new Uint8Array(0), seenAt: now };
			this.#candidates.push(candidate);
		}
		if (peer) candidate.challenge = peer.challenge;
		return candidate;
	}

	#meet({ node, challenge }: Candidate): Peer {
		const peer = this.#options.newPeer(node, this.peers.length, challenge);
		this.peers.push(peer);
		return peer;
	}

	#adopt(peer: Peer, epoch: Uint8Array, frame: Frame, now: number): void {
		const isRestart = peer.epoch !== undefined && !sameBytes(peer.epoch, epoch);
		peer.epoch = epoch;
		peer.epochTag = epochTagOf(epoch);
		peer.window.reset(frame.sequence - 1);
		peer.challenge = this.#options.entropy(CHALLENGE_SIZE);
		peer.theirChallenge = new Uint8Array(0);
		peer.helloSequence = 0;
		peer.bulkReceiving = 0;
		peer.bulkEndsBy = undefined;
		peer.toldSince = 0;
		peer.bulkReceived = 0;
		peer.bulkSince = 0;
		peer.resyncServed = 0;
		peer.offered = 0;
		if (isRestart) {
			peer.heldUntil = Number.NEGATIVE_INFINITY;
			peer.heldBefore = peer.external[0].store.live + peer.external[1].store.live;
		}
		peer.sweepAt[0] = peer.sweepAt[1] = -1;
		peer.ackOwed = 0;
		for (const external of peer.external) external.beginEpoch();
		peer.equality.reset();
		peer.equality.report = undefined;
		this.#incompatible.delete(peer.node);
		// whoever has restarted knows nothing of what I sent
		this.#setHears(peer, false, now);
		if (isRestart) this.#options.notice(`node ${formatNode(peer.node)} has restarted`);
	}

	#setHears(peer: Peer, hears: boolean, now: number): void {
		if (peer.hears === hears) return;
		peer.hears = hears;
		this.#options.outgoing.setPeers(this.peers);
		if (hears) {
			this.#greetHearing(peer);
		}
		this.#options.hearingChanged(peer, now);
	}

	/** A peer has begun to hear me. */
	#greetHearing(peer: Peer): void {
		const { notice, outgoing, mode } = this.#options;
		const told = mode.hasBulk ? "sending bulk update" : "it is told of everything within RefreshTime";
		notice(`node ${formatNode(peer.node)} is in contact: ${told}`);
		if (!mode.hasBulk) return;
		outgoing.bulk.start(peer);
		if (peer.resyncId > 0) peer.control |= Control.resync;
	}

	#down(peer: Peer, now: number): void {
		peer.isUp = false;
		peer.ackOwed = 0;
		peer.challenge = this.#options.entropy(CHALLENGE_SIZE);
		this.#setHears(peer, false, now);
		this.#options.notice(`node ${formatNode(peer.node)} is silent`);
	}

	/** A silent peer must not fill the window that others share: it leaves the set and gets a bulk when it is back. */
	#holdsUpOthers(peer: Peer, now: number): boolean {
		if (!peer.hears || now - peer.heardAt < LAGGARD_AFTER) return false;
		if (!this.peers.some((other) => other !== peer && other.hears)) return false;
		return this.#options.outgoing.oldestPending(peer, now) >= LAGGARD_AFTER;
	}

	#learn(peer: Peer, state: NodeState, now: number): void {
		const before = peer.state;
		peer.state = state;
		this.#rivalry.watch(this.state, this.peers, now);
		if (before.term !== state.term) this.#options.termChanged(peer, state.term < before.term);
		for (const line of differencesOf(peer, before, this.state)) this.#options.notice(line);
	}

	/** Answers at once, or a little later if many answers have just gone out. */
	#wantHello(now: number): void {
		if (this.#answers.take(now)) this.sendHello(now);
		else this.#isHelloWanted = true;
	}

	/** Two nodes with one number take each other's place, again and again. */
	#tellOfTwins({ node }: Peer, now: number): void {
		if (now - this.#twinsToldAt < TWINS_TOLD_EVERY) return;
		this.#twinsToldAt = now;
		this.#options.notice(
			`node ${formatNode(node)} restarts too often: have two nodes the same address, or the same Node number?`,
		);
	}

	#refuseVersion(node: number, least: number, highest: number): void {
		if (this.#incompatible.get(node) === highest || this.#incompatible.size >= PEERS_MAX) return;
		this.#incompatible.set(node, highest);
		this.#options.notice(
			`node ${formatNode(node)} speaks versions ${least} to ${highest} of the protocol, this node ` +
				`${PROTOCOL_VERSION_MIN} to ${PROTOCOL_VERSION}: they do not understand each other`,
		);
	}
}
