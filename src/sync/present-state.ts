// The present state of a slot, as it is told to others.
import { UPDATED } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import { EXP_TIMEOUT } from "../conntrack/expectation-record.ts";
import { EXPECTATION, type Kind } from "../conntrack/kind.ts";
import type { RecordEncoder } from "./wire/encode.ts";

/**
 * Reads the slot into the record. An expectation's time runs out whether or not anything happens: what is told is what is
 * left. @param now milliseconds
 */
export function readPresent(
	store: RecordStore,
	kind: Kind,
	slot: number,
	record: Int32Array,
	now: number,
): void {
	store.read(slot, record);
	if (kind !== EXPECTATION) return;
	const age = Math.floor(now / 1000) - store.header(slot, UPDATED);
	record[EXP_TIMEOUT] = Math.max(0, record[EXP_TIMEOUT]! - Math.max(0, age));
}

/** Writes what there is to say of the slot: that it has this state, that it is gone, or that it was withdrawn. */
export function encodePresent(
	encoder: RecordEncoder,
	store: RecordStore,
	kind: Kind,
	slot: number,
	record: Int32Array,
	now: number,
): void {
	const version = store.version(slot);
	readPresent(store, kind, slot, record, now);
	if (store.isLive(slot)) encoder.set(kind, record, version);
	else if (store.isWithdrawn(slot)) encoder.withdraw(kind, record, version);
	else encoder.delete(kind, record, version);
}
