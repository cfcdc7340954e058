// Whether the kernel has made of a creation what was meant. It computes translations itself, and where it cannot have
// what was asked for it may take something else without an error.

import { hasPorts } from "../conntrack/protocol.ts";
import {
	CONNTRACK_WORDS,
	type ConntrackRecord,
	H_HELPER,
	H_REPLY,
	H_SEQ_ORIG,
	H_SEQ_REPLY,
	HAS,
	newConntrackRecord,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
	STATUS,
} from "../conntrack/record.ts";
import {
	IPS_DST_NAT,
	IPS_DST_NAT_DONE,
	IPS_SEQ_ADJUST,
	IPS_SRC_NAT,
	IPS_SRC_NAT_DONE,
} from "../conntrack/status.ts";
import { destinationPort, isPlainReply, sourcePort } from "../conntrack/tuple.ts";
import { BATCH, type ConntrackRequests } from "./conntrack-requests.ts";

/**
 * Entries without NAT, helper and sequence adjustment are what was asked for, or an error. So are those with a translated
 * source: its port is given, and where it is taken the kernel says EEXIST (get_unique_tuple in nf_nat_core.c; kernel.test.ts).
 * Where only the destination is translated the kernel may choose another source port.
 */
export function needsReadBack(record: ConntrackRecord): boolean {
	const has = record[HAS]!;
	if ((has & (H_HELPER | H_SEQ_ORIG | H_SEQ_REPLY)) !== 0) return true;
	return (has & H_REPLY) !== 0 && !isPlainReply(record) && !hasExactSource(record);
}

/** Whether address or port of the source are translated, in a protocol with ports. */
function hasExactSource(record: ConntrackRecord): boolean {
	if (!hasPorts((record[PROTOCOLS]! >>> 8) & 0xff)) return false;
	if (sourcePort(record[ORIG_PORTS]!) !== destinationPort(record[REPLY_PORTS]!)) return true;
	for (let i = 0; i < 4; i++) if (record[ORIG_SRC + i] !== record[REPLY_DST + i]) return true;
	return false;
}

/** Whether both have the same original tuple, in the same zones. */
export function isSameOriginal(a: ConntrackRecord, b: ConntrackRecord): boolean {
	for (let i = PROTOCOLS; i < REPLY_PORTS; i++) if (a[i] !== b[i]) return false;
	return true;
}

/** Whether the kernel's entry translates as the record says. */
export function isAsMeant(record: ConntrackRecord, made: ConntrackRecord): boolean {
	const has = record[HAS]!;
	if ((has & H_REPLY) !== 0) {
		if (record[REPLY_PORTS] !== made[REPLY_PORTS]) return false;
		for (let i = 0; i < 4; i++) {
			if (record[REPLY_SRC + i] !== made[REPLY_SRC + i]) return false;
			if (record[REPLY_DST + i] !== made[REPLY_DST + i]) return false;
		}
		const status = made[STATUS]!;
		const isTranslated =
			(status & (IPS_SRC_NAT | IPS_SRC_NAT_DONE)) === (IPS_SRC_NAT | IPS_SRC_NAT_DONE) ||
			(status & (IPS_DST_NAT | IPS_DST_NAT_DONE)) === (IPS_DST_NAT | IPS_DST_NAT_DONE);
		// a translated reply tuple without these bits looks right and translates nothing
		if (!isPlainReply(record) && !isTranslated) return false;
	}
	const isAdjusted = (has & (H_SEQ_ORIG | H_SEQ_REPLY)) !== 0;
	return !isAdjusted || (made[STATUS]! & IPS_SEQ_ADJUST) !== 0;
}

/**
 * What the kernel has made of the entries of one batch, as far as they are read back. Their creations ask for the event
 * that they cause (NLM_F_ECHO), which says the same as the answer to a GET and costs less by half: the kernel makes it
 * anyway, for the daemon's listener.
 */
export class ReadBack {
	readonly #requests: ConntrackRequests;
	readonly #sent = new Int32Array(BATCH * CONNTRACK_WORDS);
	readonly #made: ConntrackRecord[] = Array.from({ length: BATCH }, newConntrackRecord);
	readonly #state = new Uint8Array(BATCH);
	/** The event read last, and the first entry whose it may be. */
	#echo = newConntrackRecord();
	#next = 0;

	constructor(requests: ConntrackRequests) {
		this.#requests = requests;
	}

	/** This entry of the batch is sent like this; whether its creation has to ask for the event. */
	add(index: number, record: ConntrackRecord): boolean {
		if (index === 0) this.#next = 0;
		const isAwaited = needsReadBack(record);
		this.#state[index] = isAwaited ? AWAITED : NOT_READ;
		if (isAwaited) this.#sent.set(record, index * CONNTRACK_WORDS);
		return isAwaited;
	}

	/** An event that a creation of the batch has caused. They come in the order of the creations, without a number. */
	echoed(start: number, end: number): void {
		const echo = this.#echo;
		if (!this.#requests.decode(start, end, echo)) return;
		for (let index = this.#next; index < BATCH; index++) {
			if (this.#state[index] !== AWAITED || !isSameOriginal(this.sent(index), echo)) continue;
			this.#echo = this.#made[index]!;
			this.#made[index] = echo;
			this.#state[index] = READ;
			this.#next = index + 1;
			return;
		}
	}

	/**
	 * Asks for those that were created and have sent no event: nobody listens (nf_conntrack_events 2), or events are off.
	 *
	 * @param errnos of the first `count` entries of the batch
	 */
	askForRest(errnos: Int32Array, count: number): void {
		const rest: number[] = [];
		for (let index = 0; index < count; index++) {
			if (this.#state[index] === AWAITED && errnos[index] === 0) rest.push(index);
		}
		const found = this.#requests.get(rest.map((index) => this.sent(index)));
		rest.forEach((index, i) => {
			if (!found[i]) return;
			this.#made[index] = found[i];
			this.#state[index] = READ;
		});
	}

	/** The entry as it was sent, if it is read back. */
	sent(index: number): ConntrackRecord {
		return this.#sent.subarray(index * CONNTRACK_WORDS, (index + 1) * CONNTRACK_WORDS);
	}

	/** What the kernel has made of it, if that is known. */
	made(index: number): ConntrackRecord | undefined {
		return this.#state[index] === READ ? this.#made[index] : undefined;
	}
}

const NOT_READ = 0;
const AWAITED = 1;
const READ = 2;
