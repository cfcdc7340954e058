// Conntracks that have ended at the peer that had them injected here: they are deleted, unless this node has seen
// packets of them since.
import type { InternalCache } from "../cache/internal-cache.ts";
import { type ConntrackRecord, H_TIMEOUT, HAS, TIMEOUT } from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import { isOver } from "./clash.ts";
import type { ConntrackInjector } from "./conntrack-injector.ts";
import { EndedEntries, type EndedEntry } from "./ended-entries.ts";
import { directions, isGre } from "./gre-entry.ts";
import type { InjectCounters } from "./inject-counters.ts";
import { isLonger } from "./injected-peer.ts";
import type { InjectedPeers } from "./injected-peers.ts";
import type { Precedence } from "./precedence.ts";

export interface InjectedEndsOptions {
	clock: Clock;
	peers: InjectedPeers;
	precedence: Precedence;
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

	/**
	 * @param record whose TIMEOUT is what it has left if no packet has come, or that has none
	 * @param told the second in which the peer last told of it before its end
	 */
	push(record: ConntrackRecord, told: number): void {
		this.#ended.push(record, told);
	}

	/** Writes the oldest of them. @throws NetlinkError when the kernel could not be asked at all: then they wait again */
	write(most: number): void {
		const ended = this.#ended.take(most);
		try {
			this.#write(ended);
		} catch (error) {
			const copies = ended.map(({ record, told }) => ({ record: record.slice(), told }));
			for (const { record, told } of copies) this.#ended.push(record, told);
			throw error;
		}
	}

	#write(ended: readonly EndedEntry[]): void {
		const { clock, peers, precedence, injector, counters } = this.#options;
		const now = Math.floor(clock.now() / 1000);
		const over: ConntrackRecord[] = [];
		const doubtful: ConntrackRecord[] = [];
		for (const { record, told } of ended) {
			// told again meanwhile, or another peer has it
			if (peers.placeOf(record)) continue;
			const known = peers.own(record);
			if (known >= 0) {
				const verdict = precedence.atEnd(known, record, told, now);
				if (verdict === "alive") counters.kept++;
				else if (verdict === "over" || (record[HAS]! & H_TIMEOUT) === 0) this.#bury(record, now, over);
				else doubtful.push(record);
			} else if (isGre(record)) over.push(...directions(record));
			// each packet of a connection that is over would have been told of by an event
			else if ((record[HAS]! & H_TIMEOUT) === 0 || isOver(record)) over.push(record);
			else doubtful.push(record);
		}
		injector.get(doubtful).forEach((found, i) => {
			const record = doubtful[i]!;
			// its end is this kernel's own news
			if (!found) return;
			if (isLonger(found[TIMEOUT]! >>> 0, record[TIMEOUT]! >>> 0)) this.#prolonged(found, now);
			else this.#bury(record, now, over);
		});
		const { deleted, failed } = injector.delete(over);
		counters.destroyed += deleted;
		counters.destroyFailed += failed;
	}

	/** It is to be deleted; if it is this node's own, it has ended. */
	#bury(record: ConntrackRecord, now: number, over: ConntrackRecord[]): void {
		const { peers, conntracks, changed } = this.#options;
		over.push(record);
		const known = peers.own(record);
		if (known < 0) return;
		conntracks.bury(known, now);
		changed();
	}

	/** Packets that changed nothing have passed here: it is this node's. */
	#prolonged(found: ConntrackRecord, now: number): void {
		const { peers, conntracks, counters, adopted, changed } = this.#options;
		counters.kept++;
		const isNew = peers.own(found) < 0;
		conntracks.apply(found, false, now);
		if (isNew) adopted?.(found);
		changed();
	}
}
