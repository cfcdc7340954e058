// Tells the oracle each state of a node's own entries that gets a version.
import type { InternalCache } from "../../src/cache/internal-cache.ts";
import { KINDS } from "../../src/conntrack/kind.ts";
import { type Entries, entryKey, entryValue } from "./entries.ts";
import { type Epoch, GONE, WITHDRAWN } from "./history.ts";
import type { Oracle } from "./oracle.ts";

/** Listens in on what a daemon's internal caches tell the protocol. Call it when the protocol has its listeners. */
export function watchInternal(
	oracle: Oracle,
	epoch: Epoch,
	internal: readonly [InternalCache, InternalCache],
	entries: Entries,
): void {
	for (const kind of KINDS) {
		const cache = internal[kind];
		const record = new Int32Array(cache.store.layout.recordWords);
		const inner = cache.listener;
		const note = (slot: number, isAlive: boolean): void => {
			cache.store.read(slot, record);
			if (isAlive && !entries.isWhole(kind, record)) {
				oracle.fail("kernel", `node ${epoch.node} holds a record of its own that no kernel has told`);
			}
			const isWithdrawn = !isAlive && cache.store.isWithdrawn(slot);
			const value = isAlive ? entryValue(kind, record) : isWithdrawn ? WITHDRAWN : GONE;
			oracle.produce(epoch, kind, cache.store.version(slot), entryKey(kind, record), value);
		};
		cache.listener = {
			...inner,
			changed: (slot) => {
				note(slot, true);
				inner.changed(slot);
			},
			destroyed: (slot) => {
				note(slot, false);
				inner.destroyed(slot);
			},
		};
		const deny = cache.deny.bind(cache);
		cache.deny = (denied, ...rest) => {
			const slot = deny(denied, ...rest);
			// what a peer claims and this node has not is given a version, to be deleted under
			if (slot >= 0) note(slot, false);
			return slot;
		};
	}
}
