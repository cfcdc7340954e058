// `ctsync verify`: has this node and its peers compare everything that they hold of each other, now, and tells what
// was found. What differs is put right by the protocol on the way; the answer says what it was.
import { formatConntrack, formatExpectation } from "./conntrack/format.ts";
import { CONNTRACK } from "./conntrack/kind.ts";
import type { NameTable } from "./conntrack/names.ts";
import { formatNode } from "./conntrack/node-id.ts";
import { formatRefusals, refusalCounts } from "./policy/codes.ts";
import { type Json, jsonLine } from "./stats/json.ts";
import { emptiedText } from "./stats/render-cluster.ts";
import { type Difference, type Ftfw, VERDICT } from "./sync/ftfw.ts";
import { modeName } from "./sync/mode.ts";
import type { Peer } from "./sync/peer.ts";
import type { Ticker } from "./sync/ticker.ts";
import type { Clock } from "./system/clock.ts";

/** The longest that nodes may take that differ in nothing, milliseconds, and what each entry may add. */
const PATIENCE_MS = 10_000;
const PATIENCE_PER_ENTRY_MS = 0.05;
const POLL_MS = 20;
/** After the last claim was sent: its verdict is on its way. */
const VERDICTS_MS = 200;
/** Differences of a peer of which the entry is told; the others are counted. */
const TOLD_MAX = 100;

const WHAT: Readonly<Record<number, string>> = {
	[VERDICT.older]: "an older state was held",
	[VERDICT.otherState]: "another state was held under the same version",
	[VERDICT.gone]: "held, but its node does not have it",
	[VERDICT.neverWas]: "held under a version that never was",
};

export interface VerificationOptions {
	ftfw: Ftfw;
	ticker: Ticker;
	names: NameTable;
	clock: Clock;
}

/** One peer while it is verified. */
interface Case {
	peer: Peer;
	before: { refuted: number; wrong: number; repairs: number };
	claimedAt: number | undefined;
	/** Entries of the peer's that were held otherwise, TOLD_MAX of them. */
	differences: string[];
}

export class Verification {
	readonly #options: VerificationOptions;
	/** Of every run that is under way; a run ends by itself when its patience does. */
	readonly #cases = new Set<Case>();

	constructor(options: VerificationOptions) {
		this.#options = options;
	}

	/** An entry of the peer's was held otherwise than the peer has it. */
	differs(peer: Peer, { kind, record, what }: Difference): void {
		const open = [...this.#cases].filter((one) => one.peer === peer && one.differences.length < TOLD_MAX);
		if (open.length === 0) return;
		const { names } = this.#options;
		const entry =
			kind === CONNTRACK
				? formatConntrack(record, names, { reply: false })
				: formatExpectation(record, names);
		for (const { differences } of open) differences.push(`${WHAT[what] ?? "differs"}: ${entry}`);
	}

	/**
	 * @param name a peer's address or number; all that are in contact if it is absent
	 * @returns what was found, and whether everything is equal
	 */
	async run(name: string | undefined): Promise<{ text: string; json: string; isEqual: boolean }> {
		const { ftfw, ticker, clock } = this.#options;
		const named = ftfw.peers.filter((peer) => name === undefined || isNamed(peer, name));
		if (named.length === 0) {
			const text = name === undefined ? "no other node has been heard yet" : `no node ${name} has been heard`;
			const json = jsonLine("verify", { equal: false, peers: [], problem: text });
			return { text: `${text}\n`, json, isEqual: false };
		}
		const startedAt = clock.now();
		const cases = named.map(
			(peer): Case => ({
				peer,
				before: {
					refuted: peer.equality.refuted,
					wrong: peer.equality.wrong,
					repairs: peer.equality.repairs,
				},
				claimedAt: undefined,
				differences: [],
			}),
		);
		for (const one of cases) {
			this.#cases.add(one);
			if (one.peer.hears) ftfw.verify(one.peer, startedAt);
		}
		ticker.pump();
		const entries = named.reduce((sum, peer) => sum + held(peer), ftfw.entries);
		const until = startedAt + PATIENCE_MS + entries * PATIENCE_PER_ENTRY_MS;
		const isOpen = (one: Case): boolean => one.peer.hears && !this.#isDone(one, startedAt);
		while (clock.now() < until && cases.some(isOpen)) {
			await new Promise<void>((resolve) => clock.after(POLL_MS, resolve));
		}
		for (const one of cases) this.#cases.delete(one);
		const reports = cases.map((one) => this.#report(one, startedAt));
		const isEqual = reports.every((report) => report.isEqual);
		return {
			text: reports.map(({ text }) => text).join(""),
			json: jsonLine("verify", { equal: isEqual, peers: reports.map(({ json }) => json) }),
			isEqual,
		};
	}

	/** DisableInternalCache, here or there: there is nothing to compare with. */
	#isBlind({ state }: Peer): boolean {
		return state.hasNoCache || this.#options.ftfw.contacts.state.hasNoCache;
	}

	#isDone(one: Case, startedAt: number): boolean {
		const { ftfw, clock } = this.#options;
		const { peer } = one;
		if (this.#isBlind(peer)) return true;
		if (ftfw.equality.isClaiming(peer)) return false;
		one.claimedAt ??= clock.now();
		return (
			clock.now() - one.claimedAt >= VERDICTS_MS &&
			(isKnownEmptied(peer) || peer.equality.verifiedAt >= startedAt) &&
			(saysEmptied(peer, startedAt) || verifiedByPeer(peer) >= startedAt)
		);
	}

	#report(
		{ peer, before, differences }: Case,
		startedAt: number,
	): { text: string; json: Json; isEqual: boolean } {
		const address = formatNode(peer.node);
		if (!peer.hears) {
			const json = { node: address, equal: false, problem: "not in contact" };
			return { text: `${address}: not in contact\n`, json, isEqual: false };
		}
		if (this.#isBlind(peer)) {
			const problem = "not compared, because one side keeps no internal cache";
			return {
				text: `${address}: ${problem}\n`,
				json: { node: address, equal: false, problem },
				isEqual: false,
			};
		}
		const { equality } = peer;
		const theirs = equality.isSuspended
			? emptied("here", peer.state.mode)
			: verdictOf({
					isVerified: equality.verifiedAt >= startedAt,
					wrong: equality.refuted - before.refuted,
					repairs: equality.repairs - before.repairs,
					refused: peer.external[0].refused + peer.external[1].refused,
					refusals: peer.external[0].refusals.map(
						(count, reason) => count + peer.external[1].refusals[reason]!,
					),
				});
		const ours = equality.report?.isEmptied
			? emptied("there", this.#options.ftfw.mode.id)
			: verdictOf({
					isVerified: verifiedByPeer(peer) >= startedAt,
					wrong: equality.wrong - before.wrong,
					repairs: 0,
					refused: equality.report?.refused ?? 0,
					refusals: equality.refusals,
				});
		const lines = [
			`${address}: of its entries ${held(peer)} are held here: ${theirs.text}`,
			`${address}: of our ${this.#options.ftfw.entries} entries, as held there: ${ours.text}`,
			...differences.map((text) => `  ${text}`),
		];
		const isEqual = theirs.isEqual && ours.isEqual;
		const json = {
			node: address,
			equal: isEqual,
			theirs: { held: held(peer), ...theirs.json },
			ours: { held: this.#options.ftfw.entries, ...ours.json },
			differences,
		};
		return { text: `${lines.join("\n")}\n`, json, isEqual };
	}
}

/** `-f external`: an operator wants it so, and whoever looks has to know that there is no copy. */
function emptied(where: "here" | "there", originMode: number) {
	const text = emptiedText(where, modeName(originMode));
	return { text, json: { suspended: true, equal: false }, isEqual: false };
}

/** What an operator has emptied here differs, as is to be expected: there is nothing to wait for. */
const isKnownEmptied = ({ equality }: Peer): boolean => equality.isSuspended && equality.differing > 0;

/** The same of the peer's copy, by a report that has come since. */
function saysEmptied({ equality: { report } }: Peer, since: number): boolean {
	return report?.isEmptied === true && report.at >= since && report.differing > 0;
}

function verdictOf(found: {
	isVerified: boolean;
	wrong: number;
	repairs: number;
	refused: number;
	refusals: ArrayLike<number>;
}) {
	const faults: string[] = [];
	if (found.wrong > 0) faults.push(`${found.wrong} differed`);
	else if (found.repairs > 0) faults.push("some were missing");
	if (!found.isVerified) faults.push("could not be found equal in time");
	const refused = found.refused > 0 ? `; ${found.refused} refused: ${formatRefusals(found.refusals)}` : "";
	const text = faults.length === 0 ? "equal" : faults.join(", ");
	const isEqual = faults.length === 0;
	const json = {
		suspended: false,
		equal: isEqual,
		verified: found.isVerified,
		differed: found.wrong,
		repairs: found.repairs,
		refused: found.refused,
		refusedBy: refusalCounts(found.refusals),
	};
	return { text: `${text}${refused}`, json, isEqual };
}

/** When the peer last found all equal that it holds of ours; clock of this node, less the way here. */
function verifiedByPeer({ equality: { report } }: Peer): number {
	return report ? report.at - report.age : Number.NEGATIVE_INFINITY;
}

const held = (peer: Peer): number => peer.external[0].store.live + peer.external[1].store.live;
const isNamed = (peer: Peer, name: string): boolean =>
	formatNode(peer.node) === name || String(peer.node) === name;
