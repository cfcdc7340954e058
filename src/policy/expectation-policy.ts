// Which expectations may be replicated and committed: those that the helper of their master could have made itself.
// An expectation is a hole in the firewall, the kernel takes any, and the wire or a careless kernel could bring any.
import type { ExpectationRecord } from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { ConntrackRecord } from "../conntrack/record.ts";
import { ACCEPTED, FIRST_RULE, LAST_RULE, WAITING } from "./codes.ts";
import { HELPERS } from "./helpers.ts";
import { Question } from "./question.ts";
import { CHECKS, type RuleContext } from "./rules.ts";
import { PER_MASTER, type Standing } from "./standing.ts";

export interface PolicyOptions extends RuleContext {
	readonly names: NameTable;
}

/** What one rule says. */
export interface RuleVerdict {
	code: number;
	/** "waits": only a master can tell. */
	verdict: "ok" | "broken" | "waits";
	/** What is wrong. */
	problem?: string;
}

export class ExpectationPolicy {
	readonly settings: RuleContext["settings"];
	readonly #context: RuleContext;
	readonly #question: Question;

	constructor(options: PolicyOptions) {
		this.settings = options.settings;
		this.#context = options;
		this.#question = new Question(options.names, options.settings);
		// peers bring names, too, and there is an end to the table: nobody fills it before these are in
		for (const { name, functions } of HELPERS)
			for (const word of [name, ...functions]) options.names.intern(word);
	}

	/**
	 * @param master the conntrack that has the expectation's master as its original tuple; undefined: not known
	 * @param standing what is there already; undefined: not counted
	 * @returns ACCEPTED, the number of the first rule that is broken, or WAITING when only the master is missing
	 */
	judge(expectation: ExpectationRecord, master: ConntrackRecord | undefined, standing?: Standing): number {
		this.#question.set(expectation, master, standing);
		for (let code = FIRST_RULE; code <= LAST_RULE; code++) {
			const rule = CHECKS[code]!;
			if (rule.needsMaster && !master) continue;
			if (rule.check(this.#question, this.#context) !== undefined) return code;
		}
		return master ? ACCEPTED : WAITING;
	}

	/** What each rule says, in their order. */
	explain(
		expectation: ExpectationRecord,
		master: ConntrackRecord | undefined,
		standing?: Standing,
	): RuleVerdict[] {
		this.#question.set(expectation, master, standing);
		const verdicts: RuleVerdict[] = [];
		for (let code = FIRST_RULE; code <= LAST_RULE; code++) {
			const rule = CHECKS[code]!;
			if (rule.needsMaster && !master) {
				verdicts.push({ code, verdict: "waits" });
				continue;
			}
			const problem = rule.check(this.#question, this.#context);
			verdicts.push(problem === undefined ? { code, verdict: "ok" } : { code, verdict: "broken", problem });
		}
		return verdicts;
	}

	/** The most expectations of one master that rule X13 lets count. */
	get mostOfMaster(): number {
		const own = Object.values(this.settings.helpers).map(({ maxExpectations }) => maxExpectations ?? 0);
		return Math.max(PER_MASTER, ...own);
	}

	/** The helper whose table was asked for in the last question, for counting; "-" for an unknown one. */
	get lastHelper(): string {
		return this.#question.helper?.entry.name ?? "-";
	}
}
