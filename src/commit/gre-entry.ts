// GRE entries as this kernel can keep them alive.
//
// nf_conntrack_gre_packet takes the timeouts of an entry from the entry itself, and sets them only for one that a packet
// makes: one made over netlink has none, and is gone with its first packet. So it gets a fixed timeout.
//
// The packets of PPTP carry the receiver's call id alone. Whose call they belong to, the source key of their tuple, the
// kernel knows from a list of its pptp helper (nf_ct_gre_keymap) that netlink cannot write: after a failover it looks
// them up with source key 0. So a call is committed as two entries, one for each direction, as these packets find them.
import { EXP_MASK_PORTS, EXP_PORTS, EXP_PROTOCOLS } from "../conntrack/expectation-record.ts";
import { IPPROTO_GRE } from "../conntrack/protocol.ts";
import {
	type ConntrackRecord,
	H_REPLY,
	H_STATUS,
	H_TIMEOUT,
	HAS,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
	STATUS,
	TIMEOUT,
	ZONES,
} from "../conntrack/record.ts";
import { IPS_ASSURED, IPS_FIXED_TIMEOUT, IPS_SEEN_REPLY } from "../conntrack/status.ts";
import { destinationPort, invertTuple, sourcePort } from "../conntrack/tuple.ts";
import type { LocalView } from "./join.ts";

/** Seconds; no packet prolongs them. What the pptp helper wants for a tunnel (PPTP_GRE_STREAM_TIMEOUT). */
export const GRE_SECONDS = 5 * 3600;

/** Where the committer reads an entry from. */
export interface EntryReader {
	/** What this node knows of its own entry with the same key. */
	readonly localView: LocalView;
	/** Copies the entry in the slot; false if it holds none that is to be committed. */
	read(slot: number, record: ConntrackRecord): boolean;
}

export const isGre = (record: ConntrackRecord): boolean =>
	((record[PROTOCOLS]! >>> 8) & 0xff) === IPPROTO_GRE;

/** Whether both call ids are known: an entry that the pptp helper has let in. */
export const hasBothKeys = (record: ConntrackRecord): boolean =>
	sourcePort(record[ORIG_PORTS]!) !== 0 && destinationPort(record[ORIG_PORTS]!) !== 0;

export type GreForm = "whole" | "original" | "reply";

/** A store's GRE entries in one of their forms. */
export class GreReader implements EntryReader {
	readonly #source: EntryReader;
	readonly #form: GreForm;

	constructor(source: EntryReader, form: GreForm) {
		this.#source = source;
		this.#form = form;
	}

	get localView(): LocalView {
		return this.#source.localView;
	}

	read(slot: number, record: ConntrackRecord): boolean {
		// the slot may be another entry's by now: that one is committed when its turn comes
		if (!this.#source.read(slot, record) || !isGre(record)) return false;
		if (hasBothKeys(record) !== (this.#form !== "whole")) return false;
		if (this.#form !== "whole") oneWay(record, this.#form);
		const status = record[HAS]! & H_STATUS ? record[STATUS]! : 0;
		record[STATUS] = status | IPS_FIXED_TIMEOUT;
		record[TIMEOUT] = GRE_SECONDS;
		record[HAS] = record[HAS]! | H_STATUS | H_TIMEOUT;
		return true;
	}
}

/** The entries that stand for this one in the kernel; the records are copies. */
export function directions(record: ConntrackRecord): ConntrackRecord[] {
	if (!hasBothKeys(record)) return [record.slice()];
	return (["original", "reply"] as const).map((form) => {
		const copy = record.slice();
		oneWay(copy, form);
		return copy;
	});
}

/** Makes of a call's entry the one of a single direction: the key that is not in its packets is 0. */
function oneWay(record: ConntrackRecord, direction: "original" | "reply"): void {
	if ((record[HAS]! & H_REPLY) === 0) invertTuple(record);
	if (direction === "reply") {
		swap(record, ORIG_SRC, REPLY_SRC, 4);
		swap(record, ORIG_DST, REPLY_DST, 4);
		swap(record, ORIG_PORTS, REPLY_PORTS, 1);
		record[ZONES] = (record[ZONES]! >>> 16) | (record[ZONES]! << 16);
	}
	record[ORIG_PORTS] = record[ORIG_PORTS]! & 0xffff0000;
	record[REPLY_PORTS] = record[REPLY_PORTS]! & 0xffff;
	// nothing ever answers on an entry of one direction, and none of them is to be dropped for room
	record[STATUS] = record[STATUS]! | IPS_SEEN_REPLY | IPS_ASSURED;
	record[HAS] = record[HAS]! | H_REPLY | H_STATUS;
}

/**
 * For a call whose tunnel has not begun: the expectation must not ask for a source key that this kernel does not know. The
 * destination key, the call id in the packet, still has to be right.
 */
export function expectAnySourceKey(expectation: Int32Array): void {
	if (((expectation[EXP_PROTOCOLS]! >>> 8) & 0xff) !== IPPROTO_GRE) return;
	expectation[EXP_PORTS] = expectation[EXP_PORTS]! & 0xffff0000;
	expectation[EXP_MASK_PORTS] = expectation[EXP_MASK_PORTS]! & 0xffff0000;
}

function swap(record: ConntrackRecord, a: number, b: number, words: number): void {
	for (let i = 0; i < words; i++) {
		const kept = record[a + i]!;
		record[a + i] = record[b + i]!;
		record[b + i] = kept;
	}
}
