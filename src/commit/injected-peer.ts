// One peer's conntracks as direct injection sees them: what it has told and what of that has not been written yet.
import type { ExternalCache } from "../cache/external-cache.ts";
import { INJECTED, UPDATED } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import { SlotSet } from "../cache/slot-set.ts";
import { CONNTRACK } from "../conntrack/kind.ts";
import { TCP_CLOSE, TCP_ESTABLISHED, tcpState } from "../conntrack/protoinfo.ts";
import {
	CONNTRACK_WORDS,
	type ConntrackRecord,
	H_HELPER,
	H_MASTER,
	H_REPLY,
	H_TCP,
	H_TIMEOUT,
	HAS,
	HELPER,
	MASTER_DST,
	MASTER_PORTS,
	newConntrackRecord,
	REPLY_PORTS,
	TIMEOUT,
} from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import { CacheReader } from "./cache-reader.ts";
import { sameWords } from "./join.ts";
import { Retries } from "./retries.ts";

/** How long an entry that this kernel has dropped by itself stays out, milliseconds: a full table drops it at once again. */
const LOST_MS = 1000;
/** Seconds by which a timeout may be longer than the peer's without a packet: both are rounded. */
const SLACK = 2;

/** Slots that there is room for at first. */
const SLOTS_AT_FIRST = 1024;

/** A peer, as far as its entries are injected. */
export interface InjectionPeer {
	/** By Kind. */
	readonly external: readonly [ExternalCache, ExternalCache];
	readonly isUp: boolean;
	/** Differs for each process of the node; 0 before it has been heard. */
	readonly epochTag: number;
	/** What it tells now may be of any age. */
	readonly isReceivingBulk: boolean;
	readonly state: { readonly isPrimary: boolean };
}

export interface InjectedPeerOptions {
	clock: Clock;
	/** There is something to write. */
	wake: () => void;
	/**
	 * The conntrack has ended at the peer, which told of it last at `told`, in seconds. TIMEOUT is what it should have left if no
	 * packet came; the record is reused.
	 */
	ended: (record: ConntrackRecord, told: number) => void;
}

export class InjectedPeer {
	readonly peer: InjectionPeer;
	readonly store: RecordStore;
	readonly reader: CacheReader;
	/** Slots to be written, in the order in which they were told. Bounded by the cache. */
	readonly told = new SlotSet();
	readonly retries: Retries;
	readonly #options: InjectedPeerOptions;
	/** Injected entries that have become other connections since. Part of `told`. */
	readonly #altered = new SlotSet();
	/** When it was injected, in seconds, by slot, where that was later than the peer has told; else 0. Bounded by the cache. */
	#renewed = new Int32Array(SLOTS_AT_FIRST);
	/** Slots of entries that this kernel has let expire; and of those that were this node's own. Bounded by the cache. */
	readonly #lost = new SlotSet();
	readonly #lostOwn = new SlotSet();
	#cancel: (() => void) | undefined;
	/** The slot whose entry has just been told once more. */
	#unchanged = -1;
	readonly #record = newConntrackRecord();

	constructor(peer: InjectionPeer, options: InjectedPeerOptions) {
		const external = peer.external[CONNTRACK];
		this.peer = peer;
		this.store = external.store;
		this.#options = options;
		this.reader = new CacheReader(external);
		this.retries = new Retries(options.clock, (slot) => {
			if (this.store.isLive(slot) && !this.isInjected(slot)) this.#add(slot);
		});
		external.listener = {
			changing: (slot, record) => this.#changing(slot, record),
			told: (slot) => {
				const isNews = slot !== this.#unchanged || !this.isInjected(slot);
				this.#unchanged = -1;
				if (isNews) this.#add(slot);
			},
			confirmed: (slot) => {
				if (!this.isInjected(slot)) this.#add(slot);
			},
			ended: (slot) => this.#ended(slot),
		};
	}

	/** The slot of the live entry with the record's key, -1 if there is none. */
	find(record: ConntrackRecord): number {
		const slot = this.store.find(record);
		return slot >= 0 && this.store.isLive(slot) ? slot : -1;
	}

	isInjected(slot: number): boolean {
		return this.store.hasMark(slot, INJECTED);
	}

	/** Takes the next slot to be written; -1 if there is none. */
	next(): number {
		return this.told.take();
	}

	/** The entry is about to be written. `now` in seconds. @returns whether it is another connection than the injected one */
	taken(slot: number, now: number): boolean {
		this.#setRenewed(slot, now - this.store.header(slot, UPDATED) > 1 ? now : 0);
		this.retries.forget(slot);
		return this.#altered.size > 0 && this.#altered.delete(slot);
	}

	/** The entry in the slot is to be written, whatever the kernel has. */
	again(slot: number): void {
		this.#altered.add(slot);
		this.store.setMark(slot, INJECTED, true);
		this.#add(slot);
	}

	failed(slot: number): void {
		this.store.setMark(slot, INJECTED, false);
		this.retries.add(slot);
	}

	/**
	 * This kernel has dropped the entry by itself: if the peer still has it in a while, it comes back. One that was this node's
	 * own only if the connection goes on at the peer: what is closing expires there, too, a moment sooner or later.
	 */
	lost(slot: number, wasOwn: boolean): void {
		if (!this.peer.isUp) return;
		this.#lost.add(slot);
		if (wasOwn) this.#lostOwn.add(slot);
		this.#cancel ??= this.#options.clock.after(LOST_MS, () => {
			this.#cancel = undefined;
			for (const each of this.#lost) {
				if (!this.peer.isUp || !this.store.isLive(each) || this.isInjected(each)) continue;
				// what is kept of a node that has restarted, for its own sake, says nothing of what it has
				if (!this.peer.external[CONNTRACK].isConfirmed(each)) continue;
				if (!this.#lostOwn.has(each) || !this.#isClosing(each)) this.#add(each);
			}
			this.#lost.clear();
			this.#lostOwn.clear();
		});
	}

	/** Whether the injected entry has more time left than without a packet: `left` as this kernel says now, in seconds. */
	isRefreshed(slot: number, left: number, now: number): boolean {
		this.store.read(slot, this.#record);
		const since = this.#renewed[slot] || this.store.header(slot, UPDATED);
		return isLonger(left, timeLeft(this.#record, since, now));
	}

	close(): void {
		this.#cancel?.();
		this.retries.close();
	}

	#add(slot: number): void {
		this.told.add(slot);
		this.#options.wake();
	}

	#setRenewed(slot: number, second: number): void {
		if (slot >= this.#renewed.length) {
			if (second === 0) return;
			const longer = new Int32Array(Math.max(slot + 1, 2 * this.#renewed.length));
			longer.set(this.#renewed);
			this.#renewed = longer;
		}
		this.#renewed[slot] = second;
	}

	#isClosing(slot: number): boolean {
		this.store.read(slot, this.#record);
		const state = (this.#record[HAS]! & H_TCP) !== 0 ? tcpState(this.#record) : TCP_ESTABLISHED;
		return state > TCP_ESTABLISHED && state <= TCP_CLOSE;
	}

	/** An entry that comes back with its peer as it was costs the kernel nothing. */
	#changing(slot: number, record: ConntrackRecord): void {
		if (!this.isInjected(slot)) return;
		const known = this.#record;
		this.store.read(slot, known);
		if (isUnchanged(known, record)) this.#unchanged = slot;
		else if (!isSameConnection(known, record)) this.#altered.add(slot);
	}

	#ended(slot: number): void {
		const { store } = this;
		const isWritten = !this.told.delete(slot) || this.isInjected(slot);
		this.#altered.delete(slot);
		this.#lost.delete(slot);
		this.#lostOwn.delete(slot);
		this.retries.forget(slot);
		const told = store.header(slot, UPDATED);
		// of this node's own the timeout is older than the peer's last word
		const since = (this.isInjected(slot) && this.#renewed[slot]) || told;
		this.#setRenewed(slot, 0);
		// another peer's view of it counts, and its end will
		if (isWritten && store.isOwned(slot)) {
			const record = this.#record;
			const now = Math.floor(this.#options.clock.now() / 1000);
			store.read(slot, record);
			const left = timeLeft(record, since, now);
			if (left === undefined) record[HAS]! &= ~H_TIMEOUT;
			else record[TIMEOUT] = left;
			this.#options.ended(record, told);
		}
		store.setMark(slot, INJECTED, false);
	}
}

/** Whether a conntrack has more time left, in seconds, than one that was told and has seen no packet since. */
export function isLonger(left: number, withoutPacket: number | undefined): boolean {
	return withoutPacket !== undefined && left > withoutPacket + SLACK;
}

function timeLeft(record: ConntrackRecord, told: number, now: number): number | undefined {
	return (record[HAS]! & H_TIMEOUT) === 0 ? undefined : Math.max(0, (record[TIMEOUT]! >>> 0) - (now - told));
}

function isUnchanged(known: ConntrackRecord, record: ConntrackRecord): boolean {
	for (let i = 0; i < CONNTRACK_WORDS; i++) if (known[i] !== record[i] && i !== TIMEOUT) return false;
	return true;
}

/** Whether the kernel's entry can become what the record says: NAT, helper and master are given at its creation only. */
function isSameConnection(known: ConntrackRecord, record: ConntrackRecord): boolean {
	const has = known[HAS]!;
	if (((has ^ record[HAS]!) & (H_REPLY | H_HELPER | H_MASTER)) !== 0) return false;
	if ((has & H_REPLY) !== 0 && !sameWords(known, record, REPLY_PORTS, 9)) return false;
	if ((has & H_HELPER) !== 0 && known[HELPER] !== record[HELPER]) return false;
	return (has & H_MASTER) === 0 || sameWords(known, record, MASTER_PORTS, MASTER_DST + 4 - MASTER_PORTS);
}
