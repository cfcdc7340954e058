// Conntracks that have ended at the peer that had them injected here: they are deleted, unless this node has seen
// packets of them since.
import type { InternalCache } from "../cache/internal-cache.ts";
import { type ConntrackRecord, H_TIMEOUT, HAS, TIMEOUT } from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import { isOver } from "./clash.ts";
import type { ConntrackInjector } from "./conntrack-injector.ts";
import { EndedEntries } from "./ended-entries.ts";
import { directions, isGre } from "./gre-entry.ts";
import type { InjectCounters } from "./inject-counters.ts";
import { isLonger } from "./injected-peer.ts";
import type { InjectedPeers } from "./injected-peers.ts";

export interface InjectedEndsOptions {
	clock: Clock;
	peers: InjectedPeers;
	injector: ConntrackInjector;
	/** This node's own conntracks. */
	conntracks: InternalCache;
	counters: InjectCounters;
	/** A conntrack is ours from now on. */
	adopted?: (record: ConntrackRecord) => void;
	/** The internal cache has changed. */
	changed: () => void;
}

export class InjectedEnds {
	readonly #options: InjectedEndsOptions;
	readonly #ended = new EndedEntries();

	constructor(options: InjectedEndsOptions) {
		this.#options = options;
	}

	/** Ends that have not been written yet. */
	get length(): number {
		return this.#ended.length;
	}

	/** @param record whose TIMEOUT is what it has left if no packet has come, or that has none */
	push(record: ConntrackRecord): void {
		this.#ended.push(record);
	}

	/** Writes the oldest of them. @throws NetlinkError when the kernel could not be asked at all */
	write(most: number): void {
		const { clock, peers, injector, conntracks, counters } = this.#options;
		const now = Math.floor(clock.now() / 1000);
		const over: ConntrackRecord[] = [];
		const doubtful: ConntrackRecord[] = [];
		for (const record of this.#ended.take(most)) {
			// told again meanwhile, or another peer has it
			if (peers.placeOf(record)) continue;
			const known = peers.own(record);
			if (known >= 0) {
				if (peers.isAlive(known, now)) {
					counters.kept++;
					continue;
				}
				conntracks.bury(known, now);
				this.#options.changed();
				over.push(record);
			} else if (isGre(record)) over.push(...directions(record));
			// each packet of a connection that is over would have been told of by an event
			else if ((record[HAS]! & H_TIMEOUT) === 0 || isOver(record)) over.push(record);
			else doubtful.push(record);
		}
		injector.get(doubtful).forEach((found, i) => {
			const record = doubtful[i]!;
			if (!found) return;
			if (isLonger(found[TIMEOUT]! >>> 0, record[TIMEOUT]! >>> 0)) this.#prolonged(found, now);
			else over.push(record);
		});
		const { deleted, failed } = injector.delete(over);
		counters.destroyed += deleted;
		counters.destroyFailed += failed;
	}

	/** Packets that changed nothing have passed here: it is this node's. */
	#prolonged(found: ConntrackRecord, now: number): void {
		const { conntracks, counters, adopted, changed } = this.#options;
		counters.kept++;
		conntracks.apply(found, false, now);
		adopted?.(found);
		changed();
	}
}
