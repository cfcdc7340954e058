// Active/active: what a peer has told goes on here when the peer has gone. Whatever of it is in this kernel becomes this node's
// own, so that the peer, which may come back with an empty table, hears of it again.
import type { InternalCache } from "../cache/internal-cache.ts";
import { INJECTED } from "../cache/record-layout.ts";
import { CONNTRACK, KINDS, type Kind } from "../conntrack/kind.ts";
import type { ConntrackRecord } from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import type { InjectionPeer } from "./injected-peer.ts";

/** How often it is looked who has gone, milliseconds. */
const LOOK_MS = 250;
/** Slots between two turns for others. */
const STRIDE = 4096;

export interface OrphansOptions {
	clock: Clock;
	/** By Kind. */
	internal: readonly [InternalCache, InternalCache];
	/** A conntrack is ours from now on. */
	adopted?: (record: ConntrackRecord) => void;
	/** Something has become dirty. */
	pump: () => void;
}

interface Followed {
	peer: InjectionPeer;
	wasUp: boolean;
	/** Of the process that was heard last. */
	epoch: number;
}

export class Orphans {
	readonly #options: OrphansOptions;
	/** Bounded by the number of peers that the protocol has. */
	readonly #followed: Followed[] = [];
	/** Peers whose entries are being taken over; bounded by `#followed`. */
	#gone: InjectionPeer[] = [];
	#kind: Kind = CONNTRACK;
	#slot = 0;
	#cancel: (() => void) | undefined;

	constructor(options: OrphansOptions) {
		this.#options = options;
	}

	follow(peer: InjectionPeer): void {
		this.#followed.push({ peer, wasUp: peer.isUp, epoch: peer.epochTag });
		if (this.#followed.length === 1) this.#next(LOOK_MS);
	}

	close(): void {
		this.#cancel?.();
	}

	#next(milliseconds: number): void {
		this.#cancel = this.#options.clock.after(milliseconds, () => this.#turn());
	}

	#turn(): void {
		for (const one of this.#followed) {
			const { peer } = one;
			// a process that has been started again may have lost its kernel's table
			const hasGone = (one.wasUp && !peer.isUp) || (one.epoch !== 0 && one.epoch !== peer.epochTag);
			one.wasUp = peer.isUp;
			one.epoch = peer.epochTag;
			if (hasGone && !this.#gone.includes(peer)) this.#gone.push(peer);
		}
		const [peer] = this.#gone;
		if (peer) this.#adoptSome(peer);
		this.#next(this.#gone.length > 0 ? 0 : LOOK_MS);
	}

	#adoptSome(peer: InjectionPeer): void {
		const { clock, internal, adopted, pump } = this.#options;
		const { store } = peer.external[this.#kind];
		const cache = internal[this.#kind];
		const record = new Int32Array(store.layout.recordWords);
		const now = Math.floor(clock.now() / 1000);
		const stop = Math.min(this.#slot + STRIDE, store.end);
		for (; this.#slot < stop; this.#slot++) {
			if (!store.isLive(this.#slot) || !store.hasMark(this.#slot, INJECTED)) continue;
			store.read(this.#slot, record);
			const known = cache.store.find(record);
			if (known >= 0 && cache.store.isLive(known)) continue;
			// that the peer has gone says nothing of packets
			cache.apply(record, false, now, false);
			if (this.#kind === CONNTRACK) adopted?.(record);
		}
		if (this.#slot >= store.end) {
			this.#slot = 0;
			const next = KINDS[KINDS.indexOf(this.#kind) + 1];
			this.#kind = next ?? CONNTRACK;
			if (next === undefined) this.#gone.shift();
		}
		pump();
	}
}
