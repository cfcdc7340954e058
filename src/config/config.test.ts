import assert from "node:assert/strict";
import { test } from "node:test";
import { type Config, formatProblem, parseConfig } from "./config.ts";
import { general, MULTICAST, parse, sync, warningsOf } from "./parse-kit.ts";

test("an empty file gives the defaults, without sync and stats", () => {
	assert.deepEqual(parse(""), {
		file: "f",
		general: {
			hashSize: 65536,
			hashLimit: 262144,
			logFile: false,
			syslog: false,
			lockFile: "/var/lock/conntrack.lock",
			unixPath: "/var/run/conntrackd.ctl",
			netlinkOverrunResync: 30,
			netlinkEventsReliable: false,
			eventIterationLimit: 100,
			systemd: true,
		},
	});
	assert.deepEqual(warningsOf("\n# nothing\n"), []);
});

test("Sync with only a link gets the defaults of FTFW and a warning", () => {
	assert.deepEqual(sync(""), {
		mode: "FTFW",
		role: "primary-backup",
		resendQueueSize: 131072,
		ackWindowSize: 300,
		purgeTimeout: 60,
		refreshTime: 60,
		cacheTimeout: 180,
		disableExternalCache: false,
		disableInternalCache: false,
		startupResync: false,
		links: [
			{
				type: "multicast",
				isDefault: true,
				family: 4,
				address: "225.0.0.50",
				port: 3780,
				interface: "eth3",
				checksum: true,
				errorQueueLength: 128,
				line: 1,
			},
		],
		tcpWindowTracking: false,
		expectationSync: false,
		labels: [],
		expectationPolicy: { onViolation: "quarantine", minDstPort: 1024, helpers: {} },
	});
	assert.deepEqual(warningsOf(`Sync { ${MULTICAST} }`), ["f:1:1: Sync has no Mode: FTFW is taken"]);
});

test("every word of the modes arrives", () => {
	const ftfw = sync(`Mode FTFW { ResendQueueSize 1 ACKWindowSize 2 CommitTimeout 3 PurgeTimeout 4
		DisableExternalCache off StartupResync yes }`);
	assert.deepEqual(
		[ftfw.mode, ftfw.resendQueueSize, ftfw.ackWindowSize, ftfw.commitTimeout, ftfw.purgeTimeout],
		["FTFW", 1, 2, 3, 4],
	);
	assert.deepEqual([ftfw.disableExternalCache, ftfw.startupResync], [false, true]);
	const notrack = sync("Mode NOTRACK { DisableInternalCache on DisableExternalCache YES StartupResync On }");
	assert.deepEqual(
		[notrack.mode, notrack.disableInternalCache, notrack.disableExternalCache, notrack.startupResync],
		["NOTRACK", true, true, true],
	);
	const alarm = sync("Mode ALARM { RefreshTime 1 CacheTimeout 2 CommitTimeout 3 PurgeTimeout 4 }");
	assert.deepEqual(
		[alarm.mode, alarm.refreshTime, alarm.cacheTimeout, alarm.commitTimeout, alarm.purgeTimeout],
		["ALARM", 1, 2, 3, 4],
	);
});

test("nodes that all forward have the others' states in their kernels, and their own in a cache", () => {
	assert.equal(sync("Mode FTFW { }").role, "primary-backup");
	const { role, disableExternalCache } = sync("Mode FTFW { }\nRole Active-Active");
	assert.deepEqual([role, disableExternalCache], ["active-active", true]);
	const off = sync("Mode NOTRACK { DisableExternalCache off DisableInternalCache on }\nRole active-active");
	assert.deepEqual([off.disableExternalCache, off.disableInternalCache], [true, false]);
	assert.throws(
		() => sync("Mode ALARM { } Role active-active"),
		/f:1:23: Role active-active does not go with Mode ALARM/,
	);
});

test("modes may be written in any case and by their old names", () => {
	assert.equal(sync("Mode ftfw { }").mode, "FTFW");
	assert.equal(sync("Mode nack { }").mode, "FTFW");
	assert.equal(sync("Mode persistent { }").mode, "ALARM");
	assert.deepEqual(warningsOf(`Sync { Mode nack { } ${MULTICAST} }`), [
		'f:1:13: "nack" is the old name of FTFW',
	]);
	assert.deepEqual(warningsOf(`Sync { Mode notrack { } ${MULTICAST} }`), []);
});

test("of several modes the last one counts, with its own words only", () => {
	const text = "Mode FTFW { PurgeTimeout 5 }\nMode ALARM { RefreshTime 6 }";
	const { mode, purgeTimeout, refreshTime } = sync(text);
	assert.deepEqual([mode, purgeTimeout, refreshTime], ["ALARM", 60, 6]);
	assert.deepEqual(warningsOf(`Sync { ${text} ${MULTICAST} }`), [
		"f:1:8: Mode in line 2 counts in place of this one",
	]);
});

test("times may stand directly in Sync, and give way to those of the mode", () => {
	const { refreshTime, cacheTimeout, commitTimeout, purgeTimeout } = sync(
		"RefreshTime 1 CacheTimeout 2 CommitTimeout 3 PurgeTimeout 4 Mode ALARM { CommitTimeout 5 }",
	);
	assert.deepEqual([refreshTime, cacheTimeout, commitTimeout, purgeTimeout], [1, 2, 5, 4]);
});

test("zero stands for the default", () => {
	const { purgeTimeout, ackWindowSize, commitTimeout } = sync(
		"Mode FTFW { PurgeTimeout 0 ACKWindowSize 0 CommitTimeout 0 }",
	);
	assert.deepEqual([purgeTimeout, ackWindowSize, commitTimeout], [60, 300, undefined]);
	assert.equal(general("HashSize 0").hashSize, 65536);
	assert.deepEqual(warningsOf("General { HashLimit 0 }"), ['f:1:21: "0" stands for the default, 262144']);
});

test("CommitTimeout has no effect without an external cache", () => {
	const text = "Mode FTFW { CommitTimeout 3 DisableExternalCache on }";
	assert.equal(sync(text).commitTimeout, undefined);
	assert.match(warningsOf(`Sync { ${text} ${MULTICAST} }`)[0]!, /^f:1:20: CommitTimeout has no effect/);
});

test("options arrive, helper names in lower case", () => {
	const options = (text: string): NonNullable<Config["sync"]> => sync(`Options { ${text} }`);
	assert.equal(options("TCPWindowTracking On").tcpWindowTracking, true);
	assert.deepEqual(options("Labels { 24 0 127 0 } Labels { 1 }").labels, [0, 1, 24, 127]);
	assert.deepEqual(options("").labels, []);
	assert.equal(options("ExpectationSync yes").expectationSync, true);
	assert.equal(options("ExpectationSync OFF").expectationSync, false);
	assert.deepEqual(options("ExpectationSync { ftp Q.931 h.245 ftp }").expectationSync, [
		"ftp",
		"q.931",
		"h.245",
	]);
	assert.deepEqual(options("ExpectationSync { ftp } ExpectationSync { sip }").expectationSync, [
		"ftp",
		"sip",
	]);
	assert.equal(options("ExpectationSync { ftp } ExpectationSync on").expectationSync, true);
	assert.equal(options("ExpectationSync { }").expectationSync, false);
});

test("a helper that the kernel does not have is a warning", () => {
	const warned = (text: string) =>
		parseConfig(
			`Sync { Mode FTFW { } ${MULTICAST} Options { ExpectationSync { ${text} } } }`,
			"f",
		).warnings.map(({ message, suggestion }) => `${message}; ${suggestion}`);
	const none = (name: string) => `"${name}" is not a helper of the kernel: nothing is replicated for it`;
	assert.deepEqual(warned("tfpt h323 tns"), [
		`${none("tfpt")}; tftp`,
		`${none("h323")}; RAS Q.931 H.245`,
		`${none("tns")}; undefined`,
	]);
	assert.deepEqual(warned("FTP sip-5061 netbios-ns snmp snmp_trap RAS Q.931 H.245 q"), []);
});

test("the expectation policy is what was written, and nothing else", () => {
	const options = (text: string) => sync(`Options { ExpectationSync on ${text} }`).expectationPolicy;
	assert.deepEqual(options(""), { onViolation: "quarantine", minDstPort: 1024, helpers: {} });
	const net = (address: number[], prefixLength: number) => ({
		family: 4,
		address: new Uint8Array(address),
		prefixLength,
	});
	assert.deepEqual(
		options(`ExpectationPolicy { OnViolation Drop MinDstPort 2000
			Helper ftp { Loose yes Fxp no DstPort 20 SrcNet 10.1.2.3/8 SrcNet 192.0.2.1 }
			Helper sip { DirectMedia no DstNet 198.18.0.0/15 Timeout 7200 }
			Helper Q.931 { GkRoutedOnly no }
			Helper snmp { MinPrefix 16 MaxExpectations 3 Userspace no } }
			ExpectationPolicy { Helper RAS { CallForwardFilter yes } Helper ftp { DstPort 2000-3000 } }`),
		{
			onViolation: "drop",
			minDstPort: 2000,
			helpers: {
				ftp: {
					loose: true,
					fxp: false,
					srcNet: [net([10, 0, 0, 0], 8), net([192, 0, 2, 1], 32)],
					dstPort: { from: 2000, to: 3000 },
				},
				h323: { gkRoutedOnly: false, callForwardFilter: true },
				sip: { directMedia: false, dstNet: [net([198, 18, 0, 0], 15)], timeout: 7200 },
				snmp: { minPrefix: 16, maxExpectations: 3, userspace: false },
			},
		},
	);
	const warnings = warningsOf(`Sync { ${MULTICAST} Mode FTFW { }\n Options { ExpectationPolicy { } } }`);
	assert.deepEqual(warnings, ["f:2:12: ExpectationPolicy has no effect without ExpectationSync"]);
});

test("every word of General arrives", () => {
	const text = `
		Systemd off Nice -5 HashSize 1 HashLimit 2 LogFile /l Syslog local3 LockFile "/a b"
		UNIX { Path /u } NetlinkBufferSize 3 NetlinkBufferSizeMaxGrowth 4 NetlinkOverrunResync 5
		NetlinkEventsReliable on EventIterationLimit 6 PollSecs 7 Scheduler { Type fifo Priority 8 }`;
	assert.deepEqual(general(text), {
		systemd: false,
		nice: -5,
		hashSize: 1,
		hashLimit: 2,
		logFile: "/l",
		syslog: "local3",
		lockFile: "/a b",
		unixPath: "/u",
		netlinkBufferSize: 3,
		netlinkBufferSizeMaxGrowth: 4,
		netlinkOverrunResync: 5,
		netlinkEventsReliable: true,
		eventIterationLimit: 6,
		pollSecs: 7,
		scheduler: { type: "FIFO", priority: 8 },
	});
});

test("on stands for the usual file, facility and time", () => {
	const { logFile, syslog, netlinkOverrunResync } = general("LogFile on Syslog yes NetlinkOverrunResync On");
	assert.deepEqual([logFile, syslog, netlinkOverrunResync], ["/var/log/conntrackd.log", "daemon", 30]);
	assert.equal(general("NetlinkOverrunResync no").netlinkOverrunResync, false);
	assert.deepEqual(parse("Stats { LogFile on Syslog on }").stats, {
		logFile: "/var/log/conntrackd-stats.log",
		syslog: "daemon",
		netlinkEventsReliable: false,
	});
});

test("an empty Scheduler asks for the highest priority", () => {
	assert.deepEqual(general("Scheduler { }").scheduler, { type: "RR", priority: 99 });
});

test("sections that are given twice are joined, and the last value counts", () => {
	const text = "General { HashSize 1 HashLimit 4 }\nGeneral { HashSize 3 }";
	const { hashSize, hashLimit } = parse(text).general;
	assert.deepEqual([hashSize, hashLimit], [3, 4]);
	assert.deepEqual(warningsOf(text), ["f:2:11: HashSize counts in place of the one in line 1"]);
});

test("obsolete words are accepted with a warning that says what to write", () => {
	const text = `StripNAT
		Sync { Mode FTFW { ResendBufferSize 9 }
		Checksum on RelaxTransitions DelayDestroyMessages ListenTo 1.2.3.4 CacheWriteThrough off DestroyTimeout 3
		${MULTICAST} }
		General { Family IPv4 UNIX { Backlog 20 } SocketBufferSizeMaxGrown 7 }`;
	const { config, warnings } = parseConfig(text, "f");
	assert.equal(config.general.netlinkBufferSizeMaxGrowth, 7);
	const words = ["StripNAT", "ResendBufferSize", "Checksum", "RelaxTransitions", "DelayDestroyMessages"];
	const moreWords = ["ListenTo", "CacheWriteThrough", "DestroyTimeout", "Family", "Backlog"];
	assert.deepEqual(
		warnings.map(({ message }) => message.split(/[ :]/)[0]),
		[...words, ...moreWords, "SocketBufferSizeMaxGrown"],
	);
	assert.match(warnings[1]!.message, /ResendQueueSize/);
	assert.match(warnings.at(-1)!.message, /NetlinkBufferSizeMaxGrowth/);
});

test("Helper sections are read, and warned of", () => {
	const text = `Helper { Setup yes
		Type ftp inet tcp { QueueNum 0 QueueLen 10240 Policy ftp { ExpectMax 1 ExpectTimeout 300 } } }`;
	const [warning, ...others] = warningsOf(text);
	assert.match(
		warning!,
		/^f:1:1: userspace helpers are not available in this version \(ftp\): .* let conntrackd run/,
	);
	assert.deepEqual(others, []);
});

test("a facility that conntrackd does not know is ignored with a warning", () => {
	const { config, warnings } = parseConfig("General { Syslog locl0 }", "f");
	assert.equal(config.general.syslog, false);
	assert.equal(
		formatProblem(warnings[0]!),
		'f:1:18: unknown syslog facility "locl0": nothing goes to syslog (did you mean "local0"?)',
	);
});

test("the facility of General counts for Stats too", () => {
	const { config, warnings } = parseConfig("Stats { Syslog local1 } General { Syslog local2 }", "f");
	assert.equal(config.stats!.syslog, "local2");
	assert.match(formatProblem(warnings[0]!), /^f:1:16: "local1" differs/);
});

test("the result is frozen in depth", () => {
	const config = parse(`Sync { ${MULTICAST} } General { Filter { Protocol Accept { TCP } } }`);
	const frozen = [
		config,
		config.general,
		config.sync!.links,
		config.sync!.links[0],
		config.general.filter!.protocol,
	];
	for (const part of frozen) assert.ok(Object.isFrozen(part));
});
