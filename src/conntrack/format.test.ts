// The expected lines were printed by conntrackd 1.4.7 and conntrack(8) with libnetfilter_conntrack 1.0.9 for such
// entries of a live kernel.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Conntrack, conntrackToRecord, type Expectation, expectationToRecord } from "./conntrack.ts";
import { formatConntrack, formatExpectation } from "./format.ts";
import { NameTable } from "./names.ts";
import { IPS_ASSURED, IPS_CONFIRMED, IPS_HW_OFFLOAD, IPS_OFFLOAD, IPS_SEEN_REPLY } from "./status.ts";

const ASSURED = IPS_CONFIRMED | IPS_SEEN_REPLY | IPS_ASSURED;

/** A UDP flow 1.1.1.1:10 -> 2.2.2.2:20 with the differences of one case. */
function flow(changes: Partial<Conntrack>): Conntrack {
	return {
		family: "ipv4",
		protocol: 17,
		zoneOrig: 0,
		zoneReply: 0,
		orig: { src: "1.1.1.1", dst: "2.2.2.2", sport: 10, dport: 20 },
		reply: { src: "2.2.2.2", dst: "1.1.1.1", sport: 20, dport: 10 },
		status: IPS_CONFIRMED,
		...changes,
	};
}

function line(conntrack: Conntrack, options = { reply: true }): string {
	const names = new NameTable();
	return formatConntrack(conntrackToRecord(conntrack, names), names, options);
}

const tcp = (state: string) => ({ state, scaleOrig: 7, scaleReply: 7, flagsOrig: 0x23, flagsReply: 0x23 });

const CASES: readonly (readonly [name: string, conntrack: Conntrack, text: string])[] = [
	[
		"UDP without a reply",
		flow({}),
		"udp      17 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10",
	],
	[
		"UDP with a reply",
		flow({ status: IPS_SEEN_REPLY }),
		"udp      17 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10",
	],
	[
		"a flow whose status is not known",
		(({ status, ...rest }: Conntrack) => rest)(flow({})),
		"udp      17 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10",
	],
	[
		"an assured flow without a reply",
		flow({ protocol: 6, status: IPS_ASSURED, tcp: tcp("ESTABLISHED"), mark: 0 }),
		"tcp      6 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 [ASSURED] mark=0",
	],
	[
		"TCP with NAT, helper and mark",
		flow({
			protocol: 6,
			status: ASSURED,
			tcp: tcp("ESTABLISHED"),
			orig: { src: "192.168.0.2", dst: "192.168.1.2", sport: 59856, dport: 21 },
			reply: { src: "192.168.1.2", dst: "192.168.1.100", sport: 21, dport: 59856 },
			mark: 0,
			helper: "ftp",
		}),
		"tcp      6 ESTABLISHED src=192.168.0.2 dst=192.168.1.2 sport=59856 dport=21 src=192.168.1.2 dst=192.168.1.100 sport=21 dport=59856 [ASSURED] mark=0 helper=ftp",
	],
	[
		"TCP without the protocol's attributes",
		flow({ protocol: 6, status: ASSURED }),
		"tcp      6 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 [ASSURED]",
	],
	[
		"a TCP state without a name",
		flow({ protocol: 6, status: ASSURED, tcp: tcp("11") }),
		"tcp      6 NONE src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 [ASSURED]",
	],
	[
		"SCTP",
		flow({
			protocol: 132,
			status: ASSURED,
			mark: 0,
			sctp: { state: "ESTABLISHED", vtagOrig: 1, vtagReply: 2 },
		}),
		"sctp     132 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 [ASSURED] mark=0",
	],
	[
		"UDP-Lite",
		flow({ protocol: 136, status: ASSURED, mark: 0 }),
		"udplite  136 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 [ASSURED] mark=0",
	],
	[
		"DCCP",
		flow({ protocol: 33 }),
		"dccp     33 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10",
	],
	[
		"ICMP",
		flow({
			protocol: 1,
			mark: 0,
			orig: { src: "1.1.1.1", dst: "2.2.2.2", icmpType: 8, icmpCode: 0, icmpId: 77 },
			reply: { src: "2.2.2.2", dst: "1.1.1.1", icmpType: 0, icmpCode: 0, icmpId: 77 },
		}),
		"icmp     1 src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=77 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 type=0 code=0 id=77 mark=0",
	],
	[
		"ICMPv6",
		flow({
			family: "ipv6",
			protocol: 58,
			status: IPS_SEEN_REPLY,
			mark: 0,
			orig: { src: "fd00::1", dst: "fd00::2", icmpType: 128, icmpCode: 0, icmpId: 77 },
			reply: { src: "fd00::2", dst: "fd00::1", icmpType: 129, icmpCode: 0, icmpId: 77 },
		}),
		"icmpv6   58 src=fd00::1 dst=fd00::2 type=128 code=0 id=77 src=fd00::2 dst=fd00::1 type=129 code=0 id=77 mark=0",
	],
	[
		"GRE",
		flow({
			protocol: 47,
			status: ASSURED,
			mark: 0,
			orig: { src: "1.1.1.1", dst: "2.2.2.2", srcKey: 0x10, dstKey: 0xab20 },
			reply: { src: "2.2.2.2", dst: "1.1.1.1", srcKey: 0xab20, dstKey: 0x10 },
		}),
		"gre      47 src=1.1.1.1 dst=2.2.2.2 srckey=0x10 dstkey=0xab20 src=2.2.2.2 dst=1.1.1.1 srckey=0xab20 dstkey=0x10 [ASSURED] mark=0",
	],
	[
		"a protocol without a name",
		flow({
			protocol: 89,
			mark: 0,
			orig: { src: "1.1.1.1", dst: "2.2.2.2" },
			reply: { src: "2.2.2.2", dst: "1.1.1.1" },
		}),
		"unknown  89 src=1.1.1.1 dst=2.2.2.2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 mark=0",
	],
	[
		"a mark beyond 31 bits",
		flow({ mark: 0xfffffff0 }),
		"udp      17 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 mark=4294967280",
	],
	[
		"mark, zone and helper",
		flow({ status: ASSURED, mark: 5, zoneOrig: 7, zoneReply: 7, helper: "sip" }),
		"udp      17 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 [ASSURED] mark=5 zone=7 helper=sip",
	],
	[
		"a zone of the original direction alone",
		flow({ mark: 0, zoneOrig: 8 }),
		"udp      17 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 zone-orig=8 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 mark=0",
	],
	[
		"a zone of the reply direction alone",
		flow({ mark: 0, zoneReply: 65535 }),
		"udp      17 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 zone-reply=65535 mark=0",
	],
	[
		"IPv6 with addresses that hold IPv4's",
		flow({
			family: "ipv6",
			mark: 0,
			orig: { src: "fd00::1", dst: "::ffff:1.2.3.4", sport: 10, dport: 20 },
			reply: { src: "::ffff:1.2.3.4", dst: "fd00::1", sport: 20, dport: 10 },
		}),
		"udp      17 src=fd00::1 dst=::ffff:1.2.3.4 sport=10 dport=20 [UNREPLIED] src=::ffff:1.2.3.4 dst=fd00::1 sport=20 dport=10 mark=0",
	],
	[
		"an offloaded flow, which is not shown as assured",
		flow({ protocol: 6, status: ASSURED | IPS_OFFLOAD, tcp: tcp("ESTABLISHED") }),
		"tcp      6 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 [OFFLOAD]",
	],
	[
		"a flow offloaded to hardware",
		flow({ status: ASSURED | IPS_OFFLOAD | IPS_HW_OFFLOAD }),
		"udp      17 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 [HW_OFFLOAD]",
	],
];

for (const [name, conntrack, text] of CASES) {
	test(`the line of ${name} is conntrackd's`, () => {
		assert.equal(line(conntrack), text);
	});
}

test("without the reply tuple the marks of both directions follow each other", () => {
	assert.equal(
		line(flow({ status: IPS_ASSURED, mark: 0 }), { reply: false }),
		"udp      17 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 [UNREPLIED] [ASSURED] mark=0",
	);
	const { reply, ...unknown } = flow({ status: IPS_ASSURED });
	assert.equal(
		line(unknown),
		"udp      17 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 [UNREPLIED] [ASSURED]",
		"a reply tuple that is not known cannot be shown",
	);
});

test("the id is shown on request", () => {
	const withId = flow({ status: ASSURED, id: 4294967295 });
	assert.doesNotMatch(line(withId), /id=/);
	const names = new NameTable();
	const text = formatConntrack(conntrackToRecord(withId, names), names, { reply: true, id: true });
	assert.ok(text.endsWith(" [ASSURED] id=4294967295"));
});

test("a helper's name cannot break the line", () => {
	assert.ok(line(flow({ helper: "a b\nc\u00e9" })).endsWith(" helper=a?b?c?"));
});

/** The expectation of a PASV session with the differences of one case. */
function expectation(changes: Partial<Expectation>): Expectation {
	return {
		family: "ipv4",
		protocol: 6,
		zone: 0,
		src: "192.168.0.2",
		dst: "192.168.1.2",
		sport: 0,
		dport: 40515,
		mask: {
			family: "ipv4",
			protocol: 6,
			src: "255.255.255.255",
			dst: "255.255.255.255",
			sport: 0,
			dport: 65535,
		},
		master: { family: "ipv4", protocol: 6, src: "192.168.0.2", dst: "192.168.1.2", sport: 59856, dport: 21 },
		class: 0,
		helper: "ftp",
		...changes,
	};
}

function expectationLine(changes: Partial<Expectation>): string {
	const names = new NameTable();
	return formatExpectation(expectationToRecord(expectation(changes), names), names);
}

const FTP =
	"proto=6 src=192.168.0.2 dst=192.168.1.2 sport=0 dport=40515 mask-src=255.255.255.255 mask-dst=255.255.255.255 sport=0 dport=65535 master-src=192.168.0.2 master-dst=192.168.1.2 sport=59856 dport=21";

test("the line of an expectation is conntrackd's", () => {
	assert.equal(expectationLine({}), `${FTP} class=0 helper=ftp`);
	assert.equal(
		expectationLine({ timeout: 100, id: 5, fn: "nat-follow-master" }),
		`${FTP} class=0 helper=ftp`,
		"timeout, id and function are not shown",
	);
});

test("the line of an IPv6 expectation is conntrackd's", () => {
	const all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
	const text = expectationLine({
		family: "ipv6",
		src: "fd00::2",
		dst: "fd00:1::2",
		dport: 42315,
		mask: { family: "ipv6", protocol: 6, src: all, dst: all, sport: 0, dport: 65535 },
		master: { family: "ipv6", protocol: 6, src: "fd00::2", dst: "fd00:1::2", sport: 34026, dport: 21 },
	});
	assert.equal(
		text,
		`proto=6 src=fd00::2 dst=fd00:1::2 sport=0 dport=42315 mask-src=${all} mask-dst=${all} sport=0 dport=65535 master-src=fd00::2 master-dst=fd00:1::2 sport=34026 dport=21 class=0 helper=ftp`,
	);
});

test("an expectation of another protocol than its master's shows each in its own way", () => {
	const text = expectationLine({
		protocol: 47,
		srcKey: 1,
		dstKey: 2,
		mask: {
			family: "ipv4",
			protocol: 47,
			src: "255.255.255.255",
			dst: "255.255.255.255",
			srcKey: 0,
			dstKey: 65535,
		},
		master: { family: "ipv4", protocol: 17, src: "1.1.1.1", dst: "2.2.2.2", sport: 97, dport: 5060 },
		helper: "sip",
	});
	assert.equal(
		text,
		"proto=47 src=192.168.0.2 dst=192.168.1.2 srckey=0x1 dstkey=0x2 mask-src=255.255.255.255 mask-dst=255.255.255.255 srckey=0x0 dstkey=0xffff master-src=1.1.1.1 master-dst=2.2.2.2 sport=97 dport=5060 class=0 helper=sip",
	);
});

test("flags and zone of an expectation stand before its class", () => {
	assert.equal(expectationLine({ flags: 0 }), `${FTP} class=0 helper=ftp`);
	assert.equal(expectationLine({ flags: 1, class: 1 }), `${FTP} PERMANENT class=1 helper=ftp`);
	assert.equal(expectationLine({ flags: 7 }), `${FTP} PERMANENT,INACTIVE,USERSPACE class=0 helper=ftp`);
	assert.equal(
		expectationLine({ flags: 5, zone: 7 }),
		`${FTP} zone=7 PERMANENT,USERSPACE class=0 helper=ftp`,
	);
	assert.equal(expectationLine({ flags: 8 }), `${FTP} class=0 helper=ftp`, "a flag without a name");
});

test("class and helper of an expectation are left out when they are not known", () => {
	const { class: _, helper, ...rest } = expectation({});
	const names = new NameTable();
	assert.equal(formatExpectation(expectationToRecord(rest, names), names), FTP);
});
