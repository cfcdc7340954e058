// What the encoders write and the decoders read of conntracks, against a real kernel's table.
import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { KernelTables } from "../commit/kernel-tables.ts";
import type { Conntrack } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import {
	CASES,
	CONTROL,
	comparable,
	EXPECTATION,
	MASTER,
	TCP,
	UDP,
	udpEntries,
	V6,
	V6_BACK,
} from "./kernel-cases.ts";

if (isInPrivateNetwork(import.meta.url)) {
	const names = new NameTable();
	const kernel = new KernelTables(loadNative(), systemClock, names);
	afterEach(() => void kernel.flush());
	after(() => kernel.close());

	for (const [name, conntrack, differs] of CASES) {
		test(`${name}: GET and a dump show what was created`, async () => {
			assert.equal(kernel.create(conntrack), "ok");
			const expected = comparable({ ...conntrack, ...differs });
			const got = kernel.get(conntrack);
			assert.ok(typeof got === "object", String(got));
			assert.deepEqual(comparable(got), expected);
			const dumped = await kernel.conntracks();
			assert.deepEqual(dumped.map(comparable), [expected]);
			// the same again, from what the kernel told
			assert.equal(kernel.delete(conntrack), "ok");
			assert.equal(kernel.get(conntrack), "ENOENT");
			assert.equal(kernel.create(dumped[0]!), "ok");
			assert.deepEqual((await kernel.conntracks()).map(comparable), [expected]);
		});
	}

	// what a commit relies on that does not read them back (read-back.ts)
	test("a translated source is what was asked for, or an error: the kernel takes no other port", async () => {
		const nat4 = "203.0.113.9";
		const nat6 = "2001:db8:9::9";
		const v6 = { family: "ipv6", orig: { ...UDP.orig, ...V6 }, reply: { ...UDP.reply, ...V6_BACK } } as const;
		const kinds: [Conntrack, string][] = [
			[TCP, nat4],
			[UDP, nat4],
			[{ ...UDP, protocol: 132, sctp: { state: "ESTABLISHED", vtagOrig: 1, vtagReply: 2 } }, nat4],
			[{ ...UDP, protocol: 136 }, nat4],
			[{ ...UDP, ...v6 }, nat6],
			[{ ...TCP, ...v6 }, nat6],
		];
		for (const [plain, address] of kinds) {
			for (const port of [plain.reply!.dport!, 2000]) {
				for (const destination of [
					{},
					{ src: plain.family === "ipv6" ? "2001:db8:7::7" : "198.51.100.7", sport: 8443 },
				]) {
					const reply = { ...plain.reply!, ...destination, dst: address, dport: port };
					const translated = { ...plain, reply };
					// somebody has the reply tuple; others of the same source are translated in the same way
					const occupant = {
						...plain,
						orig: { src: address, dst: reply.src, sport: port, dport: reply.sport! },
						reply: { ...reply },
					};
					const others = [3001, 3002].map((sport) => ({
						...plain,
						orig: { ...plain.orig, sport },
						reply: { ...reply, dport: sport },
					}));
					for (const other of others) assert.equal(kernel.create(other), "ok");
					assert.equal(kernel.create(occupant), "ok");
					assert.equal(kernel.create(translated), "EEXIST");
					assert.equal(kernel.delete(occupant), "ok");
					assert.equal(kernel.create(translated), "ok");
					assert.deepEqual((kernel.get(translated) as Conntrack).reply, reply);
					kernel.flush();
				}
			}
		}
	});

	test("a related connection hangs from its master, also in a zone", async () => {
		for (const zone of [0, 7]) {
			const zones = { zoneOrig: zone, zoneReply: zone };
			assert.equal(kernel.create({ ...CONTROL, ...zones }), "ok");
			const related = { ...TCP, ...zones, status: 0xf, master: { ...MASTER, zone } };
			assert.equal(kernel.create(related), "ok");
			assert.deepEqual(comparable(kernel.get(related) as Conntrack), related);
			assert.ok((await kernel.conntracks()).map(comparable).some(({ master }) => master?.zone === zone));
		}
	});

	test("window tracking decides about BE_LIBERAL, but an update never begins to check windows", () => {
		const flags = () => {
			const { tcp } = kernel.get(TCP) as Conntrack;
			return [tcp!.flagsOrig, tcp!.flagsReply];
		};
		kernel.create(TCP, { windowTracking: true });
		assert.deepEqual(flags(), [0x3, 0x3]);
		assert.equal(kernel.update(TCP, { windowTracking: false }), "ok");
		assert.deepEqual(flags(), [0xb, 0xb]);
		assert.equal(kernel.update(TCP, { windowTracking: true }), "ok");
		assert.deepEqual(flags(), [0xb, 0xb]);
	});

	test("an update changes state, timeout, mark, status and sequence adjustments in place", () => {
		const young: Conntrack = { ...TCP, status: 0x8, timeout: 60, tcp: { ...TCP.tcp, state: "SYN_SENT" } };
		const seq = { correctionPosition: 9, offsetBefore: 1, offsetAfter: -1 };
		const old: Conntrack = { ...TCP, mark: 5, seqOrig: seq, seqReply: seq };
		kernel.create(young);
		const { id } = kernel.get(young) as Conntrack;
		assert.equal(kernel.update(old), "ok");
		const got = kernel.get(old) as Conntrack;
		assert.deepEqual(comparable(got), { ...old, status: 0x4e });
		assert.equal(got.id, id);
	});

	test("an entry can be updated with what the kernel itself says of it", () => {
		const translated = { ...CONTROL, reply: { ...CONTROL.reply!, dst: "203.0.113.9" } };
		for (const conntrack of [TCP, UDP, translated]) {
			kernel.create(conntrack);
			const got = kernel.get(conntrack) as Conntrack;
			assert.equal(kernel.update(got), "ok");
			assert.deepEqual(comparable(kernel.get(conntrack) as Conntrack), comparable(got));
		}
	});

	test("flush empties the table, all families and zones", async () => {
		kernel.create(TCP);
		kernel.create({ ...TCP, zoneOrig: 3, zoneReply: 3 });
		kernel.create({
			...UDP,
			family: "ipv6",
			orig: { ...UDP.orig, ...V6 },
			reply: { ...UDP.reply, ...V6_BACK },
		});
		assert.equal((await kernel.conntracks()).length, 3);
		assert.equal(kernel.flush(), "ok");
		assert.deepEqual(await kernel.conntracks(), []);
	});

	test("a request that the kernel refuses answers with its errno", () => {
		assert.equal(kernel.create(TCP), "ok");
		assert.equal(kernel.create(TCP), "EEXIST");
		const sameReply = { ...TCP, orig: { ...TCP.orig, src: "192.0.2.77" } };
		assert.equal(kernel.create(sameReply), "EEXIST");
		assert.equal(kernel.get(sameReply), "ENOENT");
		assert.equal(kernel.update({ ...TCP, status: 0x8 }), "EBUSY");
		assert.equal(kernel.update(UDP), "ENOENT");
		assert.equal(kernel.delete(UDP), "ENOENT");
		assert.equal(kernel.get(UDP), "ENOENT");
		assert.equal(kernel.create({ ...UDP, master: MASTER }), "ENOENT");
		assert.equal(kernel.create({ ...CONTROL, helper: "nonsense" }), "ENOTSUP");
		assert.equal(
			kernel.create({ ...CONTROL, helper: "nonsense" }, { windowTracking: false, withoutHelper: true }),
			"ok",
		);
		assert.equal(kernel.create({ ...UDP, family: "unspec" }), "ENOTSUP");
	});

	test("in a batch each request is judged on its own", async () => {
		const many = udpEntries(700);
		many[300] = many[299]!;
		many[699] = many[0]!;
		const failed = kernel.createAll(many).flatMap((answer, i) => (answer === "ok" ? [] : [[i, answer]]));
		assert.deepEqual(failed, [
			[300, "EEXIST"],
			[699, "EEXIST"],
		]);
		assert.equal((await kernel.conntracks()).length, 698);
	});

	test("two dumps that are asked for at once come one after the other, and each is whole", async () => {
		kernel.createAll(udpEntries(3000));
		kernel.create(CONTROL);
		kernel.expect(EXPECTATION);
		const [first, second, third] = await Promise.all([
			kernel.conntracks(),
			kernel.expectations(),
			kernel.conntracks(),
		]);
		const ports = first.map(({ orig }) => orig.sport!).sort((a, b) => a - b);
		assert.deepEqual(ports, [...Array.from({ length: 3000 }, (_, i) => i + 1), 40000]);
		assert.equal(third.length, 3001);
		assert.equal(second.length, 1);
		assert.equal(kernel.dump.counters.malformed, 0);
	});
}
