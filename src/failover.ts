// `-c` and `ctsync commit`: takes the peers' state into the kernel, and says what came of it; or rehearses that.
import type { Commit } from "./commit/commit.ts";
import type { Refusal } from "./commit/messages.ts";
import { reasonOf } from "./commit/refusal-reason.ts";
import type { Rehearsal } from "./commit/rehearsal.ts";
import {
	type CommitReport,
	commitText,
	failureOf,
	type HalfReport,
	logLines,
	ReasonTally,
	rehearsalHead,
	rehearsalText,
	reportObject,
} from "./commit/report.ts";
import { formatConntrack, formatExpectation } from "./conntrack/format.ts";
import { CONNTRACK, type Kind } from "./conntrack/kind.ts";
import type { NameTable } from "./conntrack/names.ts";
import { formatNode } from "./conntrack/node-id.ts";
import type { CommitRequest } from "./control/commit-request.ts";
import type { Reply } from "./control/request.ts";
import type { TextSink } from "./control/server.ts";
import type { Ftfw } from "./sync/ftfw.ts";
import type { Peer } from "./sync/peer.ts";
import type { Clock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";

/** Refused entries that are logged one by one; the rest is counted by reason. */
const REFUSALS_LOGGED = 20;
/** Named entries per piece of text: between two pieces others have their turn. */
const LINES = 512;

export interface FailoverOptions {
	commit: Commit;
	rehearsal: Rehearsal;
	ftfw: Ftfw;
	/** The one that knows best first. */
	peers: () => readonly Peer[];
	names: NameTable;
	/** Kernel events so far, those that are waiting included. */
	events: () => number;
	/** A purge that goes on would delete what is committed: ends it. */
	stopPurge: () => Promise<void>;
	/** The kernel has changed entries while they were committed. */
	disturbed: () => void;
	clock: Clock;
	log: Log;
}

export class Failover {
	readonly #options: FailoverOptions;
	#tally = new ReasonTally();
	#logged = 0;

	constructor(options: FailoverOptions) {
		this.#options = options;
	}

	/** `-c`: says nothing but why it failed. */
	async commit(kinds: readonly Kind[]): Promise<Reply> {
		const report = await this.#run(kinds);
		return replyTo(typeof report === "string" ? report : failureOf(report));
	}

	/** `ctsync commit`. */
	async commitAndTell(kinds: readonly Kind[], { form }: CommitRequest, write: TextSink): Promise<Reply> {
		const report = await this.#run(kinds);
		if (typeof report === "string") return replyTo(report);
		await write(form === "json" ? `${JSON.stringify(reportObject(report))}\n` : commitText(report));
		return replyTo(failureOf(report));
	}

	/** `ctsync commit --dry-run`. */
	async rehearse(kinds: readonly Kind[], request: CommitRequest, write: TextSink): Promise<Reply> {
		const { commit, rehearsal, names } = this.#options;
		if (commit.isRunning) return replyTo("a commit is in progress: rehearse when it is over");
		const tallies = [new ReasonTally(), new ReasonTally()] as const;
		const refused = new NamedEntries(request.show);
		const joined = new NamedEntries(request.isVerbose ? request.show : 0);
		let report: CommitReport;
		try {
			const result = await rehearsal.run(kinds, {
				refused: (kind, refusal) => {
					const reason = reasonOf(kind, refusal);
					tallies[kind].add(reason);
					refused.add({ kind, code: reason.code, record: refusal.record });
				},
				joined: (kind, { record, isReplaced }) =>
					joined.add({ kind, code: isReplaced ? "replaced" : "joined", record }),
			});
			report = {
				mode: result.offlineCause === undefined ? "scratch" : "offline",
				...(result.offlineCause === undefined ? {} : { offlineCause: result.offlineCause }),
				...(result.notCopied === 0 ? {} : { notCopied: result.notCopied }),
				...this.#node(),
				halves: result.halves.map(({ kind, summary: { seconds, ...counts } }) => {
					return { kind, counts, reasons: tallies[kind].counts, seconds };
				}),
			};
		} catch (error) {
			return replyTo(`not rehearsed: ${(error as Error).message}`);
		}
		const named = [...refused.entries, ...joined.entries].slice(0, request.show);
		const unnamed = refused.count + (request.isVerbose ? joined.count : 0) - named.length;
		const lineOf = ({ kind, code, record }: NamedEntry): [code: string, entry: string] => [
			code,
			formatEntry(kind, record, names),
		];
		if (request.form === "json") {
			await write(`${JSON.stringify(reportObject(report)).slice(0, -1)},"shown":[`);
			await this.#eachPiece(named, write, (entry, i) => {
				const [code, text] = lineOf(entry);
				return `${i === 0 ? "" : ","}${JSON.stringify({ code, kind: HALF_NAME[entry.kind], entry: text })}`;
			});
			await write(`],"notShown":${unnamed}}\n`);
		} else {
			await write(rehearsalHead(report));
			for (const half of report.halves) {
				await write(rehearsalText(half));
				const ofHalf = named.filter(({ kind }) => kind === half.kind);
				await this.#eachPiece(ofHalf, write, (entry) => `  ${lineOf(entry).join(": ")}\n`);
			}
			if (unnamed > 0) await write(`${unnamed} more are not named: --show N, or --show all\n`);
		}
		return replyTo(failureOf(report));
	}

	/** Writes a text for each entry, in pieces. */
	async #eachPiece(
		entries: readonly NamedEntry[],
		write: TextSink,
		format: (entry: NamedEntry, index: number) => string,
	): Promise<void> {
		for (let at = 0; at < entries.length; at += LINES) {
			if (at > 0) await this.#options.clock.pause();
			const piece = entries.slice(at, at + LINES);
			await write(piece.map((entry, i) => format(entry, at + i)).join(""));
		}
	}

	/** The kernel did not take an entry. */
	refused(kind: Kind, refusal: Refusal): void {
		const { log, names } = this.#options;
		const reason = reasonOf(kind, refusal);
		this.#tally.add(reason);
		if (this.#logged++ >= REFUSALS_LOGGED) return;
		const text = `${reason.text}: ${formatEntry(kind, refusal.record, names)}`;
		if (reason.isPolicy) log.notice(text);
		else log.error(text);
	}

	/** What came of it, or why it was not done at all. */
	async #run(kinds: readonly Kind[]): Promise<CommitReport | string> {
		const { commit, rehearsal, log, ftfw, clock } = this.#options;
		rehearsal.abort("a commit has begun");
		if (commit.isRunning) {
			log.warning("commit already in progress, skipping");
			return IN_PROGRESS;
		}
		await this.#options.stopPurge();
		if (commit.isRunning) return IN_PROGRESS;
		const halves: HalfReport[] = [];
		if (kinds.length > 0) {
			if (kinds.includes(CONNTRACK)) ftfw.contacts.becomePrimary(clock.now());
			log.notice(`committing ${kinds.length > 1 ? "all external caches" : COMMIT_WHAT[kinds[0]!]}`);
		}
		const eventsBefore = this.#options.events();
		let isOver = false;
		try {
			for (const kind of kinds) {
				this.#tally = new ReasonTally();
				this.#logged = 0;
				const { seconds, ...counts } = await commit.run(kind);
				const half = { kind, counts, reasons: this.#tally.counts, seconds };
				for (const line of logLines(half)) log.notice(line);
				halves.push(half);
			}
			isOver = true;
		} finally {
			// an entry that ended while it was being written, and others that met an event on the way, are not what
			// the cache believes: our own changes send us no event. Nor is what a commit that broke off has not written
			if (!isOver || this.#options.events() !== eventsBefore) this.#options.disturbed();
		}
		return { mode: "commit", ...this.#node(), halves };
	}

	#node(): Pick<CommitReport, "role" | "term" | "peers"> {
		const { ftfw, peers } = this.#options;
		const { isPrimary, isActiveActive, term } = ftfw.contacts.state;
		return {
			role: isActiveActive ? "active-active" : isPrimary ? "primary" : "backup",
			term,
			peers: peers().map(({ node, state }) => ({ node: formatNode(node), term: state.term })),
		};
	}
}

/** What a rehearsal calls by name. */
interface NamedEntry {
	kind: Kind;
	code: string;
	record: Int32Array;
}

/** The first of them, and how many there were. */
class NamedEntries {
	readonly entries: NamedEntry[] = [];
	count = 0;
	readonly #max: number;

	constructor(max: number) {
		this.#max = max;
	}

	add(entry: NamedEntry): void {
		this.count++;
		if (this.entries.length < this.#max) this.entries.push(entry);
	}
}

const HALF_NAME = ["conntrack", "expectation"] as const;
const IN_PROGRESS = "commit already in progress";
const COMMIT_WHAT = ["conntrack cache", "expectation cache"] as const;

const replyTo = (error: string | undefined): Reply =>
	error === undefined ? { status: 0 } : { status: 1, error };

const formatEntry = (kind: Kind, record: Int32Array, names: NameTable): string =>
	kind === CONNTRACK ? formatConntrack(record, names, { reply: true }) : formatExpectation(record, names);
