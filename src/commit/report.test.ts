import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CONNTRACK, EXPECTATION } from "../conntrack/kind.ts";
import { type CommitResult, newCommitResult, type Refusal } from "./messages.ts";
import { REASON_CODES, reasonOf } from "./refusal-reason.ts";
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
	statusOf,
} from "./report.ts";

const refusal = (errno: number, step: Refusal["step"] = "create"): Refusal => ({
	record: new Int32Array(0),
	errno,
	step,
	exists: false,
});

const tally = (kind: 0 | 1, ...refusals: Refusal[]): ReasonTally => {
	const counts = new ReasonTally();
	for (const one of refusals) counts.add(reasonOf(kind, one));
	return counts;
};

const POLICY = reasonOf(1, { ...refusal(0), rule: 7 });

function half(kind: 0 | 1, counts: Partial<CommitResult>, reasons: HalfReport["reasons"] = []): HalfReport {
	return { kind, counts: { ...newCommitResult(), ...counts }, reasons, seconds: 0.301223 };
}

function report(halves: HalfReport[], more: Partial<CommitReport> = {}): CommitReport {
	const peers = [{ node: "10.9.0.2", term: 3 }];
	return { mode: "commit", role: "primary", term: 4, peers, halves, ...more };
}

const MIXED = report([
	half(
		CONNTRACK,
		{ created: 14990, kept: 5, updated: 2, replaced: 1, withoutHelper: 4, failed: 2 },
		tally(CONNTRACK, refusal(17), refusal(2)).counts,
	),
	half(EXPECTATION, { created: 31, expired: 3, failed: 2 }, [
		...tally(EXPECTATION, refusal(95)).counts,
		{ ...POLICY, count: 1 },
	]),
]);

test("the log keeps conntrackd's lines, and tells the rest by reason", () => {
	assert.deepEqual(logLines(half(CONNTRACK, { created: 3 })), [
		"Committed 3 new entries",
		"commit has taken 0.301223 seconds",
	]);
	assert.deepEqual(MIXED.halves.flatMap(logLines), [
		"Committed 14990 new entries",
		"5 entries were there already",
		"2 entries were there and have been updated",
		"1 entries of other connections were replaced",
		"4 entries had to go without their helper, which this kernel does not have",
		"2 entries can't be committed",
		"  1: commit-create: file already exists (EEXIST), its reply tuple belongs to another connection",
		"  1: commit-create: no such file or directory (ENOENT), its master is not in the kernel",
		"commit has taken 0.301223 seconds",
		"Committed 31 new expectations",
		"3 expectations were over and have not been committed",
		"1 expectations are refused by the policy",
		"1 expectations can't be committed",
		"  1: commit-create: operation not supported on socket (ENOTSUP), its master has no helper",
		"  1: policy X07, destination address",
		"commit has taken 0.301223 seconds",
	]);
});

test("of a full table it is told what found no room, by value", () => {
	const full = half(CONNTRACK, { created: 3, failed: 7, full: [0, 2, 0, 5] }, [
		{ code: "table-full", text: "no room", count: 7, isPolicy: false },
	]);
	const line = "  no room in the table for 2 other assured TCP, 5 not assured";
	assert.deepEqual(logLines(full).slice(1, 4), ["7 entries can't be committed", line, "  7: no room"]);
	assert.ok(
		rehearsalText(full).includes(`  7 would not be restored\n  ${line}\n    7: table-full (no room)\n`),
	);
	assert.ok(!logLines(half(EXPECTATION, { failed: 1 })).some((one) => one.includes("no room")));
});

test("a commit fails for what is left, not for what is over or kept out on purpose", () => {
	const status = (one: HalfReport) => statusOf(report([half(CONNTRACK, { created: 1 }), one]));
	assert.equal(status(half(EXPECTATION, { created: 2 })), 0);
	assert.equal(status(half(EXPECTATION, { expired: 2 })), 0);
	assert.equal(status(half(EXPECTATION, { failed: 2 }, [{ ...POLICY, count: 2 }])), 0);
	assert.equal(status(half(EXPECTATION, { failed: 3 }, [{ ...POLICY, count: 2 }])), 1);
	assert.equal(status(half(CONNTRACK, { withoutHelper: 2, created: 2 })), 0);
	assert.equal(statusOf(report([])), 0);
	assert.equal(failureOf(report([half(EXPECTATION, { failed: 1 }, [{ ...POLICY, count: 1 }])])), undefined);
	assert.equal(
		failureOf(MIXED),
		"not everything could be committed: " +
			"1 entries: commit-create: file already exists (EEXIST), its reply tuple belongs to another connection; " +
			"1 entries: commit-create: no such file or directory (ENOENT), its master is not in the kernel; " +
			"1 expectations: commit-create: operation not supported on socket (ENOTSUP), its master has no helper",
	);
});

test("codes of reasons: the errno's meaning where it has one, else its name", () => {
	const code = (kind: 0 | 1, errno: number, step?: Refusal["step"]) =>
		reasonOf(kind, refusal(errno, step)).code;
	assert.deepEqual(
		[2, 12, 17, 28, 95, 1, 9999].map((errno) => code(CONNTRACK, errno)),
		["master-absent", "table-full", "reply-clash", "table-full", "unsupported", "EPERM", "errno 9999"],
	);
	assert.deepEqual(
		[2, 95, 22, 16, 24, 1].map((errno) => code(EXPECTATION, errno)),
		[
			"master-absent",
			"master-without-helper",
			"expectation-invalid",
			"expectation-clash",
			"table-full",
			"EPERM",
		],
	);
	assert.equal(code(CONNTRACK, 2, "replace"), "master-absent");
	assert.equal(code(CONNTRACK, 2, "update"), "ENOENT", "it was gone before it could be changed");
});

test("every code of a reason is documented", () => {
	const text = readFileSync(new URL("../../docs/operations.md", import.meta.url), "utf8");
	assert.ok(REASON_CODES.size > 5);
	for (const code of REASON_CODES) assert.ok(text.includes(`| \`${code}\``), code);
});

test("reasons are counted, the most frequent first, and bounded", () => {
	const counts = tally(CONNTRACK, refusal(2), refusal(17), refusal(17), refusal(17, "replace")).counts;
	assert.deepEqual(
		counts.map(({ code, count }) => [code, count]),
		[
			["reply-clash", 2],
			["master-absent", 1],
			["reply-clash", 1],
		],
	);
	const many = new ReasonTally();
	for (let i = 0; i < 1000; i++) many.add({ code: "x", text: `reason ${i}`, isPolicy: false });
	assert.equal(many.counts.length, 257);
	assert.deepEqual(
		[many.counts[0]!.code, many.counts[0]!.count],
		["other", 744],
		"none is lost, and what is not told apart is no policy",
	);
});

test("what `ctsync commit` prints is the log's, and says so when nobody was heard", () => {
	assert.equal(commitText(MIXED), `${MIXED.halves.flatMap(logLines).join("\n")}\n`);
	assert.match(
		commitText(report([half(CONNTRACK, {})], { peers: [] })),
		/^no other node has been heard: there was nothing to commit\nCommitted 0 new entries\n/,
	);
});

test("a rehearsal says what would come of it", () => {
	assert.equal(
		rehearsalText(MIXED.halves[0]!),
		`conntracks: 15000
  14990 would be created
  5 are there already
  2 are there and would be brought up to date
  1 would take the place of other connections' left-overs
  4 would have to go without their helper, which this kernel does not have
  2 would not be restored
    1: reply-clash (commit-create: file already exists (EEXIST), its reply tuple belongs to another connection)
    1: master-absent (commit-create: no such file or directory (ENOENT), its master is not in the kernel)
  99.98 % would restore; these 2 would not
`,
	);
	const verdict = (counts: Partial<CommitResult>) =>
		rehearsalText(half(CONNTRACK, counts)).trimEnd().split("\n").at(-1);
	assert.equal(verdict({ created: 1_000_000, failed: 1 }), "  99.99 % would restore; this one would not");
	assert.equal(verdict({ created: 7, kept: 2 }), "  100 % would restore");
	assert.equal(verdict({ failed: 3 }), "  0.00 % would restore; these 3 would not");
	assert.equal(verdict({ expired: 3 }), "  nothing to restore");
	assert.equal(verdict({}), "conntracks: none");
	const head = (more: Partial<CommitReport>) =>
		rehearsalHead(report([half(CONNTRACK, {})], { mode: "scratch", ...more }));
	assert.equal(
		head({}),
		"rehearsed in a scratch network namespace of this kernel in 0.301 s; nothing has been changed\n" +
			"what is known from node 10.9.0.2 (term 3):\n",
	);
	assert.match(
		head({ mode: "offline", offlineCause: "unshare: Operation not permitted" }),
		/^checked offline in .* \(unshare: Operation not permitted\); nothing has been changed\n/,
	);
	assert.match(head({ peers: [] }), /\nno other node has been heard: a failover would restore nothing\n$/);
});

test("the JSON has every count, and reasons with their codes", () => {
	const counts = { ...newCommitResult(), created: 31, expired: 3 };
	assert.deepEqual(reportObject(report([MIXED.halves[1]!], { mode: "offline", offlineCause: "why" })), {
		version: 1,
		mode: "offline",
		offlineCause: "why",
		status: 1,
		role: "primary",
		term: 4,
		peers: [{ node: "10.9.0.2", term: 3 }],
		conntracks: null,
		expectations: {
			...counts,
			failed: 1,
			refusedByPolicy: 1,
			seconds: 0.301223,
			reasons: [
				{
					code: "master-without-helper",
					text: "commit-create: operation not supported on socket (ENOTSUP), its master has no helper",
					count: 1,
					policy: false,
				},
				{ code: "policy:X07", text: "policy X07, destination address", count: 1, policy: true },
			],
		},
	});
});
