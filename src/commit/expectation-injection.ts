// Direct injection, expectations: each is asked for by the policy and chosen as by a commit, when the conntracks that
// were told with it have been written. They are few, and the table is read back after each time.

import type { ExternalCache } from "../cache/external-cache.ts";
import type { InternalCache } from "../cache/internal-cache.ts";
import { INJECTED } from "../cache/record-layout.ts";
import {
	EXP_HAS,
	EXP_ID,
	EXP_KEY_FIRST,
	EXP_KEY_WORDS,
	EXP_TIMEOUT,
	EXPECTATION_WORDS,
	newExpectationRecord,
	X_ID,
} from "../conntrack/expectation-record.ts";
import { EXPECTATION, type Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { Clock } from "../system/clock.ts";
import { type Chosen, type CommitJudge, chooseExpectations, type Placed } from "./expectation-choice.ts";
import { jobOf } from "./expectation-commit.ts";
import { ExpectationCommitter } from "./expectation-committer.ts";
import { expectAnySourceKey } from "./gre-entry.ts";
import type { InjectCounters } from "./inject-counters.ts";
import type { InjectionPeer } from "./injected-peer.ts";
import type { CommitResult, Refusal } from "./messages.ts";
import type { RequestSocket } from "./request-socket.ts";
import { Retries } from "./retries.ts";

/** A judge for the expectations that are told now; `besides` are those that were injected before. */
export type HeldJudge = (besides: Iterable<Int32Array>) => CommitJudge;

export interface ExpectationInjectionOptions {
	/** Where the conntracks are written, too: the kernel sees both in their order. */
	requests: RequestSocket;
	names: NameTable;
	clock: Clock;
	/** By Kind. */
	internal: readonly [InternalCache, InternalCache];
	counters: InjectCounters;
	policy?: HeldJudge;
	refused: (kind: Kind, refusal: Refusal) => void;
	failed: (error: Error) => void;
	/** There is something to write. */
	wake: () => void;
}

interface Source {
	peer: InjectionPeer;
	external: ExternalCache;
	/** Slots to be written. Bounded by the cache. */
	told: Set<number>;
	/** Injected ones that let other things in by now. Part of `told`. */
	altered: Set<number>;
	retries: Retries;
}

export class ExpectationInjection {
	readonly #options: ExpectationInjectionOptions;
	readonly #committer: ExpectationCommitter;
	readonly #sources: Source[] = [];
	/** Injected ones that have ended at their peer. Bounded by the caches. */
	#ended: Int32Array[] = [];
	readonly #record = newExpectationRecord();
	/** A choice is under way. */
	#isChoosing = false;

	constructor(options: ExpectationInjectionOptions) {
		this.#options = options;
		this.#committer = new ExpectationCommitter(options.requests, options.names);
	}

	get waiting(): number {
		return this.#sources.reduce(
			(sum, { told, retries }) => sum + told.size + retries.size,
			this.#ended.length,
		);
	}

	follow(peer: InjectionPeer): void {
		const { clock, wake } = this.#options;
		const external = peer.external[EXPECTATION];
		const { store } = external;
		const told = new Set<number>();
		const altered = new Set<number>();
		const add = (slot: number): void => {
			told.add(slot);
			wake();
		};
		const retries = new Retries(clock, (slot) => {
			if (store.isLive(slot)) add(slot);
		});
		this.#sources.push({ peer, external, told, altered, retries });
		external.listener = {
			changing: (slot, record) => {
				if (!store.hasMark(slot, INJECTED)) return;
				store.read(slot, this.#record);
				if (isAnother(this.#record, record)) altered.add(slot);
			},
			told: add,
			// one that has been used here has not come back
			confirmed: () => {},
			ended: (slot) => {
				told.delete(slot);
				altered.delete(slot);
				retries.forget(slot);
				if (!store.hasMark(slot, INJECTED)) return;
				store.setMark(slot, INJECTED, false);
				store.read(slot, this.#record);
				this.#ended.push(this.#record.slice());
				wake();
			},
		};
	}

	/** Writes what is waiting. */
	work(): void {
		try {
			this.#delete();
			if (!this.#isChoosing && this.#sources.some(({ told }) => told.size > 0)) {
				this.#isChoosing = true;
				void this.#create()
					.catch((error: Error) => this.#options.failed(error))
					.finally(() => {
						this.#isChoosing = false;
						if (this.waiting > 0 && this.#sources.some(({ told }) => told.size > 0)) this.#options.wake();
					});
			}
		} catch (error) {
			this.#options.failed(error as Error);
		}
	}

	/** This kernel has ended an expectation. @returns whether it was a peer's */
	gone(record: Int32Array): boolean {
		// its mark stays: it has been used, or was here long enough
		return this.isForeign(record);
	}

	/** Whether an expectation of this kernel is a peer's, and not this node's own. */
	isForeign(record: Int32Array): boolean {
		if (this.#isOwn(record)) return false;
		return this.#sources.some(({ external: { store } }) => {
			const slot = store.find(record);
			return slot >= 0 && store.isLive(slot) && store.hasMark(slot, INJECTED);
		});
	}

	close(): void {
		for (const { retries } of this.#sources) retries.close();
	}

	#delete(): void {
		const ended = this.#ended.splice(0);
		// one with the same key that this node's own helper has made is another one
		const over = ended.filter((record) => !this.#isOwn(record) && !this.isForeign(record));
		if (over.length === 0) return;
		for (const record of over) {
			expectAnySourceKey(record);
			record[EXP_HAS]! &= ~X_ID;
		}
		const { counters } = this.#options;
		try {
			this.#run(over.map((record) => ({ record, step: "delete" })));
		} catch (error) {
			// with the next that is told
			this.#ended.push(...over);
			throw error;
		}
		counters.destroyed += over.length;
		for (const refusal of this.#committer.refusals) {
			counters.destroyed--;
			counters.destroyFailed++;
			this.#options.refused(EXPECTATION, refusal);
		}
	}

	async #create(): Promise<void> {
		const { policy, counters, internal, names, clock } = this.#options;
		const queued = new Map(this.#sources.map(({ external, told }) => [external.store, [...told]]));
		for (const { told, retries } of this.#sources) {
			for (const slot of told) retries.forget(slot);
			told.clear();
		}
		const { chosen, outdated } = await chooseExpectations({
			internal,
			names,
			clock,
			externals: (kind) => this.#sources.map(({ peer }) => peer.external[kind]),
			// what is kept back is told of once more when it is not any longer
			slots: (store) => queued.get(store)!.filter((slot) => store.isLive(slot) && store.verdict(slot) === 0),
			isCurrent: true,
			...(policy && { policy: () => policy(this.#injected(queued)) }),
			keptOut: () => {
				counters.createFailed++;
			},
		});
		counters.kept += outdated;
		if (chosen.length === 0) return;
		const marked = new Set(chosen.filter((order) => this.#mark(order)));
		let result: CommitResult;
		try {
			result = this.#run(chosen);
		} catch (error) {
			for (const order of chosen) {
				if (marked.has(order)) this.#failed(order);
				else this.#unwritten(order);
			}
			throw error;
		}
		const { created, replaced, updated, kept, failed } = result;
		counters.created += created + replaced;
		counters.updated += updated + kept;
		counters.createFailed += failed;
		const places = new Map(chosen.map((order) => [keyOf(order.record), order]));
		for (const refusal of this.#committer.refusals) this.#refused(refusal, places.get(keyOf(refusal.record)));
		for (const { record } of this.#committer.joined) {
			if (this.#isOwn(record)) internal[EXPECTATION].refresh(record, Math.floor(clock.now() / 1000));
		}
	}

	/** @returns whether it becomes an injected one */
	#mark(order: Placed): boolean {
		const { external, altered } = this.#sources[order.peer]!;
		const { store } = external;
		const isInjected = store.hasMark(order.slot, INJECTED);
		if (altered.delete(order.slot) && isInjected && order.step === "create") order.step = "replace";
		const isForeign = !this.#isOwn(order.record);
		store.setMark(order.slot, INJECTED, isForeign);
		return isForeign && !isInjected;
	}

	#refused(refusal: Refusal, place: Placed | undefined): void {
		this.#options.refused(EXPECTATION, refusal);
		// the kernel has one that is not quite what was asked for, or has had it
		if (refusal.exists || refusal.cause === "gone" || !place) return;
		this.#failed(place);
	}

	/** It is not in the kernel, and is tried again. */
	#failed({ peer, slot }: Placed): void {
		const { external, retries } = this.#sources[peer]!;
		external.store.setMark(slot, INJECTED, false);
		retries.add(slot);
	}

	/** The kernel has it as it was before, and is told again. */
	#unwritten({ peer, slot, step }: Placed): void {
		const { external, altered, retries } = this.#sources[peer]!;
		if (!external.store.isLive(slot)) return;
		if (step === "replace" && external.store.hasMark(slot, INJECTED)) altered.add(slot);
		retries.add(slot);
	}

	/** The injected ones that are not judged anew. */
	*#injected(queued: ReadonlyMap<unknown, readonly number[]>): Iterable<Int32Array> {
		const record = newExpectationRecord();
		for (const { external } of this.#sources) {
			const { store } = external;
			const isJudged = new Set(queued.get(store));
			for (let slot = 0; slot < store.end; slot++) {
				if (!store.isLive(slot) || !store.hasMark(slot, INJECTED) || isJudged.has(slot)) continue;
				store.read(slot, record);
				if (!this.#isOwn(record)) yield record;
			}
		}
	}

	#run(orders: readonly Chosen[]): CommitResult {
		const { records, steps } = jobOf(orders);
		return this.#committer.run(records, steps);
	}

	#isOwn(record: Int32Array): boolean {
		const { store } = this.#options.internal[EXPECTATION];
		const slot = store.find(record);
		return slot >= 0 && store.isLive(slot);
	}
}

/** Whether two expectations with the same key differ in more than their time. */
function isAnother(known: Int32Array, record: Int32Array): boolean {
	for (let i = 0; i < EXPECTATION_WORDS; i++) {
		if (known[i] !== record[i] && i !== EXP_TIMEOUT && i !== EXP_ID) return true;
	}
	return false;
}

const keyOf = (record: Int32Array): string =>
	record.subarray(EXP_KEY_FIRST, EXP_KEY_FIRST + EXP_KEY_WORDS).join();
