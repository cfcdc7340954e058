// Which of the peers' expectations are committed, and how. An expectation is a hole in the firewall that its helper has
// made for one connection: it must not come back when its time is over, when its connection has come, or when the
// helper has made another one in its place.
import { AWAITS_MASTER, CREATED, HEADER_WORDS, UPDATED } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import {
	EXP_CLASS,
	EXP_DST,
	EXP_FLAGS,
	EXP_FN,
	EXP_HAS,
	EXP_HELPER,
	EXP_MASK_DST,
	EXP_MASK_PORTS,
	EXP_MASK_SRC,
	EXP_MASTER_DST,
	EXP_MASTER_PORTS,
	EXP_MASTER_PROTOCOLS,
	EXP_MASTER_SRC,
	EXP_NAT_DIR,
	EXP_PORTS,
	EXP_PROTOCOLS,
	EXP_SRC,
	EXP_TIMEOUT,
	EXP_ZONE,
	EXPECTATION_WORDS,
	newExpectationRecord,
	X_CLASS,
	X_FN,
	X_HELPER,
	X_NAT,
	X_TIMEOUT,
} from "../conntrack/expectation-record.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import {
	H_MASTER,
	MASTER_DST,
	MASTER_PORTS,
	MASTER_PROTOCOLS,
	MASTER_SRC,
	MASTER_ZONE,
	newConntrackRecord,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
} from "../conntrack/record.ts";
import { findHelper } from "../policy/helpers.ts";
import { PER_ORIGIN } from "../policy/standing.ts";
import type { Clock } from "../system/clock.ts";
import type { CommitSource, CommitTarget } from "./commit.ts";
import { expectAnySourceKey } from "./gre-entry.ts";
import type { ExpectationStep } from "./messages.ts";

/** NF_CT_EXPECT_PERMANENT: stays when its connection has come. */
const PERMANENT = 1;
/** Rules X02 and X13 of the policy: its master is not known; there are too many. */
const MASTER_UNKNOWN = 2;
const TOO_MANY = 13;
/** Slots looked at in one go. */
const STRIDE = 16_384;

export interface Chosen {
	/** With what is left of its time. */
	record: Int32Array;
	step: ExpectationStep;
}

/** Which peer's it is, in the order of `externals`, and its slot there. */
export interface Placed extends Chosen {
	peer: number;
	slot: number;
}

export interface ExpectationChoice {
	/** The oldest first: where a helper's limit is reached, the kernel throws out what was made first. */
	chosen: Placed[];
	expired: number;
	/** In whose place there is a newer one of the same master. */
	outdated: number;
	/** Another peer's view of them counts. */
	superseded: number;
	consumed: number;
}

export interface ChoiceOptions {
	internal: readonly [CommitTarget, CommitTarget];
	/** The peers' caches of a kind, the one that knows best first. */
	externals: (kind: Kind) => readonly CommitSource[];
	names: NameTable;
	clock: Clock;
	/** A judge for one commit. Absent: all may in. */
	policy?: () => CommitJudge;
	/** Which of a peer's expectations are looked at; absent: all. */
	slots?: (store: RecordStore) => Iterable<number>;
	/** The peers have just told of them: what has been used does not come back. */
	isCurrent?: boolean;
	/** The policy keeps this one out. */
	keptOut: (record: Int32Array, rule: number) => void;
}

/**
 * 0, or the rule that keeps the expectation out of the kernel.
 *
 * @param isCounted whether it is judged by how many there are, too
 */
export type CommitJudge = (expectation: Int32Array, store: RecordStore, isCounted: boolean) => number;

interface Candidate extends Placed {
	/** The peer's version, and the seconds at which it was first and last told of. */
	version: number;
	created: number;
	updated: number;
	/** Of master and class. */
	group: string;
	isConsumed: boolean;
}

/** Reads the caches in slices; changes nothing. */
export async function chooseExpectations(options: ChoiceOptions): Promise<ExpectationChoice> {
	const { internal, externals, slots = slotsOf } = options;
	const out: ExpectationChoice = { chosen: [], expired: 0, outdated: 0, superseded: 0, consumed: 0 };
	const now = Math.floor(options.clock.now() / 1000);
	const candidates: Candidate[] = [];
	const judge = options.policy?.() ?? (() => 0);
	// where there is one at a time nobody has counted them yet, and each is compared with what its master has
	const ofMaster = new Map<string, number>();
	for (const [peer, { store }] of externals(EXPECTATION).entries()) {
		for (const slot of slots(store)) {
			if (slot % STRIDE === STRIDE - 1) await options.clock.pause();
			const verdict = store.verdict(slot);
			if (!store.isLive(slot)) continue;
			if (verdict === 0 && !store.isOwned(slot)) {
				out.superseded++;
				continue;
			}
			const candidate = candidateAt(store, slot, peer, now);
			if (!candidate) {
				out.expired++;
				continue;
			}
			const { record } = candidate;
			// where there is one at a time the newest counts, below: the first that came is not the right one
			const isCounted = classLimit(record, options.names) > 1;
			let rule = verdict === AWAITS_MASTER ? MASTER_UNKNOWN : verdict;
			const master = masterOf(record);
			const mates = ofMaster.get(master) ?? 0;
			if (mates >= PER_ORIGIN) rule = TOO_MANY;
			else if (rule === 0 || (rule === TOO_MANY && !isCounted)) rule = judge(record, store, isCounted);
			if (rule === 0) {
				ofMaster.set(master, mates + 1);
				expectAnySourceKey(record);
				candidates.push(candidate);
			} else options.keptOut(record, rule);
		}
	}
	if (candidates.length === 0) return out;
	if (!options.isCurrent) await markConsumed(candidates, options);
	const local = localGroups(internal[EXPECTATION].store, candidates);
	const taken = new Map<string, number>();
	// the newest first, and of two peers' those of the one that knows best
	candidates.sort((a, b) => a.peer - b.peer || b.version - a.version);
	for (const candidate of candidates) {
		if (candidate.isConsumed) {
			out.consumed++;
			continue;
		}
		const { group, created, record } = candidate;
		const mates = taken.get(group) ?? 0;
		const newer = local.get(group)?.filter((theirs) => theirs >= created).length ?? 0;
		const step = stepFor(internal[EXPECTATION].store, candidate);
		const limit = classLimit(record, options.names);
		// more than one at a time have been counted by the policy, which may allow more
		const isLimited = limit === 1 || !options.policy;
		if (step === undefined || (step !== "join" && isLimited && mates + newer >= limit)) {
			out.outdated++;
			continue;
		}
		taken.set(group, mates + 1);
		candidate.step = step;
		out.chosen.push(candidate);
	}
	out.chosen.reverse();
	return out;
}

function* slotsOf(store: RecordStore): Iterable<number> {
	for (let slot = 0; slot < store.end; slot++) yield slot;
}

function candidateAt(store: RecordStore, slot: number, peer: number, now: number): Candidate | undefined {
	const record = newExpectationRecord();
	store.read(slot, record);
	const updated = store.header(slot, UPDATED);
	if ((record[EXP_HAS]! & X_TIMEOUT) !== 0) {
		record[EXP_TIMEOUT]! -= Math.max(0, now - updated);
		if (record[EXP_TIMEOUT]! <= 0) return undefined;
	}
	return {
		record,
		step: "create",
		peer,
		slot,
		version: store.version(slot),
		created: store.header(slot, CREATED),
		updated,
		group: groupOf(record),
		isConsumed: false,
	};
}

/** What to do where this kernel may have an expectation with the same key; undefined: leave that one alone. */
function stepFor(local: RecordStore, { record, created }: Candidate): ExpectationStep | undefined {
	const slot = local.find(record);
	if (slot < 0 || !local.isLive(slot)) return "create";
	const known = newExpectationRecord();
	local.read(slot, known);
	// another master's: the kernel says no
	if (masterOf(known) !== masterOf(record)) return "create";
	if (opensTheSame(known, record)) return "join";
	return local.header(slot, CREATED) < created ? "replace" : undefined;
}

/** Whether two expectations with the same key and master let the same in. */
function opensTheSame(a: Int32Array, b: Int32Array): boolean {
	const attributes = X_CLASS | X_FN | X_NAT;
	if (((a[EXP_HAS]! ^ b[EXP_HAS]!) & attributes) !== 0) return false;
	if (a[EXP_CLASS] !== b[EXP_CLASS] || a[EXP_FN] !== b[EXP_FN]) return false;
	if ((a[EXP_HAS]! & X_NAT) === 0) return true;
	for (let i = EXP_NAT_DIR; i < EXPECTATION_WORDS; i++) if (a[i] !== b[i]) return false;
	return true;
}

/** When the local expectations were made that no candidate stands for, by group. */
function localGroups(store: RecordStore, candidates: readonly Candidate[]): Map<string, number[]> {
	const groups = new Map<string, number[]>();
	for (const { group } of candidates) groups.set(group, []);
	const known = new Set<number>();
	for (const { record } of candidates) known.add(store.find(record));
	const record = newExpectationRecord();
	for (let slot = 0; slot < store.end; slot++) {
		if (!store.isLive(slot) || known.has(slot)) continue;
		store.read(slot, record);
		groups.get(groupOf(record))?.push(store.header(slot, CREATED));
	}
	return groups;
}

/** How many expectations the kernel's helper has at a time; no limit for one that is not known. */
function classLimit(record: Int32Array, names: NameTable): number {
	const has = record[EXP_HAS]!;
	const helper = (has & X_HELPER) === 0 ? undefined : findHelper(names.name(record[EXP_HELPER]!));
	const number = (has & X_CLASS) === 0 ? 0 : record[EXP_CLASS]!;
	return helper?.classes[number] ?? Number.POSITIVE_INFINITY;
}

/**
 * The connection of an expectation has come. At the peer the expectation ends before its connection begins, but a peer
 * that died may have told of one only; and what was committed and used here may still be in the dead peer's cache.
 */
async function markConsumed(candidates: readonly Candidate[], options: ChoiceOptions): Promise<void> {
	const waiting = new Map<string, Candidate[]>();
	for (const candidate of candidates) {
		if ((candidate.record[EXP_FLAGS]! & PERMANENT) !== 0) continue;
		const key = masterOf(candidate.record);
		const mates = waiting.get(key);
		if (mates) mates.push(candidate);
		else waiting.set(key, [candidate]);
	}
	if (waiting.size === 0) return;
	const peers = options.externals(CONNTRACK);
	const record = newConntrackRecord();
	const walk = async (store: RecordStore, visit: (slot: number, of: Candidate) => boolean): Promise<void> => {
		for (let slot = 0; slot < store.end; slot++) {
			if (slot % STRIDE === STRIDE - 1) await options.clock.pause();
			// the first word of a packed conntrack says what it has: few have a master
			const has = store.slab.words(slot)[store.slab.offset(slot) + HEADER_WORDS]!;
			if ((has & H_MASTER) === 0 || !store.isLive(slot)) continue;
			store.read(slot, record);
			for (const candidate of waiting.get(masterOfRelated(record)) ?? []) {
				if (!candidate.isConsumed && isExpected(record, candidate.record)) {
					candidate.isConsumed = visit(slot, candidate);
				}
			}
		}
	};
	for (const [peer, { store }] of peers.entries()) {
		await walk(store, (slot, candidate) => {
			// an earlier connection may have had the same ports
			if (store.header(slot, CREATED) < candidate.created) return false;
			return candidate.peer !== peer || store.version(slot) > candidate.version;
		});
	}
	const { store: local } = options.internal[CONNTRACK];
	await walk(local, (slot, candidate) => {
		// what was committed here is as old as it is at the peer
		const theirs = peers[candidate.peer]?.store;
		const copy = theirs?.find(record) ?? -1;
		if (copy >= 0 && theirs!.isLive(copy)) return false;
		return local.header(slot, CREATED) >= candidate.updated;
	});
}

/** Whether the conntrack is what the expectation waits for (nf_conntrack_expect.c, nf_ct_find_expectation). */
function isExpected(conntrack: Int32Array, expectation: Int32Array): boolean {
	if (conntrack[PROTOCOLS] !== expectation[EXP_PROTOCOLS]) return false;
	if (((conntrack[ORIG_PORTS]! ^ expectation[EXP_PORTS]!) & expectation[EXP_MASK_PORTS]!) !== 0) return false;
	for (let i = 0; i < 4; i++) {
		const source = conntrack[ORIG_SRC + i]! ^ expectation[EXP_SRC + i]!;
		const destination = conntrack[ORIG_DST + i]! ^ expectation[EXP_DST + i]!;
		if ((source & expectation[EXP_MASK_SRC + i]!) !== 0) return false;
		if ((destination & expectation[EXP_MASK_DST + i]!) !== 0) return false;
	}
	return true;
}

const masterOf = (record: Int32Array): string => {
	const master = record.subarray(EXP_MASTER_SRC, EXP_MASTER_DST + 4);
	return `${record[EXP_ZONE]},${record[EXP_MASTER_PROTOCOLS]},${record[EXP_MASTER_PORTS]},${master.join()}`;
};

const groupOf = (record: Int32Array): string => `${masterOf(record)},${record[EXP_CLASS]}`;

const masterOfRelated = (record: Int32Array): string => {
	const master = record.subarray(MASTER_SRC, MASTER_DST + 4);
	return `${record[MASTER_ZONE]! & 0xffff},${record[MASTER_PROTOCOLS]},${record[MASTER_PORTS]},${master.join()}`;
};
