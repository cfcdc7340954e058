// The main thread's own view of a peer's cache, for a committer that works in this thread: no copy is needed to be
// consistent, because nobody else writes.
import type { ExternalCache } from "../cache/external-cache.ts";
import { ALIVE_HERE, LATER_HERE } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import type { ConntrackRecord } from "../conntrack/record.ts";
import type { EntryReader } from "./gre-entry.ts";
import type { LocalView } from "./join.ts";

export class CacheReader implements EntryReader {
	localView: LocalView = "left over";
	readonly #store: RecordStore;

	constructor({ store }: Pick<ExternalCache, "store">) {
		this.#store = store;
	}

	read(slot: number, record: ConntrackRecord): boolean {
		const store = this.#store;
		if (!store.isLive(slot) || !store.isOwned(slot)) return false;
		const isLater = store.hasMark(slot, LATER_HERE);
		this.localView = isLater ? "later" : store.hasMark(slot, ALIVE_HERE) ? "alive" : "left over";
		store.read(slot, record);
		return true;
	}
}
