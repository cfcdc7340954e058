// Several peers may hold the same entry: the one that took over last owns it. A node's term says when that was. The
// view of a node with an earlier term is kept, for the comparison with its origin, but it does not count: it is not
// shown and not committed, also when the owner has ended the entry meanwhile.
import { SUPERSEDED } from "../cache/record-layout.ts";
import type { Kind } from "../conntrack/kind.ts";
import type { Peer } from "./peer.ts";

/** The peer has this entry now, in this slot of its cache: settles whose view counts. */
export function supersede(
	peers: readonly Peer[],
	peer: Peer,
	kind: Kind,
	slot: number,
	record: Int32Array,
): void {
	let isSuperseded = false;
	for (const other of peers) {
		if (other === peer || other.state.term === peer.state.term) continue;
		const { store } = other.external[kind];
		const theirs = store.find(record);
		if (theirs < 0 || !store.isLive(theirs)) continue;
		if (other.state.term > peer.state.term) isSuperseded = true;
		else store.setMark(theirs, SUPERSEDED, true);
	}
	peer.external[kind].store.setMark(slot, SUPERSEDED, isSuperseded);
}

/** The peers' terms have changed: each is the owner of whatever it holds, until another one says that it is. */
export function unsupersede(peers: readonly Peer[]): void {
	for (const { store } of peers.flatMap(({ external }) => external)) {
		for (let slot = 0; slot < store.end; slot++) {
			if (store.isLive(slot)) store.setMark(slot, SUPERSEDED, false);
		}
	}
}
