// The expectation policy where it is asked: before an expectation of this kernel is told to the peers (export), when a
// peer tells of one (receipt), and before one is put into this kernel (commit). Counts, and says what it refuses.
import type { ExternalCache } from "./cache/external-cache.ts";
import type { InternalCache } from "./cache/internal-cache.ts";
import type { RecordStore } from "./cache/record-store.ts";
import type { CommitJudge } from "./commit/expectation-choice.ts";
import { expectAnySourceKey } from "./commit/gre-entry.ts";
import { EXP_CLASS, EXP_ID, newExpectationRecord } from "./conntrack/expectation-record.ts";
import { formatExpectation } from "./conntrack/format.ts";
import { EXPECTATION } from "./conntrack/kind.ts";
import type { NameTable } from "./conntrack/names.ts";
import type { ConntrackRecord } from "./conntrack/record.ts";
import { newConntrackRecord } from "./conntrack/record.ts";
import { ACCEPTED, formatCode, WAITING } from "./policy/codes.ts";
import type { ExpectationPolicy } from "./policy/expectation-policy.ts";
import type { Standing } from "./policy/standing.ts";
import { Tally } from "./policy/tally.ts";
import { type ExpectationJudge, findMaster, masterKey } from "./sync/expectation-gate.ts";
import type { Log } from "./system/log.ts";

export const CHECKPOINTS = ["export", "receipt", "commit"] as const;
export type Checkpoint = (typeof CHECKPOINTS)[number];

/** Violations of this kernel that were counted: each dump shows them again. When there are more, some count twice. */
const SEEN_MAX = 4096;
const WHERE: Readonly<Record<Checkpoint, string>> = {
	export: "not replicating an expectation of this kernel",
	receipt: "keeping back an expectation of a peer",
	commit: "not committing an expectation",
};

/** How often a helper's expectations met this verdict at this point. */
export interface PolicyCount {
	checkpoint: Checkpoint;
	/** "-": none of the table. */
	helper: string;
	/** ACCEPTED, or the number of a rule. */
	code: number;
	count: number;
}

export interface CheckOptions {
	policy: ExpectationPolicy;
	names: NameTable;
	log: Log;
	/** This kernel's expectations. */
	internal: InternalCache;
	/** The master of an expectation in this kernel, in the expectation's zone. */
	ownMaster: (expectation: Int32Array) => ConntrackRecord | undefined;
	/** The conntracks of the node whose expectations are in this store. */
	conntracksBeside: (store: RecordStore) => ExternalCache | undefined;
}

export class ExpectationChecks implements ExpectationJudge {
	readonly keeps: boolean;
	readonly mostOfMaster: number;
	readonly #options: CheckOptions;
	/** Bounded: three points, the rows of the table, the rules. */
	readonly #counts = new Map<string, PolicyCount>();
	readonly #seen = new Set<number>();
	readonly #copy = newExpectationRecord();
	readonly #master = newConntrackRecord();

	constructor(options: CheckOptions) {
		this.#options = options;
		this.mostOfMaster = options.policy.mostOfMaster;
		this.keeps = options.policy.settings.onViolation === "quarantine";
	}

	/** Export: whether the peers may be told of this expectation. The kernel itself sees to how many there are. */
	mayExport(expectation: Int32Array, master: ConntrackRecord): boolean {
		const code = this.#options.policy.judge(expectation, master);
		// how an expectation ends: the kernel shows it with 0 s left for a moment
		if (code === ACCEPTED) {
			if (this.#isNewsOf(expectation)) this.#count("export", code);
			return true;
		}
		if (this.#isNewsOf(expectation)) this.#refused("export", code, expectation, master);
		return false;
	}

	/** Receipt. */
	judge(expectation: Int32Array, master: ConntrackRecord | undefined, standing: Standing): number {
		return this.#options.policy.judge(expectation, master, standing);
	}

	judged(expectation: Int32Array, verdict: number, master: ConntrackRecord | undefined): void {
		if (verdict === WAITING) return;
		if (verdict === ACCEPTED) this.#count("receipt", verdict);
		else this.#refused("receipt", verdict, expectation, master);
	}

	/**
	 * Commit: a judge of what comes on top of what this kernel has. It is asked for each expectation once.
	 *
	 * @param isRehearsal nothing is counted, nothing is logged
	 * @param besides expectations that this kernel has, too: direct injection has put them there
	 */
	forCommit(isRehearsal = false, besides: Iterable<Int32Array> = []): CommitJudge {
		const { internal, policy, conntracksBeside, ownMaster } = this.#options;
		const tally = new Tally();
		const record = this.#copy;
		for (let slot = 0; slot < internal.store.end; slot++) {
			if (!internal.store.isLive(slot)) continue;
			internal.store.read(slot, record);
			tally.add(masterKey(record, this.#master), record[EXP_CLASS]!, false, 0);
		}
		for (const injected of besides) {
			tally.add(masterKey(injected, this.#master), injected[EXP_CLASS]!, false, 0);
		}
		return (expectation, store, isCounted) => {
			// by the key under which it is committed
			record.set(expectation);
			expectAnySourceKey(record);
			const known = internal.store.find(record);
			const isHeld = known >= 0 && internal.store.isLive(known);
			const key = masterKey(expectation, this.#master);
			const kind = expectation[EXP_CLASS]!;
			// as its node has it; without a master the kernel takes none, and says so
			const beside = conntracksBeside(store);
			const theirs = beside && findMaster(beside, expectation, this.#master, false);
			const standing = isHeld || !isCounted ? undefined : tally.standing(key, kind, false, 0);
			let code = policy.judge(expectation, theirs, standing);
			// and as it is in this kernel
			const own = code === ACCEPTED ? ownMaster(expectation) : undefined;
			if (own) code = policy.judge(expectation, own, standing);
			if (code === WAITING) code = MASTER;
			if (code === ACCEPTED && !isHeld) tally.add(key, kind, false, 0);
			if (isRehearsal) return code;
			if (code === ACCEPTED) this.#count("commit", code);
			else this.#refused("commit", code, expectation, own ?? theirs);
			return code;
		};
	}

	/** Why an expectation in this store of a peer's is kept back, for people. */
	why(expectation: Int32Array, store: RecordStore, code: number): string {
		const beside = this.#options.conntracksBeside(store);
		const master = beside && findMaster(beside, expectation, this.#master, true);
		const problem = this.#explain(expectation, master, code);
		return describe(
			code,
			problem === "" && code === NUMBER ? "its master has too many, or too fast" : problem,
		);
	}

	get onViolation(): string {
		return this.#options.policy.settings.onViolation;
	}

	/** In no order. */
	get counts(): readonly PolicyCount[] {
		return [...this.#counts.values()];
	}

	#explain(expectation: Int32Array, master: ConntrackRecord | undefined, code: number): string {
		const verdicts = this.#options.policy.explain(expectation, master);
		return verdicts.find((verdict) => verdict.code === code)?.problem ?? "";
	}

	#refused(
		checkpoint: Checkpoint,
		code: number,
		expectation: Int32Array,
		master: ConntrackRecord | undefined,
	): void {
		const { names, log } = this.#options;
		this.#count(checkpoint, code);
		const rule = describe(code, this.#explain(expectation, master, code));
		log.limited(
			`policy ${checkpoint} ${code}`,
			`${WHERE[checkpoint]}, by rule ${rule}: ${formatExpectation(expectation, names)}`,
		);
	}

	#count(checkpoint: Checkpoint, code: number): void {
		const helper = this.#options.policy.lastHelper;
		const key = `${checkpoint} ${helper} ${code}`;
		const known = this.#counts.get(key);
		if (known) known.count++;
		else this.#counts.set(key, { checkpoint, helper, code, count: 1 });
	}

	/** The kernel shows the same expectation again and again; its id tells it from the next one like it. */
	#isNewsOf(expectation: Int32Array): boolean {
		const { layout } = this.#options.internal.store;
		const key = (layout.hash(expectation, 1) >>> 12) * 2 ** 32 + (expectation[EXP_ID]! >>> 0);
		if (this.#seen.has(key)) return false;
		if (this.#seen.size >= SEEN_MAX) this.#seen.clear();
		this.#seen.add(key);
		return true;
	}
}

const describe = (code: number, why: string): string => `${formatCode(code)}${why === "" ? "" : ` (${why})`}`;

const NUMBER = 13;
/** X02: its node has not told of its master. */
const MASTER = 2;

/** The peer whose expectations are in this store, as a lookup of its conntracks. */
export const besideIn =
	(pairs: () => readonly (readonly [ExternalCache, ExternalCache])[]) =>
	(store: RecordStore): ExternalCache | undefined =>
		pairs().find((pair) => pair[EXPECTATION].store === store)?.[0];
