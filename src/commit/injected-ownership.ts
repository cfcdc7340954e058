// Direct injection: whose a conntrack of this kernel is, a peer's or this node's own, and how it changes hands.
import type { InternalCache } from "../cache/internal-cache.ts";
import { INJECTED } from "../cache/record-layout.ts";
import { writeMasterKey } from "../conntrack/master.ts";
import {
	type ConntrackRecord,
	H_MASTER,
	H_TIMEOUT,
	HAS,
	newConntrackRecord,
	STATUS,
	TIMEOUT,
} from "../conntrack/record.ts";
import { IPS_FIXED_TIMEOUT } from "../conntrack/status.ts";
import type { Clock } from "../system/clock.ts";
import { masterKey } from "./conntrack-requests.ts";
import { isGre } from "./gre-entry.ts";
import type { InjectedPeers } from "./injected-peers.ts";
import type { Precedence } from "./precedence.ts";

export interface InjectedOwnershipOptions {
	clock: Clock;
	peers: InjectedPeers;
	precedence: Precedence;
	/** This node's own conntracks. */
	conntracks: InternalCache;
	/** A conntrack is ours from now on. */
	adopted?: (record: ConntrackRecord) => void;
}

export class InjectedOwnership {
	readonly #options: InjectedOwnershipOptions;
	readonly #record = newConntrackRecord();

	constructor(options: InjectedOwnershipOptions) {
		this.#options = options;
	}

	/**
	 * A packet has changed a conntrack of this kernel, or something that belongs to it: if it was a peer's until now, it is
	 * this node's own from now on.
	 */
	adopt(record: ConntrackRecord): void {
		const { peers, conntracks, adopted } = this.#options;
		if (peers.own(record) >= 0) return;
		const place = peers.placeOf(record);
		if (!place?.peer.isInjected(place.slot)) return;
		const told = newConntrackRecord();
		place.peer.store.read(place.slot, told);
		conntracks.apply(told, false, this.#seconds());
		adopted?.(told);
	}

	/**
	 * DisableInternalCache: a conntrack of this node's own is kept no longer. It is not the peer's again by that: this node has
	 * told of it, and has to tell of its end.
	 */
	released(record: ConntrackRecord): void {
		for (const peer of this.#options.peers.all) {
			const slot = peer.find(record);
			if (slot >= 0) peer.store.setMark(slot, INJECTED, false);
		}
	}

	/** As `adopt`, for the master of a conntrack that a packet has made. */
	adoptMaster(record: ConntrackRecord): void {
		if ((record[HAS]! & H_MASTER) !== 0) this.adopt(masterKey(record));
	}

	/** As `adopt`, for the master of an expectation that a helper has made here. */
	adoptMasterOf(expectation: Int32Array): void {
		for (const zone of [0, ...this.#options.conntracks.zones]) {
			writeMasterKey(this.#record, expectation, zone);
			this.adopt(this.#record);
		}
	}

	/**
	 * This kernel has ended a conntrack.
	 *
	 * @param isOwnDoing a timer or a packet has, and no request of somebody's
	 * @returns whether it was a peer's, so that the internal cache has nothing to do with it
	 */
	gone(record: ConntrackRecord, isOwnDoing: boolean): boolean {
		const { peers, precedence } = this.#options;
		const isOwn = peers.own(record) >= 0;
		let isInjected = false;
		for (const peer of peers.all) {
			const slot = peer.find(record);
			if (slot < 0) continue;
			if (peer.isInjected(slot)) {
				isInjected = true;
				peer.store.setMark(slot, INJECTED, false);
			} else if (!isOwn) continue;
			// its packets pass the peer, and prolong it there
			const comesBack = !isOwn || precedence.outlivesExpiry;
			if (comesBack && isOwnDoing && peer.store.isOwned(slot)) peer.lost(slot, isOwn);
		}
		return isInjected && !isOwn;
	}

	/** Whether a conntrack that a dump has shown is a peer's, and of no concern to the internal cache. */
	isForeign(record: ConntrackRecord): boolean {
		const { peers } = this.#options;
		if (peers.own(record) >= 0) return false;
		// the two directions of a call have keys of their own (gre-entry.ts)
		if (isGre(record) && (record[STATUS]! & IPS_FIXED_TIMEOUT) !== 0) return true;
		const place = peers.placeOf(record);
		if (!place?.peer.isInjected(place.slot)) return false;
		const { peer, slot } = place;
		return (
			(record[HAS]! & H_TIMEOUT) === 0 || !peer.isRefreshed(slot, record[TIMEOUT]! >>> 0, this.#seconds())
		);
	}

	/** This node gives its own conntrack up to the peer that holds it, too. @returns false if none does */
	handOver(record: ConntrackRecord): boolean {
		const { peers, conntracks } = this.#options;
		const place = peers.placeOf(record);
		if (!place) return false;
		const known = peers.own(record);
		if (known >= 0) conntracks.withdraw(known, this.#seconds());
		place.peer.again(place.slot);
		return true;
	}

	#seconds(): number {
		return Math.floor(this.#options.clock.now() / 1000);
	}
}
