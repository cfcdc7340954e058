// Our parser beside conntrackd's own. Its client (`-s`) reads the whole configuration and then asks at a socket that is not
// there: that it cannot connect says that it has accepted the file, and nothing else has happened.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ConfigError, parseConfig } from "./config.ts";
import { printConfig } from "./print.ts";

const CONNTRACKD = "/usr/sbin/conntrackd";
const skip = existsSync(CONNTRACKD) ? false : `${CONNTRACKD} is not installed`;
const GOLDEN = fileURLToPath(new URL("../../test/config/golden/", import.meta.url));

const folder = mkdtempSync(join(tmpdir(), "ctsync-conntrackd-"));
after(() => rmSync(folder, { recursive: true }));

/** Why conntrackd does not take this text; undefined if it does. */
function objection(text: string): string | undefined {
	const file = join(folder, "a.conf");
	// of several sockets the last counts; no daemon must be asked
	writeFileSync(file, `${text}\nGeneral { UNIX { Path ${join(folder, "none")} } }\n`);
	const { stderr, stdout, signal } = spawnSync(CONNTRACKD, ["-C", file, "-s"], {
		encoding: "utf8",
		timeout: 10_000,
	});
	if (stderr.includes("can't connect")) return undefined;
	return stderr + stdout || `signal ${signal}`;
}

function isOurs(text: string): boolean {
	try {
		parseConfig(text, "f");
		return true;
	} catch (error) {
		if (error instanceof ConfigError) return false;
		throw error;
	}
}

/** A file says in its first line why conntrackd does not take it. */
const NOT_THEIRS = /^# not conntrackd: /;
/** Words that only we have, in a normalized file; and one of Stats that conntrackd's manual has and its parser has not. */
const OWN_WORDS = /^\s*(Security|Peers|Labels|ExpectationPolicy|Stats) \{/m;

const files = readdirSync(GOLDEN)
	.filter((name) => name.endsWith(".conf"))
	.map((name) => ({ name, text: readFileSync(GOLDEN + name, "utf8") }));

for (const { name, text } of files) {
	test(`conntrackd ${NOT_THEIRS.test(text) ? "does not take" : "takes"} ${name}`, { skip }, () => {
		if (NOT_THEIRS.test(text)) assert.ok(objection(text));
		else assert.equal(objection(text), undefined);
	});
	const normal = printConfig(parseConfig(text, name).config);
	if (OWN_WORDS.test(normal)) continue;
	test(`conntrackd takes the normalized ${name}`, { skip }, () => assert.equal(objection(normal), undefined));
}

/** Accepted by both, by conntrackd alone, by us alone, by none. */
const BOTH: readonly string[] = [
	"General{ }",
	"General { HashSize\n3 }",
	"General { LogFile /a#b\n}",
	"General { NetlinkOverrunResync 0 }",
	"General { Filter { Address Ignore { } Protocol Accept { } State Accept { } } }",
	"General { Filter { Address Ignore { IPv4_address 10.0.0.0/0 } } }",
	"General { Filter { Address Ignore { IPv4_address 10.0.0.0/33 } } }",
	"General { Filter { Address Ignore { IPv6_address 10.0.0.1 } } }",
	"General { Filter { Protocol Accept { nonsense } } }",
	"General { Filter { State Accept { for TCP } } }",
	"General { Nice -99 }",
	`General { UNIX { Path /${"x".repeat(106)} } }`,
	`General { LockFile /${"x".repeat(255)} LogFile /${"x".repeat(255)} }`,
	"Helper { QueueNum 3 QueueLen 3 }",
	"Helper { Type ssdp inet6 tcp { QueueNum 1 Policy ssdp { ExpectMax 1 } } }",
	"Stats { LogFile on Syslog local3 }",
];
const NONE: readonly string[] = [
	"}",
	"General {",
	"General { { } }",
	"general { }",
	"General { Hashsize 3 }",
	"General { HashSize -3 }",
	"General { HashSize 0x10 }",
	"General { HashSize 3; }",
	"General { HashSize = 3 }",
	"General { LogFile a.log }",
	"General { LockFile a }",
	"General { Systemd true }",
	"General { Syslog /dev/log }",
	"General { PollSecs 0 }",
	"General { Scheduler { Type OTHER } }",
	"General { Scheduler { Priority 100 } }",
	`General { UNIX { Path /${"x".repeat(107)} } }`,
	`General { LockFile /${"x".repeat(256)} }`,
	`General { LogFile /${"x".repeat(256)} }`,
	"General { Filter Kernelspace { } }",
	"General { Filter { Protocol { TCP } } }",
	"General { Filter { State Accept { ESTABLISHED } } }",
	"General { Filter { State Accept { established for TCP } } }",
	"General { Filter { State Accept { ESTABLISHED for UDP } } }",
	"General { Filter { State Accept { SYN_RECV, CLOSED for TCP } } }",
	"General { Filter { Address Ignore { IPv4_address foo } } }",
	"General { Filter { Address Ignore { IPv6_address fe80::1%eth0 } } }",
	"Helper { Type nosuch inet tcp { } }",
	"Helper { Type ftp inet udp { } }",
	"Helper { Type ftp ipv4 tcp { } }",
	"Helper { Type ftp inet tcp { Policy tftp { ExpectMax 1 } } }",
	"Helper { Type ftp inet tcp { Policy ftp { } } }",
	"Sync { Mode ftwf { } }",
	"Stats { } Sync { Mode FTFW { } Multicast { IPv4_address 225.0.0.50 Group 1 Interface lo } }",
	"include /etc/conntrackd/other.conf",
];
/** What conntrackd takes without a word, or with one, and cannot work. */
const THEIRS_ALONE: readonly string[] = [
	"Sync { }",
	"General { HashSize 99999999999999999999 }",
	"General { HashSize 3HashLimit 4 }",
	"Sync { Mode FTFW { } Multicast { IPv4_address 10.0.0.1 Group 1 Interface lo } }",
	"Sync { Mode FTFW { } Multicast { IPv4_address 225.0.0.50 Group 1 } }",
	"Sync { Mode FTFW { } UDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 65536 } }",
	"Sync { Mode FTFW { } UDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.256 Port 1 } }",
	"Sync { Mode FTFW { } UDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 0 } }",
	"Sync { Mode FTFW { } UDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.1 Port 1 } }",
	"Sync { Mode FTFW { } UDP { IPv4_address 10.0.0.1/8 IPv4_Destination_Address 10.0.0.2 Port 1 } }",
	"Sync { Mode FTFW { } UDP { IPv4_address fd00::1 IPv4_Destination_Address fd00::2 Port 1 } }",
	"Sync { Mode FTFW { } UDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 } }",
	"Sync { Mode FTFW { } TCP { Port 1 } }",
	"Helper { Type ftp inet tcp { QueueNum 65536 } }",
];
const OURS_ALONE: readonly string[] = [
	'General { LogFile "/a b" }',
	"General { Nice 5 }",
	"General { Filter { Protocol Accept { 112 } } }",
	"General { Filter { Address Ignore { IPv6_address ::ffff:10.0.0.1 } } }",
	"Sync { Mode persistent { } Multicast { IPv4_address 225.0.0.50 Group 1 Interface lo } }",
	"Stats { NetlinkEventsReliable on }",
];

test("what is accepted and what is not is the same for both, apart from what is named here", { skip }, () => {
	const judge = (texts: readonly string[]): string[] =>
		texts.map(
			(text) => `${objection(text) === undefined ? "theirs" : ""} ${isOurs(text) ? "ours" : ""}: ${text}`,
		);
	const all = (texts: readonly string[], verdict: string): string[] =>
		texts.map((text) => `${verdict}: ${text}`);
	assert.deepEqual(judge(BOTH), all(BOTH, "theirs ours"));
	assert.deepEqual(judge(NONE), all(NONE, " "));
	assert.deepEqual(judge(THEIRS_ALONE), all(THEIRS_ALONE, "theirs "));
	assert.deepEqual(judge(OURS_ALONE), all(OURS_ALONE, " ours"));
});

test("a word too few, too many or mistyped is found by us wherever conntrackd finds it", { skip }, () => {
	const isTheirs = ({ text }: { text: string }): boolean => !NOT_THEIRS.test(text);
	let rejected = 0;
	files.filter(isTheirs).forEach(({ name, text }, i) => {
		const words = [...text.replace(/#.*$/gm, "").matchAll(/[^\s{}]+|[{}]/g)];
		// three words of each file, elsewhere in each
		for (let n = 0; n < 3; n++) {
			const { 0: word, index } = words[(7 + 13 * i + 29 * n) % words.length]!;
			const clean = text.replace(/#.*$/gm, (comment) => " ".repeat(comment.length));
			const [before, behind] = [clean.slice(0, index), clean.slice(index + word.length)];
			for (const slip of ["", `${word} ${word}`, `${word}x`, "nonsense"]) {
				const broken = `${before}${slip}${behind}`;
				const why = objection(broken);
				if (why === undefined) continue;
				rejected++;
				assert.ok(!isOurs(broken), `${name}: "${word}" -> "${slip}" is accepted, and conntrackd says ${why}`);
			}
		}
	});
	assert.ok(rejected > 150, `only ${rejected} were broken`);
});
