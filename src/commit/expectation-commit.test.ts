// The expectations' half of a failover, against a real kernel's table.
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { CREATED } from "../cache/record-layout.ts";
import type { RecordStore } from "../cache/record-store.ts";
import {
	type Conntrack,
	conntrackToRecord,
	type Expectation,
	expectationToRecord,
} from "../conntrack/conntrack.ts";
import { CONNTRACK, EXPECTATION } from "../conntrack/kind.ts";
import { CONTROL, EXPECTATION as HOLE, MASTER, NAT, TCP, UDP, V6, V6_BACK } from "../netlink/kernel-cases.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { jobOf } from "./expectation-commit.ts";
import { ExpectationDeadlines } from "./expectation-deadlines.ts";
import { FailoverKit, replicatedExpectations } from "./failover-kit.ts";
import { type CommitResult, newCommitResult } from "./messages.ts";
import { reasonOf } from "./refusal-reason.ts";

/** A master of a helper's with several expectations at a time, and one of them. */
const CALL: Conntrack = {
	...UDP,
	helper: "sip",
	orig: { src: "192.0.2.1", dst: "198.51.100.2", sport: 5060, dport: 5060 },
	reply: { src: "198.51.100.2", dst: "192.0.2.1", sport: 5060, dport: 5060 },
};
const MEDIA: Expectation = {
	...HOLE,
	protocol: 17,
	dport: 7000,
	mask: { ...HOLE.mask, protocol: 17 },
	master: { family: "ipv4", protocol: 17, ...CALL.orig },
	helper: "sip",
	class: 1,
	timeout: 180,
};
/** The data connection that HOLE lets in. */
const DATA: Conntrack = {
	...TCP,
	orig: { src: HOLE.src!, dst: HOLE.dst!, sport: 20, dport: HOLE.dport! },
	reply: { src: HOLE.dst!, dst: HOLE.src!, sport: HOLE.dport!, dport: 20 },
	status: 0xf,
	master: MASTER,
};

if (isInPrivateNetwork(import.meta.url)) {
	const native = loadNative();
	let kit: FailoverKit;
	beforeEach(async () => {
		kit = await FailoverKit.start({ native });
	});
	afterEach(() => kit.stop());

	const commit = async (expected: Partial<CommitResult>): Promise<void> => {
		const { seconds: _, ...result } = await kit.commit.run(EXPECTATION);
		await kit.settle();
		assert.deepEqual(result, { ...newCommitResult(), ...expected });
		assert.deepEqual(
			replicatedExpectations(kit.expectations()),
			replicatedExpectations(await kit.kernel.expectations()),
			"the internal cache is the kernel's table",
		);
	};
	const commitMasters = async (...masters: Conntrack[]): Promise<void> => {
		kit.tell(masters);
		await kit.commit.run(CONNTRACK);
	};
	const ports = async (): Promise<number[]> =>
		(await kit.kernel.expectations()).map(({ dport }) => dport!).sort();
	const codes = (): string[] => kit.refusals.map((refusal) => reasonOf(EXPECTATION, refusal).code);
	const local = (): RecordStore => kit.internal.expectations.store;
	const theirs = (): RecordStore => kit.external[EXPECTATION][0]!.store;
	const setCreated = (store: RecordStore, expectation: Expectation, seconds: number): void =>
		store.setHeader(store.find(expectationToRecord(expectation, kit.names)), CREATED, seconds);

	test("twice is once, and the cache knows at once what the kernel made of it", async () => {
		await commitMasters(CONTROL, CALL);
		const more = [0, 1, 2].map((n) => ({ ...MEDIA, dport: 7001 + n }));
		kit.tellExpectations([HOLE, MEDIA, ...more]);
		await commit({ created: 5 });
		const ids = async () => (await kit.kernel.expectations()).map(({ dport, id }) => [dport, id]).sort();
		assert.deepEqual(
			kit
				.expectations()
				.map(({ dport, id }) => [dport, id])
				.sort(),
			await ids(),
		);
		const before = await ids();
		await commit({ kept: 5 });
		assert.deepEqual(await ids(), before);
	});

	test("class, flags, function and translation are as they were, over IPv6, too", async () => {
		const control: Conntrack = {
			...CONTROL,
			family: "ipv6",
			orig: { ...V6, sport: 40000, dport: 21 },
			reply: { ...V6_BACK, sport: 21, dport: 40000 },
		};
		const all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
		const six: Expectation = {
			...HOLE,
			family: "ipv6",
			...V6_BACK,
			mask: { ...HOLE.mask, family: "ipv6", src: all, dst: all },
			master: { family: "ipv6", protocol: 6, ...control.orig },
			nat: { ...NAT, family: "ipv6", src: "2001:db8::77", dst: "::", direction: 1 },
			fn: "nat-follow-master",
		};
		const media: Expectation = {
			...MEDIA,
			nat: { ...NAT, protocol: 17, src: "10.9.8.7", direction: 0 },
			fn: "sip",
		};
		const register: Expectation = { ...MEDIA, class: 0, dport: 5070, flags: 3 };
		await commitMasters(control, CALL);
		kit.tellExpectations([six, media, register]);
		await commit({ created: 3 });
		assert.deepEqual(
			replicatedExpectations(await kit.kernel.expectations()),
			replicatedExpectations([six, media, register]),
		);
	});

	test("another master's expectation that waits for the same keeps its place and its time", async () => {
		const other: Conntrack = {
			...CONTROL,
			orig: { ...CONTROL.orig, sport: 1 },
			reply: { ...CONTROL.reply!, dport: 1 },
		};
		await commitMasters(CONTROL, other);
		kit.kernel.expect({ ...HOLE, master: { ...HOLE.master, sport: 1 } });
		await kit.settle();
		kit.tellExpectations([{ ...HOLE, timeout: 20 }]);
		await commit({ failed: 1 });
		assert.deepEqual(codes(), ["expectation-clash"]);
		const [left] = await kit.kernel.expectations();
		assert.equal(left!.master.sport, 1);
		assert.ok(left!.timeout! > 200, "its time is its own");
	});

	test("of an old and a new one of the same master the new one is committed, where the helper has one at a time", async () => {
		await commitMasters(CONTROL, CALL);
		// the peer's later one; its deletion of the first was lost
		kit.tellExpectations([HOLE, { ...HOLE, dport: 2222 }, MEDIA, { ...MEDIA, dport: 7002 }]);
		await commit({ created: 3, outdated: 1 });
		assert.deepEqual(await ports(), [2222, 7000, 7002]);
		await commit({ kept: 3, outdated: 1 });
	});

	test("a newer one that the helper made here stays, an older one gives way", async () => {
		await commitMasters(CONTROL);
		const here = { ...HOLE, dport: 3333 };
		kit.kernel.expect(here);
		await kit.settle();
		kit.tellExpectations([HOLE]);
		setCreated(theirs(), HOLE, 100);
		setCreated(local(), here, 200);
		await commit({ outdated: 1 });
		assert.deepEqual(await ports(), [3333]);
		setCreated(local(), here, 50);
		await commit({ created: 1 });
		assert.deepEqual(await ports(), [HOLE.dport]);
	});

	test("a left-over that lets in something else is replaced; the peer's older one does not replace it", async () => {
		const translated = (sport: number): Expectation => ({
			...HOLE,
			nat: { ...NAT, sport, direction: 1 },
			fn: "nat-follow-master",
		});
		await commitMasters(CONTROL);
		kit.kernel.expect(translated(1111));
		await kit.settle();
		kit.tellExpectations([translated(2222)]);
		setCreated(theirs(), HOLE, 100);
		setCreated(local(), HOLE, 200);
		await commit({ outdated: 1 });
		setCreated(local(), HOLE, 50);
		await commit({ replaced: 1 });
		assert.equal((await kit.kernel.expectations())[0]!.nat!.sport, 2222);
	});

	test("an expectation whose connection has come is not committed; one that came after an earlier connection is", async () => {
		await commitMasters(CONTROL);
		kit.tellExpectations([HOLE]);
		kit.tell([DATA]);
		await commit({ consumed: 1 });
		// the same port again
		kit.tellExpectations([{ ...HOLE, timeout: 299 }]);
		await commit({ created: 1 });
	});

	test("one that is permanent does not end with its connection", async () => {
		await commitMasters(CONTROL);
		kit.tellExpectations([{ ...HOLE, flags: 1 }]);
		kit.tell([DATA]);
		await commit({ created: 1 });
	});

	test("what was committed and used here does not come back from a dead peer's cache", async () => {
		await commitMasters(CONTROL);
		kit.tellExpectations([HOLE]);
		await commit({ created: 1 });
		// the kernel ends the expectation, then the connection begins
		assert.equal(kit.kernel.deleteExpectation(HOLE), "ok");
		assert.equal(kit.kernel.create(DATA), "ok");
		await kit.settle();
		const { store } = kit.internal.conntracks;
		store.setHeader(store.find(conntrackToRecord(DATA, kit.names)), CREATED, kit.now);
		await commit({ consumed: 1 });
	});

	test("what the kernel ends while it is committed does not come back", async () => {
		await commitMasters(CONTROL);
		kit.kernel.expect(HOLE);
		await kit.settle();
		kit.tellExpectations([HOLE]);
		// nobody has heard of its end yet
		kit.kernel.deleteExpectation(HOLE);
		await commit({ expired: 1 });
	});

	test("more is left at the peer than here: the time is set; less is left: this kernel knows better", async () => {
		await commitMasters(CONTROL);
		kit.kernel.expect(HOLE);
		kit.kernel.setTimeout(HOLE, 50);
		await kit.settle();
		kit.tellExpectations([{ ...HOLE, timeout: 20 }]);
		await commit({ kept: 1 });
		const left = async (): Promise<number> => (await kit.kernel.expectations())[0]!.timeout!;
		assert.ok((await left()) > 40);
		kit.tellExpectations([{ ...HOLE, timeout: 100 }]);
		await commit({ updated: 1 });
		assert.ok((await left()) > 90 && (await left()) <= 100);
	});

	test("masters in a zone have their expectations in it; without a master none is made", async () => {
		await commitMasters({ ...CONTROL, zoneOrig: 6, zoneReply: 6 });
		kit.tellExpectations([
			{ ...HOLE, zone: 6 },
			{ ...HOLE, zone: 7 },
		]);
		const result = await kit.commit.run(EXPECTATION);
		assert.deepEqual([result.created, result.failed, codes()], [1, 1, ["master-absent"]]);
		assert.equal(kit.kernel.deleteExpectation({ ...HOLE, zone: 7 }), "ENOENT");
		assert.equal(kit.kernel.deleteExpectation({ ...HOLE, zone: 6 }), "ok");
	});

	test("a committed expectation that outlives its time is taken out; one that the helper made anew is not", async () => {
		const { expectations } = kit.internal;
		const deadlines = new ExpectationDeadlines({
			clock: systemClock,
			internal: expectations,
			remove: async (records) => {
				await kit.worker.run(jobOf(records.map((record) => ({ record, step: "delete" }))));
			},
			failed: (error) => assert.fail(error),
		});
		try {
			const other: Conntrack = {
				...CONTROL,
				orig: { ...CONTROL.orig, sport: 1 },
				reply: { ...CONTROL.reply!, dport: 1 },
			};
			await commitMasters(CONTROL, other, CALL);
			const anew = { ...HOLE, dport: 4444, master: { ...HOLE.master, sport: 1 } };
			kit.guard = (record, deadline) => deadlines.add(record, deadline);
			kit.tellExpectations([
				{ ...HOLE, timeout: 2 },
				{ ...anew, timeout: 2 },
				{ ...MEDIA, timeout: 150 },
			]);
			await commit({ created: 3 });
			assert.equal(deadlines.size, 3);
			// the kernel believes that there is time
			assert.equal(kit.kernel.setTimeout(HOLE, 300), "ok");
			assert.equal(kit.kernel.deleteExpectation(anew), "ok");
			assert.equal(kit.kernel.expect(anew), "ok");
			await kit.settle();
			const end = systemClock.now() + 20_000;
			while ((await ports()).includes(HOLE.dport!) && systemClock.now() < end) {
				await new Promise((resolve) => systemClock.after(50, () => resolve(undefined)));
			}
			assert.deepEqual(await ports(), [4444, 7000]);
			await new Promise((resolve) => systemClock.after(1500, () => resolve(undefined)));
			await kit.settle();
			assert.deepEqual([await ports(), deadlines.removed, deadlines.size], [[4444, 7000], 1, 1]);
			assert.deepEqual(
				kit
					.expectations()
					.map(({ dport }) => dport)
					.sort(),
				[4444, 7000],
			);
		} finally {
			deadlines.close();
		}
	});
}
