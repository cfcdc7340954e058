// Commits onto a table in which another entry has the place, the reply tuple, of one that is committed; in the kernel of a
// network namespace of its own.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import type { Conntrack } from "../conntrack/conntrack.ts";
import { CONNTRACK, type Kind } from "../conntrack/kind.ts";
import { CONTROL, TCP, UDP } from "../netlink/kernel-cases.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { FailoverKit, type KitOptions } from "./failover-kit.ts";
import { newCommitResult } from "./messages.ts";
import { reasonOf } from "./refusal-reason.ts";

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
		assert.equal(kit.got(SNAT).reply!.dst, "203.0.113.9");
		assert.equal(kit.got(translated).reply!.src, "10.0.0.5");
		assert.equal(kit.got(CONTROL).helper, "ftp");
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
		kit.packet(kit.got(THIEF));
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
		assert.equal(kit.got(SNAT).reply!.dport, SNAT.reply!.dport);
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
			for (const entry of told) assert.equal(kit.got(entry).reply!.dport, entry.reply!.dport);
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
		assert.equal(kit.got(first).reply!.dport, SNAT.reply!.dport);
		assert.equal(kit.got(second).reply!.dport, 4002);
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
		kit.packet(kit.got(stranger));
		assert.deepEqual(await commit(), { ...NOTHING, replaced: 1, failed: 1 });
		assert.equal(kit.got(first).reply!.dport, SNAT.reply!.dport);
		assert.deepEqual(await sourcePorts(), [3001, 3003]);
	});

	test("an end that only this kernel has seen does not make room", async () => {
		await start();
		const over: Conntrack = { ...THIEF, tcp: { ...THIEF.tcp!, state: "CLOSE" }, timeout: 9 };
		kit.kernel.create(over);
		await kit.settle();
		kit.tell([over, SNAT]);
		kit.packet(kit.got(over));
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
		assert.equal(kit.got(translated).reply!.dport, reply.dport);
		assert.equal(kit.kernel.get(plain), "ENOENT");
		assert.deepEqual(kit.refusals, []);
	});

	test("a live occupant that nothing has answered gives way to an assured connection, an assured one does not", async () => {
		await start();
		kit.kernel.create(young(THIEF));
		await kit.settle();
		kit.packet(kit.got(THIEF));
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
		kit.packet(kit.got(other));
		kit.tell([SNAT]);
		assert.deepEqual(await commit(), { ...NOTHING, failed: 1 });
		assert.deepEqual(
			kit.refusals.map(({ exists, cause }) => [exists, cause]),
			[[true, "alive"]],
		);
		assert.equal(kit.got(other).reply!.dst, "203.0.113.77");
		kit.kernel.delete(other);
		kit.kernel.create({ ...young(other), tcp: TCP.tcp });
		await kit.settle();
		kit.packet(kit.got(other));
		assert.deepEqual(await commit(), { ...NOTHING, replaced: 1 });
		assert.equal(kit.got(SNAT).reply!.dst, "203.0.113.9");
	});
}
