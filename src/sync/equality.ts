// Whether the nodes hold the same, measured all the time; and what is done where they do not.
//
//   origin      DIGEST   the buckets of its versions, sixteen at a time, the whole in seconds
//   peer        compares; a bucket that stays different while nothing moves in it is suspect:
//               QUERY    send me all that you have in these buckets
//               CLAIM    this is what I hold of yours in them (key, version, hash of the state)
//   origin      sends again what is asked for, and what a claim shows to be old, other or gone
//               VERDICT  this claim was wrong, and why
//   peer        REPORT   how equal I have found us
//
// Besides, every node claims all that it holds, little by little: so each entry is compared with its origin, state and
// all, once in AUDIT_PERIOD. None of these records is repeated when it is lost: the next sweep finds what is left.
import type { ExternalCache } from "../cache/external-cache.ts";
import type { InternalCache } from "../cache/internal-cache.ts";
import { bucketOf, type VersionDigest } from "../cache/version-digest.ts";
import type { Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import { BucketResend } from "./bucket-resend.ts";
import type { OtherRecord, StateRecord } from "./datagram.ts";
import { REPORT_SIZE, takeReport, writeReport } from "./equality-report.ts";
import type { Outgoing } from "./outgoing.ts";
import type { Peer } from "./peer.ts";
import { hasBucket, SLICE_BUCKETS, SLICES } from "./peer-equality.ts";
import { sendRefusals } from "./refusal-report.ts";
import { SlotWalk } from "./slot-walk.ts";
import { StateHash } from "./state-hash.ts";
import { RecordEncoder } from "./wire/encode.ts";
import { putU32 } from "./wire/frame.ts";
import { RECORD_MAX, RecordType } from "./wire/record-type.ts";

/** What is wrong with a claim. */
export const VERDICT = { older: 1, otherState: 2, gone: 3, neverWas: 4 } as const;

/** Slices in a datagram, and milliseconds for each: a sweep takes four seconds, after a heal a third of one. */
const SLICES_PER_DATAGRAM = 8;
const SLICE_EVERY = 62.5;
const SLICE_EVERY_FAST = 5;
/** ... however few of them fit into a datagram. */
const SWEEP_EVERY_MIN = 20;
const FAST_FOR = 3000;
const SLICE_SIZE = 5 + SLICE_BUCKETS * 8;
const REPORT_EVERY = 1000;
/** Between two computations of my own digest from scratch. */
const REBUILD_EVERY = 10_000;
/** Milliseconds in which every entry is claimed once. */
const AUDIT_PERIOD = 3_600_000;
const AUDIT_EVERY = 1000;
/** Datagrams of claims at a time. */
const CLAIMS_AT_A_TIME = 4;
/** What changed less than this ago may still be on its way. */
const SETTLED_AFTER = 1500;

/** A walk over what is held of a peer, to claim it. */
interface ClaimWalk {
	walk: SlotWalk;
	/** Only these; all if there are none. */
	buckets: Uint8Array | undefined;
}

/** A claim that the origin has contradicted. */
export interface Difference {
	kind: Kind;
	record: Int32Array;
	/** One of VERDICT. */
	what: number;
}

export interface EqualityOptions {
	node: number;
	internal: readonly [InternalCache, InternalCache];
	/** Of the versions of all that is mine. */
	digest: VersionDigest;
	highestVersion: () => number;
	names: NameTable;
	datagramMax: number;
	outgoing: Outgoing;
	/** Nothing that is mine is kept here, so nothing of it can be compared (DisableInternalCache). */
	isBlind?: boolean;
	/** Whether what differs of this peer's is put right unasked. */
	repairs: (peer: Peer) => boolean;
	/** A peer has asked for a repair: perhaps it is my cache that is not what the kernel has. */
	suspected: () => void;
	/** What is held of a peer differs from what it has: a repair begins, if there are any. */
	repairing: (peer: Peer) => void;
	/** A peer's entry that I hold turns out to be wrong. */
	differs: (peer: Peer, difference: Difference) => void;
}

export class Equality {
	readonly #options: EqualityOptions;
	readonly #encoder: RecordEncoder;
	readonly #hash: StateHash;
	readonly #records: readonly [Int32Array, Int32Array];
	readonly #resend: BucketResend;
	readonly #repairs = new Map<Peer, ClaimWalk>();
	readonly #audits = new Map<Peer, ClaimWalk>();
	#slice = 0;
	/** When the last slices went out, and how many. */
	#sweptAt = 0;
	#swept = 0;
	#reportedAt = 0;
	#auditedAt = 0;
	#rebuiltAt = Number.NEGATIVE_INFINITY;
	#fastUntil = Number.NEGATIVE_INFINITY;
	/** The highest version of a while ago: whatever is not above it has had time to arrive. */
	#settledVersion = 0;
	#nextSettled = 0;
	#settledAt = 0;

	constructor(options: EqualityOptions) {
		this.#options = options;
		const { internal, outgoing, names } = options;
		this.#encoder = new RecordEncoder(outgoing.writer, names);
		this.#hash = new StateHash(names);
		this.#records = [
			new Int32Array(internal[0].store.layout.recordWords),
			new Int32Array(internal[1].store.layout.recordWords),
		];
		this.#resend = new BucketResend([internal[0].store, internal[1].store], outgoing.dirty);
	}

	get isBusy(): boolean {
		return this.#repairs.size > 0 || this.#resend.isBusy;
	}

	/** When the next slices are due, if anybody hears them. */
	get sweepAt(): number {
		const isFast = this.#sweptAt < this.#fastUntil;
		return this.#sweptAt + Math.max(SWEEP_EVERY_MIN, this.#swept * (isFast ? SLICE_EVERY_FAST : SLICE_EVERY));
	}

	/** Sweeps fast for a while: the nodes have met, or somebody wants to know. */
	hurry(now: number): void {
		this.#fastUntil = now + FAST_FOR;
	}

	/** An operator wants to know: claims all that is held of the peer, and sweeps. */
	verify(peer: Peer, now: number): void {
		this.hurry(now);
		this.#repairs.set(peer, { walk: this.#walkOf(peer), buckets: undefined });
	}

	/** Whether claims about this peer's entries are still to be sent. */
	isClaiming(peer: Peer): boolean {
		return this.#repairs.has(peer);
	}

	forget(peer: Peer): void {
		this.#repairs.delete(peer);
		this.#audits.delete(peer);
	}

	tick(peers: readonly Peer[], now: number): void {
		if (now - this.#settledAt >= SETTLED_AFTER) {
			this.#settledAt = now;
			this.#settledVersion = this.#nextSettled;
			this.#nextSettled = this.#options.highestVersion();
		}
		const hearing = peers.filter((peer) => peer.hears);
		this.#resend.step();
		if (hearing.length === 0) return;
		if (now >= this.sweepAt) this.#sweep(hearing, now);
		for (const [peer, walk] of this.#repairs) {
			if (!peer.hears) this.#repairs.delete(peer);
			else if (this.#claim(peer, walk, CLAIMS_AT_A_TIME, Number.POSITIVE_INFINITY, now))
				this.#repairs.delete(peer);
		}
		if (now - this.#auditedAt >= AUDIT_EVERY) this.#audit(hearing, now);
	}

	/**
	 * A record that came from this peer, in the datagram with this number.
	 *
	 * @returns false if it is none of these
	 */
	other(peer: Peer, record: OtherRecord, bytes: Uint8Array, sequence: number, now: number): boolean {
		const [first = 0] = record.numbers;
		switch (record.type) {
			case RecordType.digest:
				// one that was overtaken by changes says what was before them
				if (first < SLICES && sequence === peer.window.highest)
					this.#compare(peer, first, bytes, record.at, now);
				return true;
			case RecordType.query:
				if (first !== this.#options.node) return true;
				this.#resend.add(peer.bit, bytes.subarray(record.at, record.at + 128));
				this.#suspectMyself(now);
				return true;
			case RecordType.verify:
				if (first === this.#options.node && peer.hears) this.verify(peer, now);
				return true;
			default:
				return takeReport(peer.equality, record, this.#options.node, now);
		}
	}

	/** The peer holds this of mine: is it right? @returns what is wrong, 0 if nothing is */
	judge(peer: Peer, { kind, record, version, detail }: StateRecord, now: number): number {
		const cache = this.#options.internal[kind];
		const { dirty } = this.#options.outgoing;
		const { store } = cache;
		// what is missing now may come with the dump that is being read; and whoever does not hear me gets a bulk when it does
		if (cache.isResyncing || !peer.hears || this.#options.isBlind) return 0;
		peer.equality.checked++;
		const slot = store.find(record);
		// whatever I send would count as older: the peer has to drop it first
		if (version > this.#options.highestVersion()) return this.#wrong(peer, VERDICT.neverWas);
		if (slot < 0) {
			const grave = cache.deny(record, peer.bit, Math.floor(now / 1000));
			if (grave >= 0) dirty.mark(kind, grave, peer.bit);
			return this.#wrong(peer, VERDICT.gone);
		}
		// it is on its way already
		if ((dirty.peers(kind, slot) & peer.bit) !== 0) return 0;
		if (!store.isLive(slot)) {
			store.setPeers(slot, store.peers(slot) | peer.bit);
			dirty.mark(kind, slot, peer.bit);
			return 0;
		}
		const mine = store.version(slot);
		if (mine > version) {
			if (mine > this.#settledVersion) return 0;
			dirty.mark(kind, slot, peer.bit);
			return this.#wrong(peer, VERDICT.older);
		}
		const copy = this.#records[kind];
		store.read(slot, copy);
		if (mine === version && this.#hash.of(kind, copy) === detail) return 0;
		// what is right would be ignored under the version that it has
		cache.renew(slot);
		return this.#wrong(peer, VERDICT.otherState);
	}

	/** Sends the verdicts on the claims of one datagram. */
	sendVerdicts(peer: Peer, verdicts: readonly (readonly [StateRecord, number])[], now: number): void {
		if (verdicts.length === 0) return;
		const { outgoing, datagramMax } = this.#options;
		const writer = outgoing.begin();
		for (const [{ kind, record, version }, what] of verdicts) {
			const start = writer.at;
			this.#encoder.verdict(kind, record, version, peer.node, what);
			if (writer.at <= datagramMax) continue;
			writer.at = start;
			break;
		}
		outgoing.end(0, now);
	}

	/** The origin says that a claim of mine was wrong: unless a change came first, or the claim was made before it restarted. */
	refuted(peer: Peer, { kind, record, version, detail }: StateRecord): void {
		const external = peer.external[kind];
		const slot = external.findVersion(record, version);
		if (slot < 0) return;
		peer.equality.refuted++;
		external.store.read(slot, record);
		if (detail === VERDICT.neverWas) external.drop(slot);
		this.#options.differs(peer, { kind, record, what: detail });
	}

	/** A peer has found a difference: it may be my digest that is wrong, or my cache. */
	#suspectMyself(now: number): void {
		this.#options.suspected();
		if (now - this.#rebuiltAt < REBUILD_EVERY) return;
		this.#rebuiltAt = now;
		this.#options.digest.rebuild(this.#options.internal);
	}

	#wrong(peer: Peer, what: number): number {
		peer.equality.wrong++;
		return what;
	}

	#compare(peer: Peer, slice: number, bytes: Uint8Array, at: number, now: number): void {
		const { equality } = peer;
		if (peer.isReceivingBulk || !equality.compare(slice, bytes, at, now) || equality.isSuspended) return;
		// whoever does not hear me is asked when it does
		if (!peer.hears || this.#repairs.has(peer) || !equality.mayRepair(now)) return;
		this.#options.repairing(peer);
		if (!this.#options.repairs(peer)) {
			// Mode NOTRACK, Mode ALARM: it is told, and that is all
			equality.putOff(now);
			return;
		}
		if (equality.beginRepair(now)) equality.digest.rebuild(peer.external);
		const buckets = equality.suspects(now);
		const { outgoing } = this.#options;
		const writer = outgoing.begin();
		writer.array(3);
		writer.uint(RecordType.query);
		writer.uint(peer.node);
		writer.bin(buckets);
		outgoing.end(0, now);
		this.#repairs.set(peer, { walk: this.#walkOf(peer), buckets });
		this.hurry(now);
	}

	#walkOf(peer: Peer): SlotWalk {
		return new SlotWalk([peer.external[0].store, peer.external[1].store]);
	}

	/** Sends up to `datagrams` of claims, and up to `entries`. @returns whether the walk is over */
	#claim(peer: Peer, { walk, buckets }: ClaimWalk, datagrams: number, entries: number, now: number): boolean {
		const { outgoing, datagramMax } = this.#options;
		let left = entries;
		for (let i = 0; i < datagrams && !walk.isOver && left > 0; i++) {
			const writer = outgoing.begin();
			const start = writer.at;
			let count = 0;
			walk.step((kind, slot) => {
				if (writer.at + RECORD_MAX / 2 > datagramMax || count === 64 || left === 0) return false;
				if (!this.#claimSlot(peer, kind, slot, buckets)) return true;
				count++;
				left--;
				return true;
			});
			peer.equality.claimed += count;
			if (writer.at > start) outgoing.end(0, now);
		}
		return walk.isOver;
	}

	#claimSlot(peer: Peer, kind: Kind, slot: number, buckets: Uint8Array | undefined): boolean {
		const external: ExternalCache = peer.external[kind];
		if (!external.isConfirmed(slot)) return false;
		const version = external.store.version(slot);
		if (buckets && !hasBucket(buckets, bucketOf(version))) return false;
		const record = this.#records[kind];
		external.store.read(slot, record);
		const hash = this.#hash.of(kind, record);
		this.#encoder.claim(kind, record, version, peer.node, hash);
		return true;
	}

	/** Claims as much of every peer's as is due, so that the whole is through in AUDIT_PERIOD. */
	#audit(peers: readonly Peer[], now: number): void {
		this.#auditedAt = now;
		for (const peer of peers) {
			if (peer.isReceivingBulk || peer.equality.isSuspended || !this.#options.repairs(peer)) continue;
			for (const external of peer.external) external.reconsider();
			let audit = this.#audits.get(peer);
			if (!audit || audit.walk.isOver) {
				audit = { walk: this.#walkOf(peer), buckets: undefined };
				this.#audits.set(peer, audit);
			}
			const held = peer.external[0].store.live + peer.external[1].store.live;
			this.#claim(peer, audit, CLAIMS_AT_A_TIME * 4, Math.ceil((held * AUDIT_EVERY) / AUDIT_PERIOD), now);
		}
	}

	#sweep(peers: readonly Peer[], now: number): void {
		const { outgoing, datagramMax, digest, isBlind } = this.#options;
		this.#sweptAt = now;
		const writer = outgoing.begin();
		const isReportDue = now - this.#reportedAt >= REPORT_EVERY;
		const isReport = isReportDue || now < this.#fastUntil;
		for (this.#swept = 0; this.#swept < SLICES_PER_DATAGRAM; this.#swept++) {
			if (isBlind) continue;
			if (writer.at + SLICE_SIZE > datagramMax) break;
			writer.array(3);
			writer.uint(RecordType.digest);
			writer.uint(this.#slice);
			writer.binHeader(SLICE_BUCKETS * 8);
			for (let word = 0; word < SLICE_BUCKETS * 2; word++, writer.at += 4) {
				putU32(writer.bytes, writer.at, digest.words[this.#slice * SLICE_BUCKETS * 2 + word]!);
			}
			this.#slice = (this.#slice + 1) % SLICES;
		}
		if (isReport) {
			if (isReportDue) this.#reportedAt = now;
			for (const peer of peers) {
				if (writer.at + REPORT_SIZE > datagramMax) {
					if (!isReportDue) break;
					outgoing.end(0, now);
					outgoing.begin();
				}
				writeReport(writer, peer, now);
			}
		}
		if (!isBlind || isReport) outgoing.end(0, now);
		if (isReport) for (const peer of peers) sendRefusals(outgoing, peer, now);
	}
}
