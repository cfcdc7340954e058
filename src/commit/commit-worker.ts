// The main thread's handle on the commit worker: keeps it informed of the stores, and turns its jobs into promises.
import { Worker } from "node:worker_threads";
import type { RecordStore } from "../cache/record-store.ts";
import type { Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import { keepYoungSmall } from "../system/memory.ts";
import type {
	CommitResult,
	FromWorker,
	JoinedEntry,
	Refusal,
	ScratchOptions,
	ScratchState,
	SlabNumber,
	ToWorker,
} from "./messages.ts";

/** A job without its number, which the handle gives. */
type Unnumbered<T> = T extends { job: number } ? Omit<T, "job"> : never;
export type Job = Unnumbered<ToWorker>;

export interface JobReports {
	refused?: (refusals: readonly Refusal[]) => void;
	joined?: (entries: readonly JoinedEntry[]) => void;
}

export class CommitWorker {
	/** Netlink ports whose events are our own commits, and our own flushes. */
	commitPort = 0;
	flushPort = 0;
	/** A worker for rehearsals: how it got its scratch tables. */
	scratch: ScratchState | undefined;
	readonly #worker: Worker;
	/** Takes back what others call because of this worker. */
	readonly #undo: (() => void)[] = [];
	#stores = 0;
	#jobs = 0;
	readonly #running = new Map<
		number,
		{ reports: JobReports; resolve: (result: CommitResult) => void; reject: (error: Error) => void }
	>();

	private constructor(worker: Worker, names: NameTable) {
		this.#worker = worker;
		// a name is on its way before the first record that holds its number
		this.#post({ type: "names", names: names.names.slice(1) });
		const { onNew } = names;
		names.onNew = (name) => {
			onNew(name);
			this.#post({ type: "names", names: [name] });
		};
		this.#undo.push(() => {
			names.onNew = onNew;
		});
	}

	/**
	 * Starts the worker.
	 *
	 * @param failed it has died, and with it the means to commit
	 * @param scratch it is to work on a copy of the kernel's tables (scratch.ts); start no other until it has stopped
	 */
	static start(
		names: NameTable,
		failed: (error: Error) => void,
		scratch?: ScratchOptions,
	): Promise<CommitWorker> {
		return new Promise((resolve, reject) => {
			const worker = new Worker(new URL("./worker.js", import.meta.url), {
				name: scratch ? "rehearsal" : "commit",
				workerData: scratch,
			});
			const handle = new CommitWorker(worker, names);
			let isReady = false;
			worker.on("message", (message: FromWorker) => {
				if (message.type === "ready") {
					handle.commitPort = message.commitPort;
					handle.flushPort = message.flushPort;
					handle.scratch = message.scratch;
					isReady = true;
					keepYoungSmall();
					// the daemon's sockets keep the process alive, not its worker
					worker.unref();
					resolve(handle);
				} else handle.#receive(message);
			});
			worker.on("error", (error) => {
				if (isReady) {
					failed(error as Error);
					// whoever waits for a job waits in vain
					void handle.abandon(error as Error);
				} else void handle.stop().then(() => reject(error));
			});
		});
	}

	/** Shows a store to the worker, now and as it grows; its number for jobs. */
	share(kind: Kind, store: RecordStore): number {
		const number = this.#stores++;
		const slabs = [store.slab, ...store.layout.slabs];
		this.#post({ type: "store", store: number, kind, chunks: slabs.map((slab) => slab.chunks) });
		slabs.forEach((slab, i) => {
			const { onChunk } = slab;
			slab.onChunk = (chunk) => {
				onChunk(chunk);
				this.#post({ type: "chunk", store: number, slab: i as SlabNumber, chunk });
			};
			this.#undo.push(() => {
				slab.onChunk = onChunk;
			});
		});
		return number;
	}

	/** Runs one job to its end. Jobs run in the order in which they come. */
	run(job: Job, reports: JobReports = {}): Promise<CommitResult> {
		const number = ++this.#jobs;
		return new Promise((resolve, reject) => {
			this.#running.set(number, { reports, resolve, reject });
			this.#post({ ...job, job: number } as ToWorker);
		});
	}

	async stop(): Promise<void> {
		for (const undo of this.#undo.splice(0).reverse()) undo();
		await this.#worker.terminate();
	}

	/** Stops it, and fails the jobs that it has not finished. */
	async abandon(cause: Error): Promise<void> {
		for (const { reject } of this.#running.values()) reject(cause);
		this.#running.clear();
		await this.stop();
	}

	#post(message: ToWorker): void {
		this.#worker.postMessage(message);
	}

	#receive(message: Exclude<FromWorker, { type: "ready" }>): void {
		const running = this.#running.get(message.job);
		if (!running) return;
		if (message.type === "refused") running.reports.refused?.(message.refusals);
		else if (message.type === "joined") running.reports.joined?.(message.entries);
		else {
			this.#running.delete(message.job);
			if (message.error === undefined) running.resolve(message.result);
			else running.reject(new Error(message.error));
		}
	}
}
