// Mine: what my kernel has. One half for conntracks, one for expectations; both number their changes with one
// version counter, so that the peers can tell which state of a key is newer.
import { EXP_ID, EXP_TIMEOUT, EXPECTATION_WORDS } from "../conntrack/expectation-record.ts";
import {
	CONNTRACK_WORDS,
	H_ID,
	H_STATUS,
	H_TIMEOUT,
	H_WIRE,
	HAS,
	ID,
	mergeConntrack,
	STATUS,
	ZONES,
} from "../conntrack/record.ts";
import { IPS_REPLICATED } from "../conntrack/status.ts";
import { type CacheCounters, newCacheCounters } from "./cache-counters.ts";
import { ConntrackLayout } from "./conntrack-layout.ts";
import { ExpectationLayout } from "./expectation-layout.ts";
import { CREATED, STAMP, UPDATED } from "./record-layout.ts";
import { RecordStore } from "./record-store.ts";
import { SlotSet } from "./slot-set.ts";
import { VersionDigest } from "./version-digest.ts";

/**
 * Attributes whose change is news for the peers: the timeout runs by itself, the id is this kernel's affair, and of
 * the status only IPS_REPLICATED counts.
 */
const NEWS = H_WIRE & ~(H_TIMEOUT | H_ID | H_STATUS);

/** Seconds by which an expectation's time may differ from what the clock says is left of it: both are rounded. */
const TIMEOUT_SLACK = 1;
/** Zones that are remembered. */
const ZONES_MAX = 1024;

/** UPDATED of a conntrack of which no packet has been seen since the daemon started: a dump has shown it. */
export const NEVER_SEEN = -1;
/** As in `RecordStore.peers`. */
export const ALL_PEERS = 0xffff;

/** Hears of every change; `slot` stays valid until `forget`. */
export interface ChangeListener {
	/** The entry is new or differs. */
	changed(slot: number): void;
	/** The entry is dead. Whoever is done with it calls `forget`. */
	destroyed(slot: number): void;
}

/** A number that grows with every change of either half; the origin's clock. */
export class VersionCounter {
	value = 0;
	/** Of the versions of all live entries. */
	readonly digest = new VersionDigest();

	next(): number {
		return ++this.value;
	}
}

export class InternalCache {
	readonly store: RecordStore;
	readonly counters: CacheCounters = newCacheCounters();
	listener: ChangeListener = { changed: () => {}, destroyed: (slot) => this.forget(slot) };
	/** Number of the last resync; entries that it did not see carry an older stamp. */
	resync = 0;
	/** More entries than this are refused and counted. */
	readonly limit: number;
	/**
	 * The zone words (ZONES) of conntracks that were held, without 0: an expectation's event names its master without
	 * its zone. Bounded: masters in more zones than ZONES_MAX are not found.
	 */
	readonly zones = new Set<number>();
	readonly #versions: VersionCounter;
	readonly #scratch: Int32Array;
	readonly #isConntrack: boolean;
	/** While a dump is read: the dead, kept so that the dump cannot bring them back. Bounded by `limit`. */
	#graveyard: SlotSet | undefined;
	/** What is still to be removed of the graveyard of the dump before. */
	#closing: SlotSet | undefined;

	constructor(store: RecordStore, versions: VersionCounter, limit: number) {
		this.store = store;
		this.#versions = versions;
		this.limit = limit;
		this.#scratch = new Int32Array(store.layout.recordWords);
		this.#isConntrack = store.layout.recordWords === CONNTRACK_WORDS;
	}

	/**
	 * The kernel says that the entry exists and looks like this.
	 *
	 * @param isNew the kernel made it just now: what was known under the key is another connection's
	 * @param isSeen a packet says so: UPDATED is the second of the last one that is known of. The commit of an entry
	 *   counts as one
	 * @param isDump a dump says so: what it shows to have changed, a packet has changed
	 * @returns the slot, or -1 if the cache is full
	 */
	apply(record: Int32Array, isNew: boolean, now: number, isSeen = true, isDump = false): number {
		const { store, counters } = this;
		let slot = store.find(record);
		const isHeld = slot >= 0 && store.isLive(slot);
		if (!isHeld && store.live >= this.limit) {
			counters.createFailed++;
			counters.createNoSpace++;
			return -1;
		}
		if (slot < 0) {
			slot = store.insert(record, now);
			counters.created++;
			if (this.#isConntrack && record[ZONES] !== 0 && this.zones.size < ZONES_MAX) {
				this.zones.add(record[ZONES]!);
			}
		} else if (isNew || !isHeld) {
			(this.#graveyard ?? this.#closing)?.delete(slot);
			store.replace(slot, record, now);
			store.setHeader(slot, CREATED, now);
			counters.created++;
		} else {
			const known = this.#scratch;
			store.read(slot, known);
			if (this.#isAnother(known, record)) return this.apply(record, true, now, isSeen, isDump);
			const isNews = this.#merge(slot, known, record, now);
			// expectations are dumped every second: that they are still there is nothing to count
			if (isNews || this.#isConntrack) counters.updated++;
			store.setHeader(slot, STAMP, this.resync);
			this.#write(slot, known, now, isSeen || (isDump && isNews));
			if (!isNews) return slot;
		}
		const isUnseen = !isSeen && (!isHeld || (isNew && !isDump));
		if (isUnseen && this.#isConntrack) store.setHeader(slot, UPDATED, NEVER_SEEN);
		store.setHeader(slot, STAMP, this.resync);
		this.#renumber(slot, isHeld);
		return slot;
	}

	/** The kernel was asked for an entry that may have changed without an event; one that is not held is ignored. */
	refresh(record: Int32Array, now: number, isSeen = false): void {
		const { store } = this;
		const slot = store.find(record);
		if (slot < 0 || !store.isLive(slot)) return;
		const known = this.#scratch;
		store.read(slot, known);
		const isNews = this.#merge(slot, known, record, now);
		this.#write(slot, known, now, isSeen || isNews);
		if (!isNews) return;
		this.counters.updated++;
		this.#renumber(slot, true);
	}

	/** A peer holds something else under this live entry's version: it gets a new one, and everybody hears of it. */
	renew(slot: number): void {
		this.#renumber(slot, true);
	}

	/** A dump of the kernel's table says so: an event that came since the dump began knows better. */
	applyDumped(record: Int32Array, now: number): void {
		const slot = this.store.find(record);
		if (slot >= 0 && this.store.header(slot, STAMP) === this.resync) return;
		if (slot >= 0 && this.store.confirm(slot, record)) {
			this.counters.updated++;
			this.store.setHeader(slot, STAMP, this.resync);
			return;
		}
		const isRevived = slot >= 0 && !this.store.isLive(slot);
		// what the first dump shows may be a left-over of long ago; what is new in a later one is young
		this.apply(record, isRevived, now, isRevived || (slot < 0 && this.resync > 1), true);
	}

	/** The kernel says that the entry is gone. */
	destroy(record: Int32Array, now: number): void {
		const slot = this.store.find(record);
		if (slot >= 0 && this.store.isLive(slot)) {
			this.bury(slot, now);
			return;
		}
		this.counters.destroyFailed++;
		this.counters.destroyNotFound++;
		// nor may the dump under way bring it back
		if (slot >= 0) this.store.setHeader(slot, STAMP, this.resync);
		if (slot < 0 && this.#graveyard && this.#graveyard.size < this.limit) {
			// the dump under way may still show it
			const grave = this.store.insert(record, now);
			this.store.bury(grave, now);
			this.store.setHeader(grave, STAMP, this.resync);
			this.#graveyard.add(grave);
		}
	}

	/** Marks a live entry dead and lets the listener decide when it is forgotten. */
	bury(slot: number, now: number): void {
		this.#end(slot, now, false);
	}

	/** Takes a live entry out that has not ended: an operator's flush withdraws, and the peers keep it. */
	withdraw(slot: number, now: number): void {
		this.#end(slot, now, true);
	}

	/**
	 * A peer holds an entry that is not here: a grave of its own tells that peer (a bit of `peers`) so.
	 *
	 * @returns the slot, or -1 when there are more graves than entries may be
	 */
	deny(record: Int32Array, peer: number, now: number): number {
		const { store } = this;
		if (store.count - store.live >= this.limit) return -1;
		const slot = store.insert(record, now);
		store.bury(slot, now);
		// a dump that shows the entry after all is right
		store.setHeader(slot, STAMP, this.resync - 1);
		store.setVersion(slot, this.#versions.next());
		store.setPeers(slot, peer);
		return slot;
	}

	/** The kernel says that an entry is gone which is not kept any more, but which the peers may hold. */
	endPassed(record: Int32Array, now: number): void {
		const known = this.store.find(record);
		const slot = known >= 0 ? known : this.deny(record, ALL_PEERS, now);
		if (slot < 0) {
			this.counters.destroyFailed++;
			return;
		}
		this.counters.destroyed++;
		// nor may the dump under way bring it back
		this.store.setHeader(slot, STAMP, this.resync);
		if (known < 0) this.listener.destroyed(slot);
	}

	/** DisableInternalCache: an entry goes that has not ended, and nobody hears of that. */
	release(slot: number): void {
		this.#versions.digest.toggle(this.store.version(slot));
		this.store.remove(slot);
	}

	/** Frees the slot of an entry that everybody knows to be dead. */
	forget(slot: number): void {
		if (this.#graveyard && !this.store.isLive(slot)) this.#graveyard.add(slot);
		else {
			// what was forgotten once may stand in a queue still, and is forgotten again when its turn comes
			this.#closing?.delete(slot);
			this.store.remove(slot);
		}
	}

	/** A dump of the kernel's table is being read: what is not here may still come. */
	get isResyncing(): boolean {
		return (this.#graveyard ?? this.#closing) !== undefined;
	}

	/** A dump of the kernel's table begins. */
	beginResync(): void {
		this.resync++;
		this.#graveyard ??= new SlotSet();
	}

	/** The dump has failed: the dead need not be kept any longer. */
	abandonResync(): void {
		this.#endGraveyard();
		this.#closeGraveyard(Number.POSITIVE_INFINITY);
	}

	/**
	 * The dump is over: forgets the dead, then buries what the kernel did not show. Looks at the slots from `from`
	 * on, `count` of both at most. After an operator's flush what is gone is withdrawn instead: the peers keep it.
	 *
	 * @returns the slot to go on from, or -1 at the end
	 */
	sweepResync(from: number, count: number, now: number, isWithdrawal = false): number {
		if (this.#graveyard) this.#endGraveyard();
		if (!this.#closeGraveyard(count)) return from;
		const stop = Math.min(from + count, this.store.end);
		for (let slot = from; slot < stop; slot++) {
			if (!this.store.isLive(slot) || this.store.header(slot, STAMP) === this.resync) continue;
			this.#end(slot, now, isWithdrawal);
		}
		return stop < this.store.end ? stop : -1;
	}

	/** Puts all that is live into a digest that was cleared. */
	addTo(digest: VersionDigest): void {
		const { store } = this;
		for (let slot = 0; slot < store.end; slot++) if (store.isLive(slot)) digest.toggle(store.version(slot));
	}

	/** From now on the dead are not kept; those that were are removed bit by bit. */
	#endGraveyard(): void {
		this.#closing = this.#graveyard;
		this.#graveyard = undefined;
	}

	/** Removes so many of the dead; whether they were all. */
	#closeGraveyard(count: number): boolean {
		for (let i = 0; i < count; i++) {
			const slot = this.#closing?.take() ?? -1;
			if (slot < 0) {
				this.#closing = undefined;
				return true;
			}
			this.store.remove(slot);
		}
		return false;
	}

	#end(slot: number, now: number, isWithdrawn: boolean): void {
		this.counters.destroyed++;
		this.#versions.digest.toggle(this.store.version(slot));
		this.store.bury(slot, now, isWithdrawn);
		this.store.setHeader(slot, STAMP, this.resync);
		this.store.setVersion(slot, this.#versions.next());
		this.listener.destroyed(slot);
	}

	/** A live slot's state is another one than before, or the first. */
	#renumber(slot: number, hadVersion: boolean): void {
		const { store } = this;
		const { digest } = this.#versions;
		if (hadVersion) digest.toggle(store.version(slot));
		const version = this.#versions.next();
		store.setVersion(slot, version);
		digest.toggle(version);
		this.listener.changed(slot);
	}

	#write(slot: number, record: Int32Array, now: number, isSeen: boolean): void {
		const { store } = this;
		store.replace(slot, record, isSeen || !this.#isConntrack ? now : store.header(slot, UPDATED));
	}

	/** The kernel's id differs: the conntrack that was known has ended without our hearing of it. */
	#isAnother(known: Int32Array, record: Int32Array): boolean {
		return this.#isConntrack && (known[HAS]! & record[HAS]! & H_ID) !== 0 && known[ID] !== record[ID];
	}

	/** Overlays `change` on `known`, the record of this live slot; whether that is news. */
	#merge(slot: number, known: Int32Array, change: Int32Array, now: number): boolean {
		if (this.#isConntrack) {
			const status = known[STATUS]! & IPS_REPLICATED;
			const isNews = mergeConntrack(known, change, NEWS);
			return isNews || status !== (known[STATUS]! & IPS_REPLICATED);
		}
		// a helper sets an expectation's time anew without an event (SIP); that it runs down is no news
		const left = Math.max(0, known[EXP_TIMEOUT]! - Math.max(0, now - this.store.header(slot, UPDATED)));
		let isNews = Math.abs(change[EXP_TIMEOUT]! - left) > TIMEOUT_SLACK;
		for (let i = 0; i < EXPECTATION_WORDS; i++) {
			if (known[i] === change[i]) continue;
			known[i] = change[i]!;
			if (i !== EXP_TIMEOUT && i !== EXP_ID) isNews = true;
		}
		return isNews;
	}
}

/** Both halves, their counter, and the tables they are made of. */
export interface InternalCaches {
	conntracks: InternalCache;
	expectations: InternalCache;
	versions: VersionCounter;
}

/** @param seed of the key hash */
export function newInternalCaches(seed: number, limit: number): InternalCaches {
	const versions = new VersionCounter();
	return {
		versions,
		conntracks: new InternalCache(new RecordStore(new ConntrackLayout(), seed), versions, limit),
		expectations: new InternalCache(new RecordStore(new ExpectationLayout(), seed, 64), versions, limit),
	};
}
