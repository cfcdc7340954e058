// The kernel's two tables as this daemon understands them, for a rehearsal where there can be no copy of them
// (scratch.ts). What a kernel knows and does not tell is not here: the limits of a helper's expectations, and what it
// drops to make room.
import {
	EXP_DST,
	EXP_KEY_FIRST,
	EXP_KEY_WORDS,
	EXP_MASK_DST,
	EXP_MASK_PORTS,
	EXP_MASK_SRC,
	EXP_MASTER_DST,
	EXP_MASTER_PORTS,
	EXP_MASTER_PROTOCOLS,
	EXP_MASTER_SRC,
	EXP_PORTS,
	EXP_PROTOCOLS,
	EXP_SRC,
	EXP_TIMEOUT,
	EXP_ZONE,
	type ExpectationRecord,
} from "../conntrack/expectation-record.ts";
import { isIcmp } from "../conntrack/protocol.ts";
import {
	type ConntrackRecord,
	H_HELPER,
	H_MASTER,
	H_REPLY,
	H_SEQ_ORIG,
	H_SEQ_REPLY,
	H_STATUS,
	HAS,
	HELPER,
	MASTER_DST,
	MASTER_PORTS,
	MASTER_PROTOCOLS,
	MASTER_SRC,
	mergeConntrack,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	REPLY_DST,
	REPLY_PORTS,
	REPLY_SRC,
	STATUS,
	ZONES,
} from "../conntrack/record.ts";
import * as S from "../conntrack/status.ts";
import { destinationPort, icmpId, invertPorts, sourcePort } from "../conntrack/tuple.ts";

const ENOENT = 2;
const ENOMEM = 12;
const EEXIST = 17;
const EOPNOTSUPP = 95;

export interface ModelRules {
	/** Whether the kernel has the record's helper, for its protocol. */
	knowsHelper: (record: ConntrackRecord) => boolean;
	/** Entries that fit into the table (nf_conntrack_max); 0: there is no limit. */
	max: number;
}

/** All answers are 0 or an errno. Bounded by who fills it: see OFFLINE_MAX in scratch.ts. */
export class ModelTables {
	readonly #rules: ModelRules;
	/** Each entry under its two tuples. */
	readonly #conntracks = new Map<string, ConntrackRecord>();
	readonly #expectations = new Map<string, ExpectationRecord>();
	#count = 0;

	constructor(rules: ModelRules) {
		this.#rules = rules;
	}

	/** Conntracks. */
	get count(): number {
		return this.#count;
	}

	/** An entry that the kernel has. The record is kept. */
	load(record: ConntrackRecord): void {
		this.#conntracks.set(originalKey(record), record);
		this.#conntracks.set(replyKey(record), record);
		this.#count++;
	}

	/** The record is kept. */
	loadExpectation(record: ExpectationRecord): void {
		this.#expectations.set(expectationKey(record), record);
	}

	/** The entry to which packets with the tuple of this key belong, in whichever direction. */
	find(key: string): ConntrackRecord | undefined {
		return this.#conntracks.get(key);
	}

	/** ctnetlink_new_conntrack and _create_conntrack (nf_conntrack_netlink.c); the record is kept. */
	create(record: ConntrackRecord): number {
		const original = originalKey(record);
		if (this.#conntracks.has(original)) return EEXIST;
		const { max, knowsHelper } = this.#rules;
		if (max !== 0 && this.#count >= max) return ENOMEM;
		const has = record[HAS]!;
		const hasHelper = (has & H_HELPER) !== 0 && record[HELPER] !== 0;
		if (hasHelper && !knowsHelper(record)) return EOPNOTSUPP;
		if ((has & H_MASTER) !== 0 && !this.#conntracks.has(masterKey(record))) return ENOENT;
		if (this.#conntracks.has(replyKey(record))) return EEXIST;
		record[STATUS] = statusAfter(record, hasHelper);
		record[HAS] = has | H_STATUS | H_REPLY;
		this.load(record);
		return 0;
	}

	update(record: ConntrackRecord): number {
		const known = this.#conntracks.get(originalKey(record));
		if (!known) return ENOENT;
		const status = known[STATUS]! | record[STATUS]!;
		mergeConntrack(known, record, 0);
		known[STATUS] = status;
		return 0;
	}

	/** The expectations of a master go with it. */
	delete(record: ConntrackRecord): number {
		const known = this.#conntracks.get(originalKey(record));
		if (!known) return ENOENT;
		const original = originalKey(known);
		this.#conntracks.delete(original);
		this.#conntracks.delete(replyKey(known));
		this.#count--;
		if ((known[HAS]! & H_HELPER) === 0) return 0;
		for (const [key, one] of this.#expectations) {
			if (expectationMaster(one) === original) this.#expectations.delete(key);
		}
		return 0;
	}

	/** ctnetlink_new_expect and _create_expect; the record is kept. */
	createExpectation(record: ExpectationRecord): number {
		const key = expectationKey(record);
		if (this.#expectations.has(key)) return EEXIST;
		const master = this.#conntracks.get(expectationMaster(record));
		if (!master) return ENOENT;
		if ((master[HAS]! & H_HELPER) === 0 || master[HELPER] === 0) return EOPNOTSUPP;
		this.#expectations.set(key, record);
		return 0;
	}

	/** All that a request for an existing one changes is the time. */
	updateExpectation(record: ExpectationRecord): number {
		const known = this.findExpectation(record);
		if (known) known[EXP_TIMEOUT] = record[EXP_TIMEOUT]!;
		return known ? 0 : ENOENT;
	}

	deleteExpectation(record: ExpectationRecord): number {
		const known = this.findExpectation(record);
		return known && this.#expectations.delete(expectationKey(known)) ? 0 : ENOENT;
	}

	/** The expectation that waits for the record's tuple (__nf_ct_expect_find), whatever its mask and master. */
	findExpectation(record: ExpectationRecord): ExpectationRecord | undefined {
		for (const known of this.#expectations.values()) if (waitsFor(known, record)) return known;
		return undefined;
	}

	get expectations(): Iterable<ExpectationRecord> {
		return this.#expectations.values();
	}
}

/** A tuple as a string of 20 halves of words. */
export function tupleKey(
	words: Int32Array,
	protocols: number,
	ports: number,
	src: number,
	dst: number,
	zone: number,
): string {
	let key = String.fromCharCode(protocols & 0xffff, zone & 0xffff, ports & 0xffff, ports >>> 16);
	for (let i = 0; i < 4; i++) key += String.fromCharCode(words[src + i]! & 0xffff, words[src + i]! >>> 16);
	for (let i = 0; i < 4; i++) key += String.fromCharCode(words[dst + i]! & 0xffff, words[dst + i]! >>> 16);
	return key;
}

export const originalKey = (r: ConntrackRecord): string =>
	tupleKey(r, r[PROTOCOLS]!, r[ORIG_PORTS]!, ORIG_SRC, ORIG_DST, r[ZONES]! & 0xffff);
const replyKey = (r: ConntrackRecord): string =>
	tupleKey(r, r[PROTOCOLS]!, r[REPLY_PORTS]!, REPLY_SRC, REPLY_DST, r[ZONES]! >>> 16);
/** The kernel looks for a master in the entry's own zone. */
const masterKey = (r: ConntrackRecord): string =>
	tupleKey(r, r[MASTER_PROTOCOLS]!, r[MASTER_PORTS]!, MASTER_SRC, MASTER_DST, r[ZONES]! & 0xffff);
const expectationMaster = (r: ExpectationRecord): string =>
	tupleKey(r, r[EXP_MASTER_PROTOCOLS]!, r[EXP_MASTER_PORTS]!, EXP_MASTER_SRC, EXP_MASTER_DST, r[EXP_ZONE]!);

function waitsFor(known: ExpectationRecord, record: ExpectationRecord): boolean {
	if (known[EXP_PROTOCOLS] !== record[EXP_PROTOCOLS] || known[EXP_ZONE] !== record[EXP_ZONE]) return false;
	if (((known[EXP_PORTS]! ^ record[EXP_PORTS]!) & known[EXP_MASK_PORTS]!) !== 0) return false;
	for (let i = 0; i < 4; i++) {
		if (((known[EXP_SRC + i]! ^ record[EXP_SRC + i]!) & known[EXP_MASK_SRC + i]!) !== 0) return false;
		if (((known[EXP_DST + i]! ^ record[EXP_DST + i]!) & known[EXP_MASK_DST + i]!) !== 0) return false;
	}
	return true;
}

function expectationKey(record: ExpectationRecord): string {
	return record.subarray(EXP_KEY_FIRST, EXP_KEY_FIRST + EXP_KEY_WORDS).join();
}

/** What the kernel adds by itself. */
function statusAfter(record: ConntrackRecord, hasHelper: boolean): number {
	const has = record[HAS]!;
	let status = (record[STATUS]! & S.IPS_COMMITTABLE) | S.IPS_CONFIRMED;
	const { isSource, isDestination } = translation(record);
	if (isSource) status |= S.IPS_SRC_NAT;
	if (isDestination) status |= S.IPS_DST_NAT;
	if (isSource || isDestination) status |= S.IPS_SRC_NAT_DONE | S.IPS_DST_NAT_DONE;
	if ((has & (H_SEQ_ORIG | H_SEQ_REPLY)) !== 0) status |= S.IPS_SEQ_ADJUST;
	if (hasHelper) status |= S.IPS_HELPER;
	if ((has & H_MASTER) !== 0) status |= S.IPS_EXPECTED;
	return status;
}

function translation(record: ConntrackRecord): { isSource: boolean; isDestination: boolean } {
	const moved = (a: number, b: number): boolean => {
		for (let i = 0; i < 4; i++) if (record[a + i] !== record[b + i]) return true;
		return false;
	};
	const protocol = (record[PROTOCOLS]! >>> 8) & 0xff;
	const plain = invertPorts(protocol, record[ORIG_PORTS]!);
	const reply = record[REPLY_PORTS]!;
	// an ICMP id stands in for the source port, and stands in both directions
	const isOfIcmp = isIcmp(protocol);
	const sourceMoved = isOfIcmp
		? icmpId(plain) !== icmpId(reply)
		: destinationPort(plain) !== destinationPort(reply);
	return {
		isSource: sourceMoved || moved(REPLY_DST, ORIG_SRC),
		isDestination: (!isOfIcmp && sourcePort(plain) !== sourcePort(reply)) || moved(REPLY_SRC, ORIG_DST),
	};
}
