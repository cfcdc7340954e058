// Direct injection: whose view counts of a conntrack that this node has as its own and a peer tells of, too. Of a pair of
// which one node is in charge, that of the term (docs/architecture.md, "What a commit may do to what is there"); where both
// forward, that of whoever has seen packets last ("Active/active").
import type { InternalCache } from "../cache/internal-cache.ts";
import { NEVER_SEEN } from "../cache/internal-cache.ts";
import { ALIVE_HERE, LATER_HERE, UPDATED } from "../cache/record-layout.ts";
import { TCP_CLOSE, TCP_ESTABLISHED, TCP_SYN_RECV, TCP_SYN_SENT, tcpState } from "../conntrack/protoinfo.ts";
import { type ConntrackRecord, H_TCP, HAS, newConntrackRecord } from "../conntrack/record.ts";
import { isOver } from "./clash.ts";
import { localView } from "./local-view.ts";

const BOTH = ALIVE_HERE | LATER_HERE;
/** Seconds after which a peer that says ESTABLISHED of what is over here speaks of another connection: news are not so late. */
const LATE = 2;

/** A peer, as far as its word is weighed. */
export interface Teller {
	/** What it tells now may be of any age. */
	readonly isReceivingBulk: boolean;
	readonly state: { readonly isPrimary: boolean };
}

/** Seconds of this node's clock; `known` is the slot of a live entry in the internal cache. */
export interface Precedence {
	/** What this node's own entry is to the peer's record with the same key, told at `told`: ALIVE_HERE and LATER_HERE, or 0. */
	viewOf(peer: Teller, known: number, record: ConntrackRecord, told: number): number;
	/** Whether this node's own entry may go because a peer's needs its reply tuple. */
	mayGo(peer: Teller, known: number, told: number): boolean;
	/** Whether an entry that only the peer has is none that this node should take: it knows what has become of it. */
	isStale(peer: Teller): boolean;
	/** A peer says that the entry has ended which it last told of at `told`, as `record`: is it over here, or is the kernel to be asked? */
	atEnd(known: number, record: ConntrackRecord, told: number, now: number): "alive" | "over" | "ask";
	/** What gives way to a peer's has ended: it was another connection. Else the peer has the same one. */
	readonly endsWhatGivesWay: boolean;
	/** What this kernel has let expire and a peer has still is the peer's from then on. */
	readonly outlivesExpiry: boolean;
}

export interface TermOptions {
	/** When this node was last put in charge, as for a commit; and whether it is. */
	termBegan: () => number;
	isPrimary: () => boolean;
	/** Whether some peer is in charge. */
	hasPrimaryPeer: () => boolean;
}

/** One node is in charge, and the others are there for its end. */
export class TermPrecedence implements Precedence {
	readonly endsWhatGivesWay = false;
	readonly outlivesExpiry = false;
	readonly #conntracks: InternalCache;
	readonly #options: TermOptions;

	constructor(conntracks: InternalCache, options: TermOptions) {
		this.#conntracks = conntracks;
		this.#options = options;
	}

	viewOf(peer: Teller, known: number, _: ConntrackRecord, told: number): number {
		const { termBegan, isPrimary } = this.#options;
		let view = localView(this.#seen(known), told, termBegan());
		// whoever is in charge does not give way to a node that is not, and may have told of left-overs
		if (isPrimary() && !peer.state.isPrimary) view |= ALIVE_HERE;
		// nor does it become what a bulk says, which may be of long ago
		return view !== 0 && peer.isReceivingBulk ? BOTH : view;
	}

	mayGo(peer: Teller, known: number, told: number): boolean {
		return this.viewOf(peer, known, NOBODY, told) === 0;
	}

	/** The peer tells of what it had before it lost or gave up its charge. A commit takes it all the same. */
	isStale(peer: Teller): boolean {
		return this.#options.isPrimary() && !peer.state.isPrimary && peer.isReceivingBulk;
	}

	atEnd(known: number, _record: ConntrackRecord, _told: number, now: number): "alive" | "over" {
		const { termBegan, isPrimary, hasPrimaryPeer } = this.#options;
		if (localView(this.#seen(known), now, termBegan()) !== 0) return "alive";
		return isPrimary() && !hasPrimaryPeer() ? "alive" : "over";
	}

	#seen(known: number): number {
		return this.#conntracks.store.header(known, UPDATED);
	}
}

/** All nodes forward, and packets of one connection may pass several of them. There are no terms. */
export class SharedPrecedence implements Precedence {
	readonly endsWhatGivesWay = true;
	readonly outlivesExpiry = true;
	readonly #conntracks: InternalCache;
	readonly #own = newConntrackRecord();

	constructor(conntracks: InternalCache) {
		this.#conntracks = conntracks;
	}

	viewOf(peer: Teller, known: number, record: ConntrackRecord, told: number): number {
		const seen = this.#conntracks.store.header(known, UPDATED);
		if (seen > told) return BOTH;
		if (this.#isEarlier(known, record, told - seen)) return 0;
		// a bulk may tell of long ago; but of what a dump has shown here after a start, the peer knows more
		return peer.isReceivingBulk && seen !== NEVER_SEEN ? BOTH : ALIVE_HERE;
	}

	/** Both are somebody's connection: the one that is there stays. */
	mayGo(): boolean {
		return false;
	}

	isStale(): boolean {
		return false;
	}

	atEnd(known: number, record: ConntrackRecord, told: number): "alive" | "over" | "ask" {
		const { store } = this.#conntracks;
		if (store.header(known, UPDATED) > told) return "alive";
		store.read(known, this.#own);
		// within a second the ports have begun another connection, for which the peer's one gives way
		if (isOpening(this.#own) && isBehindOpen(record)) return "alive";
		// each packet of a connection that is over would have been told of by an event
		return isOver(this.#own) ? "over" : "ask";
	}

	/**
	 * The connection is over here, and the peer has seen the ports begin another one, `later` seconds after the last packet
	 * here: its SYN has not passed this kernel, which would have made the same of it.
	 */
	#isEarlier(known: number, record: ConntrackRecord, later: number): boolean {
		this.#conntracks.store.read(known, this.#own);
		if (!isOver(this.#own)) return false;
		return isOpening(record) || (stateOf(record) === TCP_ESTABLISHED && later >= LATE);
	}
}

function stateOf(record: ConntrackRecord): number {
	return (record[HAS]! & H_TCP) === 0 ? 0 : tcpState(record);
}

function isOpening(record: ConntrackRecord): boolean {
	const state = stateOf(record);
	return state === TCP_SYN_SENT || state === TCP_SYN_RECV;
}

function isBehindOpen(record: ConntrackRecord): boolean {
	const state = stateOf(record);
	return state > TCP_ESTABLISHED && state <= TCP_CLOSE;
}

const NOBODY = newConntrackRecord();
