// -t: after PurgeTimeout the kernel forgets what a peer has taken over. Connections of the firewall itself stay.
import type { InternalCache } from "./cache/internal-cache.ts";
import type { CommitWorker } from "./commit/commit-worker.ts";
import { CONNTRACK } from "./conntrack/kind.ts";
import { CONNTRACK_WORDS, newConntrackRecord } from "./conntrack/record.ts";
import { isOwnConnection, type LocalAddresses } from "./filter/own-connection.ts";
import type { Peer } from "./sync/peer.ts";
import type { Clock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";

/** Slots of one slice when a cache is walked. */
const SLICE_SLOTS = 8192;
/** Records per message to the worker. */
const BATCH = 1000;

export interface PurgeOptions {
	internal: readonly [InternalCache, InternalCache];
	peers: () => readonly Peer[];
	worker: CommitWorker;
	addresses: LocalAddresses;
	/** PurgeTimeout, seconds; asked for anew each time. */
	purgeTimeout: () => number;
	/** Instead of the internal cache, where that keeps nothing: the kernel's table. */
	table?: (visit: (record: Int32Array) => void) => Promise<void>;
	/** Direct injection: gives an entry up to the peer that holds it, too, and the kernel keeps it; false if none does. */
	handOver?: (record: Int32Array) => boolean;
	clock: Clock;
	log: Log;
	/** Entries are about to be deleted. */
	begun: () => void;
	/** They have been. */
	over: () => void;
}

export class Purge {
	readonly #options: PurgeOptions;
	#cancel: (() => void) | undefined;
	/** The purge under way; it stops at the next batch when it is told to. */
	#running: { isStopped: boolean; done: Promise<void> } | undefined;

	constructor(options: PurgeOptions) {
		this.#options = options;
	}

	/** One that is scheduled already keeps its time. */
	schedule(): void {
		const { clock, log, purgeTimeout } = this.#options;
		if (this.#cancel) return;
		const seconds = purgeTimeout();
		log.notice(`flushing conntrack table in ${seconds} secs`);
		const cancel = clock.after(seconds * 1000, () => {
			this.#cancel = undefined;
			const running = { isStopped: false, done: Promise.resolve() };
			running.done = this.#run(running)
				.catch((error: Error) => log.error(error.message))
				.finally(() => {
					this.#running = undefined;
				});
			this.#running = running;
		});
		this.#cancel = () => {
			cancel();
			this.#cancel = undefined;
		};
	}

	/** What is scheduled is not done; what is under way goes on. */
	cancel(): void {
		this.#cancel?.();
	}

	/** Nothing is deleted any more when this has resolved. */
	async stop(): Promise<void> {
		this.#cancel?.();
		if (!this.#running) return;
		this.#running.isStopped = true;
		await this.#running.done;
	}

	async #run(running: { readonly isStopped: boolean }): Promise<void> {
		const { internal, peers, worker, addresses, log, clock, begun, over, handOver, table } = this.#options;
		const { store } = internal[CONNTRACK];
		const record = newConntrackRecord();
		const batches: Int32Array[][] = [[]];
		const choose = (): void => {
			const isTaken = peers().some(({ external }) => {
				const theirs = external[CONNTRACK].store.find(record);
				return theirs >= 0 && external[CONNTRACK].store.isLive(theirs);
			});
			if (!isTaken || isOwnConnection(record, addresses) || handOver?.(record)) return;
			if (batches.at(-1)!.length === BATCH) batches.push([]);
			batches.at(-1)!.push(record.slice());
		};
		if (table) {
			await table((entry) => {
				record.set(entry);
				choose();
			});
		} else {
			await walkSlices(clock, store, (slot) => {
				store.read(slot, record);
				choose();
			});
		}
		if (running.isStopped) return;
		log.notice("flushing kernel conntrack table (scheduled)");
		begun();
		for (const batch of batches) {
			if (running.isStopped) break;
			const records = new Int32Array(batch.length * CONNTRACK_WORDS);
			batch.forEach((one, i) => {
				records.set(one, i * CONNTRACK_WORDS);
			});
			await worker.run({ type: "delete", records });
		}
		over();
	}
}

/** Visits every live slot, with a turn for everybody else in between. */
export async function walkSlices(
	clock: Clock,
	store: { readonly end: number; isLive(slot: number): boolean },
	visit: (slot: number) => void,
): Promise<void> {
	for (let slot = 0; slot < store.end; slot++) {
		if (store.isLive(slot)) visit(slot);
		if (slot % SLICE_SLOTS === SLICE_SLOTS - 1) await clock.pause();
	}
}
