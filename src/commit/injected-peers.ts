// All peers of direct injection, and this node's own conntracks beside them: who has what, and whose view counts.
import type { InternalCache } from "../cache/internal-cache.ts";
import { ALIVE_HERE, LATER_HERE, UPDATED } from "../cache/record-layout.ts";
import type { ConntrackRecord } from "../conntrack/record.ts";
import type { InjectedPeer } from "./injected-peer.ts";
import { localView } from "./local-view.ts";

const BOTH = ALIVE_HERE | LATER_HERE;

export interface InjectedPeersOptions {
	/** This node's own conntracks. */
	conntracks: InternalCache;
	/** When this node was last put in charge, as for a commit; and whether it is. */
	termBegan: () => number;
	isPrimary: () => boolean;
}

/** A peer's live entry. */
export interface InjectedPlace {
	peer: InjectedPeer;
	slot: number;
}

export class InjectedPeers {
	/** Bounded by the number of peers that the protocol has. */
	readonly all: InjectedPeer[] = [];
	readonly #options: InjectedPeersOptions;

	constructor(options: InjectedPeersOptions) {
		this.#options = options;
	}

	/** The slot of this node's own live conntrack with this key, -1 if it has none. */
	own(record: ConntrackRecord): number {
		const { store } = this.#options.conntracks;
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

	/** What this node's own entry in slot `known` is to that which the peer told of at `told`: ALIVE_HERE and LATER_HERE. */
	viewOf({ peer }: InjectedPeer, known: number, told: number): number {
		const { termBegan, isPrimary } = this.#options;
		let view = localView(this.#seen(known), told, termBegan());
		// whoever is in charge does not give way to a node that is not, and may have told of left-overs
		if (isPrimary() && !peer.state.isPrimary) view |= ALIVE_HERE;
		// nor does it become what a bulk says, which may be of long ago
		return view !== 0 && peer.isReceivingBulk ? BOTH : view;
	}

	/**
	 * Whether the peer tells of what it had before it lost or gave up its charge: this node, in charge, knows what has
	 * become of that. A commit takes it all the same.
	 */
	isStale({ peer }: InjectedPeer): boolean {
		return this.#options.isPrimary() && !peer.state.isPrimary && peer.isReceivingBulk;
	}

	/** Whether an end that a peer has told of now is not that of this node's own entry. */
	isAlive(known: number, now: number): boolean {
		const { termBegan, isPrimary } = this.#options;
		if (localView(this.#seen(known), now, termBegan()) !== 0) return true;
		return isPrimary() && !this.all.some(({ peer }) => peer.state.isPrimary);
	}

	#seen(known: number): number {
		return this.#options.conntracks.store.header(known, UPDATED);
	}
}
