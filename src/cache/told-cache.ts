// For tests: an internal cache of conntracks, and what its listener is told.
import * as R from "../conntrack/record.ts";
import { recordOf } from "../sync/simulation.ts";
import { type ChangeListener, type InternalCache, newInternalCaches } from "./internal-cache.ts";

/** What the listener was told, in order: "+slot" and "-slot". The dead are kept until the test forgets them. */
export class Told implements ChangeListener {
	readonly log: string[] = [];
	changed(slot: number): void {
		this.log.push(`+${slot}`);
	}
	destroyed(slot: number): void {
		this.log.push(`-${slot}`);
	}
}

export function setUp(limit = 1000): { cache: InternalCache; told: Told } {
	const cache = newInternalCaches(1, limit).conntracks;
	const told = new Told();
	cache.listener = told;
	return { cache, told };
}

export const slotOf = (cache: InternalCache, key: number): number => cache.store.find(recordOf(key, 0));

export function held(cache: InternalCache, key: number): number | undefined {
	const slot = slotOf(cache, key);
	if (slot < 0 || !cache.store.isLive(slot)) return undefined;
	const record = recordOf(0, 0);
	cache.store.read(slot, record);
	return record[R.MARK];
}
