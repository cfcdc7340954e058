// What is committed in the place of an entry that the kernel would not keep alive: GRE, and helpers that harm.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import type { Conntrack, Expectation } from "../conntrack/conntrack.ts";
import { CONNTRACK, EXPECTATION } from "../conntrack/kind.ts";
import { CONTROL, MASTER, UDP } from "../netlink/kernel-cases.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { FailoverKit } from "./failover-kit.ts";
import { GRE_SECONDS } from "./gre-entry.ts";
import { newCommitResult } from "./messages.ts";

const NOTHING = newCommitResult();
const [CLIENT, SERVER, VIP, INSIDE] = ["192.0.2.1", "198.51.100.2", "203.0.113.9", "10.0.0.5"] as const;

/** The reply tuple of an untranslated control connection, less the server's port. */
const BACK = { src: SERVER, dst: CLIENT, dport: 40000 };
const FROM_SERVER = { src: SERVER, dst: CLIENT };

/** A control connection of PPTP. */
const PPTP: Conntrack = {
	...CONTROL,
	orig: { ...CONTROL.orig, dport: 1723 },
	reply: { ...BACK, sport: 1723 },
	helper: "pptp",
};
const NATED_PPTP: Conntrack = { ...PPTP, reply: { ...BACK, sport: 1723, dst: VIP }, status: 0x219e };
const GRE: Conntrack = {
	...UDP,
	protocol: 47,
	orig: { src: CLIENT, dst: SERVER, srcKey: 273, dstKey: 546 },
	reply: { ...FROM_SERVER, srcKey: 546, dstKey: 273 },
	status: 0xf,
	timeout: 20,
	master: { ...MASTER, dport: 1723 },
};

if (isInPrivateNetwork(import.meta.url)) {
	let kit: FailoverKit;
	afterEach(() => kit.stop());

	/** Commits these; the summary, and what the kernel has then. */
	const committed = async (...conntracks: Conntrack[]) => {
		kit = await FailoverKit.start({ native: loadNative() });
		// a name that nobody has told of yet is not known to the worker
		kit.names.intern("Q.931");
		kit.tell(conntracks);
		const { seconds: _, ...counts } = await kit.commit.run(CONNTRACK);
		return { counts, entries: await kit.kernel.conntracks() };
	};
	const again = async () => {
		const { seconds: _, ...counts } = await kit.commit.run(CONNTRACK);
		return counts;
	};
	const tuples = (entries: readonly Conntrack[]) =>
		entries
			.filter(({ protocol }) => protocol === 47)
			.map(({ orig, reply }) => [orig, reply])
			.sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)));

	test("a call of PPTP is an entry for each direction, without the key that is not in its packets", async () => {
		const { counts, entries } = await committed(PPTP, GRE);
		assert.deepEqual(counts, { ...NOTHING, created: 3 });
		assert.deepEqual(tuples(entries), [
			[
				{ src: CLIENT, dst: SERVER, srcKey: 0, dstKey: 546 },
				{ src: SERVER, dst: CLIENT, srcKey: 546, dstKey: 0 },
			],
			[
				{ src: SERVER, dst: CLIENT, srcKey: 0, dstKey: 273 },
				{ src: CLIENT, dst: SERVER, srcKey: 273, dstKey: 0 },
			],
		]);
		for (const { status, timeout, master } of entries.filter(({ protocol }) => protocol === 47)) {
			assert.equal(status! & 0x407, 0x407, "fixed, expected, seen, assured");
			assert.ok(timeout! > GRE_SECONDS - 60);
			assert.equal(master?.dport, 1723);
		}
		assert.equal(entries.find(({ protocol }) => protocol === 6)!.helper, "pptp");
		assert.deepEqual(await again(), { ...NOTHING, kept: 3 });
	});

	test("with NAT each direction is translated as its packets have to be, and the helper stays away", async () => {
		const { counts, entries } = await committed(NATED_PPTP, {
			...GRE,
			orig: { ...GRE.orig, dst: VIP },
			reply: { src: INSIDE, dst: VIP, srcKey: 546, dstKey: 4000 },
			status: 0x3f,
		});
		assert.deepEqual(counts, { ...NOTHING, created: 3, withoutHelper: 1 });
		assert.deepEqual(tuples(entries), [
			[
				{ src: INSIDE, dst: VIP, srcKey: 0, dstKey: 4000 },
				{ src: CLIENT, dst: VIP, srcKey: 273, dstKey: 0 },
			],
			[
				{ src: CLIENT, dst: VIP, srcKey: 0, dstKey: 546 },
				{ src: INSIDE, dst: VIP, srcKey: 546, dstKey: 0 },
			],
		]);
		for (const { status } of entries.filter(({ protocol }) => protocol === 47))
			assert.equal(status! & 0x1b0, 0x1b0);
		assert.equal(entries.find(({ protocol }) => protocol === 6)!.helper, undefined);
		assert.deepEqual(await again(), { ...NOTHING, kept: 3 });
	});

	test("GRE without keys, or of one direction already, stays as it is, for long", async () => {
		const plain = {
			...GRE,
			orig: { ...GRE.orig, srcKey: 0, dstKey: 0 },
			reply: { ...FROM_SERVER, srcKey: 0, dstKey: 0 },
		};
		const { master: _, ...unrelated } = { ...plain, status: 0xe };
		const half = {
			...GRE,
			orig: { ...GRE.orig, srcKey: 0 },
			reply: { ...FROM_SERVER, srcKey: 546, dstKey: 0 },
			status: 0x40f,
		};
		const { counts, entries } = await committed(PPTP, unrelated, half);
		assert.deepEqual(counts, { ...NOTHING, created: 3 });
		assert.deepEqual(tuples(entries), [
			[plain.orig, plain.reply],
			[half.orig, half.reply],
		]);
		for (const { timeout } of entries) assert.ok(timeout! > 4000);
	});

	test("a tunnel that has not begun may begin with whatever source key the kernel sees", async () => {
		const call: Expectation = {
			family: "ipv4",
			protocol: 47,
			zone: 0,
			src: CLIENT,
			dst: SERVER,
			srcKey: 273,
			dstKey: 546,
			mask: {
				family: "ipv4",
				protocol: 47,
				src: "255.255.255.255",
				dst: "255.255.255.255",
				srcKey: 65535,
				dstKey: 65535,
			},
			master: { ...MASTER, dport: 1723 },
			timeout: 60,
			helper: "pptp",
			flags: 0,
			class: 0,
		};
		await committed(PPTP);
		kit.tellExpectations([call]);
		assert.equal((await kit.commit.run(EXPECTATION)).created, 1);
		const [made] = await kit.kernel.expectations();
		assert.deepEqual([made!.srcKey, made!.dstKey], [0, 546]);
		assert.deepEqual([made!.mask.srcKey, made!.mask.dstKey], [0, 65535]);
	});

	test("Q.931 holds the media of an H.245 connection, which cannot have its own helper", async () => {
		const control: Conntrack = {
			...CONTROL,
			orig: { ...CONTROL.orig, dport: 14245 },
			reply: { ...BACK, sport: 14245 },
		};
		const { counts, entries } = await committed({ ...control, helper: "H.245" });
		assert.deepEqual(counts, { ...NOTHING, created: 1 });
		assert.equal(entries[0]!.helper, "Q.931");
		assert.deepEqual(await again(), { ...NOTHING, kept: 1 });
	});
}
