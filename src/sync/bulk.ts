// The bulk: everything I have, to a peer that has just appeared, asked for it (-n), or is sent it (-B).
//
//   idle -> begin    BULK BEGIN is sent; the peer takes all it holds of mine as unconfirmed from then on
//        -> ready    it has acknowledged
//        -> walk     a cursor passes over the slots; several peers that are ready together share the walk
//        -> flush    what was dirty when the walk ended has still to be sent
//        -> drain    datagrams of the bulk are in flight; what is lost of them is sent again from `retry`
//        -> end      BULK END is sent; the peer drops what was not confirmed
//        -> idle     it has acknowledged
//
// The walk shares the link with live changes, four to one, and costs no memory: a slot that changes before the
// cursor comes is sent as a live change, and again by the cursor.
import type { RecordStore } from "../cache/record-store.ts";
import { KINDS, type Kind } from "../conntrack/kind.ts";
import { type DirtySet, keyOf } from "./dirty-set.ts";
import type { InFlight } from "./in-flight.ts";
import type { ReplicationMode } from "./mode.ts";
import { Control, type Peer } from "./peer.ts";
import { Ring } from "./ring.ts";
import type { SyncCounters } from "./sync-counters.ts";

export class Bulk {
	/**
	 * Keys of bulk datagrams that were lost. Bounded by what can be in flight: a key leaves the flight before it
	 * comes here, and nothing else does.
	 */
	readonly retry = new Ring();
	/** Peers that share the walk under way. */
	walkers = 0;
	readonly #stores: readonly [RecordStore, RecordStore];
	readonly #dirty: DirtySet;
	readonly #inFlight: InFlight;
	readonly #counters: SyncCounters;
	/** See ReplicationMode; it stands in for the walk. */
	readonly #dump: ReplicationMode["dump"];
	#isDumping = false;
	#kind: Kind = 0;
	#slot = 0;

	constructor(
		stores: readonly [RecordStore, RecordStore],
		dirty: DirtySet,
		inFlight: InFlight,
		counters: SyncCounters,
		dump?: ReplicationMode["dump"],
	) {
		this.#stores = stores;
		this.#dirty = dirty;
		this.#inFlight = inFlight;
		this.#counters = counters;
		this.#dump = dump;
	}

	/** Begins a bulk to the peer, or has another one follow the one under way. */
	start(peer: Peer): void {
		if (peer.bulkPhase === "begin") return;
		if (peer.bulkPhase !== "idle") {
			peer.bulkAgain = true;
			return;
		}
		peer.bulkAgain = false;
		peer.bulkId++;
		peer.bulkPhase = "begin";
		peer.control |= Control.begin;
	}

	/** The peer is gone. */
	abort(peer: Peer): void {
		peer.bulkPhase = "idle";
		peer.bulkAgain = false;
		peer.control = 0;
		this.walkers &= ~peer.bit;
	}

	/** The peer has acknowledged a control record. */
	acknowledged(peer: Peer, control: number, id: number): void {
		if (id !== peer.bulkId) return;
		if (control === Control.begin && peer.bulkPhase === "begin") peer.bulkPhase = "ready";
		if (control === Control.end && peer.bulkPhase === "end") {
			peer.bulkPhase = "idle";
			this.#counters.bulksSent++;
			if (peer.bulkAgain) this.start(peer);
		}
	}

	/** Moves every peer on that has nothing left to wait for. */
	step(peers: readonly Peer[]): void {
		for (const peer of peers) {
			if (peer.bulkPhase === "ready" && this.walkers === 0 && !this.#isDumping) this.#startWalk(peers);
			if (peer.bulkPhase === "flush" && this.#dirty.queue.head >= peer.bulkMark) peer.bulkPhase = "drain";
			if (
				peer.bulkPhase === "drain" &&
				this.retry.length === 0 &&
				this.#inFlight.bulkPending(peer.bit) === 0
			) {
				peer.bulkPhase = "end";
				peer.control |= Control.end;
			}
		}
	}

	/** Peers whose bulk would not be complete without a datagram that is built now. */
	waiting(peers: readonly Peer[]): number {
		let mask = 0;
		for (const peer of peers) {
			const phase = peer.bulkPhase;
			const isUnsent = phase === "walk" || phase === "flush" || (phase === "drain" && this.retry.length > 0);
			if (isUnsent) mask |= peer.bit;
		}
		return mask;
	}

	/** The key under the cursor, or -1 when there is no walk or it has just ended. */
	next(peers: readonly Peer[]): number {
		if (this.walkers === 0) return -1;
		for (;;) {
			const store = this.#stores[this.#kind];
			while (this.#slot < store.end) {
				if (store.isLive(this.#slot)) return keyOf(this.#kind, this.#slot);
				this.#slot++;
			}
			if (this.#kind === KINDS.at(-1)) break;
			this.#kind = KINDS[KINDS.indexOf(this.#kind) + 1]!;
			this.#slot = 0;
		}
		for (const peer of peers) {
			if ((this.walkers & peer.bit) === 0) continue;
			peer.bulkPhase = "flush";
			peer.bulkMark = this.#dirty.queue.tail;
		}
		this.walkers = 0;
		return -1;
	}

	/** The key under the cursor was sent. */
	advance(): void {
		this.#slot++;
	}

	#startWalk(peers: readonly Peer[]): void {
		for (const peer of peers) {
			if (peer.bulkPhase !== "ready") continue;
			peer.bulkPhase = "walk";
			this.walkers |= peer.bit;
		}
		if (this.#dump) this.#startDump(peers, this.#dump);
		this.#kind = KINDS[0]!;
		this.#slot = 0;
	}

	/** Nothing is kept but what has just passed: that goes, and then everything that the kernel's tables show. */
	#startDump(peers: readonly Peer[], dump: NonNullable<ReplicationMode["dump"]>): void {
		const bits = this.walkers;
		this.walkers = 0;
		for (const kind of KINDS) {
			const store = this.#stores[kind];
			for (let slot = 0; slot < store.end; slot++) {
				if (store.isLive(slot)) this.#dirty.mark(kind, slot, bits);
			}
		}
		this.#isDumping = true;
		dump((isComplete) => {
			this.#isDumping = false;
			for (const peer of peers) {
				if (peer.bulkPhase !== "walk") continue;
				// without its end nothing is dropped at the peer, which waits for all that was not read
				peer.bulkPhase = isComplete ? "flush" : "ready";
				peer.bulkMark = this.#dirty.queue.tail;
			}
		});
	}
}
