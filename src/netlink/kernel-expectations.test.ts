// What the encoders write and the decoders read of expectations, against a real kernel's table.
import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { KernelTables } from "../commit/kernel-tables.ts";
import type { Conntrack, Expectation } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { CONTROL, EXPECTATION, NAT, UDP, V6, V6_BACK } from "./kernel-cases.ts";

if (isInPrivateNetwork(import.meta.url)) {
	const names = new NameTable();
	const kernel = new KernelTables(loadNative(), systemClock, names);
	afterEach(() => void kernel.flush());
	after(() => kernel.close());

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
		[
			"one of a network and a source port",
			{
				src: "198.51.0.0",
				sport: 20,
				mask: { ...EXPECTATION.mask, src: "255.255.0.0", sport: 0xffff },
			},
		],
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
		const control: Conntrack = {
			...UDP,
			helper: "sip",
			orig: { src: "192.0.2.1", dst: "198.51.100.2", sport: 5060, dport: 5060 },
		};
		control.reply = { src: "198.51.100.2", dst: "192.0.2.1", sport: 5060, dport: 5060 };
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
		const { helper: _, ...plain } = CONTROL;
		kernel.create(plain);
		assert.equal(kernel.expect(EXPECTATION), "ENOTSUP");
		kernel.flush();
		kernel.create(CONTROL);
		assert.equal(kernel.expect({ ...EXPECTATION, class: 1 }), "EINVAL");
		assert.equal(kernel.expect({ ...EXPECTATION, fn: "nonsense" }), "EINVAL");
		assert.equal(kernel.expect(EXPECTATION), "ok");
		assert.equal(kernel.expect(EXPECTATION), "EEXIST");
	});
}
