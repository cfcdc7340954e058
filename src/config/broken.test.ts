// Broken files, and where and how each is found to be broken.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConfigError, parseConfig } from "./config.ts";

interface Case {
	title: string;
	text: string;
	/** One `line:column` and part of the message for each problem. */
	problems: readonly (readonly [string, string])[];
}

const LINK = "Multicast { IPv4_address 225.0.0.50 Group 3780 Interface eth3 }";
const inSync = (text: string): string => `Sync { Mode FTFW { }\n${text}\n}`;
const inGeneral = (text: string): string => `General {\n${text}\n}`;
/** The node 10.0.0.1 and the others up to 10.0.0.`last`, a line each; behind the first line. */
const udp = (last: number): string => {
	const others = Array.from({ length: last - 1 }, (_, i) => `IPv4_Destination_Address 10.0.0.${i + 2}`);
	return ["UDP { IPv4_address 10.0.0.1 Port 1", ...others].join("\n").concat("\n}");
};
const one = (title: string, text: string, place: string, message: string): Case => ({
	title,
	text,
	problems: [[place, message]],
});

const CASES: readonly Case[] = [
	{
		title: "unknown words and bad values in one file",
		text: [
			"Sync { Mode FTFW { PurgeTimout 3",
			"\tCommitTimeout soon }",
			"Multicst { IPv4_address 225.0.0.50 }",
			"Peers { IPv4_address 225.0.0.1 } }",
			"General { HashSize many HashLimit",
			"\tLockFile on",
			"\tFilter From Userspace { Mark Accept { x } State Accept { OPEN for TCP } Zone Ignore { 70000 } }",
			"\tSecurity { }",
			"}",
		].join("\n"),
		problems: [
			["1:20", "PurgeTimeout"],
			["2:16", "soon"],
			["3:1", "Multicast"],
			["4:22", "is a multicast group"],
			["5:20", "many"],
			["5:25", "HashLimit needs a number"],
			["6:11", "absolute path"],
			["7:40", "is no mark"],
			["7:59", "OPEN"],
			["7:88", "is no zone"],
		],
	},
	one("with wrong braces values are not judged", "General { HashSize many", "1:9", "never closed"),
	one("an unknown word", "Sync { Mode FTFW { Nonsense 3 } }", "1:20", 'unknown word "Nonsense" in Mode FTFW'),
	one(
		"a mistyped word",
		`Sync { Mode FTFW {\n\tPurgeTimout 3 } ${LINK} }`,
		"2:2",
		'(did you mean "PurgeTimeout"?)',
	),
	one("a word in the wrong case", inGeneral("  Lockfile /x"), "2:3", '(did you mean "LockFile"?)'),
	one("a section in the wrong case", "general { }", "1:1", '(did you mean "General"?)'),
	one("a word of another section", inSync("UDP { ErrorQueueLength 3 }"), "2:7", "belongs in TCP, not in UDP"),
	one(
		"a word of another mode",
		"Sync { Mode ALARM { StartupResync on } }",
		"1:21",
		"Mode FTFW or Mode NOTRACK",
	),
	one("a section that is not closed", "Sync { Mode FTFW {\n\n", "1:18", 'this "{" of Mode is never closed'),
	one("a brace too much", "General { }\n}", "2:1", "closes nothing"),
	one(
		"a brace too few",
		`Sync {\nMode FTFW {\n${LINK}\n}\nGeneral {\n}`,
		"3:1",
		'is a "}" missing before it?',
	),
	one("braces without a word", "General { { HashSize 3 } }", "1:11", "a directive is missing"),
	one("braces where none belong", inGeneral("HashSize 3 { }"), "2:12", '"{" cannot follow HashSize 3'),
	one("a section without braces", "General HashSize 3", "1:1", "General needs { ... }"),
	one("a value that is missing", "General { HashSize }", "1:11", "HashSize needs a number"),
	one(
		"a value that is missing at the end of a line",
		inGeneral("HashSize\nHashLimit 3"),
		"2:1",
		"HashSize needs",
	),
	one("a value too much", "General { HashSize 3 4 }", "1:22", '"4" is too much after HashSize'),
	one("a word for a number", "General { HashSize big }", "1:20", '"big" is not a number of buckets'),
	one("a semicolon", "General { HashSize 3; }", "1:20", '"3;" is not a number'),
	one("a negative number", "General { HashSize -3 }", "1:20", '"-3" is not a number'),
	one("a number too large", inGeneral("HashSize 99999999999999999999"), "2:10", "outside 1..4294967295"),
	one("polling every 0 seconds", inGeneral("PollSecs 0"), "2:10", '"0" is outside 1..2147483647'),
	one("a priority over 99", inGeneral("Scheduler { Priority 100 }"), "2:22", "outside 0..99"),
	one(
		"an unknown scheduler",
		inGeneral("Scheduler { Type FIF }"),
		"2:18",
		'"FIF" is not RR or FIFO (did you mean "FIFO"?)',
	),
	one("a word for on or off", inGeneral("Systemd onn"), "2:9", '"onn" is not on or off (did you mean "on"?)'),
	one("a relative path", inGeneral("LogFile log/x"), "2:9", "is not on, off or an absolute path"),
	one(
		"a socket path that is too long",
		inGeneral(`UNIX { Path /${"x".repeat(107)} }`),
		"2:13",
		"longer than 107 bytes",
	),
	one("a quoted word without end", inGeneral('LockFile "/x'), "2:10", "no end on its line"),
	one("a quoted directive", 'General { "HashSize" 3 }', "1:11", "in quotes is no directive"),
	one("a control character", inGeneral("LockFile /a\x07"), "2:12", "control character U+0007"),
	one("an unknown mode", "Sync { Mode FTWF { } }", "1:13", '(did you mean "FTFW"?)'),
	one(
		"a mode without a name",
		"Sync { Mode { PurgeTimeout 3 } }",
		"1:8",
		"Mode needs FTFW, NOTRACK or ALARM",
	),
	one(
		"Default in the wrong case",
		inSync(LINK.replace("{", "default {")),
		"2:11",
		'(did you mean "Default"?)',
	),
	one("Sync without a link", "Sync { Mode FTFW { } }", "1:1", "needs a dedicated link"),
	one(
		"links of two types",
		inSync(`${LINK}\nUDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 1 }`),
		"3:1",
		"UDP cannot be used together with Multicast",
	),
	one("five links", inSync(`${LINK}\n`.repeat(5)), "6:1", "no more than 4"),
	one(
		"Sync and Stats",
		`${inSync(LINK)}\nStats { }`,
		"4:1",
		"Stats cannot be used together with Sync of line 1",
	),
	one(
		"a link without interface",
		inSync("Multicast { IPv4_address 225.0.0.50 Group 1 }"),
		"2:1",
		"Multicast needs Interface",
	),
	one(
		"a link without address",
		inSync("Multicast { Group 1 Interface eth3 }"),
		"2:1",
		"Multicast needs IPv4_address or IPv6_address",
	),
	one(
		"a link without group",
		inSync("Multicast { IPv4_address 225.0.0.50 Interface eth3 }"),
		"2:1",
		"Multicast needs Group",
	),
	one(
		"a link without port",
		inSync("TCP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 }"),
		"2:1",
		"TCP needs Port",
	),
	one(
		"a link without destination",
		inSync("UDP { IPv4_address 10.0.0.1 Port 1 }"),
		"2:1",
		"UDP needs IPv4_Destination_Address or",
	),
	one("a port of 0", inSync(LINK.replace("3780", "0")), "2:43", '"0" is outside 1..65535'),
	one("a port over 65535", inSync(LINK.replace("3780", "65536")), "2:43", "outside 1..65535"),
	one(
		"a group that is no group",
		inSync(LINK.replace("225.0.0.50", "10.0.0.1")),
		"2:26",
		"not a multicast group (224.0.0.0/4)",
	),
	one(
		"an IPv6 group that is none",
		inSync("Multicast { IPv6_address fe80::1 Group 1 Interface eth3 }"),
		"2:26",
		"not a multicast group (ff00::/8)",
	),
	one(
		"both families",
		inSync("Multicast { IPv6_address ff15::1 IPv4_address 225.0.0.5 Group 1 Interface eth3 }"),
		"2:34",
		"IPv4_address does not go with IPv6_address",
	),
	one(
		"a destination of the other family",
		inSync("UDP { IPv4_address 10.0.0.1 IPv6_Destination_Address fd00::2 Port 1 }"),
		"2:29",
		"IPv6_Destination_Address does not go with IPv4_address",
	),
	one(
		"one destination of the other family",
		inSync(`UDP { IPv6_address fd00::1 Port 1
			IPv6_Destination_Address fd00::2
			IPv4_Destination_Address 10.0.0.2 }`),
		"4:4",
		"IPv4_Destination_Address does not go with IPv6_address",
	),
	one(
		"a destination that is named twice",
		inSync(`UDP { IPv6_address fd00::1 IPv6_Destination_Address fd00::2 Port 1
			IPv6_Destination_Address fd00::3
			IPv6_Destination_Address FD00:0::2 }`),
		"4:29",
		'"FD00:0::2" is named in line 2 already',
	),
	one(
		"the own address as a destination",
		inSync(`UDP { IPv4_address 10.0.0.1 Port 1 IPv4_Destination_Address 10.0.0.2
			IPv4_Destination_Address 10.0.0.1 }`),
		"3:29",
		`"10.0.0.1" is this node's own address`,
	),
	one("sixteen destinations", inSync(udp(17)), "18:1", "a link has no more than 15 destinations"),
	one(
		"Peers that are empty",
		inSync(`${LINK}\n  Peers { }`),
		"3:3",
		"Peers needs IPv4_address or IPv6_address",
	),
	one("a network for a peer", inSync(`${LINK}\nPeers { IPv4_address 10.0.0.0/8 }`), "3:22", "is a network"),
	one(
		"a peer that is named twice",
		inSync(`${LINK}\nPeers { IPv4_address 10.0.0.1 }\nPeers { IPv4_address 10.0.0.1 }`),
		"4:22",
		'"10.0.0.1" is named in line 3 already',
	),
	one(
		"a group for a peer",
		inSync(`${LINK}\nPeers { IPv4_address 10.0.0.2 IPv4_address 225.0.0.50 }`),
		"3:44",
		'"225.0.0.50" is a multicast group',
	),
	{
		title: "peers of the other family",
		text: inSync(`${LINK}\nPeers { IPv6_address fd00::2 }`),
		problems: [
			["3:1", "Peers names nobody with IPv4"],
			["3:22", '"fd00::2" cannot speak on a link with IPv4'],
		],
	},
	one(
		"nobody but this node among the peers",
		inSync(`${LINK.replace("}", "IPv4_interface 10.0.0.1 }")}\nPeers { IPv4_address 10.0.0.1 }`),
		"3:1",
		"Peers names nobody with IPv4, so no node is heard on the link of line 2",
	),
	one(
		"a peer that is no destination",
		inSync(`${udp(3)}\nPeers { IPv4_address 10.0.0.2 IPv4_address 10.0.0.3 IPv4_address 10.0.0.4 }`),
		"6:66",
		'"10.0.0.4" is no destination of a link: nothing would be sent to it',
	),
	one(
		"a destination that is no peer",
		inSync(`${udp(3)}\nPeers { IPv4_address 10.0.0.2 }`),
		"6:1",
		"Peers does not name 10.0.0.3, a destination of line 2: it would not be heard",
	),
	one(
		"a link with a fault is not compared with the peers",
		inSync(`${udp(2)}\nUDP { IPv4_address 10.9.0.1 IPv4_Destination_Address 10.9.0.2 }
			Peers { IPv4_address 10.0.0.2 IPv4_address 10.9.0.2 }`),
		"5:1",
		"UDP needs Port",
	),
	one(
		"65 peers",
		inSync(
			`${LINK} Peers {\n${Array.from({ length: 65 }, (_, i) => `IPv4_address 10.0.0.${i + 1}`).join("\n")} }`,
		),
		"67:1",
		"Peers has no more than 64 addresses",
	),
	one(
		"an interface address of the other family",
		inSync("Multicast { IPv6_address ff15::1 IPv4_interface 10.0.0.1 Group 1 Interface eth3 }"),
		"2:34",
		"IPv4_interface does not go with IPv6_address",
	),
	one(
		"an IPv6 address behind IPv4_address",
		inSync(LINK.replace("225.0.0.50", "ff15::1")),
		"2:26",
		"is not an IPv4 address",
	),
	one(
		"a network for a link's address",
		inSync(LINK.replace("225.0.0.50", "225.0.0.50/24")),
		"2:26",
		"is a network",
	),
	one(
		"an address with a zone",
		inSync("UDP { IPv6_address fe80::1%eth0 IPv6_Destination_Address fe80::2 Port 1 }"),
		"2:20",
		"the directive Interface",
	),
	one(
		"a link-local address without interface",
		inSync("UDP { IPv6_address fe80::1 IPv6_Destination_Address fe80::2 Port 1 }"),
		"2:20",
		"UDP needs Interface",
	),
	one(
		"an interface name that is too long",
		inSync(LINK.replace("eth3", "abcdefghijklmnop")),
		"2:58",
		"15 bytes",
	),
	one(
		"the manual's misspelling",
		inSync("UDP { IPv6_Destionation_Address ::1 }"),
		"2:7",
		'(did you mean "IPv6_Destination_Address"?)',
	),
	one(
		"a policy in the wrong case",
		inGeneral("Filter { Protocol accept { TCP } }"),
		"2:19",
		'(did you mean "Accept"?)',
	),
	one(
		"a clause without policy",
		inGeneral("Filter { Protocol { TCP } }"),
		"2:10",
		"Protocol needs Accept or Ignore",
	),
	one(
		"a filter place without From",
		inGeneral("Filter Userspace { }"),
		"2:8",
		"is not From Userspace or From Kernelspace",
	),
	one(
		"a filter place in the wrong case",
		inGeneral("Filter From userspace { }"),
		"2:13",
		'(did you mean "Userspace"?)',
	),
	one(
		"an unknown TCP state",
		inGeneral("Filter { State Accept { ESTABLISHD for TCP } }"),
		"2:25",
		'(did you mean "ESTABLISHED"?)',
	),
	one(
		"states without protocol",
		inGeneral("Filter { State Accept { ESTABLISHED } }"),
		"2:25",
		'"for TCP" is missing',
	),
	one(
		"states of another protocol",
		inGeneral("Filter { State Accept { ESTABLISHED for UDP } }"),
		"2:41",
		"only TCP can follow for",
	),
	one(
		"states of no protocol",
		inGeneral("Filter { State Accept { ESTABLISHED for } }"),
		"2:37",
		"only TCP can follow for",
	),
	one(
		"a section inside a list",
		inGeneral("Filter { Protocol Accept { TCP { } } }"),
		"2:32",
		'a list ends with "}"',
	),
	...["128", "-1", "x", "1.5"].map((bit) =>
		one(
			`the label ${bit}`,
			inSync(`${LINK} Options { Labels { 0\n${bit} } }`),
			"3:1",
			`"${bit}": a label is a number from 0 to 127`,
		),
	),
	one(
		"an unknown helper in the policy",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper ftpd { } } }`),
		"3:8",
		'"ftpd" is not a helper of the kernel (did you mean "ftp"?)',
	),
	one(
		"a word of another helper",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper ftp { DirectMedia no } } }`),
		"3:14",
		'"DirectMedia" belongs in Helper sip, not in Helper ftp',
	),
	one(
		"a mistyped word of a helper",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper ftp { Lose yes } } }`),
		"3:14",
		'(did you mean "Loose"?)',
	),
	one(
		"media to anywhere",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper sip { DirectMedia no } } }`),
		"3:14",
		"DirectMedia no needs DstNet",
	),
	one(
		"signalling to anywhere",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper sip { DirectSignalling off } } }`),
		"3:14",
		"DirectSignalling no needs DstNet",
	),
	one(
		"calls to anywhere",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper h323 { CallForwardFilter no } } }`),
		"3:15",
		"CallForwardFilter no needs DstNet",
	),
	one(
		"ports the wrong way round",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper ftp { DstPort 30-20 } } }`),
		"3:22",
		'"30-20" ends before it begins',
	),
	one(
		"a port beyond all ports",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper ftp { DstPort 1024-65536 } } }`),
		"3:22",
		"outside 1..65535",
	),
	one(
		"a word for a port",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper ftp { DstPort high } } }`),
		"3:22",
		"is not a port, or two with a hyphen",
	),
	one(
		"a port where none can be chosen",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper tftp { DstPort 20 } } }`),
		"3:15",
		'"DstPort" belongs in Helper ftp',
	),
	one(
		"a network that is none",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper ftp { SrcNet 10.0.0.0/33 } } }`),
		"3:21",
		"the prefix length must be 0 to 32",
	),
	one(
		"a name for a network",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper ftp { SrcNet inside } } }`),
		"3:21",
		'"inside" is not an address or network',
	),
	one(
		"an unknown consequence",
		inSync(`${LINK} Options { ExpectationPolicy {\nOnViolation Log } }`),
		"3:13",
		'"Log" is not Quarantine or Drop',
	),
	one(
		"a lowest port of 0",
		inSync(`${LINK} Options { ExpectationPolicy {\nMinDstPort 0 } }`),
		"3:12",
		'"0" is outside 1..65535',
	),
	one(
		"a helper without a name",
		inSync(`${LINK} Options { ExpectationPolicy {\nHelper { } } }`),
		"3:1",
		"Helper needs a helper of the kernel",
	),
	one(
		"ExpectationSync with nothing",
		inSync(`${LINK} Options { ExpectationSync }`),
		"2:75",
		"ExpectationSync needs on or off, or { ... }",
	),
	one(
		"a helper name that is too long",
		inSync(`${LINK} Options { ExpectationSync { abcdefghijklmnop } }`),
		"2:93",
		"1 to 15 bytes",
	),
	one(
		"a name for an address in a filter",
		inGeneral("Filter { Address Ignore { IPv4_address gateway } }"),
		"2:40",
		'"gateway" is not an IPv4 address or network',
	),
	one(
		"an address in a filter with a zone",
		inGeneral("Filter { Address Ignore { IPv6_address fe80::1%eth0 } }"),
		"2:40",
		"is not an IPv6 address or network",
	),
	one(
		"helper names with a comma",
		inSync(`${LINK} Options { ExpectationSync { ftp, sip } }`),
		"2:93",
		'"ftp,": names of helpers stand with blanks between them',
	),
	one(
		"a log file with a long name",
		inGeneral(`LogFile /${"x".repeat(256)}`),
		"2:9",
		"is longer than 256 bytes",
	),
	one(
		"a lock file with a long name",
		inGeneral(`LockFile /${"x".repeat(256)}`),
		"2:10",
		"longer than 256 bytes",
	),
	one("a path for a facility", inGeneral("Syslog /dev/log"), "2:8", "is not on, off or a syslog facility"),
	one(
		"an unknown userspace helper",
		"Helper {\nType ftpd inet tcp { } }",
		"2:6",
		'there is no userspace helper "ftpd" (did you mean "ftp"?)',
	),
	one(
		"a helper of the other transport",
		"Helper {\nType tftp inet tcp { } }",
		"2:16",
		"the helper tftp is one of udp",
	),
	one(
		"a policy of another helper",
		"Helper { Type ftp inet tcp {\nPolicy tftp { ExpectMax 1 } } }",
		"2:8",
		'"tftp" is no policy of the helper "ftp" (did you mean "ftp"?)',
	),
	one(
		"a policy that is empty",
		"Helper { Type ftp inet tcp {\nPolicy ftp { } } }",
		"2:1",
		"Policy needs ExpectMax or ExpectTimeout",
	),
	one("a helper without its transport", "Helper {\n Type ftp inet { } }", "2:2", "Type needs tcp or udp"),
	one("an error inside Helper", "Helper { Type ftp inet tcp { QueueNum x } }", "1:39", '"x" is not a number'),
	one("a mistyped From", inGeneral("Filter Form Userspace { }"), "2:8", '(did you mean "From"?)'),
	one("Replicate without states", inSync(`${LINK} Replicate`), "2:65", "Replicate needs TCP states"),
	one("Security without a key file", inGeneral("  Security { Node 3 }"), "2:3", "Security needs KeyFile"),
	one("Security that is empty", inSync(`${LINK}\nSecurity { }`), "3:1", "Security needs KeyFile"),
	one(
		"a key file without a name",
		inGeneral("Security { KeyFile }"),
		"2:12",
		"KeyFile needs an absolute path",
	),
	one(
		"a key file with a relative path",
		inGeneral("Security { KeyFile keys }"),
		"2:20",
		'"keys" is not an absolute path',
	),
	one("node 0", inGeneral("Security { KeyFile /k Node 0 }"), "2:28", '"0" is outside 1..4294967295'),
	one(
		"a node over 32 bits",
		inGeneral("Security { KeyFile /k Node 4294967296 }"),
		"2:28",
		"outside 1..4294967295",
	),
	one(
		"an address for a node",
		inGeneral("Security { KeyFile /k Node 10.0.0.1 }"),
		"2:28",
		'"10.0.0.1" is not a number',
	),
	one(
		"a cluster's name with a slash",
		inGeneral("Security { KeyFile /k Cluster a/b }"),
		"2:31",
		'"a/b" is not a name of 1 to 63 letters',
	),
	one(
		"a cluster's name with a letter outside ASCII",
		inGeneral("Security { KeyFile /k Cluster büro }"),
		"2:31",
		"is not a name of 1 to 63 letters",
	),
	one(
		"a cluster's name without a character",
		inGeneral('Security { KeyFile /k Cluster "" }'),
		"2:31",
		'"" is not a name of 1 to 63 letters',
	),
	one(
		"a cluster's name of 64 characters",
		inGeneral(`Security { KeyFile /k Cluster ${"x".repeat(64)} }`),
		"2:31",
		"is not a name of 1 to 63 letters",
	),
	one(
		"an unknown suite",
		inGeneral("Security { KeyFile /k Suite aes-128-gcm }"),
		"2:29",
		'is not aes-256-gcm or chacha20-poly1305 (did you mean "aes-256-gcm"?)',
	),
	one(
		"Security in Sync and in General",
		`${inGeneral("Security { KeyFile /k }")}\n${inSync(`${LINK}\n\tSecurity { KeyFile /k }`)}`,
		"6:2",
		"Security stands in line 2 already",
	),
	one(
		"Security twice in one section",
		inGeneral("Security { KeyFile /k }\nSecurity { Node 3 }"),
		"3:1",
		"Security stands in line 2 already",
	),
	one(
		"Security at the top level",
		"Security { KeyFile /k }",
		"1:1",
		'"Security" belongs in Sync or General, not in the top level',
	),
	one("a word of Security in General", inGeneral("KeyFile /k"), "2:1", "belongs in Security, not in General"),
	one(
		"a mistyped word in Security",
		inGeneral("Security {\n\tKeyfile /k\n}"),
		"3:2",
		'(did you mean "KeyFile"?)',
	),
	one(
		"a word of Sync in Security",
		inSync(`Security { KeyFile /k\n${LINK} }`),
		"3:1",
		'"Multicast" belongs in Sync, not in Security; is a "}" missing before it?',
	),
	{
		title: "several mistakes",
		text: `General {\n\tHashSze 3\n\tHashLimt 4\n}\nStat { }\n`,
		problems: [
			["2:2", '"HashSize"'],
			["3:2", '"HashLimit"'],
			["5:1", '"Stats"'],
		],
	},
	{
		title: "several wrong values",
		text: inSync("Multicast { IPv4_address x Group y Interface a/b }"),
		problems: [
			["2:26", "is not an IPv4 address"],
			["2:34", "is not a number"],
			["2:46", "is not the name of an interface"],
		],
	},
];

for (const { title, text, problems } of CASES) {
	test(`${title} is found at ${problems.map(([place]) => place).join(", ")}`, () => {
		assert.throws(
			() => parseConfig(text, "ct.conf"),
			(error) => {
				assert.ok(error instanceof ConfigError, String(error));
				const lines = error.message.split("\n");
				assert.equal(lines.length, problems.length, error.message);
				problems.forEach(([place, message], i) => {
					assert.ok(lines[i]!.startsWith(`ct.conf:${place}: `), lines[i]);
					assert.ok(lines[i]!.includes(message), lines[i]);
				});
				return true;
			},
		);
	});
}

test("the number of errors is limited", () => {
	assert.throws(
		() => parseConfig("Nonsense 3\n".repeat(100_000), "f"),
		(error) => error instanceof ConfigError && error.problems.length === 20,
	);
});

test("problems carry place and suggestion as fields", () => {
	assert.throws(
		() => parseConfig("\n general { }", "f"),
		(error) => {
			assert.ok(error instanceof ConfigError);
			assert.deepEqual(error.problems, [
				{
					file: "f",
					line: 2,
					column: 2,
					message: 'unknown word "general": upper and lower case count',
					suggestion: "General",
				},
			]);
			return true;
		},
	);
});
