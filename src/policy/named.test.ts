// Expectations that somebody might forge, by name, and the rules that each breaks.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
	type Conntrack,
	conntrackToRecord,
	type Expectation,
	expectationToRecord,
} from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { formatCode, WAITING } from "./codes.ts";
import { ExpectationPolicy } from "./expectation-policy.ts";
import { CLIENT, expectationOf, legal, masterOf, OUTSIDE, SERVER } from "./legal.ts";
import { type HelperSettings, STRICT } from "./settings.ts";
import type { Standing } from "./standing.ts";
import { Tally } from "./tally.ts";

const names = new NameTable();
const policyOf = (helpers: Record<string, HelperSettings> = {}) =>
	new ExpectationPolicy({
		names,
		replicated: true,
		// the firewall's own address, which clients are translated to, too
		isOwnAddress: (record, at) => new Uint8Array(record.buffer, at * 4, 4).join(".") === OUTSIDE,
		settings: { ...STRICT, helpers },
	});

function broken(
	expectation: Expectation,
	master: Conntrack | undefined,
	policy = policyOf(),
	standing?: Standing,
): string[] {
	const record = expectationToRecord(expectation, names);
	const known = master && conntrackToRecord(master, names);
	if (policy.judge(record, known, standing) === WAITING) return ["X02"];
	return policy
		.explain(record, known, standing)
		.filter(({ verdict }) => verdict === "broken")
		.map(({ code }) => formatCode(code));
}

const ftp = masterOf("ftp");
const data = (change: Parameters<typeof expectationOf>[1]) => expectationOf(ftp, change);
const [, rtcp, h245] = legal().find(([name]) => name === "rtcp")!;
const [, call, pptp] = legal().find(([name]) => name === "pptp")!;
const [, boot, tftp] = legal().find(([name]) => name === "tftp")!;
const sip = masterOf("sip");
const NAT = { family: "ipv4", protocol: 6, dst: "0.0.0.0", sport: 2000, dport: 0, direction: 1 } as const;
const translated = masterOf("ftp", { nat: true });
const { helper: _, ...port80 } = masterOf("ftp", { dport: 80 });
const six = (dst: string): Expectation => ({
	...data({}),
	family: "ipv6",
	src: "2001:db8::2",
	dst,
	mask: {
		...data({}).mask,
		family: "ipv6",
		src: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
		dst: "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
	},
});
const master6: Conntrack = {
	...ftp,
	family: "ipv6",
	orig: { ...ftp.orig, src: "2001:db8::1", dst: "2001:db8::2" },
	reply: { ...ftp.reply!, src: "2001:db8::2", dst: "2001:db8::1" },
};
const under6 = (dst: string): Expectation => ({
	...six(dst),
	master: { ...six(dst).master, family: "ipv6", src: "2001:db8::1", dst: "2001:db8::2" },
});

const NAMED: readonly [what: string, found: string[], expected: string[]][] = [
	["1 FTP to ssh of a third host", broken(data({ dst: "192.0.2.99", dport: 22 }), ftp), ["X07", "X09"]],
	["2 FTP from anybody", broken(data({ src: "0.0.0.0", mask: { src: "0.0.0.0" } }), ftp), ["X06"]],
	["3 FTP to ssh of the client", broken(data({ dport: 22 }), ftp), ["X09"]],
	["4 FTP to the firewall", broken(data({ dst: OUTSIDE }), ftp), ["X07"]],
	["5 FTP, a second one", second(), ["X13"]],
	["6 FTP for good", broken(data({ flags: 1 }), ftp), ["X11"]],
	["7 without its master", broken(data({}), undefined), ["X02"]],
	["7 of a dying master", broken(data({}), { ...ftp, status: 0x220e }), ["X02"]],
	["8 FTP under a web server", broken({ ...expectationOf(port80, {}), helper: "ftp" }, port80), ["X02"]],
	["9 sip under FTP", broken({ ...data({ class: 3 }), helper: "sip" }, ftp), ["X03", "X10"]],
	["10 a class beyond all", broken(data({ class: 0xffffffff }), ftp), ["X10"]],
	[
		"11 a mask with a hole",
		broken(data({ src: "198.0.100.0", mask: { src: "255.0.255.0" } }), ftp),
		["X05", "X06"],
	],
	["12 bits outside the mask", broken(data({ sport: 20 }), ftp), ["X04"]],
	["13 IPv6 under IPv4", broken(six("2001:db8::1"), ftp).slice(0, 1), ["X04"]],
	[
		"14 translated to a host inside",
		broken(expectationOf(translated, { nat: { ...NAT, src: "192.0.2.77" } }), translated),
		["X14"],
	],
	["15 translated, unlike its master", broken(data({ nat: { ...NAT, src: CLIENT } }), ftp), ["X14"]],
	["16 no time left", broken(data({ timeout: 0 }), ftp), ["X12"]],
	["16 for centuries", broken(data({ timeout: 2 ** 31 }), ftp), ["X12"]],
	["17 SIP media to anywhere", indirect(), ["X16"]],
	["18 SIP signalling to ssh", broken(expectationOf(sip, { protocol: 17, dport: 22 }), sip), ["X09"]],
	["18 SIP signalling to a database", broken(expectationOf(sip, { protocol: 17, dport: 543 }), sip), ["X09"]],
	["19 a thousand DCC offers", offers(), ["X13"]],
	["20 an unknown function", broken(data({ fn: "x".repeat(31) }), ftp), ["X15"]],
	...["224.0.0.1", "255.255.255.255", "0.0.0.0", "127.0.0.1"].map((dst): [string, string[], string[]] => [
		`21 to ${dst}`,
		broken(data({ dst }), ftp),
		["X07"],
	]),
	...["::1", "::ffff:192.0.2.10", "ff02::1"].map((dst): [string, string[], string[]] => [
		`21 to ${dst}`,
		broken(under6(dst), master6),
		["X07"],
	]),
	[
		"22 PPTP by TCP",
		broken(
			{
				...call,
				protocol: 6,
				sport: 3,
				dport: 5,
				mask: { ...call.mask, protocol: 6, sport: 0xffff, dport: 0xffff },
			},
			pptp,
		),
		["X08"],
	],
	["23 TFTP to another port", broken({ ...boot, dport: 40_001 }, tftp), ["X09"]],
	["24 RTCP below 1024", broken({ ...rtcp, dport: 1023 }, h245), ["X09"]],
	["25 protocol 0", broken(noProtocol(), ftp), ["X05", "X08", "X09"]],
];

function second(): string[] {
	const tally = new Tally();
	tally.add(1, 0, true, 0);
	return broken(data({ dport: 30_002 }), ftp, policyOf(), tally.standing(1, 0, true, 0));
}

function offers(): string[] {
	const tally = new Tally();
	const irc = masterOf("irc");
	const codes = new Set<string>();
	let accepted = 0;
	for (let i = 0; i < 1000; i++) {
		const offer = expectationOf(irc, {
			src: "0.0.0.0",
			mask: { src: "0.0.0.0" },
			timeout: 300,
			dport: 2000 + i,
		});
		const found = broken(offer, irc, policyOf(), tally.standing(1, 0, true, i));
		for (const code of found) codes.add(code);
		if (found.length > 0) continue;
		accepted++;
		tally.add(1, 0, true, i);
	}
	assert.equal(accepted, 8);
	return [...codes];
}

function indirect(): string[] {
	const dstNet = [{ family: 4, address: new Uint8Array([198, 18, 0, 0]), prefixLength: 15 }] as const;
	const offer = expectationOf(sip, {
		protocol: 17,
		class: 1,
		src: "0.0.0.0",
		dst: "203.0.113.77",
		mask: { src: "0.0.0.0" },
	});
	return broken(offer, sip, policyOf({ sip: { directMedia: false, dstNet } }));
}

/** Without ports, as the kernel takes one. */
function noProtocol(): Expectation {
	const { family, src, dst, zone, master, mask } = data({ src: SERVER });
	return { family, src, dst, zone, master, protocol: 0, timeout: 100, mask: { ...mask, protocol: 0 } };
}

for (const [what, found, expected] of NAMED) test(`forged: ${what}`, () => assert.deepEqual(found, expected));

test("nothing that is widened in one place passes", () => {
	const ANY = "0.0.0.0";
	for (const nat of [false, true]) {
		for (const [name, e, master] of legal(nat)) {
			const widened: [string, Expectation][] = [
				["destination", { ...e, dst: "192.0.2.99" }],
				["destination mask", { ...e, mask: { ...e.mask, dst: "255.255.255.0" } }],
				[
					"destination port mask",
					{ ...e, mask: { ...e.mask, ...(e.protocol === 47 ? { dstKey: 0 } : { dport: 0 }) } },
				],
				["class", { ...e, class: 9 }],
				["flags", { ...e, flags: 4 }],
				["timeout", { ...e, timeout: 100_000 }],
				["function", { ...e, fn: "other" }],
				["helper", { ...e, helper: "rpc" }],
				["translation", { ...e, nat: { ...NAT, protocol: 6, src: "192.0.2.99" } }],
			];
			if (e.mask.src !== ANY) widened.push(["source", { ...e, src: ANY, mask: { ...e.mask, src: ANY } }]);
			if (e.protocol !== 47) widened.push(["port", { ...e, dport: 80 }]);
			for (const [what, one] of widened) assert.notDeepEqual(broken(one, master), [], `${name}: ${what}`);
		}
	}
});
