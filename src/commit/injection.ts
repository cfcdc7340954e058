// Direct injection (DisableExternalCache): what a peer tells goes into this kernel at once. The peer's cache stays the
// record of what is held of it; this follows it change by change.
//
// An injected entry is the peer's: it is in the peer's cache, marked INJECTED, and not in the internal one, so nothing
// tells it back. It becomes this node's own, with all that the peer has told, when a packet of it is seen here, when a
// dump shows that packets have passed in silence, and by `-c`. What is this node's own already meets the peer's view by
// the rules of a commit (docs/architecture.md).
import type { InternalCache } from "../cache/internal-cache.ts";
import { ALIVE_HERE, INJECTED, LATER_HERE, UPDATED } from "../cache/record-layout.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";
import type { LabelMask } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { type ConntrackRecord, newConntrackRecord } from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import type { Native } from "../system/native.ts";
import type { Sysctl } from "../system/sysctl.ts";
import { mayMakeRoom } from "./clash.ts";
import { ConntrackInjector } from "./conntrack-injector.ts";
import { ExpectationInjection, type HeldJudge } from "./expectation-injection.ts";
import { type InjectCounters, newInjectCounters } from "./inject-counters.ts";
import { InjectedEnds } from "./injected-ends.ts";
import { InjectedOwnership } from "./injected-ownership.ts";
import { InjectedPeer, type InjectionPeer } from "./injected-peer.ts";
import { InjectedPeers, type InjectedPlace } from "./injected-peers.ts";
import type { JoinedEntry, Refusal } from "./messages.ts";
import { Orphans } from "./orphans.ts";
import { type Precedence, SharedPrecedence, TermPrecedence } from "./precedence.ts";

/** Entries that are written in one go, and the longest that a slice holds up the event loop, milliseconds. */
const STRIDE = 512;
const SLICE_MS = 2;
/** How often it is looked whether the commit is over, or the failure, that holds the injection up; milliseconds. */
const HELD_MS = 20;
const BOTH = ALIVE_HERE | LATER_HERE;

export interface InjectionOptions {
	native: Native;
	names: NameTable;
	clock: Clock;
	/** By Kind. */
	internal: readonly [InternalCache, InternalCache];
	windowTracking: boolean;
	/** The connlabels that may be written; none unless given. */
	labels?: LabelMask;
	/** When this node was last put in charge, as for a commit; and whether it is. */
	termBegan: () => number;
	isPrimary: () => boolean;
	/** All nodes forward (`Role active-active`): there are no terms. */
	isActiveActive?: boolean;
	/** A commit is under way: it does the work, and this waits. */
	isCommitting: () => boolean;
	/** Delivers the kernel's events that are waiting. */
	drain: () => void;
	/** A conntrack is ours from now on. */
	adopted?: (record: ConntrackRecord) => void;
	/** Something has become dirty. */
	pump: () => void;
	/** The kernel did not take an entry; it is tried again. */
	refused: (kind: Kind, refusal: Refusal) => void;
	/** The kernel could not be asked at all; the same holds. */
	failed: (error: Error) => void;
	/** A judge of expectations; absent: all may into the kernel. */
	policy?: HeldJudge;
	/** How the kernel's settings are read. */
	sysctl?: Sysctl;
}

export class Injection {
	/** By Kind. */
	readonly counters: readonly [InjectCounters, InjectCounters] = [newInjectCounters(), newInjectCounters()];
	readonly #options: InjectionOptions;
	readonly #injector: ConntrackInjector;
	readonly #expectations: ExpectationInjection;
	readonly #peers: InjectedPeers;
	readonly #ends: InjectedEnds;
	readonly #ownership: InjectedOwnership;
	readonly #precedence: Precedence;
	/** Of active/active. */
	readonly #orphans: Orphans | undefined;
	readonly #record = newConntrackRecord();
	/** What is being written; for when it cannot be. At most STRIDE. */
	#batch: [InjectedPeer, number][] = [];
	#isAwake = false;
	#isClosed = false;
	/** The internal cache has changed. */
	#isDirty = false;
	#cancel: (() => void) | undefined;

	/** @throws Error with a line for the operator */
	constructor(options: InjectionOptions) {
		this.#options = options;
		this.#injector = new ConntrackInjector(options);
		const { clock, termBegan, isPrimary, adopted, internal, pump } = options;
		const conntracks = internal[CONNTRACK];
		this.#peers = new InjectedPeers(conntracks);
		const hasPrimaryPeer = (): boolean => this.#peers.all.some(({ peer }) => peer.state.isPrimary);
		this.#precedence = options.isActiveActive
			? new SharedPrecedence(conntracks)
			: new TermPrecedence(conntracks, { termBegan, isPrimary, hasPrimaryPeer });
		this.#ownership = new InjectedOwnership({
			clock,
			peers: this.#peers,
			precedence: this.#precedence,
			conntracks,
			...(adopted && { adopted }),
		});
		if (options.isActiveActive) {
			this.#orphans = new Orphans({ clock, internal, pump, ...(adopted && { adopted }) });
		}
		this.#ends = new InjectedEnds({
			clock,
			peers: this.#peers,
			precedence: this.#precedence,
			injector: this.#injector,
			conntracks,
			counters: this.counters[CONNTRACK],
			...(adopted && { adopted }),
			changed: () => {
				this.#isDirty = true;
			},
		});
		this.#expectations = new ExpectationInjection({
			...options,
			requests: this.#injector.committer.requests,
			counters: this.counters[EXPECTATION],
			wake: () => this.#wake(),
		});
		this.#injector.committer.isMany = () => this.#report();
	}

	/** Netlink port of our requests: their events are not to be heard. */
	get port(): number {
		return this.#injector.committer.requests.socket.port;
	}

	/** Entries that are told and not written yet, and those that the kernel did not take. */
	get waiting(): number {
		const conntracks = this.#peers.all.reduce((sum, { told, retries }) => sum + told.size + retries.size, 0);
		return conntracks + this.#ends.length + this.#expectations.waiting;
	}

	/** From now on what this peer tells goes into the kernel. */
	follow(peer: InjectionPeer): void {
		const { clock } = this.#options;
		this.#peers.all.push(
			new InjectedPeer(peer, {
				clock,
				wake: () => this.#wake(),
				ended: (record, told) => {
					this.#ends.push(record, told);
					this.#wake();
				},
			}),
		);
		this.#expectations.follow(peer);
		this.#orphans?.follow(peer);
	}

	/** See InjectedOwnership. */
	adopt(record: ConntrackRecord): void {
		this.#ownership.adopt(record);
	}

	released(record: ConntrackRecord): void {
		this.#ownership.released(record);
	}

	adoptMaster(record: ConntrackRecord): void {
		this.#ownership.adoptMaster(record);
	}

	adoptMasterOf(expectation: Int32Array): void {
		this.#ownership.adoptMasterOf(expectation);
	}

	/**
	 * This kernel has ended an entry.
	 *
	 * @param isOwnDoing a timer or a packet has, and no request of somebody's
	 * @returns whether it was a peer's, so that the internal cache has nothing to do with it
	 */
	gone(kind: Kind, record: Int32Array, isOwnDoing: boolean): boolean {
		if (kind === EXPECTATION) return this.#expectations.gone(record);
		return this.#ownership.gone(record, isOwnDoing);
	}

	/** Whether an entry that a dump has shown is a peer's, and of no concern to the internal cache. */
	isForeign(kind: Kind, record: Int32Array): boolean {
		if (kind === EXPECTATION) return this.#expectations.isForeign(record);
		return this.#ownership.isForeign(record);
	}

	/** This node gives its own entry up to the peer that holds it, too. @returns false if none does */
	handOver(record: ConntrackRecord): boolean {
		return this.#ownership.handOver(record);
	}

	/** Writes what is waiting, one slice. */
	work(): void {
		const { clock, drain, isCommitting, pump } = this.#options;
		this.#isAwake = false;
		if (this.#isClosed) return;
		if (isCommitting()) {
			this.#later(HELD_MS);
			return;
		}
		const stop = clock.now() + SLICE_MS;
		// what this kernel has seen a moment ago must not be deleted
		if (this.#ends.length > 0) drain();
		let isDone = true;
		let wait = 0;
		while (isDone && this.#ends.length > 0) {
			// those that failed wait with the others
			if (!this.#attempt(() => this.#ends.write(STRIDE))) wait = HELD_MS;
			isDone = wait === 0 && clock.now() < stop;
		}
		while (isDone && this.#collect()) {
			this.#attempt(() => this.#write());
			isDone = clock.now() < stop;
		}
		// masters before what hangs from them
		if (isDone) this.#expectations.work();
		else this.#later(wait);
		if (!this.#isDirty) return;
		this.#isDirty = false;
		pump();
	}

	close(): void {
		this.#isClosed = true;
		this.#cancel?.();
		this.#orphans?.close();
		for (const peer of this.#peers.all) peer.close();
		this.#expectations.close();
		this.#injector.close();
	}

	/** At the end of this turn: everything that it brings is written together. */
	#wake(): void {
		if (this.#isAwake) return;
		this.#isAwake = true;
		queueMicrotask(() => this.work());
	}

	#later(milliseconds: number): void {
		this.#isAwake = true;
		this.#cancel?.();
		this.#cancel = this.#options.clock.after(milliseconds, () => this.work());
	}

	/** @returns whether it has worked */
	#attempt(action: () => void): boolean {
		let hasWorked = true;
		try {
			action();
		} catch (error) {
			hasWorked = false;
			for (const [peer, slot] of this.#batch) if (peer.store.isLive(slot)) peer.failed(slot);
			this.#options.failed(error as Error);
		}
		this.#batch = [];
		return hasWorked;
	}

	/** The next of what was told, up to STRIDE; whether there is anything. */
	#collect(): boolean {
		for (const peer of this.#peers.all) {
			for (let slot = 0; this.#batch.length < STRIDE && (slot = peer.next()) >= 0; ) {
				if (peer.store.isLive(slot) && peer.store.isOwned(slot)) this.#batch.push([peer, slot]);
			}
		}
		return this.#batch.length > 0;
	}

	#write(): void {
		const counters = this.counters[CONNTRACK];
		for (const [peer, slot] of this.#batch) this.#take(peer, slot);
		const { created, replaced, updated, kept } = this.#injector.write();
		counters.created += created + replaced;
		counters.updated += updated + kept;
		this.#evict(this.#report());
	}

	/** Decides what this node's own entry, if it has one, is to the peer's, and how that is to be written. */
	#take(peer: InjectedPeer, slot: number): void {
		const { store, reader } = peer;
		const now = this.#seconds();
		const record = this.#record;
		store.read(slot, record);
		const known = this.#peers.own(record);
		const isInjected = peer.isInjected(slot);
		// what the kernel has and the cache has not is so young that its event has not been read yet
		let view = isInjected ? 0 : ALIVE_HERE;
		if (known >= 0) {
			view = this.#precedence.viewOf(peer.peer, known, record, store.header(slot, UPDATED));
			if (view === 0) {
				const own = this.#options.internal[CONNTRACK];
				// it was of an earlier term, and is the peer's; or it was another connection
				if (this.#precedence.endsWhatGivesWay) own.bury(known, now);
				else own.withdraw(known, now);
				this.#isDirty = true;
			}
		}
		const isAnother = peer.taken(slot, now);
		if (known < 0 && !isInjected && this.#precedence.isStale(peer.peer)) return;
		if (store.hasMark(slot, BOTH) || view !== 0) {
			store.setMark(slot, ALIVE_HERE, (view & ALIVE_HERE) !== 0);
			store.setMark(slot, LATER_HERE, (view & LATER_HERE) !== 0);
		}
		store.setMark(slot, INJECTED, known < 0 || view === 0);
		if (isInjected && known < 0 && !isAnother) this.#injector.update(reader, slot);
		else this.#injector.create(reader, slot);
	}

	/** Takes what the committer has to say; what has to make room for others first comes back. */
	#report(): Refusal[] {
		const { committer } = this.#injector;
		for (const entry of committer.joined.splice(0)) this.#joined(entry);
		const clashes: Refusal[] = [];
		for (const refusal of committer.refusals.splice(0)) {
			if (refusal.cause === "reply tuple") clashes.push(refusal);
			else this.#refused(refusal);
		}
		return clashes;
	}

	/** This node's own entry has met the peer's. */
	#joined({ record, isReplaced, evicted }: JoinedEntry): void {
		const { isActiveActive = false, internal } = this.#options;
		const cache = internal[CONNTRACK];
		if (evicted) this.#evicted(evicted);
		const known = this.#peers.own(record);
		if (known < 0) return;
		this.#isDirty = true;
		const now = this.#seconds();
		if (isReplaced) cache.apply(record, true, now, false);
		// a join is news, and where all nodes forward it is no packet
		else cache.refresh(record, isActiveActive ? cache.store.header(known, UPDATED) : now);
	}

	#evicted(record: ConntrackRecord): void {
		const known = this.#peers.own(record);
		if (known >= 0) this.#options.internal[CONNTRACK].bury(known, this.#seconds());
		this.#isDirty = true;
		const place = this.#peers.placeOf(record);
		place?.peer.store.setMark(place.slot, INJECTED, false);
	}

	/** Entries whose reply tuple, after NAT, another one has: that one goes if it may, and they come. */
	#evict(clashes: readonly Refusal[]): void {
		const { committer } = this.#injector;
		for (const refusal of clashes) {
			const place = this.#peers.placeOf(refusal.record);
			if (!place) continue;
			const mayGo = this.#mayGo(refusal.occupant!, refusal.record, place);
			if (!mayGo) {
				this.#refused(refusal);
				continue;
			}
			committer.beginAgain();
			committer.evict(place.peer.reader, place.slot, { occupant: refusal.occupant!, mayGo });
			this.counters[CONNTRACK].created += committer.result.replaced;
			for (const still of this.#report()) this.#refused(still);
		}
	}

	#mayGo(occupant: ConntrackRecord, record: ConntrackRecord, { peer, slot }: InjectedPlace): boolean {
		if (mayMakeRoom(this.#peers.all, occupant, record)) return true;
		const known = this.#peers.own(occupant);
		if (known >= 0) return this.#precedence.mayGo(peer.peer, known, peer.store.header(slot, UPDATED));
		// a kernel has a tuple once: the peer's had to end the one before it had the other
		const theirs = peer.find(occupant);
		return theirs >= 0 && peer.isInjected(theirs) && peer.store.version(theirs) < peer.store.version(slot);
	}

	#refused(refusal: Refusal): void {
		const counters = this.counters[CONNTRACK];
		if (refusal.step === "update") counters.updateFailed++;
		else counters.createFailed++;
		this.#options.refused(CONNTRACK, refusal);
		const place = this.#peers.placeOf(refusal.record);
		place?.peer.failed(place.slot);
	}

	#seconds(): number {
		return Math.floor(this.#options.clock.now() / 1000);
	}
}
