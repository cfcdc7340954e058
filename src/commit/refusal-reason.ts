// Why the kernel did not take an entry: its errno -> a code that scripts can rely on, and what it means here.
import { CONNTRACK, type Kind } from "../conntrack/kind.ts";
import { errnoName, errnoText } from "../netlink/error.ts";
import { formatCode, RULES } from "../policy/codes.ts";
import type { Refusal, RefusalCause } from "./messages.ts";

export interface Reason {
	/** Stable: docs/operations.md lists them. An errno that has no meaning of its own here is its name. */
	code: string;
	/** One line, for the log. */
	text: string;
	/** Left on purpose: no failure of the commit. */
	isPolicy: boolean;
}

const ENOENT = 2;
const ENOMEM = 12;
const EBUSY = 16;
const EEXIST = 17;
const EINVAL = 22;
const EMFILE = 24;
const ENOSPC = 28;
const EOPNOTSUPP = 95;

type Meaning = readonly [code: string, text?: string];

const MASTER_ABSENT: Meaning = ["master-absent", "its master is not in the kernel"];

/** nf_conntrack_netlink.c, and nf_ct_expect_related_report for expectations. */
const CONNTRACK_MEANINGS: Readonly<Record<number, Meaning>> = {
	[ENOENT]: MASTER_ABSENT,
	[EEXIST]: ["reply-clash", "its reply tuple belongs to another connection"],
	[ENOMEM]: ["table-full"],
	[ENOSPC]: ["table-full"],
	[EOPNOTSUPP]: ["unsupported"],
};
const EXPECTATION_MEANINGS: Readonly<Record<number, Meaning>> = {
	[ENOENT]: MASTER_ABSENT,
	[EOPNOTSUPP]: ["master-without-helper", "its master has no helper"],
	[EINVAL]: ["expectation-invalid", "this kernel's helper does not have its class or function"],
	[EBUSY]: ["expectation-clash", "another expectation waits for the same"],
	[EMFILE]: ["table-full"],
	[ENOMEM]: ["table-full"],
};

/** What the committer has found out, which an errno cannot say. */
const CAUSES: Readonly<Record<RefusalCause, readonly [code: string, text: string]>> = {
	alive: ["tuple-alive", "another connection with its original tuple is alive here"],
	"reply tuple": ["reply-clash", "its reply tuple belongs to another connection"],
	over: ["over", "it is over, and its reply tuple is used by another connection"],
	"not tried": ["not-tried", "the table is full: nothing of its value was tried any more"],
	"another master": ["expectation-clash", "another master's expectation waits for the same"],
	gone: [
		"expectation-gone",
		"not in the kernel afterwards: used at once, or thrown out by the helper's limit",
	],
	differs: ["expectation-differs", "the kernel has made something else of it"],
	translated: ["translated-otherwise", "the kernel gave it another address or port, so it was deleted again"],
};

/** Every code that is not an errno's name or a rule of the policy. */
export const REASON_CODES: ReadonlySet<string> = new Set(
	[CONNTRACK_MEANINGS, EXPECTATION_MEANINGS, CAUSES].flatMap((meanings) =>
		Object.values<Meaning>(meanings).map(([code]) => code),
	),
);

export function reasonOf(kind: Kind, { errno, step, rule, cause: known }: Refusal): Reason {
	if (rule !== undefined) {
		const code = formatCode(rule);
		return { code: `policy:${code}`, text: `policy ${code}, ${RULES[rule]}`, isPolicy: true };
	}
	if (known) {
		const [code, text] = CAUSES[known];
		return { code, text: `commit-${step}: ${text}`, isPolicy: known === "over" };
	}
	const meanings = kind === CONNTRACK ? CONNTRACK_MEANINGS : EXPECTATION_MEANINGS;
	// what is gone when it is to be changed has no master to miss
	const isMeant = kind !== CONNTRACK || step !== "update" || errno === ENOMEM;
	const [code, text] = (isMeant && meanings[errno]) || [errnoName(errno)];
	const cause = text === undefined ? "" : `, ${text}`;
	return { code, text: `commit-${step}: ${errnoText(errno)}${cause}`, isPolicy: false };
}
