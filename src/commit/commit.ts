// The failover: everything that the peers' caches hold goes into this kernel, and into the internal cache, because
// from now on it is ours.
//
// The main thread walks the external caches and takes each entry into the internal one; the worker follows behind
// its cursor and writes to the kernel. So a DESTROY that the kernel sends for a committed entry always finds it in
// the internal cache; what the kernel refuses is taken out again.
import type { ExternalCache } from "../cache/external-cache.ts";
import type { InternalCache } from "../cache/internal-cache.ts";
import { ALIVE_HERE, DEAD, HIDDEN, LATER_HERE, UPDATED } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import { SlotSet } from "../cache/slot-set.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";
import type { LabelMask } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { H_ID, HAS, newConntrackRecord } from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import { readSysctl } from "../system/sysctl.ts";
import { adoptAhead } from "./adoption.ts";
import { concatenate, hideStale, isOver, mayMakeRoom, type Place, placeOf } from "./clash.ts";
import type { CommitWorker } from "./commit-worker.ts";
import { CommitCursors } from "./cursors.ts";
import type { CommitJudge } from "./expectation-choice.ts";
import { ExpectationCommit } from "./expectation-commit.ts";
import { localView } from "./local-view.ts";
import type { CommitResult, EvictJob, JoinedEntry, Refusal } from "./messages.ts";
import { Slice } from "./slice.ts";
import { roomWarning } from "./table-room.ts";

/** Records of one message to the worker: copying them takes well below a millisecond. */
const PORTION = 1024;
/** How often entries that change places are looked at: a ring of so many at least is solved. */
const EVICTIONS_MAX = 8;

/** What a commit does with a peer's cache. */
export type CommitSource = Pick<ExternalCache, "store" | "touched">;
/** What it does with an internal cache; a rehearsal has one that only reads (rehearsal.ts). */
export type CommitTarget = Pick<InternalCache, "store" | "apply" | "refresh" | "bury">;

export interface CommitOptions {
	worker: CommitWorker;
	/** By Kind. */
	internal: readonly [CommitTarget, CommitTarget];
	/** The peers' caches of a kind, the one that knows best first. */
	externals: (kind: Kind) => readonly CommitSource[];
	names: NameTable;
	clock: Clock;
	windowTracking: boolean;
	/** The connlabels that may be written; none unless given. */
	labels?: LabelMask;
	/** CommitTimeout, seconds. */
	timeout: number | undefined;
	/** A conntrack is ours from now on. */
	adopted?: (record: Int32Array) => void;
	/** An expectation is in the kernel because of us, as it is there now, and shall be over by then (monotonic, ms). */
	guard?: (record: Int32Array, deadline: number) => void;
	/** Something has become dirty. */
	pump: () => void;
	refused: (kind: Kind, refusal: Refusal) => void;
	/** What an operator should know before it is over. */
	warning?: (text: string) => void;
	/**
	 * When this node was last put in charge, seconds of the clock: what its kernel has seen packets of since then is not a
	 * left-over. -1: it has been in charge for as long as it can tell.
	 */
	termBegan: () => number;
	/** ALIVE_HERE or 0: what the kernel's entry is that is not in the internal cache; absent: alive, because it is young. */
	unknownView?: () => number;
	/** All nodes forward: that an entry was committed says nothing of packets. */
	isActiveActive?: boolean;
	/** A judge of expectations for one commit; absent: all may into the kernel. */
	policy?: () => CommitJudge;
}

/** What one half of a commit came to, and the seconds that it took. */
export interface CommitSummary extends CommitResult {
	seconds: number;
}

export class Commit {
	/** A commit is under way. */
	isRunning = false;
	readonly #options: CommitOptions;
	/** Slots that are hidden from the commit under way because the kernel has ended their entries. Bounded by the caches. */
	#ended: [RecordStore, number][] = [];
	/** Entries whose reply tuple is taken, until it is decided who has it. Bounded by the caches. */
	#clashes: Refusal[] = [];
	/** Slots of the internal cache whose entries wait for their reply tuple ... */
	readonly #evicting = new SlotSet();
	/** ... and of these those that the kernel had in another form, which had to go. Both bounded by the cache. */
	readonly #unseated = new SlotSet();
	readonly #shared = new Map<RecordStore, number>();
	readonly #record = newConntrackRecord();
	readonly #expectations: ExpectationCommit;

	constructor(options: CommitOptions) {
		this.#options = options;
		this.#expectations = new ExpectationCommit(options);
	}

	/** Shows a peer's cache to the worker. */
	share(kind: Kind, external: CommitSource): void {
		this.#shared.set(external.store, this.#options.worker.share(kind, external.store));
	}

	/** Commits one half. @throws Error when the worker could not work at all */
	async run(kind: Kind): Promise<CommitSummary> {
		const { clock } = this.#options;
		const startedAt = clock.now();
		const externals = this.#options.externals(kind);
		this.isRunning = true;
		try {
			await hideStale(externals, () => clock.pause());
			// the walk takes the mark from what has ended meanwhile
			for (const [store, slot] of this.#ended) store.setMark(slot, HIDDEN, true);
			for (const external of externals) external.touched = new SlotSet();
			const result = kind === CONNTRACK ? await this.#conntracks(externals) : await this.#expectations.run();
			return { ...result, seconds: (clock.now() - startedAt) / 1000 };
		} finally {
			for (const external of externals) external.touched = undefined;
			for (const [store, slot] of this.#ended) store.setMark(slot, HIDDEN, false);
			this.#ended = [];
			this.#clashes = [];
			this.isRunning = false;
		}
	}

	/** The kernel says that an entry has ended: a commit that is under way must not bring it back. */
	ended(kind: Kind, record: Int32Array): void {
		if (!this.isRunning) return;
		if (kind === EXPECTATION) {
			this.#expectations.ended(record);
			return;
		}
		for (const { store, touched } of this.#options.externals(kind)) {
			const slot = store.find(record);
			if (slot < 0 || !store.isLive(slot) || !store.isOwned(slot)) continue;
			if (this.#isLeftOver(record, { store, slot })) {
				// what has ended is an older connection than the peer's, which comes all the same
				touched?.add(slot);
				continue;
			}
			store.setMark(slot, HIDDEN, true);
			this.#ended.push([store, slot]);
		}
	}

	/** A packet has changed an entry of this kernel: a commit that is under way must not treat it as a left-over. */
	seen(record: Int32Array): void {
		if (!this.isRunning) return;
		for (const { store } of this.#options.externals(CONNTRACK)) {
			const slot = store.find(record);
			if (slot >= 0 && store.isLive(slot)) store.setMark(slot, ALIVE_HERE | LATER_HERE, true);
		}
	}

	async #conntracks(externals: readonly CommitSource[]): Promise<CommitResult> {
		const { worker, windowTracking, timeout, labels, clock, pump } = this.#options;
		this.#warnOfRoom(externals);
		const cursors = CommitCursors.of(externals.length);
		const job = {
			type: "commit",
			parts: externals.map(({ store }) => ({ store: this.#shared.get(store)!, end: store.end })),
			cursors: cursors.shared,
			windowTracking,
			...(labels === undefined ? {} : { labels }),
			...(timeout === undefined ? {} : { timeout }),
		} as const;
		const done = worker.run(job, this.#reports());
		// a failure is for whoever awaits it below; until then it must not count as unhandled
		done.catch(() => {});
		const ends = job.parts.map(({ end }) => end);
		const adopt = (part: number, slot: number): void => this.#adoptSlot(externals[part]!, slot);
		await adoptAhead({ cursors, ends, done, adopt, pump, clock });
		const result = await done;
		await this.#evict(externals, result);
		await this.#withdrawEnded(externals);
		const again = await this.#adoptAgain(externals);
		if (again.length > 0) {
			const more = await worker.run({ type: "again", slots: again }, this.#reports());
			// what was created a moment ago is not a second entry
			result.created += more.created;
			result.failed += more.failed;
			result.withoutHelper += more.withoutHelper;
			result.withoutMaster += more.withoutMaster;
			result.withoutLabels = Math.max(result.withoutLabels, more.withoutLabels);
			await this.#evict(externals, result);
		}
		return result;
	}

	/** Takes what the peers have changed meanwhile into the internal cache once more; which it is, as an AgainJob names it. */
	async #adoptAgain(externals: readonly CommitSource[]): Promise<Int32Array> {
		const slice = new Slice(this.#options.clock);
		const again: number[] = [];
		for (const external of externals) {
			const store = this.#shared.get(external.store)!;
			for (const slot of external.touched!) {
				if (slice.isOver()) await slice.next();
				if (!external.store.isLive(slot)) continue;
				again.push(store, slot);
				this.#adoptSlot(external, slot, true);
			}
		}
		return Int32Array.from(again);
	}

	/** Says so beforehand when the table has no room for all: at least so many are not in it yet. */
	#warnOfRoom(externals: readonly CommitSource[]): void {
		const known = externals.reduce((n, { store }) => n + store.live, 0);
		const text = roomWarning(readSysctl, known - this.#options.internal[CONNTRACK].store.live);
		if (text !== undefined) this.#options.warning?.(text);
	}

	/**
	 * Entries whose reply tuple, after NAT, another entry of this kernel has: where that one is a left-over, has not been
	 * answered yet, or is over by the peer's own word, it goes and they come. All others are refused.
	 */
	async #evict(externals: readonly CommitSource[], result: CommitResult): Promise<void> {
		const { worker, clock, internal } = this.#options;
		const slice = new Slice(clock);
		// whoever gets a place may leave one that another needs: again, as long as that brings any further
		for (let round = 0, isMoving = true; round < EVICTIONS_MAX && isMoving; round++) {
			const slots: EvictJob["slots"] = [];
			const occupants: Int32Array[] = [];
			for (const refusal of this.#clashes.splice(0)) {
				if (slice.isOver()) await slice.next();
				const { record, occupant } = refusal;
				const place = placeOf(externals, record);
				if (!place) {
					this.#refused(refusal);
					continue;
				}
				const mayGo = this.#isLeftOver(occupant!, place) || mayMakeRoom(externals, occupant!, record);
				// this commit itself may have replaced one that may not: the worker looks
				slots.push({ store: this.#shared.get(place.store)!, slot: place.slot, mayGo });
				occupants.push(occupant!);
				this.#evicting.add(internal[CONNTRACK].store.find(record));
			}
			isMoving = false;
			for (let at = 0; at < slots.length; at += PORTION) {
				const some = slots.slice(at, at + PORTION);
				const theirs = concatenate(occupants.slice(at, at + PORTION));
				const more = await worker.run({ type: "evict", slots: some, occupants: theirs }, this.#reports());
				result.failed += more.failed - some.length;
				result.replaced += more.replaced;
				result.withoutHelper += more.withoutHelper;
				if (more.replaced > 0) isMoving = true;
			}
		}
		for (const refusal of this.#clashes.splice(0)) {
			if (slice.isOver()) await slice.next();
			const isLate = isOver(refusal.record) && !isOver(refusal.occupant!);
			this.#refused(isLate ? { ...refusal, cause: "over" } : refusal);
		}
		this.#evicting.clear();
		this.#unseated.clear();
	}

	/** Whether nothing has been seen of this node's own entry since the peer's was told, nor in this term. */
	#isLeftOver(record: Int32Array, { store, slot }: Place): boolean {
		const known = this.#liveSlot(record);
		return known >= 0 && this.#viewOf(known, store, slot) === 0;
	}

	/** What this node's entry is to the peer's; see localView. */
	#viewOf(known: number, store: RecordStore, slot: number): number {
		const seen = this.#options.internal[CONNTRACK].store.header(known, UPDATED);
		return localView(seen, store.header(slot, UPDATED), this.#options.termBegan());
	}

	/** What a peer has ended while it was being committed ends here, too, unless this kernel has its own view of it. */
	async #withdrawEnded(externals: readonly CommitSource[]): Promise<void> {
		const { worker, clock } = this.#options;
		const internal = this.#options.internal[CONNTRACK];
		const slice = new Slice(clock);
		const ended: Int32Array[] = [];
		for (const { store, touched } of externals) {
			for (const slot of touched!) {
				if (slice.isOver()) await slice.next();
				// the end of a view that did not count is nobody's end
				if (store.state(slot) !== DEAD || !store.isOwned(slot)) continue;
				const record = this.#record;
				store.read(slot, record);
				const known = this.#liveSlot(record);
				if (known < 0 || this.#isSeen(known)) continue;
				internal.store.read(known, record);
				ended.push(record.slice());
				internal.bury(known, seconds(clock));
			}
		}
		for (let at = 0; at < ended.length; at += PORTION) {
			await worker.run({ type: "delete", records: concatenate(ended.slice(at, at + PORTION)) });
		}
	}

	/**
	 * Takes the entry into the internal cache. If there is one already, or the kernel turns out to have one, the worker
	 * has to know what that is to the peer's: it joins the two, or replaces the older one.
	 *
	 * @param isAgain this commit has brought the entry, and the peer has changed it since
	 */
	#adoptSlot({ store }: CommitSource, slot: number, isAgain = false): void {
		if (!store.isLive(slot) || !store.isOwned(slot)) return;
		const record = this.#record;
		const internal = this.#options.internal[CONNTRACK];
		store.read(slot, record);
		const known = this.#liveSlot(record);
		const isKnown = known >= 0;
		// what the kernel has and the cache does not is so young that its event has not been read yet
		let view = this.#options.unknownView?.() ?? ALIVE_HERE;
		if (isKnown) view = isAgain && !this.#isSeen(known) ? 0 : this.#viewOf(known, store, slot);
		store.setMark(slot, LATER_HERE, (view & LATER_HERE) !== 0);
		store.setMark(slot, ALIVE_HERE, (view & ALIVE_HERE) !== 0);
		if (isKnown) return;
		internal.apply(record, false, seconds(this.#options.clock), !this.#options.isActiveActive);
		this.#options.adopted?.(record);
	}

	/** The kernel did not take an entry, and that is final. */
	#refused(refusal: Refusal): void {
		const internal = this.#options.internal[CONNTRACK];
		this.#options.refused(CONNTRACK, refusal);
		const slot = this.#liveSlot(refusal.record);
		if (slot < 0) return;
		// the kernel has it all the same, unless it had to go in vain, or another one has got its place
		const isGone = this.#unseated.delete(slot) || (refusal.step === "replace" && !refusal.exists);
		if (!isGone && (refusal.exists || this.#isSeen(slot))) return;
		internal.bury(slot, seconds(this.#options.clock));
	}

	#reports() {
		const { clock, isActiveActive = false } = this.#options;
		const internal = this.#options.internal[CONNTRACK];
		return {
			refused: (refusals: readonly Refusal[]): void => {
				for (const refusal of refusals) {
					if (refusal.cause === "reply tuple") this.#clashes.push(refusal);
					else this.#refused(refusal);
				}
			},
			joined: (entries: readonly JoinedEntry[]): void => {
				for (const { record, isReplaced, evicted } of entries) {
					const gone = evicted ? this.#liveSlot(evicted) : -1;
					// the peer's entry with its key is still to come
					if (this.#evicting.has(gone)) this.#unseated.add(gone);
					else if (gone >= 0) internal.bury(gone, seconds(clock));
					const slot = this.#liveSlot(record);
					this.#evicting.delete(slot);
					this.#unseated.delete(slot);
					// what has ended since then stays ended
					if (slot < 0) continue;
					const now = isActiveActive ? internal.store.header(slot, UPDATED) : seconds(clock);
					if (isReplaced) internal.apply(record, true, seconds(clock), !isActiveActive);
					else internal.refresh(record, now, !isActiveActive);
					this.#options.adopted?.(record);
				}
			},
		};
	}

	/** Where the internal cache has the entry with the record's key, -1 if it is not there or has ended. */
	#liveSlot(record: Int32Array): number {
		const { store } = this.#options.internal[CONNTRACK];
		const slot = store.find(record);
		return slot >= 0 && store.isLive(slot) ? slot : -1;
	}

	/** Whether the kernel itself has told of the entry: only it gives an id. */
	#isSeen(slot: number): boolean {
		this.#options.internal[CONNTRACK].store.read(slot, this.#record);
		return (this.#record[HAS]! & H_ID) !== 0;
	}
}

const seconds = (clock: Clock): number => Math.floor(clock.now() / 1000);
