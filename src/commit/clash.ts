// Two entries that cannot both be in the kernel, because their reply tuples are the same: which of them the peers know,
// and what they say of it.
import { HIDDEN, LATER_HERE } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import { TCP_CLOSE, TCP_TIME_WAIT, tcpState } from "../conntrack/protoinfo.ts";
import {
	CONNTRACK_WORDS,
	type ConntrackRecord,
	H_TCP,
	HAS,
	newConntrackRecord,
	STATUS,
} from "../conntrack/record.ts";
import { IPS_ASSURED } from "../conntrack/status.ts";
import { givesWay } from "./join.ts";

/** Slots between two pauses. */
const STRIDE = 1024;

/** A slot of a peer's cache. */
export interface Place {
	store: RecordStore;
	slot: number;
}

interface Source {
	readonly store: RecordStore;
}

/** Where the entry that counts with this key is. */
export function placeOf(externals: readonly Source[], record: ConntrackRecord): Place | undefined {
	for (const { store } of externals) {
		const slot = store.find(record);
		if (slot >= 0 && store.isLive(slot) && store.isOwned(slot)) return { store, slot };
	}
	return undefined;
}

/** Hides in each peer's cache, the one that knows best first, what a peer before it holds, too. */
export async function hideStale(externals: readonly Source[], pause: () => Promise<void>): Promise<void> {
	if (externals.length < 2) return;
	for (const [i, { store }] of externals.entries()) {
		const record = new Int32Array(store.layout.recordWords);
		for (let slot = 0; slot < store.end; slot++) {
			if (slot % STRIDE === STRIDE - 1) await pause();
			if (!store.isLive(slot)) continue;
			store.read(slot, record);
			store.setMark(slot, HIDDEN, placeOf(externals.slice(0, i), record) !== undefined);
		}
	}
}

/** Whether `occupant`, which is no left-over, may go all the same for `record`, whose reply tuple it has. */
export function mayMakeRoom(
	externals: readonly Source[],
	occupant: ConntrackRecord,
	record: ConntrackRecord,
): boolean {
	return givesWay(occupant, record) || isOverAtPeer(externals, occupant, record);
}

/**
 * Whether `occupant`, whose reply tuple `record` needs, is a TCP connection that is over by the word of a peer, and this
 * kernel has seen nothing of it since: a port that was used again. The record has to be assured and not over itself. An
 * end that only this kernel knows of says nothing: its entry may be the younger one.
 */
function isOverAtPeer(
	externals: readonly Source[],
	occupant: ConntrackRecord,
	record: ConntrackRecord,
): boolean {
	if ((record[STATUS]! & IPS_ASSURED) === 0 || isOver(record)) return false;
	const place = placeOf(externals, occupant);
	if (!place || place.store.hasMark(place.slot, LATER_HERE)) return false;
	const told = newConntrackRecord();
	place.store.read(place.slot, told);
	return isOver(told);
}

/** Nothing follows on this TCP connection but what is late. */
export function isOver(record: ConntrackRecord): boolean {
	if ((record[HAS]! & H_TCP) === 0) return false;
	const state = tcpState(record);
	return state === TCP_CLOSE || state === TCP_TIME_WAIT;
}

/** Records one after another, as the worker takes them. */
export function concatenate(records: readonly ConntrackRecord[]): Int32Array {
	const out = new Int32Array(records.length * CONNTRACK_WORDS);
	records.forEach((record, i) => {
		out.set(record, i * CONNTRACK_WORDS);
	});
	return out;
}
