import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ArgumentSpec } from "./argument.ts";
import type { Config } from "./config.ts";
import { ConfigError, parseConfig } from "./config.ts";
import { DIRECTIVES } from "./directives.ts";
import { printConfig } from "./print.ts";

/** The configuration without what printing does not keep: the lines of links. */
function comparable(config: Config): Config {
	const copy = structuredClone(config) as Config;
	for (const link of copy.sync?.links ?? []) link.line = 0;
	return copy;
}

/** Prints and parses again; the result must be equal, print the same, and give no warning that the first text did not. */
function roundTrip({ config, warnings }: ReturnType<typeof parseConfig>): void {
	const text = printConfig(config);
	const again = parseConfig(text, config.file);
	assert.deepEqual(comparable(again.config), comparable(config), text);
	assert.equal(printConfig(again.config), text);
	const told = ({ message }: { message: string }): string => message.replace(/line \d+/g, "line N");
	const before = new Set(warnings.map(told));
	assert.deepEqual(
		again.warnings.map(told).filter((message) => !before.has(message)),
		[],
		text,
	);
}

const LINK = "Multicast { IPv4_address 225.0.0.50 Group 3780 Interface eth3 }";

test("the defaults are printed in full", () => {
	assert.equal(
		printConfig(parseConfig("", "f").config),
		`General {
	Systemd on
	HashSize 65536
	HashLimit 262144
	LogFile off
	Syslog off
	LockFile /var/lock/conntrack.lock
	NetlinkOverrunResync 30
	NetlinkEventsReliable off
	EventIterationLimit 100
	UNIX {
		Path /var/run/conntrackd.ctl
	}
}
`,
	);
});

test("Security is printed in General, with its defaults, wherever it stood", () => {
	const { config } = parseConfig(`Sync { Mode FTFW { } ${LINK} Security { KeyFile /k } }`, "f");
	const text = printConfig(config);
	assert.ok(
		text.endsWith(`\tSecurity {\n\t\tKeyFile /k\n\t\tCluster ctsync\n\t\tSuite aes-256-gcm\n\t}\n}\n`),
		text,
	);
	assert.equal(text.match(/Security/g)!.length, 1);
});

test("a configuration with every section survives printing", () => {
	const texts = [
		`Sync { RefreshTime 9 Mode NOTRACK { CommitTimeout 5 DisableInternalCache on }
			UDP { IPv6_address fd00::1 IPv6_Destination_Address fd00::2 Port 1 Checksum no SndSocketBuffer 3 }
			UDP Default { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.2 Port 2 Interface eth1 }
			Options { TCPWindowTracking on Labels { 3 127 } ExpectationSync { ftp "x#y" } } }
		General { Nice 3 LogFile /a#b LockFile "/with blank/{x}" PollSecs 4 Scheduler { Type FIFO Priority 0 }
			Filter From Kernelspace {
				Protocol Ignore { TCP IPv6-ICMP 112 }
				Address Accept { IPv4_address 10.0.0.0/8 IPv6_address ::1 IPv4_address 0.0.0.0/0 }
				State Ignore { SYN_SENT LISTEN CLOSED for TCP } } }`,
		`Sync { Mode FTFW { } UDP { IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.3 Port 1
			IPv4_Destination_Address 10.0.0.2 } Peers { IPv4_address 10.0.0.2 IPv4_address 10.0.0.3 } }`,
		`Sync { Mode FTFW { } ${LINK} Peers { IPv4_address 10.0.0.2 IPv6_address fd00::2 }
			Multicast { IPv6_address ff15::1 Group 2 Interface eth4 } }`,
		`Sync { Mode FTFW { CommitTimeout 3 } ${LINK} Options { ExpectationSync on } }`,
		`Sync { Mode FTFW { } ${LINK} Options { ExpectationSync on ExpectationPolicy { OnViolation drop MinDstPort 2000
			Helper ftp { Loose yes DstPort 20-30 SrcNet 10.0.0.0/8 SrcNet ::1 } Helper netbios-ns { MinPrefix 16 }
			Helper sip { DirectMedia no DstNet 2001:db8::/32 } Helper irc { } } } }`,
		`Sync { Mode FTFW { } ${LINK} Options { ExpectationPolicy { Helper ftp { Fxp yes } } } }`,
		`Sync { Mode ALARM { } ${LINK} } General { Filter { State Accept { } Protocol Accept { } } }`,
		`Sync { Mode FTFW { } ${LINK} Security { KeyFile "/with blank/k" Node 7 Cluster a.b_c-9 Suite ChaCha20-Poly1305 } }`,
		`General { Security { KeyFile /etc/keys#1 } } Sync { Mode FTFW { } ${LINK} }`,
		`Stats { LogFile /s Syslog local4 NetlinkEventsReliable on } General { NetlinkOverrunResync off }`,
	];
	for (const text of texts) roundTrip(parseConfig(text, "f"));
});

/** Values other than any default. */
function sampleOf({ type, words, min = 0 }: ArgumentSpec): string[] {
	switch (type) {
		case "onoff":
			return ["on", "off"];
		case "onoff-or-path":
		case "path":
			return ["/some/path"];
		case "onoff-or-facility":
			return ["local6"];
		case "ipv4":
		case "ipv4-net":
			return ["225.1.2.3"];
		case "ipv6":
		case "ipv6-net":
			return ["ff15::77"];
		case "net":
			return ["10.0.0.0/8"];
		case "port-range":
			return ["7-9"];
		case "interface":
		case "name":
		case "cluster-name":
			return ["eth7"];
		case "choice":
			return [...words!];
		default:
			return [String(min + 7)];
	}
}

/** Addresses of nodes are no groups. */
const nodeOf = (sample: string): string => sample.replace("225.", "10.").replace("ff15:", "fd15:");

/** A file in which one directive of one section has one value. */
function fileWith(place: string, line: string): string {
	const v6 = /^IPv6/.test(line);
	const link = `${v6 ? "IPv6_address ff15::1" : "IPv4_address 225.0.0.1"} ${
		v6 ? "IPv6_Destination_Address ff15::2" : "IPv4_Destination_Address 225.0.0.2"
	} Port 1 Interface eth0`;
	if (place.startsWith("Mode")) return `Sync { ${place} { ${line} } ${LINK} }`;
	if (place.startsWith("Helper ")) {
		const inHelper = line.startsWith("DstNet") || line === "" ? line : `DstNet 192.0.2.0/24 ${line}`;
		return `Sync { ${LINK} Options { ExpectationSync on ExpectationPolicy { ${place} { ${inHelper} } } } }`;
	}
	switch (place) {
		case "ExpectationPolicy":
			return `Sync { ${LINK} Options { ExpectationSync on ExpectationPolicy { ${line} } } }`;
		case "Sync":
			return `Sync { Mode NOTRACK { } ${line} ${LINK} }`;
		case "Multicast":
			return `Sync { Multicast { ${link.replace(/IPv\d_D\S+ \S+/, "").replace("Port", "Group")} ${line} } }`;
		case "UDP":
		case "TCP":
			return `Sync { ${place} { ${link} ${line} } }`;
		case "Peers":
			return `Sync { ${v6 ? `Multicast { ${link.replace(/IPv6_D\S+ \S+/, "").replace("Port", "Group")} }` : LINK}
				Peers { ${line || "IPv4_address 10.0.0.9"} } }`;
		case "Options":
			return `Sync { ${LINK} Options { ${line} } }`;
		case "General":
		case "Stats":
			return `${place} { ${line} }`;
		case "Security":
			return `General { Security { KeyFile /k ${line} } }`;
		case "Address":
			return `General { Filter { Address Ignore { ${line} } } }`;
		default:
			return `General { ${place} { ${line} } }`;
	}
}

test("every directive with a value changes the configuration and survives printing", () => {
	let count = 0;
	for (const spec of DIRECTIVES) {
		if (spec.obsolete !== undefined || spec.block || spec.args.length !== 1) continue;
		for (const place of spec.in) {
			if (["Helper", "Type", "Policy"].includes(place)) continue;
			const samples = sampleOf(spec.args[0]!).map((sample) => (place === "Peers" ? nodeOf(sample) : sample));
			const parsed = samples.map((value) => parseConfig(fileWith(place, `${spec.word} ${value}`), "f"));
			parsed.forEach(roundTrip);
			const configs = parsed.map(({ config }) => config);
			const without = parseConfig(fileWith(place, ""), "f").config;
			const [first, ...others] = configs.map((config) => JSON.stringify(comparable(config)));
			const isSeen = first !== JSON.stringify(comparable(without)) || others.some((other) => other !== first);
			assert.ok(isSeen, `${spec.word} in ${place}`);
			count++;
		}
	}
	assert.ok(count > 60, `only ${count} directives`);
});

test("a nice value has a sign, without which conntrackd refuses it", () => {
	assert.match(printConfig(parseConfig("General { Nice 3 }", "f").config), /\tNice \+3\n/);
});

test("a word that no file can hold is refused", () => {
	const { config } = parseConfig("", "f");
	assert.throws(
		() => printConfig({ ...config, general: { ...config.general, lockFile: '/a"b' } }),
		/cannot be written/,
	);
});

/** Parses, and knows only two outcomes. */
function judge(text: string): ReturnType<typeof parseConfig> | undefined {
	try {
		return parseConfig(text, "soup");
	} catch (error) {
		assert.ok(error instanceof ConfigError, String((error as Error).stack));
		assert.ok(error.problems.length > 0);
		const lines = text.split("\n");
		for (const { line, column } of error.problems) {
			assert.ok(line >= 1 && line <= lines.length && column >= 1 && column <= lines[line - 1]!.length + 1);
		}
		return undefined;
	}
}

test("any bytes either parse or are a ConfigError with a place inside the text", () => {
	fc.assert(
		fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
			judge(Buffer.from(bytes).toString("utf8"));
		}),
		{ numRuns: 500 },
	);
});

test("any soup of the language's own words parses into what can be printed, or is a ConfigError", () => {
	const words = [
		...new Set(DIRECTIVES.flatMap((spec) => [spec.word, ...spec.args.flatMap(sampleOf)])),
		...["TCP", "for", "CLOSED", "0", "65536", "10.0.0.0/8", "::/0", "ftp", '"a b"', "#", "/", '"'],
	];
	const token = fc.oneof(
		{ weight: 5, arbitrary: fc.constantFrom(...words) },
		{ weight: 4, arbitrary: fc.constantFrom("{", "}", "\n") },
	);
	fc.assert(
		fc.property(fc.array(token, { maxLength: 60 }), (tokens) => {
			const parsed = judge(tokens.join(" "));
			if (parsed) roundTrip(parsed);
		}),
		{ numRuns: 2000 },
	);
});

test("any valid file made of sections survives printing", () => {
	const row = (spec: (typeof DIRECTIVES)[number]): fc.Arbitrary<string> =>
		fc.constantFrom(...sampleOf(spec.args[0]!)).map((value) => `${spec.word} ${value}`);
	const inPlace = (place: string): fc.Arbitrary<string> => {
		const specs = DIRECTIVES.filter(
			(spec) => (spec.in as string[]).includes(place) && !spec.block && spec.args.length === 1,
		);
		return fc.array(fc.oneof(...specs.map(row)), { maxLength: 8 }).map((lines) => lines.join("\n"));
	};
	const mode = fc
		.constantFrom("FTFW", "NOTRACK", "ALARM")
		.chain((name) => inPlace(`Mode ${name}`).map((text) => `Mode ${name} { ${text} }`));
	const filter = inPlace("Address").map((text) => `Filter { Address Ignore { ${text} } }`);
	const security = fc.tuple(
		inPlace("Security").map((text) => `Security { KeyFile /k\n${text} }`),
		fc.constantFrom("Sync", "General", "none"),
	);
	const file = fc
		.tuple(mode, inPlace("Sync"), inPlace("Options"), inPlace("General"), inPlace("UNIX"), filter, security)
		.map(([modeText, syncText, options, general, unix, filterText, [securityText, home]]) => {
			const securityIn = (place: string): string => (place === home ? securityText : "");
			return `Sync { ${modeText}\n${syncText} ${LINK} Options { ${options} } ${securityIn("Sync")} }
				General { ${general}\nUNIX { ${unix} } ${filterText} ${securityIn("General")} }`;
		});
	fc.assert(
		fc.property(file, (text) => {
			// these two are no valid file
			const role = text.match(/Role \S+/g)?.at(-1);
			fc.pre(!(text.includes("Mode ALARM") && role === "Role active-active"));
			const parsed = judge(text);
			assert.ok(parsed, text);
			roundTrip(parsed);
		}),
		{ numRuns: 300 },
	);
});
