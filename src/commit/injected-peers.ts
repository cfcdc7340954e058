// All peers of direct injection, and this node's own conntracks beside them: who has what.
import type { InternalCache } from "../cache/internal-cache.ts";
import type { ConntrackRecord } from "../conntrack/record.ts";
import type { InjectedPeer } from "./injected-peer.ts";

/** A peer's live entry. */
export interface InjectedPlace {
	peer: InjectedPeer;
	slot: number;
}

export class InjectedPeers {
	/** Bounded by the number of peers that the protocol has. */
	readonly all: InjectedPeer[] = [];
	/** This node's own. */
	readonly #conntracks: InternalCache;

	constructor(conntracks: InternalCache) {
		this.#conntracks = conntracks;
	}

	/** The slot of this node's own live conntrack with this key, -1 if it has none. */
	own(record: ConntrackRecord): number {
		const { store } = this.#conntracks;
		const slot = store.find(record);
		return slot >= 0 && store.isLive(slot) ? slot : -1;
	}

	/** Where the peer's entry that counts with this key is. */
	placeOf(record: ConntrackRecord): InjectedPlace | undefined {
		for (const peer of this.all) {
			const slot = peer.find(record);
			if (slot >= 0 && peer.store.isOwned(slot)) return { peer, slot };
		}
		return undefined;
	}
}
