// A commit that changes nothing: the production code, with a worker that has the kernel's tables copied into scratch
// ones (scratch.ts), and internal caches that only read. The external caches are read where they are.
import { readFileSync } from "node:fs";
import { SlotSet } from "../cache/slot-set.ts";
import { CONNTRACK, EXPECTATION, KINDS, type Kind } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { Clock } from "../system/clock.ts";
import type { Native } from "../system/native.ts";
import { Commit, type CommitOptions, type CommitSummary, type CommitTarget } from "./commit.ts";
import { CommitWorker } from "./commit-worker.ts";
import type { JoinedEntry, Refusal, ScratchOptions } from "./messages.ts";

/**
 * Bytes of kernel memory that one copied entry takes: the connection with its extensions, and what the allocator loses.
 * Measured on Linux 6.18: 410.
 */
const ENTRY_BYTES = 512;
/** The part of the available memory that a rehearsal may take. */
const MEMORY_SHARE = 4;

export interface RehearsalOptions extends Omit<CommitOptions, "worker" | "pump" | "refused"> {
	native: Native;
	names: NameTable;
	hasExpectations: boolean;
	/** Never to have a network namespace: why not. */
	offlineCause?: string;
}

export interface RehearsalReports {
	/** Would not be taken. */
	refused: (kind: Kind, refusal: Refusal) => void;
	/** Is there, and would be changed. */
	joined: (kind: Kind, entry: JoinedEntry) => void;
}

export interface RehearsalResult {
	/** Why it was only checked offline. */
	offlineCause?: string;
	/** Entries of this kernel that the copy does not have: something was missed. */
	notCopied: number;
	halves: { kind: Kind; summary: CommitSummary }[];
}

export class Rehearsal {
	readonly #options: RehearsalOptions;
	#worker: CommitWorker | undefined;
	#isRunning = false;
	#cause: Error | undefined;

	constructor(options: RehearsalOptions) {
		this.#options = options;
	}

	/** One is under way. */
	get isRunning(): boolean {
		return this.#isRunning;
	}

	/** Ends the one that is under way, if any is; its `run` fails with this error. */
	abort(cause: string): void {
		if (!this.#isRunning) return;
		this.#cause = new Error(cause);
		void this.#worker?.abandon(this.#cause);
	}

	/**
	 * Rehearses the commit of these halves.
	 *
	 * @throws Error when there was no way to rehearse, or it was aborted
	 */
	async run(kinds: readonly Kind[], reports: RehearsalReports): Promise<RehearsalResult> {
		if (this.#isRunning) throw new Error("another rehearsal is under way");
		this.#isRunning = true;
		this.#cause = undefined;
		let worker: CommitWorker | undefined;
		try {
			const { names } = this.#options;
			const died = (error: Error): void => this.abort(`the rehearsal's worker has died: ${error.message}`);
			worker = await CommitWorker.start(names, died, this.#scratchOptions());
			this.#worker = worker;
			return await this.#rehearse(worker, kinds, reports);
		} finally {
			this.#worker = undefined;
			await worker?.stop();
			// descriptors are the process's and outlive the thread; they would keep the namespace
			for (const fd of worker?.scratch?.sockets ?? []) this.#options.native.closeSocket(fd);
			this.#isRunning = false;
		}
	}

	async #rehearse(
		worker: CommitWorker,
		kinds: readonly Kind[],
		reports: RehearsalReports,
	): Promise<RehearsalResult> {
		const { externals, internal, hasExpectations, clock } = this.#options;
		this.#check();
		const copied = await worker.run({ type: "copy", hasExpectations });
		// the same peers for both halves; what changes meanwhile is not done once more
		const sources = KINDS.map((kind) =>
			externals(kind).map(({ store }) => ({ store, touched: new SlotSet() })),
		);
		// whether a rule looks at labels cannot be told in a namespace without rules, and they cost nobody a connection
		const { labels: _, ...options } = this.#options;
		const commit = new Commit({
			...options,
			worker,
			internal: [
				readOnly(internal[CONNTRACK], (record, isReplaced) =>
					reports.joined(CONNTRACK, { record, isReplaced }),
				),
				readOnly(internal[EXPECTATION], () => {}),
			],
			externals: (kind) => sources[kind]!,
			clock: this.#abortable(clock),
			pump: () => {},
			refused: reports.refused,
		});
		for (const kind of kinds) for (const source of sources[kind]!) commit.share(kind, source);
		const halves: RehearsalResult["halves"] = [];
		for (const kind of kinds) halves.push({ kind, summary: await commit.run(kind) });
		const offlineCause = worker.scratch?.offlineCause;
		return { ...(offlineCause === undefined ? {} : { offlineCause }), notCopied: copied.failed, halves };
	}

	/** Whether a copy fits into memory; where it does not, the tables are only modelled. */
	#scratchOptions(): ScratchOptions {
		const { externals, offlineCause } = this.#options;
		const setting = (name: string): number => numberIn(`/proc/sys/net/netfilter/${name}`, /^(\d+)/) ?? 0;
		const max = setting("nf_conntrack_max");
		const available = (numberIn("/proc/meminfo", /^MemAvailable:\s+(\d+) kB/m) ?? 0) * 1024;
		const entries = externals(CONNTRACK).reduce(
			(n, { store }) => n + store.live,
			setting("nf_conntrack_count"),
		);
		const bytes = entries * ENTRY_BYTES;
		if (offlineCause !== undefined) return { entries, max, offlineCause };
		if (bytes <= available / MEMORY_SHARE) return { entries, max };
		return {
			entries,
			max,
			offlineCause:
				`${entries} entries would take ${Math.ceil(bytes / 2 ** 20)} MiB of kernel memory, ` +
				`more than a quarter of the ${Math.floor(available / 2 ** 20)} MiB available`,
		};
	}

	/** The walks over the caches end at their next pause. */
	#abortable(clock: Clock): Clock {
		return {
			...clock,
			now: () => clock.now(),
			pause: async () => {
				await clock.pause();
				this.#check();
			},
		};
	}

	#check(): void {
		if (this.#cause) throw this.#cause;
	}
}

/** An internal cache in which a commit changes nothing; `joined` hears of entries that it would have changed. */
function readOnly(
	{ store }: CommitTarget,
	joined: (record: Int32Array, isReplaced: boolean) => void,
): CommitTarget {
	return {
		store,
		apply: (record, isNew) => {
			// otherwise it is the entry's adoption
			if (isNew) joined(record, true);
			return -1;
		},
		refresh: (record) => joined(record, false),
		bury: () => {},
	};
}

function numberIn(path: string, pattern: RegExp): number | undefined {
	try {
		const found = pattern.exec(readFileSync(path, "ascii"))?.[1];
		return found === undefined ? undefined : Number(found);
	} catch {
		return undefined;
	}
}
