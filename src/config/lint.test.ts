// Combinations that are allowed and do harm: where each is told, and that its harmless neighbour is not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatProblem, parseConfig } from "./config.ts";

const LINK = "Multicast { IPv4_address 225.0.0.50 Group 3780 Interface eth3 }";
const udp = (host: number, device: string): string =>
	`UDP { IPv4_address 10.${host}.0.1 IPv4_Destination_Address 10.${host}.0.2 Port 1 Interface ${device} }`;
const inSync = (text: string): string => `Sync { Mode FTFW { }\n${text}\n${LINK} }`;
const inGeneral = (text: string): string => `General {\n${text}\n}`;
const inFilter = (text: string): string => inGeneral(`Filter {\n${text}\n}`);
const withHelpers = (helpers: string, filter: string): string =>
	`${inSync(`Options {\nExpectationSync { ${helpers} } }`)} General { Filter { Protocol ${filter} } }`;

/** The file, and its one warning: `line:column` and a part of the message; without, it gives none. */
const CASES: readonly (readonly [title: string, text: string, place?: string, message?: string])[] = [
	[
		"polling with reliable events",
		inGeneral("PollSecs 5\nNetlinkEventsReliable on"),
		"3:1",
		"NetlinkEventsReliable has no effect together with PollSecs",
	],
	[
		"polling with a resync after an overrun",
		inGeneral("NetlinkOverrunResync 5 PollSecs 5"),
		"2:1",
		"NetlinkOverrunResync has no effect together with PollSecs",
	],
	["polling with the default of that", inGeneral("NetlinkOverrunResync 30 PollSecs 5")],
	[
		"polling with a filter in the kernel",
		inGeneral("PollSecs 5\n  Filter From Kernelspace { }"),
		"3:3",
		"a filter in the kernel has no effect",
	],
	["polling with a filter of our own", inGeneral("PollSecs 5\n  Filter From Userspace { }")],
	["reliable events", inGeneral("NetlinkEventsReliable on"), "2:1", "makes the kernel drop packets"],
	["unreliable events", inGeneral("NetlinkEventsReliable off")],
	[
		"a buffer without its limit",
		inGeneral("\tNetlinkBufferSizeMaxGrowth 8 NetlinkBufferSize 9"),
		"2:31",
		"has no effect above NetlinkBufferSizeMaxGrowth",
	],
	["a buffer alone", inGeneral("NetlinkBufferSize 9"), "2:1", "without NetlinkBufferSizeMaxGrowth"],
	["a buffer with its limit", inGeneral("NetlinkBufferSize 9 NetlinkBufferSizeMaxGrowth 9")],
	[
		"fewer entries than buckets",
		inGeneral("HashSize 9 HashLimit 8"),
		"2:12",
		"HashLimit 8 is less than HashSize 9",
	],
	["as many entries as buckets", inGeneral("HashSize 9 HashLimit 9")],
	[
		"one file for two",
		inGeneral("LogFile /x\nLockFile /y\nUNIX {\n Path /x }"),
		"5:2",
		"Path is the same file as LogFile in line 2",
	],
	[
		"a key file that is the log",
		`${inGeneral("LogFile /x Security {\nKeyFile /x }")}`,
		"3:1",
		"same file as LogFile",
	],
	["two logs that are switched on", "General { LogFile on } Stats { LogFile on }"],
	[
		"a state filter without ESTABLISHED",
		inFilter("State Accept { CLOSED for TCP }"),
		"3:1",
		"leaves out ESTABLISHED",
	],
	["ESTABLISHED ignored", inFilter("State Ignore { ESTABLISHED for TCP }"), "3:1", "leaves out ESTABLISHED"],
	["ESTABLISHED accepted", inFilter("State Accept { ESTABLISHED for TCP }")],
	["other states ignored", inFilter("State Ignore { SYN_SENT for TCP }")],
	[
		"active-active: early states",
		`Sync { Mode FTFW { } Role active-active ${LINK} } ${inFilter("State Accept { ESTABLISHED for TCP }")}`,
		"3:1",
		"State leaves out SYN_SENT and SYN_RECV",
	],
	[
		"active-active: young connections",
		`Sync { Mode FTFW { } Role active-active ${LINK} } ${inFilter("MinimumAge 10")}`,
		"3:1",
		"MinimumAge 10 keeps new connections from the other nodes",
	],
	[
		"active-active: polling",
		`Sync { Mode FTFW { } Role active-active ${LINK} } ${inGeneral("PollSecs 5")}`,
		"2:1",
		"PollSecs 5 is too seldom for Role active-active",
	],
	[
		"active-active: window tracking",
		inSync("Role active-active\nOptions { TCPWindowTracking on }"),
		"3:11",
		"TCPWindowTracking does harm with Role active-active",
	],
	[
		"active-active: a mode that repeats nothing",
		`Sync {\nMode NOTRACK { } Role active-active ${LINK} }`,
		"2:1",
		"Mode NOTRACK repeats nothing that is lost",
	],
	[
		"active-active: no injection",
		`Sync { Mode FTFW {\nDisableExternalCache off }\nRole active-active ${LINK} }`,
		"2:1",
		"DisableExternalCache off has no effect: with Role active-active of line 3",
	],
	["active-active", inSync("Role Active-Active Options { TCPWindowTracking off }")],
	[
		"a network that is everything",
		inFilter("Address Ignore {\nIPv4_address 0.0.0.0/0 }"),
		"4:14",
		"no connection of IPv4 is replicated",
	],
	["everything accepted", inFilter("Address Accept {\nIPv4_address 0.0.0.0/0 }")],
	[
		"an address twice",
		inFilter("Address Ignore { IPv6_address ::1\nIPv6_address 0::1 }"),
		"4:14",
		"in the list already",
	],
	[
		"an address with a host part",
		inFilter("Address Ignore { IPv4_address 10.0.0.1/8\nIPv4_address 10.0.0.1 }"),
	],
	[
		"a prefix over 32",
		inFilter("Address Ignore { IPv4_address 10.0.0.0/33 }"),
		"3:31",
		"must be 0 to 32: it is left out",
	],
	[
		"a prefix over 128",
		inFilter("Address Ignore { IPv6_address ::/129 }"),
		"3:31",
		"must be 0 to 128: it is left out",
	],
	[
		"an address that is none",
		inFilter("Address Ignore { IPv4_address 1.2.3.400 }"),
		"3:31",
		"it is left out",
	],
	[
		"an address of the other family",
		inFilter("Address Ignore { IPv4_address fd00::1 }"),
		"3:31",
		'it is left out (did you mean "IPv6_address"?)',
	],
	[
		"an unknown protocol",
		inFilter("Protocol Accept { UDP\nTCPP }"),
		"4:1",
		'unknown protocol "TCPP": it is left out (did you mean "tcp"?)',
	],
	[
		"a protocol over 255",
		inFilter("Protocol Accept { TCP\n256 }"),
		"4:1",
		'unknown protocol "256": it is left out',
	],
	[
		"protocols of /etc/protocols",
		inFilter("Protocol Accept { vrrp OSPF igmp L2TP ipip ESP IPSEC-ESP IPv6-ICMP }"),
	],
	[
		"a helper whose protocol is left out",
		withHelpers("ftp tftp", "Accept { TCP }"),
		"3:1",
		"ExpectationSync for tftp needs UDP",
	],
	["a helper whose protocol is ignored", withHelpers("pptp", "Ignore { GRE }"), "3:1", "for pptp needs GRE"],
	["helpers whose protocols pass", withHelpers("ftp sip tftp pptp ras", "Accept { TCP UDP GRE }")],
	["helpers without a filter", inSync("Options { ExpectationSync { ftp tftp } }")],
	[
		"entries that expire before they come again",
		`Sync { Mode ALARM { RefreshTime 60\nCacheTimeout 60 } ${LINK} }`,
		"2:1",
		"CacheTimeout 60 is not above RefreshTime 60",
	],
	["entries that do not", `Sync { Mode ALARM { RefreshTime 59\nCacheTimeout 60 } ${LINK} }`],
	["the same words in another mode", `Sync { Mode FTFW { } RefreshTime 60 CacheTimeout 60 ${LINK} }`],
	[
		"a short CommitTimeout",
		inSync("CommitTimeout 59"),
		"2:1",
		"ends every connection that is idle for 59 seconds",
	],
	["a CommitTimeout", inSync("CommitTimeout 60")],
	[
		"two links on one device",
		inSync(udp(1, "eth1")).replace(LINK, udp(2, "eth1")),
		"3:1",
		"as that of line 2 is: both fail",
	],
	["two links on two devices", inSync(udp(1, "eth1")).replace(LINK, udp(2, "eth2"))],
	[
		"two links of one group",
		inSync(LINK.replace("eth3", "eth4")),
		"3:1",
		"the group and port of that of line 2",
	],
	["two links of two ports", inSync(LINK.replace("eth3", "eth4").replace("3780", "3781"))],
	["the lowest priority", inGeneral("Scheduler { Type RR Priority 1 }")],
	[
		"no priority",
		inGeneral("Scheduler { Type RR\nPriority 0 }"),
		"3:1",
		"Priority 0 is none of a real-time scheduler",
	],
];

for (const [title, text, place, message] of CASES) {
	test(`${title}: ${place === undefined ? "no warning" : `warned of at ${place}`}`, () => {
		const told = parseConfig(text, "f").warnings.map((warning) => formatProblem(warning));
		assert.equal(told.length, place === undefined ? 0 : 1, told.join("\n"));
		if (place === undefined) return;
		assert.ok(told[0]!.startsWith(`f:${place}: `), told[0]);
		assert.ok(told[0]!.includes(message!), told[0]);
	});
}
