// Whole files as they are found in the field: our own, those of Debian's conntrackd, read where the package puts them,
// and one as scripts generate it.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import type { Config } from "./config.ts";
import { parseConfig } from "./config.ts";
import { loadConfig } from "./load.ts";
import { printConfig } from "./print.ts";

const EXAMPLES = "/usr/share/doc/conntrackd/examples";

/** Runs on an installed file; without the package the test is skipped. */
function withFile(title: string, path: string, run: (config: Config, warnings: string[]) => void): void {
	test(title, { skip: existsSync(path) ? false : `${path} is not installed` }, () => {
		const { config, warnings } = loadConfig(path);
		run(
			config,
			warnings.map(({ message }) => message),
		);
		const printed = printConfig(config);
		assert.equal(printConfig(parseConfig(printed, path).config), printed);
	});
}

const SHIPPED = fileURLToPath(new URL("../../conf", import.meta.url));

const STATS = "examples/stats.conf";
const MODES: Readonly<Record<string, string>> = { "examples/notrack.conf": "NOTRACK" };

for (const name of ["ctsync.conf", ...readdirSync(`${SHIPPED}/examples`).map((file) => `examples/${file}`)]) {
	withFile(
		`our own ${name} is read without a warning`,
		`${SHIPPED}/${name}`,
		({ sync, general }, warnings) => {
			assert.deepEqual(warnings, []);
			assert.equal(sync?.mode, MODES[name] ?? (name === STATS ? undefined : "FTFW"));
			assert.equal(general.syslog, "daemon", "whatever goes wrong has to be told somewhere");
		},
	);
}

test("there is an example of every transport, of Mode NOTRACK, and of the Stats mode", () => {
	const read = (name: string) => loadConfig(`${SHIPPED}/${name}`).config;
	const [tcp] = read("examples/tcp-pair.conf").sync!.links;
	assert.deepEqual([tcp!.type, tcp!.destinations], ["tcp", ["192.168.100.2"]]);
	const { sync, security } = read("examples/notrack.conf");
	assert.deepEqual([sync!.startupResync, security?.keyFile], [true, "/etc/ctsync/keys"]);
	const { stats } = read(STATS);
	assert.deepEqual([stats!.logFile, stats!.syslog], ["/var/log/ctsync-flows.log", false]);
});

test("the file that we ship has a key, the shortest example has none", () => {
	const { security, sync } = loadConfig(`${SHIPPED}/ctsync.conf`).config;
	assert.deepEqual(security, { keyFile: "/etc/ctsync/keys", cluster: "ctsync", suite: "aes-256-gcm" });
	assert.equal(sync!.links.length, 1);
	assert.equal(loadConfig(`${SHIPPED}/examples/minimal.conf`).config.security, undefined);
	assert.ok(loadConfig(`${SHIPPED}/examples/udp-pair.conf`).config.security);
	const [link] = loadConfig(`${SHIPPED}/examples/udp-three.conf`).config.sync!.links;
	assert.deepEqual(link!.destinations, ["192.168.100.2", "192.168.100.3"]);
});

test("the sections that the file that we ship comments out can be used as they are", () => {
	const path = `${SHIPPED}/ctsync.conf`;
	const text = readFileSync(path, "utf8");
	const commented = (name: string): string => {
		const lines = text.match(new RegExp(`^\t#\t${name} {\n(?:\t#.*\n)*?\t#\t}\n`, "m"))![0];
		return lines.replace(/^\t#/gm, "").replace(/ {2,}.*$/gm, "");
	};
	const peers = parseConfig(text.replace("Multicast {", `${commented("Peers")}$&`), path);
	assert.deepEqual(peers.config.sync!.peers, ["192.168.100.1", "192.168.100.2"]);
	const udp = parseConfig(text.replace(/^\tMulticast {\n(?:\t\t.*\n|\n)*\t}\n/m, commented("UDP")), path);
	assert.deepEqual(udp.config.sync!.links[0]!.destinations, ["192.168.100.2"]);
	assert.deepEqual([...peers.warnings, ...udp.warnings], []);
});

test("the clauses that the file that we ship comments out can be used as they are", () => {
	const path = `${SHIPPED}/ctsync.conf`;
	const text = readFileSync(path, "utf8");
	const at = text.indexOf("# More that is not to be replicated");
	const used =
		text.slice(0, at) + text.slice(at).replace(/^\t\t# ?(\t|\}|[A-Z][A-Za-z]+ .*\{|MinimumAge)/gm, "\t\t$1");
	const { config, warnings } = parseConfig(used, path);
	assert.deepEqual(warnings, []);
	const { mark, zone, label, minimumAge, ownConnections, address, state } = config.general.filter!;
	assert.deepEqual([mark!.marks.length, zone!.zones, label!.labels, minimumAge], [1, [7], [3], 10]);
	assert.deepEqual([ownConnections, address!.rules.length, state!.tcpStates.length], ["Ignore", 1, 4]);
});

test("the expectation policy that the file that we ship comments out can be used as it is", () => {
	const path = `${SHIPPED}/ctsync.conf`;
	const text = readFileSync(path, "utf8");
	const section = text.match(/^\t\t#\tExpectationPolicy {\n(?:\t\t#.*\n)*?\t\t#\t}\n/m)![0];
	const used = text.replace(section, section.replace(/^\t\t#/gm, "").replace(/ {2,}.*$/gm, ""));
	const { config, warnings } = parseConfig(used, path);
	assert.deepEqual(warnings, []);
	const { helpers } = config.sync!.expectationPolicy;
	assert.deepEqual(
		[helpers.ftp!.loose, helpers.sip!.directMedia, helpers.sip!.dstNet!.length],
		[true, false, 1],
	);
});

test("what the file that we ship comments out in Security is understood as well", () => {
	const path = `${SHIPPED}/ctsync.conf`;
	const text = readFileSync(path, "utf8").replace(/^(\t+)# ((?:Node|Cluster|Suite) \S+)$/gm, "$1$2");
	const { security } = parseConfig(text, path).config;
	assert.deepEqual(security, {
		keyFile: "/etc/ctsync/keys",
		node: 1,
		cluster: "ctsync",
		suite: "aes-256-gcm",
	});
});

for (const mode of ["FTFW", "NOTRACK", "ALARM"]) {
	withFile(
		`Debian's example of ${mode} is read without a warning`,
		`${EXAMPLES}/sync/${mode.toLowerCase()}/conntrackd.conf`,
		({ sync, general }, warnings) => {
			assert.deepEqual(warnings, []);
			assert.equal(sync!.mode, mode);
			const { line, ...link } = sync!.links[0]!;
			assert.ok(line > 1);
			assert.deepEqual(link, {
				type: "multicast",
				isDefault: true,
				family: 4,
				address: "225.0.0.50",
				port: 3780,
				interface: "eth2",
				interfaceAddress: "192.168.100.100",
				sndSocketBuffer: 1249280,
				rcvSocketBuffer: 1249280,
				checksum: true,
				errorQueueLength: 128,
			});
			assert.equal(sync!.refreshTime, mode === "ALARM" ? 15 : 60);
			assert.deepEqual([general.hashSize, general.hashLimit], [32768, 131072]);
			assert.equal(general.logFile, "/var/log/conntrackd.log");
			assert.deepEqual([general.netlinkBufferSize, general.netlinkBufferSizeMaxGrowth], [2097152, 8388608]);
			assert.deepEqual(general.filter!.protocol, { accept: true, protocols: [6, 132, 33] });
			assert.equal(general.filter!.address!.accept, false);
			assert.equal(general.filter!.address!.rules.length, 6);
		},
	);
}

withFile(
	"Debian's example of statistics is read without a warning",
	`${EXAMPLES}/stats/conntrackd.conf`,
	({ sync, stats, general }, warnings) => {
		assert.deepEqual(warnings, []);
		assert.equal(sync, undefined);
		assert.equal(stats!.logFile, "/var/log/conntrackd-stats.log");
		assert.equal(general.filter!.from, "userspace");
	},
);

withFile(
	"Debian's default file is read, its old words with warnings",
	"/etc/conntrackd/conntrackd.conf",
	({ stats, general }, warnings) => {
		assert.ok(stats);
		assert.match(general.unixPath, /^\//);
		for (const warning of warnings) assert.match(warning, /obsolete|old name/);
	},
);

const MAN_PAGE = "/usr/share/man/man5/conntrackd.conf.5.gz";

test("the complete examples of conntrackd's manual page are read without a warning", {
	skip: existsSync(MAN_PAGE) ? false : `${MAN_PAGE} is not installed`,
}, () => {
	const page = gunzipSync(readFileSync(MAN_PAGE)).toString();
	const examples = page.slice(page.indexOf(".SH COMPLETE EXAMPLES")).matchAll(/^\.nf\n(.*?)^\.fi/gms);
	const configs = [...examples].map(([, text]) => parseConfig(text!, MAN_PAGE));
	assert.ok(configs.length >= 3);
	for (const { warnings } of configs) assert.deepEqual(warnings, []);
});

test("a file that a script writes, one directive a line, is read", () => {
	const { config, warnings } = parseConfig(
		`Sync {
Mode FTFW {

}
Multicast {
	IPv4_address 225.0.0.50
	Group 3780
	IPv4_interface 192.168.100.1
	Interface eth3
	SndSocketBuffer 1249280
	RcvSocketBuffer 1249280
	Checksum on
}
Options {
TCPWindowTracking off
ExpectationSync On
}
}
General {
	HashSize 32768
	HashLimit 131072
	LogFile /tmp/fw1.log
	Syslog off
	LockFile /tmp/fw1.lock
	UNIX {
		Path /tmp/fw1.ctl
	}
	NetlinkBufferSize 2097152
	NetlinkBufferSizeMaxGrowth 8388608

	Filter From Userspace {
		Protocol Accept {
			TCP
			UDP
			SCTP
		}
		Address Ignore {
			IPv4_address 127.0.0.1
			IPv4_address 192.168.0.100
			IPv6_address ::1
		}
	}
}
`,
		"fw1.conf",
	);
	assert.deepEqual(warnings, []);
	assert.equal(config.sync!.expectationSync, true);
	assert.equal(config.sync!.links[0]!.line, 5);
	assert.equal(config.sync!.links[0]!.interfaceAddress, "192.168.100.1");
	assert.equal(config.general.unixPath, "/tmp/fw1.ctl");
	assert.deepEqual(config.general.filter!.protocol!.protocols, [6, 17, 132]);
	assert.equal(config.general.filter!.address!.rules.length, 3);
});
