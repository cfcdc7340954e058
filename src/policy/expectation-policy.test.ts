import assert from "node:assert/strict";
import { test } from "node:test";
import {
	type Conntrack,
	conntrackToRecord,
	type Expectation,
	expectationToRecord,
} from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { ACCEPTED, formatCode, WAITING } from "./codes.ts";
import { ExpectationPolicy, type PolicyOptions } from "./expectation-policy.ts";
import { broadcast, CLIENT, expectationOf, legal, masterOf, OUTSIDE, SERVER } from "./legal.ts";
import { type PolicyNetwork, type PolicySettings, STRICT } from "./settings.ts";
import type { Standing } from "./standing.ts";

const names = new NameTable();
const policyOf = (settings: Partial<PolicySettings> = {}, options: Partial<PolicyOptions> = {}) =>
	new ExpectationPolicy({
		names,
		replicated: true,
		isOwnAddress: () => false,
		settings: { ...STRICT, ...settings },
		...options,
	});
const strict = policyOf();

function judged(
	expectation: Expectation,
	master: Conntrack | undefined,
	policy = strict,
	standing?: Standing,
): string {
	const record = expectationToRecord(expectation, names);
	const code = policy.judge(record, master && conntrackToRecord(master, names), standing);
	return code === ACCEPTED ? "ok" : formatCode(code);
}

/** Every code that it breaks. */
function broken(expectation: Expectation, master: Conntrack, policy = strict, standing?: Standing): string[] {
	return policy
		.explain(expectationToRecord(expectation, names), conntrackToRecord(master, names), standing)
		.filter(({ verdict }) => verdict === "broken")
		.map(({ code }) => formatCode(code));
}

const net = (address: number[], prefixLength: number): PolicyNetwork => ({
	family: 4,
	address: new Uint8Array(address),
	prefixLength,
});
const ftp = masterOf("ftp");
const data = (change: Parameters<typeof expectationOf>[1] = {}, master = ftp) =>
	expectationOf(master, change);
const V6 = { src: "2001:db8::1", dst: "2001:db8::2" };
const full = (length: number) =>
	length === 128 ? "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" : "255.255.255.255";

for (const nat of [false, true]) {
	for (const [name, expectation, master] of legal(nat)) {
		test(`${name}${nat ? ", translated" : ""}: what the kernel makes is allowed`, () => {
			assert.deepEqual(broken(expectation, master), []);
			assert.equal(judged(expectation, master), "ok");
			const { helper: _, ...withoutHelper } = expectation;
			assert.equal(judged(withoutHelper, master), "ok", "the master says which helper it is");
		});
		test(`${name}${nat ? ", translated" : ""}: without its master it waits`, () => {
			assert.equal(judged(expectation, undefined), "waiting for its master");
		});
	}
}

for (const helper of ["netbios-ns", "snmp"] as const) {
	test(`${helper}: allowed where it is named, though the firewall itself is its end`, () => {
		const [expectation, master] = broadcast(helper);
		const named = policyOf({}, { replicated: [helper], isOwnAddress: () => true });
		assert.deepEqual(broken(expectation, master, named), []);
		assert.deepEqual(broken(expectation, master), ["X01"]);
		const wider = { ...expectation, mask: { ...expectation.mask, src: "255.255.254.0" } };
		assert.deepEqual(broken(wider, master, named), ["X05"]);
		const allowed = policyOf({ helpers: { [helper]: { minPrefix: 23 } } }, { replicated: [helper] });
		assert.deepEqual(broken(wider, master, allowed), []);
		assert.deepEqual(broken({ ...expectation, src: "10.3.0.0" }, master, named), ["X06"]);
		assert.deepEqual(broken({ ...expectation, sport: 138 }, master, named), ["X06"]);
		assert.deepEqual(broken({ ...expectation, dport: 138 }, master, named), ["X09"]);
	});
}

test("X01: a helper that is replicated and known", () => {
	const only = policyOf({}, { replicated: ["sip", "tft"] });
	assert.deepEqual(broken(data(), ftp, only), ["X01"]);
	const [, tftp, master] = legal().find(([name]) => name === "tftp")!;
	assert.deepEqual(broken(tftp, master, only), []);
	for (const helper of ["rpc", "ftpx", "ftp-x", "Ftp"]) {
		const other = masterOf(helper);
		assert.equal(judged(data({}, other), other), "X01");
	}
	const { helper: _, ...bare } = ftp;
	const { helper: __, ...told } = data();
	assert.equal(judged(told, bare), "X01");
});

test("X02: the master's protocol, and its port where it has no helper", () => {
	const { helper: _, ...bare } = ftp;
	assert.equal(judged(data(), bare), "ok");
	const { helper: __, ...other } = masterOf("ftp", { dport: 80 });
	assert.equal(judged(data({}, { ...other, helper: "ftp" }), other), "X02");
	const carries = masterOf("ftp", { dport: 80 });
	assert.equal(
		judged(data({}, carries), carries),
		"ok",
		"the port is free where the master carries the helper",
	);
	const udp = masterOf("ftp", { protocol: 17 });
	assert.equal(judged(data({}, udp), udp), "X02");
	assert.equal(judged(data(), { ...ftp, status: 0x220e }), "X02");
});

test("X03: the helper is the master's, or follows in a chain", () => {
	assert.deepEqual(broken({ ...data(), helper: "sip", class: 3 }, ftp), ["X03", "X10"]);
	for (const [ofMaster, own, verdict] of [
		["RAS", "Q.931", "ok"],
		["Q.931", "H.245", "ok"],
		["sip", "sip-5061", "ok"],
		["H.245", "Q.931", "X03"],
		["ftp", "ftp-2121", "X03"],
		["ftp", "nonsense", "X03"],
	] as const) {
		const [, expectation, master] = legal().find(([, { helper }]) => helper === ofMaster)!;
		assert.equal(judged({ ...expectation, helper: own }, master), verdict, `${own} under ${ofMaster}`);
	}
});

test("X04: one family, and nothing outside the mask", () => {
	const six: Expectation = {
		...data(),
		...V6,
		family: "ipv6",
		mask: { ...data().mask, family: "ipv6", src: full(128), dst: full(128) },
	};
	assert.equal(judged(six, ftp), "X04");
	assert.equal(judged({ ...data(), mask: { ...data().mask, protocol: 17 } }, ftp), "X04");
	const irc = masterOf("irc");
	assert.equal(judged(expectationOf(irc, { src: "10.0.0.1", mask: { src: "0.0.0.0" } }), irc), "X04");
	assert.equal(judged(data({ sport: 20 }), ftp), "X04");
	assert.equal(judged(data({ sport: 20, mask: { sport: 0xffff } }), ftp), "ok", "narrower than the kernel's");
	const nat = { ...V6, family: "ipv6", protocol: 6, sport: 2000, dport: 0, direction: 0 } as const;
	assert.equal(judged(data({ nat }), masterOf("ftp", { nat: true })), "X04");
});

test("X05: the form of the masks", () => {
	const mask = (change: object) => judged(data({ mask: change }), ftp);
	assert.equal(mask({ dst: "255.255.255.254" }), "X05");
	assert.equal(judged(data({ dport: 0, mask: { dport: 0 } }), ftp), "X05");
	assert.equal(judged(data({ src: "198.0.100.0", mask: { src: "255.0.255.0" } }), ftp), "X05");
	assert.equal(judged(data({ src: "198.51.100.0", mask: { src: "255.255.255.0" } }), ftp), "X05");
	assert.equal(mask({ sport: 0xff00 }), "X05");
	const [, call, pptp] = legal().find(([name]) => name === "pptp")!;
	assert.equal(judged({ ...call, srcKey: 0, mask: { ...call.mask, srcKey: 0 } }, pptp), "X05");
});

test("X06: the source", () => {
	assert.equal(judged(data({ src: "0.0.0.0", mask: { src: "0.0.0.0" } }), ftp), "X06");
	assert.equal(judged(data({ src: "198.51.100.21" }), ftp), "X06");
	const fxp = policyOf({ helpers: { ftp: { fxp: true } } });
	assert.equal(judged(data({ src: "198.51.100.21" }), ftp, fxp), "ok");
	assert.equal(judged(data({ src: "0.0.0.0", mask: { src: "0.0.0.0" } }), ftp, fxp), "ok");
});

test("X07: the destination", () => {
	assert.equal(judged(data({ dst: "198.51.100.21" }), ftp), "X07");
	for (const dst of ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.255.255.250", "255.255.255.255"]) {
		const loose = policyOf({ helpers: { ftp: { loose: true } } });
		assert.equal(judged(data({ dst }), ftp, loose), "X07", dst);
	}
	const irc = masterOf("irc");
	const dcc = { src: "0.0.0.0", mask: { src: "0.0.0.0" }, timeout: 300 };
	assert.equal(judged(expectationOf(irc, { ...dcc, dst: SERVER }), irc), "X07", "only to the client");
	const six = {
		...ftp,
		family: "ipv6",
		orig: { ...ftp.orig, ...V6 },
		reply: { ...ftp.reply!, src: V6.dst, dst: V6.src },
	} as const;
	const loose = policyOf({ helpers: { ftp: { loose: true } } });
	const to = (dst: string) =>
		judged(
			{ ...data({}, six), src: V6.dst, dst, mask: { ...data({}, six).mask, src: full(128), dst: full(128) } },
			six,
			loose,
		);
	assert.equal(to(V6.src), "ok");
	assert.equal(to("2001:db8:9::9"), "ok");
	for (const dst of ["::", "::1", "::ffff:10.0.0.1", "::10.0.0.1", "ff02::1"])
		assert.equal(to(dst), "X07", dst);
});

test("X07: this firewall, unless its address stands for the client's", () => {
	const own = policyOf({}, { isOwnAddress: () => true });
	assert.equal(judged(data(), ftp, own), "X07");
	const translated = masterOf("ftp", { nat: true });
	assert.equal(judged(data({ dst: OUTSIDE }, translated), translated, own), "ok");
	assert.equal(judged(data({ dst: CLIENT }, translated), translated, own), "X07");
});

test("X08: the protocol", () => {
	const [, call, pptp] = legal().find(([name]) => name === "pptp")!;
	assert.equal(
		judged(
			{
				...call,
				protocol: 6,
				sport: 3,
				dport: 5,
				mask: { ...call.mask, protocol: 6, sport: 0xffff, dport: 0xffff },
			},
			pptp,
		),
		"X08",
	);
	assert.equal(judged(data({ protocol: 17 }), ftp), "X08");
	for (const [, expectation, master] of legal()) {
		const { family, src, dst } = expectation;
		const none = {
			...expectation,
			family,
			src,
			dst,
			protocol: 0,
			mask: { ...expectation.mask, protocol: 0 },
		};
		assert.ok(broken(none, master).includes("X08"));
	}
	const tcpSip = masterOf("sip", { protocol: 6 });
	assert.equal(judged(expectationOf(tcpSip, { protocol: 6, flags: 1 }), tcpSip), "ok");
	assert.equal(judged(expectationOf(tcpSip, { protocol: 6, class: 1 }), tcpSip), "X08", "media go by UDP");
});

test("X09: the destination port", () => {
	assert.equal(judged(data({ dport: 1023 }), ftp), "X09");
	assert.equal(judged(data({ dport: 1024 }), ftp), "ok");
	assert.equal(judged(data({ dport: 0 }), ftp), "X09");
	const high = policyOf({ minDstPort: 30_001 });
	assert.equal(judged(data(), ftp, high), "X09");
	const low = policyOf({ helpers: { ftp: { dstPort: { from: 20, to: 30 } } } });
	assert.equal(judged(data({ dport: 22 }), ftp, low), "ok");
	assert.equal(judged(data({ dport: 31 }), ftp, low), "X09");
	assert.equal(judged(data({ dport: 2000 }), ftp, low), "X16");
	const [, rtcp, h245] = legal().find(([name]) => name === "rtcp")!;
	assert.equal(judged(rtcp, h245, high), "X09", "the pair begins below");
	const [, call, ras] = legal().find(([name]) => name === "registered endpoint")!;
	assert.equal(judged({ ...call, dport: 1720 }, ras, high), "ok");
	const [, tftp, master] = legal().find(([name]) => name === "tftp")!;
	assert.equal(judged({ ...tftp, dport: 40_001 }, master), "X09");
});

test("X10: the class", () => {
	assert.equal(judged(data({ class: 1 }), ftp), "X10");
	assert.equal(judged(data({ class: 0xffffffff }), ftp), "X10");
	const sip = masterOf("sip");
	assert.equal(judged(expectationOf(sip, { protocol: 17, class: 3 }), sip), "ok");
	assert.equal(judged(expectationOf(sip, { protocol: 17, class: 4 }), sip), "X10");
});

test("X11: the flags", () => {
	for (const flags of [1, 2, 4, 8, 0x80000000]) assert.equal(judged(data({ flags }), ftp), "X11");
	const userspace = policyOf({ helpers: { ftp: { userspace: true } } });
	assert.equal(judged(data({ flags: 4 }), ftp, userspace), "ok");
	assert.equal(judged(data({ flags: 5 }), ftp, userspace), "X11");
});

test("X12: the timeout", () => {
	const { timeout: _, ...without } = data();
	assert.equal(judged(without, ftp), "X12");
	for (const [timeout, verdict] of [
		[0, "X12"],
		[1, "ok"],
		[300, "ok"],
		[301, "X12"],
		[2 ** 31, "X12"],
	] as const) {
		assert.equal(judged(data({ timeout }), ftp), verdict, String(timeout));
	}
	const longer = policyOf({ helpers: { ftp: { timeout: 400 }, sip: { timeout: 7200 } } });
	assert.equal(judged(data({ timeout: 400 }), ftp, longer), "ok");
	const sip = masterOf("sip");
	assert.equal(judged(expectationOf(sip, { protocol: 17, timeout: 7200 }), sip, longer), "ok");
	assert.equal(judged(expectationOf(sip, { protocol: 17, class: 1, timeout: 181 }), sip, longer), "X12");
});

test("X13: number and rate", () => {
	const none: Standing = { inClass: 0, ofMaster: 0, ofOrigin: 0, isTooFast: false };
	const standing = (change: Partial<Standing>, policy = strict) =>
		judged(data(), ftp, policy, { ...none, ...change });
	assert.equal(standing({}), "ok");
	assert.equal(standing({ inClass: 1 }), "X13");
	assert.equal(standing({ ofMaster: 16 }), "X13");
	assert.equal(standing({ ofOrigin: 1023 }), "ok");
	assert.equal(standing({ ofOrigin: 1024 }), "X13");
	assert.equal(standing({ isTooFast: true }), "X13");
	const more = policyOf({ helpers: { ftp: { maxExpectations: 20 } } });
	assert.equal(standing({ inClass: 19, ofMaster: 19 }, more), "ok");
	assert.equal(standing({ inClass: 20, ofMaster: 19 }, more), "X13");
});

test("X14: the translation", () => {
	const nat = {
		family: "ipv4",
		protocol: 6,
		src: "0.0.0.0",
		dst: "0.0.0.0",
		sport: 2000,
		dport: 0,
		direction: 1,
	} as const;
	const translated = masterOf("ftp", { nat: true });
	const verdict = (change: object) => judged(data({ nat: { ...nat, ...change } }, translated), translated);
	assert.equal(judged(data({ nat }), ftp), "X14");
	assert.equal(verdict({}), "ok");
	assert.equal(verdict({ src: CLIENT }), "ok");
	assert.equal(verdict({ src: "192.0.2.11" }), "X14");
	assert.equal(verdict({ sport: 1023 }), "X14");
	assert.equal(verdict({ sport: 0 }), "ok");
	assert.equal(verdict({ direction: 0 }), "ok");
	assert.equal(verdict({ direction: 2 }), "X14");
	const [, tftp, master] = legal(true).find(([name]) => name === "tftp")!;
	assert.equal(judged({ ...tftp, nat: { ...tftp.nat!, sport: 40_001 } }, master), "X14");
});

test("X15: the function", () => {
	assert.equal(judged(data({ fn: "sip" }), ftp), "X15");
	assert.equal(judged(data({ fn: "x".repeat(31) }), ftp), "X15");
	const sane = masterOf("sane");
	assert.equal(judged(expectationOf(sane, { fn: "nat-follow-master" }), sane), "X15");
});

test("X16: the operator's networks", () => {
	const sip = masterOf("sip");
	const media = (change: object) =>
		expectationOf(sip, { protocol: 17, class: 1, src: "0.0.0.0", mask: { src: "0.0.0.0" }, ...change });
	const provider = [net([198, 18, 0, 0], 15)];
	const indirect = policyOf({ helpers: { sip: { directMedia: false, dstNet: provider } } });
	assert.equal(judged(media({ dst: "198.19.1.1" }), sip), "X06");
	assert.equal(judged(media({ dst: "198.19.1.1" }), sip, indirect), "ok");
	assert.equal(judged(media({ dst: "198.20.1.1" }), sip, indirect), "X16");
	assert.equal(judged(media({ dst: CLIENT }), sip, indirect), "ok", "the ends stay allowed");
	const signalling = expectationOf(sip, { protocol: 17, dst: "198.19.1.1" });
	assert.equal(judged(signalling, sip, indirect), "X07", "signalling is another matter");
	const narrow = policyOf({
		helpers: { ftp: { dstNet: provider }, irc: { srcNet: [net([198, 51, 100, 0], 24)] } },
	});
	assert.equal(judged(data(), ftp, narrow), "X16");
	const irc = masterOf("irc");
	const dcc = (change: object) => expectationOf(irc, { timeout: 300, ...change });
	assert.equal(judged(dcc({ src: SERVER }), irc, narrow), "ok");
	assert.equal(judged(dcc({ src: "198.51.101.1" }), irc, narrow), "X16");
	assert.equal(judged(dcc({ src: "0.0.0.0", mask: { src: "0.0.0.0" } }), irc, narrow), "X16");
});

test("without a master the rules that need none decide at once", () => {
	assert.equal(judged(data({ flags: 1 }), undefined), "X11");
	assert.equal(judged(data({ dst: "198.51.100.21" }), undefined), "waiting for its master");
	assert.equal(strict.judge(expectationToRecord(data(), names), undefined), WAITING);
});

test("names that peers bring leave room for those of the table", () => {
	const names = new NameTable();
	new ExpectationPolicy({ names, settings: STRICT, replicated: true, isOwnAddress: () => false });
	for (let i = 0; i < 2000; i++) names.intern(`sip-${i}`);
	assert.ok(names.overflow > 0);
	for (const name of ["ftp", "H.245", "nat-follow-master", "callforwarding"]) {
		assert.equal(names.name(names.intern(name)), name);
	}
});

test("X05: a network of IPv6 has 64 bits, whatever MinPrefix says of IPv4", () => {
	const policy = policyOf({ helpers: { snmp: { minPrefix: 24 } } }, { replicated: ["snmp"] });
	const six = { family: "ipv6", protocol: 17 } as const;
	const ends = { src: "2001:db8::2", dst: "2001:db8::1", sport: 161, dport: 5000 };
	const [expectation] = broadcast("snmp");
	const answer = (src: string): Expectation => ({
		...expectation,
		...six,
		...ends,
		mask: { ...six, src, dst: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", sport: 0xffff, dport: 0xffff },
		master: { ...six, src: ends.dst, dst: ends.src, sport: 5000, dport: 161 },
	});
	assert.equal(judged(answer("ffff:ffff:ffff:ffff::"), undefined, policy), "waiting for its master");
	assert.equal(judged(answer("ffff:ff00::"), undefined, policy), "X05");
});
