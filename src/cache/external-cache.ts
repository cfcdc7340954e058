// Theirs: what one peer's kernel has, held ready for the commit. One cache per peer, so that two primaries never
// overwrite each other's view.
//
// Every entry carries the version that its origin gave it and the generation in which it was last confirmed. A new
// epoch of the peer, or a bulk, begins a generation; when the bulk is complete, what it did not confirm is swept.
// Until then the old entries stay committable, as do those that their origin has withdrawn without an end.
import { type CacheCounters, newCacheCounters } from "./cache-counters.ts";
import type { Expiry } from "./expiry.ts";
import { AWAITS_MASTER, STAMP, UPDATED } from "./record-layout.ts";
import type { RecordStore } from "./record-store.ts";
import type { SlotSet } from "./slot-set.ts";
import { VersionDigest } from "./version-digest.ts";

/** Refused entries that are remembered, so that both sides can still be compared. */
const REFUSED_MAX = 65_536;
const REFUSED_SEEDS = [0x1f123bb5, 0x3c6ef372] as const;
/** Reasons for which entries are refused or kept back: 0 no room, else a rule of the expectation policy. */
const REASONS = 32;
export const NO_ROOM = 0;

/** An entry that was not taken. */
interface Refused {
	readonly version: number;
	readonly reason: number;
}

/** A dead entry: kept until no datagram that is older than its deletion can be accepted any more. */
interface Grave {
	slot: number;
	version: number;
	/** Sequence number of the datagram that brought the deletion. */
	sequence: number;
}

/** Follows a peer's cache change by change: direct injection does. */
export interface ExternalListener {
	/** A live entry is about to become what the record says. */
	changing(slot: number, record: Int32Array): void;
	/** The entry is new or has changed, or counts by now. */
	told(slot: number): void;
	/** A bulk says that the entry still is what it was. */
	confirmed(slot: number): void;
	/** A live entry is about to go because it has ended at the peer: not because of anybody's flush, nor of a reboot. */
	ended(slot: number): void;
}

export class ExternalCache {
	readonly store: RecordStore;
	readonly counters: CacheCounters = newCacheCounters();
	/** Of the confirmed entries and the refused ones; the peer's caches of both kinds share it. */
	readonly digest: VersionDigest;
	/** Live entries that the peer has confirmed in this generation. */
	confirmed = 0;
	/** While a commit runs: slots that changed, so that it takes them again. Bounded by the cache. */
	touched: SlotSet | undefined;
	/**
	 * What a live entry says is about to be given up: it ends, or another state takes its place. Whoever keeps accounts of
	 * the entries reads it now.
	 */
	leaving: (slot: number, isReplaced: boolean) => void = () => {};
	listener: ExternalListener | undefined;
	/** Mode ALARM: gives up what is not told again. */
	expiry: Expiry | undefined;
	/** What a new state of an entry is kept back for until somebody has judged it; 0 is nothing. */
	provisional = 0;
	/** Entries that were refused or are kept back, by reason. */
	readonly refusals = new Int32Array(REASONS);
	/** Entries that were not taken, by a hash of their key. Bounded: REFUSED_MAX. */
	readonly #refused = new Map<number, Refused>();
	readonly #limit: number;
	/** In the order of arrival. Bounded: one replay window of datagrams, each with its deletions, and what a sweep buries. */
	#graves: Grave[] = [];
	#gravesAt = 0;
	/** The highest number of a datagram that brought a withdrawal in this epoch. */
	#withdrawals = 0;
	/** Even. Entries stamped with an older generation, or with the odd number before this one, are unconfirmed. */
	generation = 2;
	/** Entries stamped before this come from an earlier epoch: their versions mean nothing now. */
	epochGeneration = 1;

	constructor(store: RecordStore, limit: number, digest = new VersionDigest()) {
		this.store = store;
		this.#limit = limit;
		this.digest = digest;
	}

	/** Entries of the peer that are not taken, or kept back, other than for a while. */
	get refused(): number {
		let count = 0;
		for (let reason = 0; reason < AWAITS_MASTER; reason++) count += this.refusals[reason]!;
		return count;
	}

	/** Puts a live expectation aside for a reason, or lets it count again (0). It stays held, and counts as equal. */
	keepBack(slot: number, reason: number): void {
		const before = this.store.verdict(slot);
		if (before !== 0) this.refusals[before]!--;
		if (reason !== 0) this.refusals[reason]!++;
		this.store.setVerdict(slot, reason);
		if (before !== 0 && reason === 0) this.listener?.told(slot);
	}

	/** Gives up a live entry that must not be held: only its version is remembered, and why. */
	refuse(slot: number, reason: number): void {
		const { store } = this;
		const record = new Int32Array(store.layout.recordWords);
		store.read(slot, record);
		const version = store.version(slot);
		const isConfirmed = this.isConfirmed(slot);
		this.drop(slot);
		if (isConfirmed) this.#refuse(record, version, reason);
	}

	/** The peer has this entry, in this version; `hash` is that of its key (`store.hash`). @returns the slot if that was news, else -1 */
	set(record: Int32Array, version: number, now: number, hash = this.store.hash(record)): number {
		const { store, counters } = this;
		let slot = store.find(record, hash);
		const isLive = slot >= 0 && store.isLive(slot);
		if (slot >= 0 && this.isCurrent(slot)) {
			const held = store.version(slot);
			if (version < held) return -1;
			if (version === held) {
				if (isLive) this.expiry?.arm(slot, now);
				if (isLive && !this.isConfirmed(slot)) {
					this.#confirm(slot, version);
					this.listener?.confirmed(slot);
				}
				return -1;
			}
		}
		if (!isLive && store.live >= this.#limit) {
			counters.createFailed++;
			counters.createNoSpace++;
			this.#refuse(record, version, NO_ROOM);
			return -1;
		}
		this.#pardon(record, version);
		if (isLive) {
			this.listener?.changing(slot, record);
			this.leaving(slot, true);
			this.#unconfirm(slot);
		}
		if (slot < 0) slot = this.#insert(record, now, hash);
		else {
			if (this.provisional !== 0) this.keepBack(slot, this.provisional);
			store.replace(slot, record, now);
		}
		if (isLive) counters.updated++;
		else counters.created++;
		this.#confirm(slot, version);
		this.expiry?.arm(slot, now);
		this.touched?.add(slot);
		this.listener?.told(slot);
		return slot;
	}

	/** The peer's entry is gone as of this version; `sequence` is that of the datagram which says so. */
	delete(
		record: Int32Array,
		version: number,
		sequence: number,
		now: number,
		hash = this.store.hash(record),
	): void {
		const { store, counters } = this;
		this.#pardon(record, version);
		let slot = store.find(record, hash);
		if (slot < 0) {
			counters.destroyFailed++;
			counters.destroyNotFound++;
			// remembered all the same: the SET that it overtook must not bring the entry back
			slot = store.insert(record, now, 0, hash);
		} else {
			if (this.isCurrent(slot) && version <= store.version(slot)) return;
			if (store.isLive(slot)) {
				counters.destroyed++;
				this.listener?.ended(slot);
				this.leaving(slot, false);
				this.#unconfirm(slot);
			}
		}
		store.bury(slot, now);
		store.setVersion(slot, version);
		store.setHeader(slot, STAMP, this.generation);
		this.touched?.add(slot);
		this.#graves.push({ slot, version, sequence });
	}

	/** The peer has the entry no more, but it has not ended: it stays, unconfirmed, until the next bulk is complete. */
	withdraw(
		record: Int32Array,
		version: number,
		sequence: number,
		now: number,
		hash = this.store.hash(record),
	): void {
		const { store } = this;
		const slot = store.find(record, hash);
		if (slot < 0 || !store.isLive(slot)) {
			this.delete(record, version, sequence, now, hash);
			return;
		}
		if (this.isCurrent(slot) && version <= store.version(slot)) return;
		this.#unconfirm(slot);
		store.setVersion(slot, version);
		store.setHeader(slot, STAMP, this.generation - 1);
		this.#withdrawals = Math.max(this.#withdrawals, sequence);
	}

	/** Whether the peer has said, since the last bulk began, that it has this live entry. */
	isConfirmed(slot: number): boolean {
		return this.store.header(slot, STAMP) === this.generation;
	}

	/** Whether the peer has spoken of the entry in its present epoch. */
	isCurrent(slot: number): boolean {
		return this.store.header(slot, STAMP) >= this.epochGeneration;
	}

	/** The slot of the live entry if this is the version that the peer has told in its present epoch, else -1. */
	findVersion(record: Int32Array, version: number): number {
		const { store } = this;
		const slot = store.find(record);
		const isIt = slot >= 0 && store.isLive(slot) && store.version(slot) === version && this.isCurrent(slot);
		return isIt ? slot : -1;
	}

	/** No datagram with a sequence number below `sequence` will be accepted any more: so many older graves can go. */
	collect(sequence: number, most = Number.POSITIVE_INFINITY): void {
		const stop = Math.min(this.#graves.length, this.#gravesAt + most);
		while (this.#gravesAt < stop && this.#graves[this.#gravesAt]!.sequence < sequence) {
			this.#clear(this.#graves[this.#gravesAt++]!);
		}
		if (this.#gravesAt > 1024 && this.#gravesAt * 2 > this.#graves.length) {
			this.#graves = this.#graves.slice(this.#gravesAt);
			this.#gravesAt = 0;
		}
	}

	/** A new epoch of the peer: what is held stays, but every version is older than what comes now. */
	beginEpoch(): void {
		this.collect(Number.POSITIVE_INFINITY);
		this.beginGeneration();
		this.#withdrawals = 0;
		this.epochGeneration = this.generation - 1;
	}

	/** A bulk begins: everything held is unconfirmed. */
	beginGeneration(): void {
		this.generation += 2;
		this.confirmed = 0;
		for (const { reason } of this.#refused.values()) this.refusals[reason]!--;
		this.#refused.clear();
		this.digest.clear();
	}

	/**
	 * The bulk is complete: drops unconfirmed entries among `count` slots from `from` on.
	 *
	 * @param keepsEarlier what is known from an earlier epoch only stays
	 * @param isEnd what is dropped has ended; false: its node has lost it in a reboot
	 * @returns the slot to go on from, or -1 at the end
	 */
	sweep(from: number, count: number, keepsEarlier = false, isEnd = true): number {
		const { store } = this;
		// what a commit has taken into the internal cache must still be there when its worker comes to write it
		if (this.touched) return from;
		const stop = Math.min(from + count, store.end);
		for (let slot = from; slot < stop; slot++) {
			if (!store.isLive(slot) || this.isConfirmed(slot)) continue;
			if (store.header(slot, STAMP) === this.generation - 1) this.#buryWithdrawn(slot);
			else if (!keepsEarlier || this.isCurrent(slot)) {
				// even: nobody has withdrawn it before the bulk
				if (isEnd && (store.header(slot, STAMP) & 1) === 0) this.listener?.ended(slot);
				this.drop(slot);
			}
		}
		return stop < store.end ? stop : -1;
	}

	/**
	 * Withdrawn since the bulk began: a datagram of before its withdrawal may still be on its way, and must not bring the
	 * entry back.
	 */
	#buryWithdrawn(slot: number): void {
		const { store } = this;
		const version = store.version(slot);
		this.counters.destroyed++;
		this.leaving(slot, false);
		store.bury(slot, store.header(slot, UPDATED));
		this.#graves.push({ slot, version, sequence: this.#withdrawals });
	}

	/** Takes a live entry out. */
	drop(slot: number): void {
		this.counters.destroyed++;
		this.leaving(slot, false);
		this.#unconfirm(slot);
		this.store.remove(slot);
	}

	/**
	 * There is room again, for all that was refused or for much of it: forgets that it was. The digests differ then, and
	 * the repair brings what fits.
	 */
	reconsider(): void {
		const room = this.#limit - this.store.live;
		const waiting = this.refusals[NO_ROOM]!;
		if (waiting === 0 || room < Math.min(waiting, this.#limit / 8)) return;
		for (const [key, { version, reason }] of this.#refused) {
			if (reason !== NO_ROOM) continue;
			this.digest.toggle(version);
			this.#refused.delete(key);
		}
		this.refusals[NO_ROOM] = 0;
	}

	/** Puts all that counts into a digest that was cleared. */
	addTo(digest: VersionDigest): void {
		const { store } = this;
		for (let slot = 0; slot < store.end; slot++) {
			if (store.isLive(slot) && this.isConfirmed(slot)) digest.toggle(store.version(slot));
		}
		for (const { version } of this.#refused.values()) digest.toggle(version);
	}

	#insert(record: Int32Array, now: number, hash: number): number {
		if (this.provisional !== 0) this.refusals[this.provisional]!++;
		return this.store.insert(record, now, this.provisional, hash);
	}

	#confirm(slot: number, version: number): void {
		this.store.setVersion(slot, version);
		this.store.setHeader(slot, STAMP, this.generation);
		this.digest.toggle(version);
		this.confirmed++;
	}

	/** The state of a live slot counts no more. */
	#unconfirm(slot: number): void {
		if (!this.isConfirmed(slot)) return;
		this.digest.toggle(this.store.version(slot));
		this.confirmed--;
	}

	#refuse(record: Int32Array, version: number, reason: number): void {
		const key = this.#refusedKey(record);
		const before = this.#refused.get(key);
		if (before === undefined ? this.#refused.size >= REFUSED_MAX : version <= before.version) return;
		if (before !== undefined) this.#forget(key, before);
		this.#refused.set(key, { version, reason });
		this.refusals[reason]!++;
		this.digest.toggle(version);
	}

	/** What was refused in an earlier version is held now, or is gone. */
	#pardon(record: Int32Array, version: number): void {
		if (this.#refused.size === 0) return;
		const key = this.#refusedKey(record);
		const refused = this.#refused.get(key);
		if (refused !== undefined && refused.version <= version) this.#forget(key, refused);
	}

	#forget(key: number, { version, reason }: Refused): void {
		this.#refused.delete(key);
		this.refusals[reason]!--;
		this.digest.toggle(version);
	}

	#refusedKey(record: Int32Array): number {
		const { layout } = this.store;
		const high = layout.hash(record, REFUSED_SEEDS[0]) >>> 12;
		return high * 2 ** 32 + (layout.hash(record, REFUSED_SEEDS[1]) >>> 0);
	}

	#clear(grave: Grave): void {
		const { store } = this;
		if (
			store.state(grave.slot) !== 0 &&
			!store.isLive(grave.slot) &&
			store.version(grave.slot) === grave.version
		) {
			store.remove(grave.slot);
		}
	}
}
