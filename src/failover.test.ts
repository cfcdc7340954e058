// What a client is told when a commit or a rehearsal cannot be, or meets another one. The commits themselves are tried
// against the kernel (commit/commit.test.ts, commit/rehearsal.test.ts).
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Commit } from "./commit/commit.ts";
import { newCommitResult, type Refusal } from "./commit/messages.ts";
import type { Rehearsal, RehearsalReports } from "./commit/rehearsal.ts";
import { conntrackToRecord } from "./conntrack/conntrack.ts";
import { CONNTRACK, KINDS } from "./conntrack/kind.ts";
import { NameTable } from "./conntrack/names.ts";
import type { CommitRequest } from "./control/commit-request.ts";
import { Failover } from "./failover.ts";
import { UDP, udpEntries } from "./netlink/kernel-cases.ts";
import type { Ftfw } from "./sync/ftfw.ts";
import { systemClock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";

const TEXT: CommitRequest = { which: "all", form: "text", show: 20, isVerbose: false };
const JSON_FORM: CommitRequest = { ...TEXT, form: "json" };
const SUMMARY = { ...newCommitResult(), seconds: 0.001 };

/** A failover between parts that do what the test says. */
class Scene {
	readonly names = new NameTable();
	log: string[] = [];
	written = "";
	events = 0;
	disturbed = 0;
	isPrimary = false;
	isAborted: string | undefined;
	commit = { isRunning: false, run: async () => SUMMARY };
	rehearse: (reports: RehearsalReports) => Promise<unknown> = async () => ({
		notCopied: 0,
		halves: KINDS.map((kind) => ({ kind, summary: SUMMARY })),
	});
	readonly failover: Failover;
	readonly write = (text: string): undefined => void (this.written += text);

	constructor() {
		const say = (text: string): void => void this.log.push(text);
		this.failover = new Failover({
			commit: this.commit as unknown as Commit,
			rehearsal: {
				run: (_: unknown, reports: RehearsalReports) => this.rehearse(reports),
				abort: (cause: string) => {
					this.isAborted = cause;
				},
			} as unknown as Rehearsal,
			ftfw: {
				contacts: { becomePrimary: () => (this.isPrimary = true), state: { isPrimary: true, term: 4 } },
			} as unknown as Ftfw,
			peers: () => [],
			names: this.names,
			events: () => this.events,
			stopPurge: async () => {},
			disturbed: () => void this.disturbed++,
			clock: systemClock,
			log: { notice: say, warning: say, error: say } as unknown as Log,
		});
	}

	refusal(conntrack = UDP): Refusal {
		return { record: conntrackToRecord(conntrack, this.names), errno: 17, step: "create", exists: false };
	}
}

test("-c says nothing when all went well, and becomes primary", async () => {
	const scene = new Scene();
	assert.deepEqual(await scene.failover.commit(KINDS), { status: 0 });
	assert.ok(scene.isPrimary);
	assert.deepEqual(
		scene.log.filter((line) => !line.startsWith("commit has taken")),
		["committing all external caches", "Committed 0 new entries", "Committed 0 new expectations"],
	);
	assert.equal(scene.disturbed, 0);
});

test("-c exp leaves the role as it is; without expectations it does nothing", async () => {
	const scene = new Scene();
	assert.deepEqual(await scene.failover.commit([1]), { status: 0 });
	assert.deepEqual(await scene.failover.commit([]), { status: 0 });
	assert.ok(!scene.isPrimary);
});

test("a commit while another one runs is refused with status 1, and logged", async () => {
	const scene = new Scene();
	scene.commit.isRunning = true;
	const refused = { status: 1, error: "commit already in progress" };
	assert.deepEqual(await scene.failover.commit(KINDS), refused);
	assert.deepEqual(await scene.failover.commitAndTell(KINDS, JSON_FORM, scene.write), refused);
	assert.deepEqual(scene.log, Array(2).fill("commit already in progress, skipping"));
	assert.equal(scene.written, "");
});

test("after a commit that broke off the caches are compared with the kernel", async () => {
	const scene = new Scene();
	scene.commit.run = async () => {
		throw new Error("send requests: No buffer space available");
	};
	await assert.rejects(scene.failover.commit(KINDS), /^Error: send requests/);
	assert.equal(scene.disturbed, 1);
});

test("a commit ends a rehearsal, and does not wait for it", async () => {
	const scene = new Scene();
	let end = (_: Error): void => {};
	scene.rehearse = () => new Promise((_, reject) => (end = reject));
	const rehearsed = scene.failover.rehearse(KINDS, TEXT, scene.write);
	assert.deepEqual(await scene.failover.commit(KINDS), { status: 0 });
	assert.equal(scene.isAborted, "a commit has begun");
	end(new Error("a commit has begun"));
	assert.deepEqual(await rehearsed, { status: 1, error: "not rehearsed: a commit has begun" });
	assert.equal(scene.written, "");
});

test("a rehearsal is refused while a commit runs", async () => {
	const scene = new Scene();
	scene.commit.isRunning = true;
	assert.deepEqual(await scene.failover.rehearse(KINDS, TEXT, scene.write), {
		status: 1,
		error: "a commit is in progress: rehearse when it is over",
	});
});

test("what the kernel did not take is an error with its reasons, and a line each in the log, up to a limit", async () => {
	const scene = new Scene();
	scene.commit.run = async () => {
		for (const entry of udpEntries(30)) scene.failover.refused(CONNTRACK, scene.refusal(entry as typeof UDP));
		scene.events++;
		return { ...SUMMARY, created: 7, failed: 30 };
	};
	const { status, error } = await scene.failover.commitAndTell([CONNTRACK], JSON_FORM, scene.write);
	assert.equal(status, 1);
	assert.match(error!, /^not everything could be committed: 30 entries: commit-create: [^;]*$/);
	assert.equal(scene.log.filter((line) => line.includes("src=")).length, 20);
	assert.equal(scene.disturbed, 1);
	assert.ok(scene.written.endsWith("}\n") && !scene.written.trimEnd().includes("\n"), "one line");
	const { conntracks, expectations, ...rest } = JSON.parse(scene.written);
	assert.deepEqual(rest, { version: 1, mode: "commit", status: 1, role: "primary", term: 4, peers: [] });
	assert.equal(expectations, null);
	assert.deepEqual([conntracks.created, conntracks.failed], [7, 30]);
	assert.deepEqual(conntracks.reasons[0].code, "reply-clash");
});

test("a rehearsal names so many entries as it is asked to, refused ones first", async () => {
	const scene = new Scene();
	scene.rehearse = async ({ refused, joined }) => {
		const [first, ...others] = udpEntries(700);
		joined(CONNTRACK, { record: conntrackToRecord(first!, scene.names), isReplaced: true });
		for (const entry of others) refused(CONNTRACK, scene.refusal(entry as typeof UDP));
		return { notCopied: 2, halves: [{ kind: CONNTRACK, summary: { ...SUMMARY, replaced: 1, failed: 699 } }] };
	};
	const run = async (request: CommitRequest) => {
		scene.written = "";
		const reply = await scene.failover.rehearse([CONNTRACK], request, scene.write);
		assert.equal(reply.status, 1);
		assert.match(reply.error!, /^not everything would be restored: 699 entries: /);
		return scene.written;
	};
	const named = (text: string): number => text.split("\n").filter((line) => line.includes("src=")).length;
	const text = await run(TEXT);
	assert.equal(named(text), 20);
	assert.match(text, /^ {2}reply-clash: udp .*sport=2 /m);
	assert.match(text, /\n679 more are not named: --show N, or --show all\n$/);
	assert.match(text, /\n2 entries of this kernel could not be copied/);
	assert.equal(named(await run({ ...TEXT, show: 0 })), 0);
	const all = await run({ ...TEXT, show: 100_000 });
	assert.equal(named(all), 699);
	assert.doesNotMatch(all, /more are not named/);
	assert.match(await run({ ...TEXT, show: 100_000, isVerbose: true }), /^ {2}replaced: udp .*sport=1 /m);
	const json = JSON.parse(await run({ ...JSON_FORM, show: 600, isVerbose: true }));
	assert.deepEqual([json.mode, json.notCopied, json.shown.length, json.notShown], ["scratch", 2, 600, 100]);
	assert.deepEqual([json.shown[0].code, json.shown[0].kind], ["reply-clash", "conntrack"]);
	assert.match(json.shown[599].entry, /^udp /);
});
