// The failover: everything that the peers' caches hold goes into this kernel, and into the internal cache, because
// from now on it is ours.
//
// The main thread walks the external caches and takes each entry into the internal one; the worker follows behind
// its cursor and writes to the kernel. So a DESTROY that the kernel sends for a committed entry always finds it in
// the internal cache; what the kernel refuses is taken out again.

import type { ExternalCache } from "../cache/external-cache.ts";
import type { InternalCache } from "../cache/internal-cache.ts";
import { DEAD, HIDDEN } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import { CONNTRACK, type Kind } from "../conntrack/kind.ts";
import { CONNTRACK_WORDS, H_ID, HAS, newConntrackRecord } from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import type { CommitWorker } from "./commit-worker.ts";
import { ExpectationCommit } from "./expectation-commit.ts";
import type { CommitResult, JoinedEntry, Refusal } from "./messages.ts";

/** Slots between two announcements to the worker. */
const STRIDE = 1024;
/** The longest that a slice holds up the event loop, milliseconds. */
const SLICE_MS = 2;

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
	clock: Clock;
	windowTracking: boolean;
	/** CommitTimeout, seconds. */
	timeout: number | undefined;
	/** Something has become dirty. */
	pump: () => void;
	refused: (kind: Kind, refusal: Refusal) => void;
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
			await this.#hideStale(externals);
			for (const external of externals) external.touched = new Set();
			const result =
				kind === CONNTRACK
					? await this.#conntracks(externals)
					: await this.#expectations.run(externals, this.#parts(externals));
			return { ...result, seconds: (clock.now() - startedAt) / 1000 };
		} finally {
			for (const external of externals) external.touched = undefined;
			for (const [store, slot] of this.#ended) store.setMark(slot, HIDDEN, false);
			this.#ended = [];
			this.isRunning = false;
		}
	}

	/** The kernel says that an entry has ended: a commit that is under way must not bring it back. */
	ended(kind: Kind, record: Int32Array): void {
		if (!this.isRunning) return;
		for (const { store } of this.#options.externals(kind)) {
			const slot = store.find(record);
			if (slot < 0 || !store.isLive(slot) || !store.isOwned(slot)) continue;
			store.setMark(slot, HIDDEN, true);
			this.#ended.push([store, slot]);
		}
	}

	async #conntracks(externals: readonly CommitSource[]): Promise<CommitResult> {
		const { worker, clock, windowTracking, timeout } = this.#options;
		const adopted = new SharedArrayBuffer(Math.max(4, externals.length * 4));
		const job = {
			type: "commit",
			kind: CONNTRACK,
			parts: this.#parts(externals),
			adopted,
			nowSeconds: seconds(clock),
			windowTracking,
			...(timeout === undefined ? {} : { timeout }),
		} as const;
		const done = worker.run(job, this.#reports());
		// a failure is for whoever awaits it below; until then it must not count as unhandled
		done.catch(() => {});
		const cursor = new Int32Array(adopted);
		const announce = (part: number, slot: number): void => {
			Atomics.store(cursor, part, slot);
			Atomics.notify(cursor, part);
		};
		try {
			for (const [part, external] of externals.entries()) {
				await this.#adopt(external, job.parts[part]!.end, (slot) => announce(part, slot));
			}
		} finally {
			// the worker must not wait for a cursor that nobody moves any more
			for (const [part, { end }] of job.parts.entries()) announce(part, end);
		}
		const result = await done;
		await this.#withdrawEnded(externals);
		const again = externals.flatMap((external) =>
			[...external.touched!]
				.filter((slot) => external.store.isLive(slot))
				.map((slot) => ({ store: this.#shared.get(external.store)!, slot })),
		);
		if (again.length > 0) {
			for (const external of externals) {
				for (const slot of external.touched!) this.#adoptSlot(external, slot);
			}
			const more = await worker.run({ type: "again", slots: again }, this.#reports());
			// what was created a moment ago is not a second entry
			result.created += more.created;
			result.failed += more.failed;
			result.withoutHelper += more.withoutHelper;
		}
		return result;
	}

	/** What a peer has ended while it was being committed ends here, too, unless this kernel has its own view of it. */
	async #withdrawEnded(externals: readonly CommitSource[]): Promise<void> {
		const { worker, clock } = this.#options;
		const internal = this.#options.internal[CONNTRACK];
		const ended: Int32Array[] = [];
		for (const { store, touched } of externals) {
			for (const slot of touched!) {
				// the end of a view that did not count is nobody's end
				if (store.state(slot) !== DEAD || !store.isOwned(slot)) continue;
				const record = this.#record;
				store.read(slot, record);
				const known = internal.store.find(record);
				if (known < 0 || !internal.store.isLive(known) || this.#isSeen(known)) continue;
				internal.store.read(known, record);
				ended.push(record.slice());
				internal.bury(known, seconds(clock));
			}
		}
		if (ended.length === 0) return;
		const records = new Int32Array(ended.length * CONNTRACK_WORDS);
		ended.forEach((record, i) => {
			records.set(record, i * CONNTRACK_WORDS);
		});
		await worker.run({ type: "delete", records });
	}

	/** Hides in each peer's cache what a peer that knows better holds, too. */
	async #hideStale(externals: readonly CommitSource[]): Promise<void> {
		if (externals.length < 2) return;
		for (const [i, external] of externals.entries()) {
			const newer = externals.slice(0, i);
			const { store } = external;
			const record = new Int32Array(store.layout.recordWords);
			for (let slot = 0; slot < store.end; slot++) {
				if (slot % STRIDE === STRIDE - 1) await this.#options.clock.pause();
				if (!store.isLive(slot)) continue;
				store.read(slot, record);
				const isHeldByNewer = newer.some((other) => {
					const theirs = other.store.find(record);
					return theirs >= 0 && other.store.isLive(theirs) && other.store.isOwned(theirs);
				});
				store.setMark(slot, HIDDEN, isHeldByNewer);
			}
		}
	}

	#parts(externals: readonly CommitSource[]): { store: number; end: number }[] {
		return externals.map(({ store }) => ({ store: this.#shared.get(store)!, end: store.end }));
	}

	/** Takes slots 0 .. end into the internal cache and says how far it has come. */
	async #adopt(external: CommitSource, end: number, announce: (slot: number) => void): Promise<void> {
		const { clock, pump } = this.#options;
		let sliceEnd = clock.now() + SLICE_MS;
		for (let slot = 0; slot < end; slot++) {
			this.#adoptSlot(external, slot);
			if ((slot + 1) % STRIDE !== 0) continue;
			announce(slot + 1);
			if (clock.now() < sliceEnd) continue;
			pump();
			await clock.pause();
			sliceEnd = clock.now() + SLICE_MS;
		}
		announce(end);
		pump();
	}

	/** A local entry knows better what it is; the worker joins the two. */
	#adoptSlot(external: CommitSource, slot: number): void {
		if (!external.store.isLive(slot) || !external.store.isOwned(slot)) return;
		const record = this.#record;
		const internal = this.#options.internal[CONNTRACK];
		external.store.read(slot, record);
		const known = internal.store.find(record);
		if (known >= 0 && internal.store.isLive(known)) return;
		internal.apply(record, false, seconds(this.#options.clock));
	}

	#reports() {
		const { clock, refused } = this.#options;
		const internal = this.#options.internal[CONNTRACK];
		const liveSlot = (record: Int32Array): number => {
			const slot = internal.store.find(record);
			return slot >= 0 && internal.store.isLive(slot) ? slot : -1;
		};
		return {
			refused: (refusals: readonly Refusal[]): void => {
				for (const refusal of refusals) {
					refused(CONNTRACK, refusal);
					const slot = liveSlot(refusal.record);
					if (!refusal.exists && slot >= 0 && !this.#isSeen(slot)) internal.bury(slot, seconds(clock));
				}
			},
			joined: (entries: readonly JoinedEntry[]): void => {
				for (const { record, isReplaced } of entries) {
					// what has ended since then stays ended
					if (liveSlot(record) < 0) continue;
					if (isReplaced) internal.apply(record, true, seconds(clock));
					else internal.refresh(record, seconds(clock));
				}
			},
		};
	}

	/** Whether the kernel itself has told of the entry: only it gives an id. */
	#isSeen(slot: number): boolean {
		this.#options.internal[CONNTRACK].store.read(slot, this.#record);
		return (this.#record[HAS]! & H_ID) !== 0;
	}
}

const seconds = (clock: Clock): number => Math.floor(clock.now() / 1000);
