// What the encoders write and the decoders read, against a real kernel's tables.
import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { KernelTables } from "../commit/kernel-tables.ts";
import type { Conntrack, Expectation } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";

const TIMEOUT = 5000;

const TCP = {
	family: "ipv4",
	protocol: 6,
	zoneOrig: 0,
	zoneReply: 0,
	orig: { src: "192.0.2.1", dst: "198.51.100.2", sport: 1000, dport: 443 },
	reply: { src: "198.51.100.2", dst: "192.0.2.1", sport: 443, dport: 1000 },
	status: 0xe,
	timeout: TIMEOUT,
	tcp: { state: "ESTABLISHED", scaleOrig: 7, scaleReply: 9, flagsOrig: 0xb, flagsReply: 0xb },
} satisfies Conntrack;
const { tcp: _, ...UDP } = { ...TCP, protocol: 17 };
const V6 = { src: "2001:db8::1", dst: "2001:db8:1::2" };
const V6_BACK = { src: V6.dst, dst: V6.src };
const V4 = { src: "192.0.2.1", dst: "198.51.100.2" };
const V4_BACK = { src: V4.dst, dst: V4.src };

const CONTROL: Conntrack = {
	...TCP,
	orig: { ...V4, sport: 40000, dport: 21 },
	reply: { ...V4_BACK, sport: 21, dport: 40000 },
	status: 0x200e,
	helper: "ftp",
};
const MASTER = { family: "ipv4", protocol: 6, ...CONTROL.orig, zone: 0 } as const;

/** An entry, and what the kernel makes of it where that is something else. */
const CASES: [name: string, conntrack: Conntrack, differs?: Partial<Conntrack>][] = [
	["TCP", TCP],
	["TCP over IPv6", { ...TCP, family: "ipv6", orig: { ...TCP.orig, ...V6 }, reply: { ...TCP.reply, ...V6_BACK } }],
	["UDP", UDP],
	["UDP over IPv6", { ...UDP, family: "ipv6", orig: { ...UDP.orig, ...V6 }, reply: { ...UDP.reply, ...V6_BACK } }],
	["UDP-Lite", { ...UDP, protocol: 136 }],
	[
		"SCTP",
		{ ...UDP, protocol: 132, sctp: { state: "ESTABLISHED", vtagOrig: 0xdeadbeef, vtagReply: 0x01020304 } },
	],
	[
		"ICMP",
		{
			...UDP,
			protocol: 1,
			orig: { ...V4, icmpType: 8, icmpCode: 0, icmpId: 0x1234 },
			reply: { ...V4_BACK, icmpType: 0, icmpCode: 0, icmpId: 0x1234 },
		},
	],
	[
		"ICMP with source NAT of address and id",
		{
			...UDP,
			protocol: 1,
			orig: { ...V4, icmpType: 8, icmpCode: 0, icmpId: 0x1234 },
			reply: { src: V4.dst, dst: "203.0.113.9", icmpType: 0, icmpCode: 0, icmpId: 0x4321 },
		},
		{ status: 0x19e },
	],
	[
		"ICMPv6",
		{
			...UDP,
			family: "ipv6",
			protocol: 58,
			orig: { ...V6, icmpType: 128, icmpCode: 0, icmpId: 0xfffe },
			reply: { ...V6_BACK, icmpType: 129, icmpCode: 0, icmpId: 0xfffe },
		},
	],
	[
		"GRE with keys",
		{
			...UDP,
			protocol: 47,
			orig: { ...V4, srcKey: 0xabcd, dstKey: 1 },
			reply: { ...V4_BACK, srcKey: 1, dstKey: 0xabcd },
		},
	],
	["OSPF, a protocol without a tracker", { ...UDP, protocol: 89, orig: V4, reply: V4_BACK }],
	[
		"OSPF over IPv6 with source NAT",
		{ ...UDP, family: "ipv6", protocol: 89, orig: V6, reply: { src: V6.dst, dst: "2001:db8::9" } },
		{ status: 0x19e },
	],
	["TCP with source NAT", { ...TCP, reply: { ...TCP.reply, dst: "203.0.113.9" } }, { status: 0x19e }],
	[
		"TCP with source NAT of address and port",
		{ ...TCP, reply: { ...TCP.reply, dst: "203.0.113.9", dport: 62000 } },
		{ status: 0x19e },
	],
	["TCP with source NAT of the port", { ...TCP, reply: { ...TCP.reply, dport: 62000 } }, { status: 0x19e }],
	["TCP with destination NAT", { ...TCP, reply: { ...TCP.reply, src: "10.0.0.5" } }, { status: 0x1ae }],
	["TCP with destination NAT of the port", { ...TCP, reply: { ...TCP.reply, sport: 8443 } }, { status: 0x1ae }],
	[
		"TCP with both, over IPv6",
		{
			...TCP,
			family: "ipv6",
			orig: { ...TCP.orig, ...V6 },
			reply: { src: "2001:db8:5::5", dst: "2001:db8:9::9", sport: 8443, dport: 62000 },
		},
		{ status: 0x1be },
	],
	[
		"TCP with sequence adjustments",
		{
			...TCP,
			seqOrig: { correctionPosition: 0xfffffffe, offsetBefore: 2, offsetAfter: 4 },
			seqReply: { correctionPosition: 2000, offsetBefore: -3, offsetAfter: -6 },
		},
		{ status: 0x4e },
	],
	["TCP with a helper", CONTROL],
	["a mark of all bits", { ...TCP, mark: 0xffffffff }],
	["a synproxy", { ...TCP, synproxy: { isn: 0xffffffff, its: 2, tsoff: 0x80000000 } }],
	["a zone", { ...TCP, zoneOrig: 7, zoneReply: 7 }],
	["a zone of the original direction", { ...TCP, zoneOrig: 7, zoneReply: 0 }],
	["a zone of the reply direction", { ...TCP, zoneOrig: 0, zoneReply: 0xfffe }],
	["a fixed timeout", { ...TCP, status: 0x40e }],
	[
		"a status of which only some bits can be asked for",
		{ ...TCP, status: 0x5fff },
		{ status: 0x40e }, // SEEN_REPLY, ASSURED, CONFIRMED, FIXED_TIMEOUT
	],
	["nothing seen yet", { ...UDP, status: 0 }, { status: 0x8 }],
	...["SYN_SENT", "SYN_RECV", "FIN_WAIT", "TIME_WAIT", "CLOSE", "SYN_SENT2"].map(
		(state): [string, Conntrack] => [`TCP in ${state}`, { ...TCP, tcp: { ...TCP.tcp, state } }],
	),
];

/** Without the id, which is the kernel's; the mark of zero is none, and a second may have passed. */
function comparable({ id: _, mark, timeout, ...rest }: Conntrack): Conntrack {
	const isFresh = timeout !== undefined && timeout <= TIMEOUT && timeout >= TIMEOUT - 2;
	return { ...rest, ...(mark ? { mark } : {}), timeout: isFresh ? TIMEOUT : timeout! };
}

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

	test("window tracking decides about BE_LIBERAL, at a creation and at an update", () => {
		const flags = () => {
			const { tcp } = kernel.get(TCP) as Conntrack;
			return [tcp!.flagsOrig, tcp!.flagsReply];
		};
		kernel.create(TCP, { windowTracking: true });
		assert.deepEqual(flags(), [0x3, 0x3]);
		assert.equal(kernel.update(TCP, { windowTracking: false }), "ok");
		assert.deepEqual(flags(), [0xb, 0xb]);
		assert.equal(kernel.update(TCP, { windowTracking: true }), "ok");
		assert.deepEqual(flags(), [0x3, 0x3]);
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
		kernel.create({ ...UDP, family: "ipv6", orig: { ...UDP.orig, ...V6 }, reply: { ...UDP.reply, ...V6_BACK } });
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
		const many = Array.from({ length: 700 }, (_, i) => ({
			...UDP,
			orig: { ...UDP.orig, sport: i },
			reply: { ...UDP.reply, dport: i },
		}));
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
		const many = Array.from({ length: 3000 }, (_, i) => ({
			...UDP,
			orig: { ...UDP.orig, sport: i },
			reply: { ...UDP.reply, dport: i },
		}));
		kernel.createAll(many);
		kernel.create(CONTROL);
		kernel.expect(EXPECTATION);
		const [first, second, third] = await Promise.all([
			kernel.conntracks(),
			kernel.expectations(),
			kernel.conntracks(),
		]);
		const ports = first.map(({ orig }) => orig.sport!).sort((a, b) => a - b);
		assert.deepEqual(ports, [...many.keys(), 40000]);
		assert.equal(third.length, 3001);
		assert.equal(second.length, 1);
		assert.equal(kernel.dump.counters.malformed, 0);
	});

	const EXPECTATION: Expectation = {
		family: "ipv4",
		protocol: 6,
		zone: 0,
		src: "198.51.100.2",
		dst: "192.0.2.1",
		sport: 0,
		dport: 0x8081,
		mask: {
			family: "ipv4",
			protocol: 6,
			src: "255.255.255.255",
			dst: "255.255.255.255",
			sport: 0,
			dport: 0xffff,
		},
		master: { family: "ipv4", protocol: 6, ...CONTROL.orig } as Expectation["master"],
		class: 0,
		timeout: 300,
		helper: "ftp",
		flags: 0,
	};
	const NAT = { family: "ipv4", protocol: 6, src: "0.0.0.0", dst: "0.0.0.0", sport: 0x8082, dport: 0 } as const;

	const EXPECTATION_CASES: [name: string, change: Partial<Expectation>][] = [
		["an expectation", {}],
		["an expectation with NAT", { nat: { ...NAT, direction: 1 }, fn: "nat-follow-master" }],
		[
			"an expectation with NAT of the original direction and an address",
			{ nat: { ...NAT, src: "10.1.2.3", direction: 0 }, fn: "nat-follow-master" },
		],
		["a permanent one", { flags: 1 }],
		["an inactive one", { flags: 2 }],
		["one of any source", { src: "0.0.0.0", mask: { ...EXPECTATION.mask, src: "0.0.0.0" } }],
		["one of a network and a source port", {
			src: "198.51.0.0",
			sport: 20,
			mask: { ...EXPECTATION.mask, src: "255.255.0.0", sport: 0xffff },
		}],
	];
	const withoutId = ({ id: _, timeout, ...rest }: Expectation): Expectation => ({
		...rest,
		timeout: timeout! >= 298 && timeout! <= 300 ? 300 : timeout!,
	});

	for (const [name, change] of EXPECTATION_CASES) {
		test(`${name}: a dump shows what was created`, async () => {
			const expectation = { ...EXPECTATION, ...change };
			kernel.create(CONTROL);
			assert.equal(kernel.expect(expectation), "ok");
			const dumped = await kernel.expectations();
			assert.deepEqual(dumped.map(withoutId), [expectation]);
			assert.equal(kernel.deleteExpectation(dumped[0]!), "ok");
			assert.equal(kernel.deleteExpectation(dumped[0]!), "ENOENT");
			assert.equal(kernel.expect(dumped[0]!), "ok");
			assert.deepEqual((await kernel.expectations()).map(withoutId), [expectation]);
			assert.equal(kernel.flushExpectations(), "ok");
			assert.deepEqual(await kernel.expectations(), []);
		});
	}

	test("an expectation over IPv6 with NAT: a dump shows what was created", async () => {
		const control: Conntrack = {
			...CONTROL,
			family: "ipv6",
			orig: { ...V6, sport: 40000, dport: 21 },
			reply: { ...V6_BACK, sport: 21, dport: 40000 },
		};
		const all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
		const expectation: Expectation = {
			...EXPECTATION,
			family: "ipv6",
			...V6_BACK,
			mask: { ...EXPECTATION.mask, family: "ipv6", src: all, dst: all },
			master: { family: "ipv6", protocol: 6, ...control.orig },
			nat: { ...NAT, family: "ipv6", src: "2001:db8::77", dst: "::", direction: 1 },
			fn: "nat-follow-master",
		};
		assert.equal(kernel.create(control), "ok");
		assert.equal(kernel.expect(expectation), "ok");
		assert.deepEqual((await kernel.expectations()).map(withoutId), [expectation]);
	});

	test("an expectation that several of a helper's classes allow keeps its class", async () => {
		const control: Conntrack = { ...UDP, helper: "sip", orig: { ...V4, sport: 5060, dport: 5060 } };
		control.reply = { ...V4_BACK, sport: 5060, dport: 5060 };
		const expectation: Expectation = {
			...EXPECTATION,
			protocol: 17,
			dport: 7000,
			mask: { ...EXPECTATION.mask, protocol: 17 },
			master: { family: "ipv4", protocol: 17, ...control.orig },
			helper: "sip",
			class: 1,
			timeout: 180,
		};
		assert.equal(kernel.create(control), "ok");
		assert.equal(kernel.expect(expectation), "ok");
		const [dumped] = await kernel.expectations();
		assert.deepEqual([dumped!.class, dumped!.helper], [1, "sip"]);
	});

	test("what is left of an expectation's life is set by a second request", async () => {
		kernel.create(CONTROL);
		assert.equal(kernel.expect({ ...EXPECTATION, timeout: 77 }), "ok");
		const left = async () => (await kernel.expectations())[0]!.timeout!;
		assert.ok((await left()) > 290, "the kernel gives the helper's full time at a creation");
		assert.equal(kernel.setTimeout(EXPECTATION, 77), "ok");
		const seconds = await left();
		assert.ok(seconds === 77 || seconds === 76, String(seconds));
	});

	test("an expectation that the kernel refuses answers with its errno", () => {
		assert.equal(kernel.expect(EXPECTATION), "ENOENT");
		assert.equal(kernel.setTimeout(EXPECTATION, 5), "ENOENT");
		kernel.create({ ...CONTROL, helper: undefined as never });
		assert.equal(kernel.expect(EXPECTATION), "ENOTSUP");
		kernel.flush();
		kernel.create(CONTROL);
		assert.equal(kernel.expect({ ...EXPECTATION, class: 1 }), "EINVAL");
		assert.equal(kernel.expect({ ...EXPECTATION, fn: "nonsense" }), "EINVAL");
		assert.equal(kernel.expect(EXPECTATION), "ok");
		assert.equal(kernel.expect(EXPECTATION), "EEXIST");
	});
}
