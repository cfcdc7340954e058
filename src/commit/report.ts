// What a commit came to, or would come to: one value, and what is made of it for the log, for scripts and for
// operators. The log's lines and the JSON are interfaces (docs/operations.md).
import { CONNTRACK, type Kind } from "../conntrack/kind.ts";
import type { CommitResult } from "./messages.ts";
import type { Reason } from "./refusal-reason.ts";
import { VALUE_NAMES } from "./value.ts";

/** Different reasons that are told apart: more than there are, so that nothing grows without a bound. */
const REASONS_MAX = 256;
const REST: Reason = { code: "other", text: "for other reasons", isPolicy: false };

export interface ReasonCount extends Reason {
	count: number;
}

/** One half: the conntracks, or the expectations. */
export interface HalfReport {
	kind: Kind;
	counts: CommitResult;
	reasons: readonly ReasonCount[];
	seconds: number;
}

/** Whose view was committed, the one that knows best first. */
export interface CommittedPeer {
	node: string;
	term: number;
}

export interface CommitReport {
	/** `commit`: it was done. The others say what would happen. */
	mode: "commit" | "scratch" | "offline";
	/** Why it was only checked offline. */
	offlineCause?: string;
	/** Of a rehearsal: entries of this kernel that its copy does not have. */
	notCopied?: number;
	role: "primary" | "backup" | "active-active";
	term: number;
	peers: readonly CommittedPeer[];
	halves: readonly HalfReport[];
}

/** Counts refusals by reason. */
export class ReasonTally {
	readonly #counts = new Map<string, ReasonCount>();

	add(reason: Reason): void {
		const known = this.#counts.get(reason.text);
		if (known) known.count++;
		else if (this.#counts.size < REASONS_MAX) this.#counts.set(reason.text, { ...reason, count: 1 });
		else this.#addRest();
	}

	/** The most frequent first. */
	get counts(): ReasonCount[] {
		return [...this.#counts.values()].sort((a, b) => b.count - a.count);
	}

	/** One place beyond the limit is set aside for these. */
	#addRest(): void {
		const rest = this.#counts.get(REST.text);
		if (rest) rest.count++;
		else this.#counts.set(REST.text, { ...REST, count: 1 });
	}
}

export const NOUN = ["entries", "expectations"] as const;

const sum = (reasons: readonly ReasonCount[]): number => reasons.reduce((n, { count }) => n + count, 0);

/** Entries that are, or would be, in the kernel after it. */
export const restored = ({ counts }: HalfReport): number =>
	counts.created + counts.kept + counts.updated + counts.replaced;

/** Entries that policy keeps out. */
export const refusedByPolicy = ({ reasons }: HalfReport): number =>
	sum(reasons.filter(({ isPolicy }) => isPolicy));

/** Entries that are left for a reason that is a failure: what is over, or kept out on purpose, is none. */
export const left = (half: HalfReport): number => half.counts.failed - refusedByPolicy(half);

/** The exit status of the command. */
export function statusOf({ halves }: CommitReport): 0 | 1 {
	return halves.some((half) => left(half) > 0) ? 1 : 0;
}

/** What follows "N entries ", in the order in which it is told; `would` is for a rehearsal. */
const LINES: readonly [count: (half: HalfReport) => number, done: string, would: string][] = [
	[({ counts }) => counts.kept, "were there already", "are there already"],
	[
		({ counts }) => counts.updated,
		"were there and have been updated",
		"are there and would be brought up to date",
	],
	[
		({ counts }) => counts.replaced,
		"of other connections were replaced",
		"would take the place of other connections' left-overs",
	],
	[
		({ counts }) => counts.withoutHelper,
		"had to go without their helper, which this kernel does not have",
		"would have to go without their helper, which this kernel does not have",
	],
	[
		({ counts }) => counts.withoutLabels,
		"had to go without their labels, because no rule of this node looks at labels",
		"would have to go without their labels, because no rule of this node looks at labels",
	],
	[
		({ counts }) => counts.withoutMaster,
		"had to go without the relation to their master, which is not in the kernel",
		"would have to go without the relation to their master, which would not be there",
	],
	[
		({ counts }) => counts.offloaded,
		"were offloaded: they got this kernel's own timeout for their state",
		"are offloaded, and would get this kernel's own timeout for their state",
	],
	[
		({ counts }) => counts.superseded,
		"are another node's by now, whose view counts",
		"are another node's by now, whose view counts",
	],
	[({ counts }) => counts.expired, "were over and have not been committed", "are over"],
	[
		({ counts }) => counts.outdated,
		"were older than others of the same master",
		"are older than others of the same master",
	],
	[
		({ counts }) => counts.consumed,
		"had served: their connection is there",
		"have served: their connection is there",
	],
	[refusedByPolicy, "are refused by the policy", "are refused by the policy"],
];

/** The log of one half, a line each, as scripts know it from conntrackd. */
export function logLines(half: HalfReport): string[] {
	const noun = NOUN[half.kind];
	const lines = [`Committed ${half.counts.created} new ${noun}`];
	const tell = (count: number, text: string): void => {
		if (count > 0) lines.push(`${count} ${noun} ${text}`);
	};
	for (const [count, done] of LINES) tell(count(half), done);
	tell(left(half), "can't be committed");
	lines.push(...fullLines(half));
	for (const { count, text } of half.reasons) lines.push(`  ${count}: ${text}`);
	lines.push(`commit has taken ${half.seconds.toFixed(6)} seconds`);
	return lines;
}

/** Who found no room in the table. */
function fullLines({ counts }: HalfReport): string[] {
	const named = counts.full.map((count, value) => [count, VALUE_NAMES[value]] as const);
	const some = named.filter(([count]) => count > 0);
	return some.length === 0
		? []
		: [`  no room in the table for ${some.map(([count, name]) => `${count} ${name}`).join(", ")}`];
}

/** Why the command fails, one line; undefined when it does not. */
export function failureOf(report: CommitReport): string | undefined {
	if (statusOf(report) === 0) return undefined;
	const causes = report.halves.flatMap(({ kind, reasons }) =>
		reasons.filter(({ isPolicy }) => !isPolicy).map(({ count, text }) => `${count} ${NOUN[kind]}: ${text}`),
	);
	const what =
		report.mode === "commit" ? "not everything could be committed" : "not everything would be restored";
	return `${what}: ${causes.join("; ")}`;
}

/** `ctsync commit`: the same lines as in the log. */
export function commitText(report: CommitReport): string {
	const lines = report.halves.flatMap(logLines);
	if (report.peers.length === 0) lines.unshift("no other node has been heard: there was nothing to commit");
	return `${lines.join("\n")}\n`;
}

/** The head of what `ctsync commit --dry-run` prints. */
export function rehearsalHead(report: CommitReport): string {
	const seconds = report.halves.reduce((n, half) => n + half.seconds, 0).toFixed(3);
	const how =
		report.mode === "offline"
			? `checked offline in ${seconds} s, which sees less than this kernel would (${report.offlineCause})`
			: `rehearsed in a scratch network namespace of this kernel in ${seconds} s`;
	const lines = [`${how}; nothing has been changed`];
	if (report.notCopied !== undefined) {
		lines.push(
			`${report.notCopied} entries of this kernel could not be copied: what meets them is not told right`,
		);
	}
	const nodes = report.peers.map(({ node, term }) => `node ${node} (term ${term})`);
	lines.push(
		nodes.length === 0
			? "no other node has been heard: a failover would restore nothing"
			: `what is known from ${nodes.join(", ")}:`,
	);
	return `${lines.join("\n")}\n`;
}

/** What it prints about one half, up to the entries that it names. */
export function rehearsalText(half: HalfReport): string {
	const name = half.kind === CONNTRACK ? "conntracks" : "expectations";
	const { expired, superseded, outdated, consumed } = half.counts;
	const total = restored(half) + half.counts.failed;
	const all = total + expired + superseded + outdated + consumed;
	if (all === 0) return `${name}: none\n`;
	const lines = [`${name}: ${all}`];
	const tell = (count: number, text: string): void => {
		if (count > 0) lines.push(`  ${count} ${text}`);
	};
	tell(half.counts.created, "would be created");
	for (const [count, , would] of LINES) tell(count(half), would);
	tell(left(half), "would not be restored");
	lines.push(...fullLines(half).map((line) => `  ${line}`));
	for (const { count, code, text } of half.reasons) lines.push(`    ${count}: ${code} (${text})`);
	lines.push(verdict(restored(half), total));
	return `${lines.join("\n")}\n`;
}

/** "99.98 % would restore; these 3 would not". Never 100 % while one would not. */
function verdict(good: number, total: number): string {
	if (good === total) return total === 0 ? "  nothing to restore" : "  100 % would restore";
	const share = Math.floor((good / total) * 10_000) / 100;
	return `  ${share.toFixed(2)} % would restore; ${total - good === 1 ? "this one" : `these ${total - good}`} would not`;
}

/** The members of the JSON that is an interface; entries that are named may follow as `shown`. */
export function reportObject(report: CommitReport): Record<string, unknown> {
	const half = (kind: Kind): unknown => {
		const found = report.halves.find((candidate) => candidate.kind === kind);
		if (!found) return null;
		const { counts, reasons, seconds } = found;
		return {
			...counts,
			failed: left(found),
			refusedByPolicy: refusedByPolicy(found),
			seconds: Number(seconds.toFixed(6)),
			reasons: reasons.map(({ code, text, count, isPolicy }) => ({ code, text, count, policy: isPolicy })),
		};
	};
	return {
		version: 1,
		mode: report.mode,
		...(report.offlineCause === undefined ? {} : { offlineCause: report.offlineCause }),
		...(report.notCopied === undefined ? {} : { notCopied: report.notCopied }),
		status: statusOf(report),
		role: report.role,
		term: report.term,
		peers: report.peers,
		conntracks: half(0),
		expectations: half(1),
	};
}
