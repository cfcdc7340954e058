// Rehearsals against a real kernel: what they say is what a commit then does, and they change nothing.
import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { afterEach, test } from "node:test";
import type { Conntrack } from "../conntrack/conntrack.ts";
import { CONNTRACK, EXPECTATION, KINDS, type Kind } from "../conntrack/kind.ts";
import { CONTROL, EXPECTATION as HOLE, MASTER, TCP, UDP, udpEntries } from "../netlink/kernel-cases.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { FailoverKit, withoutSeconds } from "./failover-kit.ts";
import { populate } from "./population.ts";
import { reasonOf } from "./refusal-reason.ts";
import { Rehearsal, type RehearsalResult } from "./rehearsal.ts";
import { ReasonTally } from "./report.ts";

const SNAT: Conntrack = { ...TCP, reply: { ...TCP.reply, dst: "203.0.113.9" } };
const NOBODY = { refused: () => {}, joined: () => {} };

if (isInPrivateNetwork(import.meta.url)) {
	const native = loadNative();
	let kit: FailoverKit;
	afterEach(() => kit.stop());

	const rehearsalOf = (from: FailoverKit, offlineCause?: string): Rehearsal =>
		new Rehearsal({
			...(offlineCause === undefined ? {} : { offlineCause }),
			native,
			names: from.names,
			internal: [from.internal.conntracks, from.internal.expectations],
			externals: (kind) => from.external[kind],
			hasExpectations: true,
			clock: systemClock,
			windowTracking: false,
			termBegan: () => Number.POSITIVE_INFINITY,
			timeout: undefined,
		});
	/** Sockets of the process, and its network namespaces. */
	const held = (): [sockets: number, namespaces: number] => {
		const links = (folder: string, names: string[]): string[] =>
			names.flatMap((name) => {
				try {
					return [readlinkSync(`${folder}/${name}`)];
				} catch {
					return []; // it has just gone
				}
			});
		const sockets = links("/proc/self/fd", readdirSync("/proc/self/fd")).filter((to) =>
			to.startsWith("socket:"),
		);
		const tasks = readdirSync("/proc/self/task").map((task) => `${task}/ns/net`);
		return [sockets.length, new Set(links("/proc/self/task", tasks)).size];
	};
	/** Without what passes by itself. */
	const tables = async () => [
		(await kit.kernel.conntracks()).map(({ timeout: _, ...rest }) => rest),
		(await kit.kernel.expectations()).map(({ timeout: _, ...rest }) => rest),
		kit.conntracks(),
		kit.expectations(),
	];

	/** Rehearses, then commits: the counts and the reasons of both. */
	const both = async (kinds: readonly Kind[] = KINDS, offlineCause?: string) => {
		const before = await tables();
		const heldBefore = held();
		const tallies = [new ReasonTally(), new ReasonTally()];
		const rehearsed: RehearsalResult = await rehearsalOf(kit, offlineCause).run(kinds, {
			refused: (kind, refusal) => tallies[kind]!.add(reasonOf(kind, refusal)),
			joined: () => {},
		});
		await kit.settle();
		assert.deepEqual(await tables(), before, "a rehearsal changes neither the kernel nor the caches");
		assert.deepEqual(held(), heldBefore, "nothing is left of it");
		assert.equal(rehearsed.offlineCause, offlineCause);
		const would = rehearsed.halves.map(({ kind, summary }) => ({
			...withoutSeconds(summary),
			reasons: tallies[kind]!.counts,
		}));
		const done: unknown[] = [];
		for (const kind of kinds) {
			const counts = withoutSeconds(await kit.commit.run(kind));
			const reasons = new ReasonTally();
			for (const refusal of kit.refusals.splice(0)) reasons.add(reasonOf(kind, refusal));
			done.push({ ...counts, reasons: reasons.counts });
			await kit.settle();
		}
		assert.deepEqual(would, done, "what was said is what came");
		return { would, notCopied: rehearsed.notCopied };
	};

	const mix = async (offlineCause?: string) => {
		kit = await FailoverKit.start({ native });
		const { conntracks, expectations } = populate(2000);
		kit.tell(conntracks);
		kit.tellExpectations(expectations);
		// local ones: the same, behind, another connection's left-over, and one whose reply tuple is wanted
		assert.equal(kit.kernel.create(TCP), "ok");
		assert.equal(kit.kernel.create(CONTROL), "ok");
		assert.equal(kit.kernel.expect(HOLE), "ok");
		const other: Conntrack = { ...UDP, orig: { ...UDP.orig, src: "192.0.2.77" } };
		const occupant = { ...other, reply: { ...UDP.reply, dst: "203.0.113.77" } };
		assert.equal(kit.kernel.create(occupant), "ok");
		await kit.settle();
		kit.packet(occupant);
		kit.tell([
			{ ...TCP, mark: 3 },
			{ ...CONTROL, tcp: { ...TCP.tcp, state: "FIN_WAIT" } },
		]);
		kit.tell([
			{ ...UDP, orig: { ...UDP.orig, src: "192.0.2.78" }, reply: { ...UDP.reply, dst: "203.0.113.77" } },
		]);
		kit.tell([
			{
				...TCP,
				orig: { ...TCP.orig, sport: 4711 },
				reply: { ...TCP.reply, dport: 4711 },
				helper: "nonesuch",
			},
		]);
		kit.tell([
			{
				...UDP,
				orig: { ...UDP.orig, sport: 999 },
				reply: { ...UDP.reply, dport: 999 },
				master: { ...MASTER, sport: 9 },
			},
		]);
		kit.tellExpectations([HOLE, { ...HOLE, dport: 77, master: { ...HOLE.master, sport: 5 } }]);
		const { would, notCopied } = await both(KINDS, offlineCause);
		assert.equal(notCopied, 0);
		const [ct, exp] = would as [(typeof would)[0], (typeof would)[0]];
		assert.ok(ct.created > 1900 && ct.withoutHelper === 1, JSON.stringify(ct));
		assert.ok(ct.kept + ct.updated + ct.replaced >= 2, JSON.stringify(ct));
		assert.ok(
			ct.reasons.some(({ code }) => code === "reply-clash"),
			JSON.stringify(ct.reasons),
		);
		assert.ok(exp.created > 0 && exp.failed === 1, JSON.stringify(exp));
		assert.deepEqual(
			exp.reasons.map(({ code }) => code),
			["master-absent"],
		);
	};

	test("a mix of everything: what the rehearsal says is what the commit does", () => mix());
	test("offline, too, for what is the same on every kernel", () => mix("it is a test"));

	test("a second commit is rehearsed as one that finds everything", async () => {
		kit = await FailoverKit.start({ native });
		kit.tell([TCP, SNAT, ...udpEntries(500)]);
		await kit.commit.run(CONNTRACK);
		await kit.settle();
		const { would } = await both([CONNTRACK]);
		assert.equal(would[0]!.created, 0);
	});

	test("expectations alone do not bring their masters", async () => {
		kit = await FailoverKit.start({ native });
		kit.tell([CONTROL]);
		kit.tellExpectations([HOLE]);
		const { would } = await both([EXPECTATION]);
		assert.deepEqual(
			would[0]!.reasons.map(({ code, count }) => [code, count]),
			[["master-absent", 1]],
		);
	});

	test("one at a time, and it ends at once when it is aborted", async () => {
		kit = await FailoverKit.start({ native });
		kit.tell(populate(20_000).conntracks);
		const heldBefore = held();
		const rehearsal = rehearsalOf(kit);
		const first = rehearsal.run(KINDS, NOBODY);
		await assert.rejects(rehearsal.run(KINDS, NOBODY), /another rehearsal is under way/);
		assert.ok(rehearsal.isRunning);
		rehearsal.abort("a commit has begun");
		await assert.rejects(first, /^Error: a commit has begun$/);
		assert.ok(!rehearsal.isRunning);
		assert.deepEqual(held(), heldBefore);
		// in the middle of it
		const second = rehearsal.run(KINDS, NOBODY);
		setTimeout(() => rehearsal.abort("again"), 150);
		const [outcome] = await Promise.allSettled([second]);
		assert.deepEqual(held(), heldBefore);
		if (outcome!.status === "rejected") assert.match(String(outcome!.reason), /again/);
		// and the caches are still told to the real worker
		kit.tell([TCP]);
		assert.ok((await kit.commit.run(CONNTRACK)).created > 20_000);
	});
}
