// Broken files: words, braces, values; every section but Sync (broken-sync.test.ts).
import assert from "node:assert/strict";
import { test } from "node:test";
import { inGeneral, one, testBroken } from "./broken-kit.ts";
import { ConfigError, parseConfig } from "./config.ts";

testBroken([
	one("with wrong braces values are not judged", "General { HashSize many", "1:9", "never closed"),
	one("a word in the wrong case", inGeneral("  Lockfile /x"), "2:3", '(did you mean "LockFile"?)'),
	one("a section in the wrong case", "general { }", "1:1", '(did you mean "General"?)'),
	one("a brace too much", "General { }\n}", "2:1", "closes nothing"),
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
	one("Security without a key file", inGeneral("  Security { Node 3 }"), "2:3", "Security needs KeyFile"),
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
	{
		title: "several mistakes",
		text: `General {\n\tHashSze 3\n\tHashLimt 4\n}\nStat { }\n`,
		problems: [
			["2:2", '"HashSize"'],
			["3:2", '"HashLimit"'],
			["5:1", '"Stats"'],
		],
	},
]);

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
