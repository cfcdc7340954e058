// The failover against a real kernel's tables: commit and worker, caches and listener as in the daemon.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { NEVER_SEEN } from "../cache/internal-cache.ts";
import { UPDATED } from "../cache/record-layout.ts";
import { type Conntrack, conntrackToRecord } from "../conntrack/conntrack.ts";
import { CONNTRACK, EXPECTATION } from "../conntrack/kind.ts";
import { CONTROL, EXPECTATION as HOLE, MASTER, TCP, UDP, udpEntries } from "../netlink/kernel-cases.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import type { CommitSummary } from "./commit.ts";
import { FailoverKit, type KitOptions, replicated, replicatedExpectations } from "./failover-kit.ts";
import { newCommitResult } from "./messages.ts";
import { populate } from "./population.ts";
import { reasonOf } from "./refusal-reason.ts";

const NOTHING = newCommitResult();

const withoutSeconds = ({ seconds: _, ...counts }: CommitSummary) => counts;

/** What the kernel makes of the TCP flags when it is not to check windows. */
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

	/** Runs a half, and checks that the internal cache is the kernel's table after it. */
	const commit = async (kind: 0 | 1 = CONNTRACK) => {
		const result = withoutSeconds(await kit.commit.run(kind));
		await kit.settle();
		assert.deepEqual(replicated(kit.conntracks()), replicated(await kit.kernel.conntracks()));
		assert.deepEqual(
			replicatedExpectations(kit.expectations()),
			replicatedExpectations(await kit.kernel.expectations()),
		);
		return result;
	};
	const got = (conntrack: Conntrack): Conntrack => {
		const entry = kit.kernel.get(conntrack);
		assert.ok(typeof entry === "object", String(entry));
		return entry;
	};

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
		assert.equal(got(TCP).tcp!.state, "ESTABLISHED");
	});

	test("a live local entry is never pushed back", async () => {
		await start();
		const later = { correctionPosition: 2000, offsetBefore: 3, offsetAfter: 5 };
		const earlier = { correctionPosition: 1000, offsetBefore: 1, offsetAfter: 3 };
		const control = { ...CONTROL, seqOrig: later, seqReply: later };
		const closing = { ...SNAT, timeout: 100, tcp: { ...TCP.tcp, state: "LAST_ACK" } };
		for (const local of [control, closing, UDP]) assert.equal(kit.kernel.create(local), "ok");
		await kit.settle();
		for (const local of [control, closing, UDP]) kit.packet(got(local));
		const before = [control, closing, UDP].map(got);
		kit.tell([
			{ ...young(CONTROL), seqOrig: earlier, seqReply: earlier },
			{ ...SNAT, timeout: 432000 },
			{ ...UDP, status: 0x8, timeout: 30 },
		]);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 3 });
		const same = ({ timeout: _, ...rest }: Conntrack) => rest;
		assert.deepEqual([control, closing, UDP].map(got).map(same), before.map(same));
		assert.ok(got(closing).timeout! <= 100);
		assert.ok(got(UDP).timeout! > 4000);
		// nor where something of it has to be updated
		kit.tell([{ ...SNAT, timeout: 432000, mark: 3 }]);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 2, updated: 1 });
		const { tcp, mark, timeout } = got(closing);
		assert.deepEqual([tcp!.state, mark], ["LAST_ACK", 3]);
		assert.ok(timeout! <= 100);
	});

	test("a local entry that is behind is brought up to date in place", async () => {
		await start();
		kit.kernel.create(young(TCP), { windowTracking: true });
		await kit.settle();
		const { id } = got(TCP);
		kit.tell([{ ...TCP, mark: 9 }]);
		assert.deepEqual(await commit(), { ...NOTHING, updated: 1 });
		const { id: now, status, mark, tcp } = got(TCP);
		assert.deepEqual([now, status, mark, tcp!.state], [id, 0xe, 9, "ESTABLISHED"]);
		assert.deepEqual([tcp!.flagsOrig, tcp!.flagsReply], [0xb, 0xb]);
	});

	test("window tracking leaves the kernel's checks on", async () => {
		await start({ windowTracking: true });
		kit.tell([TCP]);
		assert.deepEqual(await commit(), { ...NOTHING, created: 1 });
		assert.deepEqual([got(TCP).tcp!.flagsOrig, got(TCP).tcp!.flagsReply], [0x3, 0x3]);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 1 });
	});

	test("CommitTimeout is every conntrack's timeout", async () => {
		await start({ timeout: 77 });
		// an offloaded flow comes without a timeout
		const { timeout: _, ...offloaded } = { ...UDP, protocol: 136 };
		kit.tell([TCP, UDP, offloaded]);
		assert.deepEqual(await commit(), { ...NOTHING, created: 3, offloaded: 1 });
		for (const entry of [TCP, UDP, offloaded]) assert.ok([76, 77].includes(got(entry).timeout!));
	});

	test("a left-over with other NAT, or without the helper, is replaced", async () => {
		await start();
		const { helper: _, ...plain } = CONTROL;
		kit.kernel.create({ ...SNAT, reply: { ...SNAT.reply!, dst: "203.0.113.77" } });
		kit.kernel.create(UDP);
		kit.kernel.create(plain);
		await kit.settle();
		const translated = { ...UDP, reply: { ...UDP.reply, src: "10.0.0.5" }, status: 0x1ae };
		kit.tell([SNAT, translated, CONTROL]);
		assert.deepEqual(await commit(), { ...NOTHING, replaced: 3 });
		assert.equal(got(SNAT).reply!.dst, "203.0.113.9");
		assert.equal(got(translated).reply!.src, "10.0.0.5");
		assert.equal(got(CONTROL).helper, "ftp");
		assert.deepEqual(await commit(), { ...NOTHING, kept: 3 });
	});

	/** Another connection that has the translated address and port of SNAT. */
	const THIEF = { ...TCP, orig: { ...TCP.orig, sport: 1111 }, reply: { ...SNAT.reply! }, status: 0x19e };
	const sourcePorts = async () => (await kit.kernel.conntracks()).map(({ orig }) => orig.sport).sort();

	test("a reply tuple that belongs to a live connection costs that entry, and is told", async () => {
		await start();
		const leftOver = { ...SNAT, reply: { ...SNAT.reply!, dport: 5 } };
		kit.kernel.create(THIEF);
		kit.kernel.create(leftOver);
		await kit.settle();
		kit.packet(got(THIEF));
		kit.tell([SNAT, { ...SNAT, orig: { ...SNAT.orig, sport: 2222 } }]);
		for (let round = 0; round < 2; round++) {
			kit.refusals.length = 0;
			assert.deepEqual(await commit(), { ...NOTHING, failed: 2 });
			assert.deepEqual(
				kit.refusals.map(({ errno, step, exists, cause }) => [errno, step, exists, cause]),
				[
					[17, "replace", true, "reply tuple"],
					[17, "create", false, "reply tuple"],
				],
			);
			assert.deepEqual(await sourcePorts(), [1111, SNAT.orig.sport].sort());
		}
	});

	test("a left-over that occupies the reply tuple gives way, and its end is known", async () => {
		await start();
		const leftOver = { ...SNAT, reply: { ...SNAT.reply!, dport: 5 } };
		kit.kernel.create(THIEF);
		kit.kernel.create(leftOver);
		await kit.settle();
		kit.tell([SNAT]);
		assert.deepEqual(await commit(), { ...NOTHING, replaced: 1 });
		assert.deepEqual(await sourcePorts(), [SNAT.orig.sport]);
		assert.equal(got(SNAT).reply!.dport, SNAT.reply!.dport);
		assert.deepEqual(kit.refusals, []);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 1 });
	});

	test("of two connections of the peer with one reply tuple the one that is over makes room, whichever is here", async () => {
		await start();
		const over: Conntrack = { ...THIEF, tcp: { ...THIEF.tcp!, state: "CLOSE" }, timeout: 9 };
		kit.kernel.create(over);
		await kit.settle();
		kit.tell([over, SNAT]);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 1, replaced: 1 });
		for (let round = 0; round < 2; round++) {
			assert.deepEqual(await sourcePorts(), [SNAT.orig.sport]);
			kit.refusals.length = 0;
			assert.deepEqual(await commit(), { ...NOTHING, kept: 1, failed: 1 });
			assert.deepEqual(
				kit.refusals
					.map((refusal) => reasonOf(CONNTRACK, refusal))
					.map(({ code, isPolicy }) => [code, isPolicy]),
				[["over", true]],
			);
		}
	});

	test("left-overs that have each other's reply tuples change places, and nothing is lost", async () => {
		for (const size of [2, 3, 6]) {
			await start();
			const member = (n: number, port: number): Conntrack => ({
				...SNAT,
				orig: { ...SNAT.orig, sport: 3000 + n },
				reply: { ...SNAT.reply!, dport: 4000 + port },
			});
			const ring = Array.from({ length: size }, (_, n) => n);
			kit.kernel.createAll(ring.map((n) => member(n, n)));
			await kit.settle();
			const told = ring.map((n) => member(n, (n + 1) % size));
			kit.tell(told);
			assert.deepEqual(await commit(), { ...NOTHING, replaced: size });
			for (const entry of told) assert.equal(got(entry).reply!.dport, entry.reply!.dport);
			assert.deepEqual(kit.refusals, []);
			assert.deepEqual(await commit(), { ...NOTHING, kept: size });
			if (size < 6) await kit.stop();
		}
	});

	test("a place that another entry of the same commit leaves later is not taken for taken", async () => {
		await start();
		const first: Conntrack = { ...SNAT, orig: { ...SNAT.orig, sport: 3001 } };
		const leftOver: Conntrack = { ...SNAT, orig: { ...SNAT.orig, sport: 3002 } };
		const second: Conntrack = { ...leftOver, reply: { ...SNAT.reply!, dport: 4002 } };
		kit.kernel.create(leftOver);
		await kit.settle();
		const others = Array.from({ length: 600 }, (_, n): Conntrack => {
			const sport = 10_000 + n;
			return { ...TCP, orig: { ...TCP.orig, sport }, reply: { ...TCP.reply!, dport: sport } };
		});
		kit.tell([first, ...others, second]);
		assert.deepEqual(await commit(), { ...NOTHING, created: 600, replaced: 2 });
		assert.equal(got(first).reply!.dport, SNAT.reply!.dport);
		assert.equal(got(second).reply!.dport, 4002);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 602 });
	});

	test("who loses its place to another, and cannot have its own, is not held any more", async () => {
		await start();
		const first: Conntrack = { ...SNAT, orig: { ...SNAT.orig, sport: 3001 } };
		const second: Conntrack = { ...SNAT, orig: { ...SNAT.orig, sport: 3002 } };
		const other = { ...SNAT.reply!, dport: 4002 };
		const stranger: Conntrack = {
			...second,
			orig: { ...SNAT.orig, sport: 3003 },
			reply: { ...other, dport: 4003 },
		};
		kit.kernel.createAll([{ ...second }, stranger]);
		await kit.settle();
		kit.tell([first, { ...second, reply: stranger.reply! }]);
		kit.packet(got(stranger));
		assert.deepEqual(await commit(), { ...NOTHING, replaced: 1, failed: 1 });
		assert.equal(got(first).reply!.dport, SNAT.reply!.dport);
		assert.deepEqual(await sourcePorts(), [3001, 3003]);
	});

	test("an end that only this kernel has seen does not make room", async () => {
		await start();
		const over: Conntrack = { ...THIEF, tcp: { ...THIEF.tcp!, state: "CLOSE" }, timeout: 9 };
		kit.kernel.create(over);
		await kit.settle();
		kit.tell([over, SNAT]);
		kit.packet(got(over));
		assert.deepEqual(await commit(), { ...NOTHING, kept: 1, failed: 1 });
		assert.deepEqual(await sourcePorts(), [1111]);
	});

	test("a left-over gives way, too, where the kernel would rather take another port without a word", async () => {
		await start();
		// with the destination translated alone, the source port is the kernel's to choose
		const reply = { ...UDP.reply!, src: "10.0.0.5" };
		const translated = { ...UDP, reply, status: 0x1ae };
		const plain = { ...UDP, orig: { ...UDP.orig, dst: "10.0.0.5" }, reply };
		kit.kernel.create(plain);
		await kit.settle();
		kit.tell([translated]);
		assert.deepEqual(await commit(), { ...NOTHING, replaced: 1 });
		assert.equal(got(translated).reply!.dport, reply.dport);
		assert.equal(kit.kernel.get(plain), "ENOENT");
		assert.deepEqual(kit.refusals, []);
	});

	test("a live occupant that nothing has answered gives way to an assured connection, an assured one does not", async () => {
		await start();
		kit.kernel.create(young(THIEF));
		await kit.settle();
		kit.packet(got(THIEF));
		kit.tell([{ ...SNAT, status: 0x19a }]);
		assert.deepEqual(await commit(), { ...NOTHING, failed: 1 });
		kit.tell([SNAT]);
		assert.deepEqual(await commit(), { ...NOTHING, replaced: 1 });
		assert.deepEqual(await sourcePorts(), [SNAT.orig.sport]);
	});

	test("a live entry with other NAT stays while the peer's cannot be had, one that nothing has answered makes room", async () => {
		await start();
		const other = { ...SNAT, reply: { ...SNAT.reply!, dst: "203.0.113.77" } };
		kit.kernel.create(other);
		await kit.settle();
		kit.packet(got(other));
		kit.tell([SNAT]);
		assert.deepEqual(await commit(), { ...NOTHING, failed: 1 });
		assert.deepEqual(
			kit.refusals.map(({ exists, cause }) => [exists, cause]),
			[[true, "alive"]],
		);
		assert.equal(got(other).reply!.dst, "203.0.113.77");
		kit.kernel.delete(other);
		kit.kernel.create({ ...young(other), tcp: TCP.tcp });
		await kit.settle();
		kit.packet(got(other));
		assert.deepEqual(await commit(), { ...NOTHING, replaced: 1 });
		assert.equal(got(SNAT).reply!.dst, "203.0.113.9");
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
		assert.equal(got(before).tcp!.state, "ESTABLISHED");
		assert.ok(got(before).timeout! > 4000);
		assert.equal(got(since).tcp!.state, "LAST_ACK");
		assert.ok(got(since).timeout! <= 60);
		// it is of this term now
		assert.equal(
			kit.kernel.update({ ...got(before), timeout: 30, tcp: { ...TCP.tcp, state: "LAST_ACK" } }),
			"ok",
		);
		assert.deepEqual(await commit(), { ...NOTHING, kept: 2 });
		assert.equal(got(before).tcp!.state, "LAST_ACK");
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
		assert.equal(got(met).tcp!.state, "ESTABLISHED", "it was joined");
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
		assert.equal(got(unknown).helper, undefined);
		assert.deepEqual(withoutSeconds(await kit.commit.run(CONNTRACK)), { ...NOTHING, kept: 2 });
		assert.equal(got(unknown).tcp!.state, "ESTABLISHED");
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
		assert.equal(got(plain).tcp!.state, "ESTABLISHED");
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
			assert.deepEqual([got(orphan).master, got(orphan).status], [undefined, 0xe]);
		}
		assert.deepEqual(kit.refusals, []);
		// the relation is not lost to the peers
		assert.deepEqual(kit.conntracks().find(({ protocol }) => protocol === 17)?.master, orphan.master);
		assert.deepEqual(got(chain[0]!).master, chain[0]!.master);
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
		assert.equal(got(SNAT).tcp!.state, "ESTABLISHED");
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
