// The failover against a real kernel's tables: commit and worker, caches and listener as in the daemon.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { NEVER_SEEN } from "../cache/internal-cache.ts";
import { UPDATED } from "../cache/record-layout.ts";
import { type Conntrack, conntrackToRecord } from "../conntrack/conntrack.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";
import { CONTROL, EXPECTATION as HOLE, MASTER, TCP, UDP, udpEntries } from "../netlink/kernel-cases.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import {
	FailoverKit,
	type KitOptions,
	replicated,
	replicatedExpectations,
	withoutSeconds,
} from "./failover-kit.ts";
import { newCommitResult } from "./messages.ts";
import { populate } from "./population.ts";

const NOTHING = newCommitResult();

const SNAT: Conntrack = { ...TCP, reply: { ...TCP.reply, dst: "203.0.113.9" }, status: 0x19e };
const young = (conntrack: Conntrack): Conntrack => ({
	...conntrack,
	status: conntrack.status! & ~0x6,
	timeout: 60,
	tcp: { ...TCP.tcp, state: "SYN_SENT" },
});

if (isInPrivateNetwork(import.meta.url)) {
	const native = loadNative();
	let kit: FailoverKit;
	const start = async (options: Omit<KitOptions, "native"> = {}) => {
		kit = await FailoverKit.start({ native, ...options });
	};
	afterEach(() => kit.stop());

	const commit = (kind: Kind = CONNTRACK) => kit.commitHalf(kind);

	test("what the kernel ends while it is being committed does not come back; the next commit may bring it", async () => {
		await start();
		const { conntracks } = populate(500);
		kit.tell(conntracks);
		const last = conntracks.at(-1)!;
		const running = kit.commit.run(CONNTRACK);
		kit.commit.ended(CONNTRACK, conntrackToRecord(last, kit.names));
		assert.equal((await running).created, conntracks.length - 1);
		await kit.settle();
		assert.equal(kit.kernel.get(last), "ENOENT");
		assert.equal((await kit.commit.run(CONNTRACK)).created, 1);
	});

	test("nor does it where the views of two peers are compared first", async () => {
		await start({ peers: 2 });
		const many = udpEntries(3000);
		kit.tell(many);
		const running = kit.commit.run(CONNTRACK);
		kit.commit.ended(CONNTRACK, conntrackToRecord(many.at(-1)!, kit.names));
		assert.equal((await running).created, many.length - 1);
		assert.equal(kit.kernel.get(many.at(-1)!), "ENOENT");
	});

	test("a few thousand entries of every kind are in the kernel afterwards, and a second commit finds them all", async () => {
		await start();
		const { conntracks, expectations } = populate(3000);
		kit.tell(conntracks);
		kit.tellExpectations(expectations);
		assert.deepEqual(await commit(), { ...NOTHING, created: conntracks.length });
		assert.deepEqual(replicated(await kit.kernel.conntracks()), replicated(conntracks));
		assert.deepEqual(await commit(EXPECTATION), { ...NOTHING, created: expectations.length });
		assert.deepEqual(
			replicatedExpectations(await kit.kernel.expectations()),
			replicatedExpectations(expectations),
		);
		for (const { timeout } of await kit.kernel.expectations()) assert.ok(timeout! <= 60 && timeout! > 50);
		assert.deepEqual(await commit(), { ...NOTHING, kept: conntracks.length });
		assert.deepEqual(await commit(EXPECTATION), { ...NOTHING, kept: expectations.length });
		assert.deepEqual(kit.refusals, []);
	});

	test("what two peers have is committed, and of an entry that both hold the view of the one that was heard last", async () => {
		await start({ peers: 2 });
		kit.tell([TCP, ...udpEntries(50)], 0);
		kit.tell([young(TCP), ...udpEntries(50, 1001)], 1);
		assert.deepEqual(await commit(), { ...NOTHING, created: 101, superseded: 1 });
		assert.equal(kit.got(TCP).tcp!.state, "ESTABLISHED");
	});

	test("a live local entry is never pushed back", async () => {
		await start();
		const later = { correctionPosition: 2000, offsetBefore: 3, offsetAfter: 5 };
		const earlier = { correctionPosition: 1000, offsetBefore: 1, offsetAfter: 3 };
		const control = { ...CONTROL, seqOrig: later, seqReply: later };
		const closing = { ...SNAT, timeout: 100, tcp: { ...TCP.tcp, state: "LAST_ACK" } };
		for (const local of [control, closing, UDP]) assert.equal(kit.kernel.create(local), "ok");
		await kit.settle();
		for (const local of [control, closing, UDP]) kit.packet(kit.got(local));
		const before = [control, closing, UDP].map((each) => kit.got(each));
		kit.tell([
			{ ...young(CONTROL), seqOrig: earlier, seqReply: earlier },
			{ ...SNAT, timeout: 432000 },
			{ ...UDP, status: 0x8, timeout: 30 },
		]);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 3 });
		const same = ({ timeout: _, ...rest }: Conntrack) => rest;
		assert.deepEqual([control, closing, UDP].map((each) => kit.got(each)).map(same), before.map(same));
		assert.ok(kit.got(closing).timeout! <= 100);
		assert.ok(kit.got(UDP).timeout! > 4000);
		// nor where something of it has to be updated
		kit.tell([{ ...SNAT, timeout: 432000, mark: 3 }]);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 2, updated: 1 });
		const { tcp, mark, timeout } = kit.got(closing);
		assert.deepEqual([tcp!.state, mark], ["LAST_ACK", 3]);
		assert.ok(timeout! <= 100);
	});

	test("a local entry that is behind is brought up to date in place", async () => {
		await start();
		kit.kernel.create(young(TCP), { windowTracking: true });
		await kit.settle();
		const { id } = kit.got(TCP);
		kit.tell([{ ...TCP, mark: 9 }]);
		assert.deepEqual(await commit(), { ...NOTHING, updated: 1 });
		const { id: now, status, mark, tcp } = kit.got(TCP);
		assert.deepEqual([now, status, mark, tcp!.state], [id, 0xe, 9, "ESTABLISHED"]);
		assert.deepEqual([tcp!.flagsOrig, tcp!.flagsReply], [0xb, 0xb]);
	});

	test("window tracking leaves the kernel's checks on", async () => {
		await start({ windowTracking: true });
		kit.tell([TCP]);
		assert.deepEqual(await commit(), { ...NOTHING, created: 1 });
		assert.deepEqual([kit.got(TCP).tcp!.flagsOrig, kit.got(TCP).tcp!.flagsReply], [0x3, 0x3]);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 1 });
	});

	test("CommitTimeout is every conntrack's timeout", async () => {
		await start({ timeout: 77 });
		// an offloaded flow comes without a timeout
		const { timeout: _, ...offloaded } = { ...UDP, protocol: 136 };
		kit.tell([TCP, UDP, offloaded]);
		assert.deepEqual(await commit(), { ...NOTHING, created: 3, offloaded: 1 });
		for (const entry of [TCP, UDP, offloaded]) assert.ok([76, 77].includes(kit.got(entry).timeout!));
	});

	test("what this node has seen packets of in its term is joined, what is older becomes what the peer says", async () => {
		let termBegan = Number.POSITIVE_INFINITY;
		await start({ termBegan: () => termBegan });
		const [before, since] = [
			TCP,
			{ ...TCP, orig: { ...TCP.orig, sport: 7 }, reply: { ...TCP.reply, dport: 7 } },
		];
		const closing = (entry: Conntrack) => ({ ...entry, timeout: 60, tcp: { ...TCP.tcp, state: "LAST_ACK" } });
		for (const entry of [before, since]) assert.equal(kit.kernel.create(closing(entry)), "ok");
		await kit.settle();
		const { store } = kit.internal.conntracks;
		for (const [entry, seen] of [
			[before, kit.now - 20],
			[since, kit.now - 10],
		] as const) {
			store.setHeader(store.find(conntrackToRecord(entry, kit.names)), UPDATED, seen);
		}
		kit.tell([before, since]);
		// the peer has told of both later than either was seen here
		const external = kit.external[CONNTRACK][0]!.store;
		for (let slot = 0; slot < external.end; slot++) external.setHeader(slot, UPDATED, kit.now - 5);
		termBegan = kit.now - 15;
		assert.deepEqual(await commit(), { ...NOTHING, updated: 1, kept: 1 });
		assert.equal(kit.got(before).tcp!.state, "ESTABLISHED");
		assert.ok(kit.got(before).timeout! > 4000);
		assert.equal(kit.got(since).tcp!.state, "LAST_ACK");
		assert.ok(kit.got(since).timeout! <= 60);
		// it is of this term now
		assert.equal(
			kit.kernel.update({
				...kit.got(before),
				timeout: 30,
				tcp: { ...TCP.tcp, state: "LAST_ACK" },
			}),
			"ok",
		);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 2 });
		assert.equal(kit.got(before).tcp!.state, "LAST_ACK");
	});

	test("where all nodes forward a commit says nothing of packets, whatever it brings, meets or joins", async () => {
		await start({ isActiveActive: true, termBegan: () => -1 });
		const { store } = kit.internal.conntracks;
		const [met, unknown] = [
			TCP,
			{ ...TCP, orig: { ...TCP.orig, sport: 7 }, reply: { ...TCP.reply, dport: 7 } },
		];
		const opening = (entry: Conntrack) => ({ ...young(entry), tcp: { ...TCP.tcp, state: "SYN_RECV" } });
		for (const entry of [met, unknown]) assert.equal(kit.kernel.create(opening(entry)), "ok");
		await kit.settle();
		const slotOf = (entry: Conntrack): number => store.find(conntrackToRecord(entry, kit.names));
		// an injected one is not in the internal cache
		kit.internal.conntracks.release(slotOf(unknown));
		store.setHeader(slotOf(met), UPDATED, kit.now - 10);
		kit.tell([met, unknown, UDP]);
		assert.deepEqual(await commit(), { ...NOTHING, created: 1, updated: 2 });
		assert.equal(kit.got(met).tcp!.state, "ESTABLISHED", "it was joined");
		assert.deepEqual(
			[met, unknown, UDP].map((entry) => store.header(slotOf(entry), UPDATED)),
			[kit.now - 10, NEVER_SEEN, NEVER_SEEN],
		);
	});

	test("a second commit finds everything as the first has left it, whatever that met", async () => {
		await start();
		const { conntracks } = populate(2000);
		const others = conntracks.map((entry, n) => ({
			...entry,
			mark: n,
			timeout: 100,
			...(entry.tcp ? { tcp: { ...entry.tcp, state: n % 3 ? "LAST_ACK" : "SYN_SENT" } } : {}),
		}));
		kit.kernel.createAll(others.filter(({ master }) => !master));
		await kit.settle();
		kit.tell(conntracks);
		const first = await commit();
		assert.equal(first.failed, 0);
		assert.equal(first.created + first.kept + first.updated + first.replaced, conntracks.length);
		assert.deepEqual(replicated(await kit.kernel.conntracks()), replicated(conntracks));
		assert.deepEqual(await commit(), { ...NOTHING, kept: conntracks.length });
	});

	test("a helper that this kernel does not have costs the helper, not the entry, however often it is committed", async () => {
		await start();
		const unknown = { ...CONTROL, helper: "nonsense" };
		kit.tell([unknown, TCP]);
		const withoutHelper = { ...NOTHING, created: 2, withoutHelper: 1 };
		assert.deepEqual(withoutSeconds(await kit.commit.run(CONNTRACK)), withoutHelper);
		assert.equal(kit.got(unknown).helper, undefined);
		assert.deepEqual(withoutSeconds(await kit.commit.run(CONNTRACK)), { ...NOTHING, kept: 2 });
		assert.equal(kit.got(unknown).tcp!.state, "ESTABLISHED");
		// the helper is not lost to the peers
		assert.equal(kit.conntracks().find(({ helper }) => helper)?.helper, "nonsense");
		assert.deepEqual(kit.refusals, []);
	});

	test("an entry that was there without the helper survives the attempt to give it one that nobody has", async () => {
		await start();
		const { helper: _, ...plain } = CONTROL;
		kit.kernel.create(plain);
		await kit.settle();
		kit.tell([{ ...CONTROL, helper: "nonsense" }]);
		const result = withoutSeconds(await kit.commit.run(CONNTRACK));
		assert.deepEqual(result, { ...NOTHING, replaced: 1, withoutHelper: 1 });
		assert.equal(kit.got(plain).tcp!.state, "ESTABLISHED");
	});

	test("masters come before what hangs from them, however deep, and an orphan goes without", async () => {
		await start();
		const chain: Conntrack[] = [CONTROL];
		for (let depth = 1; depth <= 4; depth++) {
			const { orig } = chain[0]!;
			chain.unshift({
				...TCP,
				orig: { ...TCP.orig, sport: 3000 + depth },
				reply: { ...TCP.reply, dport: 3000 + depth },
				status: 0xf,
				master: { family: "ipv4", protocol: 6, ...orig, zone: 0 },
			});
		}
		const orphan = { ...UDP, status: 0xf, master: { ...MASTER, sport: 6 } };
		kit.tell([orphan, ...chain]);
		for (const expected of [{ created: 6, withoutMaster: 1 }, { kept: 6 }]) {
			const result = withoutSeconds(await kit.commit.run(CONNTRACK));
			assert.deepEqual(result, { ...NOTHING, ...expected });
			assert.deepEqual([kit.got(orphan).master, kit.got(orphan).status], [undefined, 0xe]);
		}
		assert.deepEqual(kit.refusals, []);
		// the relation is not lost to the peers
		assert.deepEqual(kit.conntracks().find(({ protocol }) => protocol === 17)?.master, orphan.master);
		assert.deepEqual(kit.got(chain[0]!).master, chain[0]!.master);
	});

	test("an expectation without its master, or whose master has no helper, is refused and taken out again", async () => {
		await start();
		const { helper: _, ...plain } = CONTROL;
		kit.tell([plain]);
		await commit();
		const orphan = { ...HOLE, dport: 9, master: { ...HOLE.master, sport: 7 } };
		kit.tellExpectations([HOLE, orphan]);
		assert.deepEqual(await commit(EXPECTATION), { ...NOTHING, failed: 2 });
		assert.deepEqual(
			kit.refusals.map(({ errno, step, exists }) => [errno, step, exists]),
			[
				[95, "create", false],
				[2, "create", false],
			],
		);
		assert.deepEqual(kit.expectations(), []);
	});

	test("an expectation keeps what is left of its life; one whose time is over is left out", async () => {
		await start();
		kit.tell([CONTROL]);
		await commit();
		const fading = { ...HOLE, timeout: 90 };
		const over = { ...HOLE, dport: 9, timeout: 20 };
		kit.tellExpectations([fading, over]);
		const { store } = kit.external[EXPECTATION][0]!;
		for (let slot = 0; slot < 2; slot++) store.setHeader(slot, UPDATED, kit.now - 30);
		assert.deepEqual(await commit(EXPECTATION), { ...NOTHING, created: 1, expired: 1 });
		const times = (await kit.kernel.expectations()).map(({ timeout }) => timeout!);
		assert.equal(times.length, 1);
		assert.ok(times[0]! >= 57 && times[0]! <= 60, String(times));
	});

	test("entries that change while the commit runs are right at its end", async () => {
		await start();
		const many = udpEntries(4000);
		kit.tell(many);
		const { conntracks } = kit.internal;
		const { changed } = conntracks.listener;
		let n = 0;
		conntracks.listener.changed = (slot) => {
			changed(slot);
			// behind the cursor, at it, and in front of it; and one that is new
			if (++n % 100 !== 0 || n > 3000) return;
			for (const place of [n - 50, n, n + 500]) kit.tell([{ ...many[place - 1]!, mark: n + place }]);
			kit.tell([{ ...TCP, orig: { ...TCP.orig, sport: n }, reply: { ...TCP.reply, dport: n } }]);
		};
		const result = await commit();
		assert.deepEqual(result, { ...NOTHING, created: 4030 });
		const external = kit.external[CONNTRACK][0]!;
		const marked = (await kit.kernel.conntracks()).filter(({ mark }) => mark);
		assert.equal(marked.length, 65);
		const record = new Int32Array(external.store.layout.recordWords);
		for (const entry of marked) {
			external.store.read(external.store.find(conntrackToRecord(entry, kit.names)), record);
			assert.equal(record[23], entry.mark);
		}
	});

	test("the end of a left-over while the commit runs is not that of the peer's connection with its ports", async () => {
		await start();
		const over: Conntrack = { ...SNAT, tcp: { ...TCP.tcp, state: "TIME_WAIT" }, timeout: 9 };
		kit.kernel.create(over);
		await kit.settle();
		kit.tell([SNAT]);
		const running = kit.commit.run(CONNTRACK);
		assert.equal(kit.kernel.delete(over), "ok");
		await kit.settle();
		assert.deepEqual(withoutSeconds(await running), { ...NOTHING, created: 1 });
		assert.equal(kit.got(SNAT).tcp!.state, "ESTABLISHED");
		assert.deepEqual(replicated(kit.conntracks()), replicated(await kit.kernel.conntracks()));
	});

	test("the kernel's end of a committed entry, while the commit runs, is not forgotten", async () => {
		await start();
		const many = udpEntries(3000);
		kit.tell(many);
		let ended = 0;
		const running = kit.commit.run(CONNTRACK);
		for (const entry of many) if (kit.kernel.delete(entry) === "ok") ended++;
		await running;
		for (const entry of many.slice(0, 10)) if (kit.kernel.delete(entry) === "ok") ended++;
		await kit.settle();
		const left = await kit.kernel.conntracks();
		assert.equal(left.length, 3000 - ended);
		assert.deepEqual(replicated(kit.conntracks()), replicated(left));
	});

	test("a flush leaves what the filter keeps out, a deletion takes single entries", async () => {
		await start();
		kit.kernel.createAll(udpEntries(300));
		kit.kernel.create(TCP);
		kit.kernel.create(CONTROL);
		const policy = { protocol: { accept: true, protocols: [17] } };
		await kit.worker.run({ type: "flush", kind: CONNTRACK, policy, own: [] });
		assert.equal((await kit.kernel.conntracks()).length, 2);
		const records = new Int32Array([TCP, UDP].flatMap((entry) => [...conntrackToRecord(entry, kit.names)]));
		await kit.worker.run({ type: "delete", records });
		assert.deepEqual(
			(await kit.kernel.conntracks()).map(({ helper }) => helper),
			["ftp"],
		);
		kit.kernel.expect(HOLE);
		await kit.worker.run({ type: "flush", kind: EXPECTATION, policy: {}, own: [] });
		assert.deepEqual(await kit.kernel.expectations(), []);
	});

	test("a job that cannot be done is an error of its own, the next one is done", async () => {
		await start();
		const job = { type: "commit", windowTracking: false } as const;
		await assert.rejects(kit.worker.run({ ...job, parts: [{ store: 99, end: 1 }] }), Error);
		kit.tell([TCP]);
		assert.deepEqual(await commit(), { ...NOTHING, created: 1 });
	});
}
