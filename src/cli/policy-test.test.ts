import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "../config/config.ts";
import { parseArgv } from "./argv.ts";
import { testPolicy } from "./policy-test.ts";

const configOf = (options = "ExpectationSync on") =>
	parseConfig(
		`Sync { Mode FTFW { } Multicast { IPv4_address 225.0.0.50 Group 3780 Interface eth3 } Options { ${options} } }`,
		"f",
	).config;
const expectation = (dport: number, dst = "192.168.1.2") =>
	`297 proto=6 src=192.168.0.2 dst=${dst} sport=0 dport=${dport} mask-src=255.255.255.255 ` +
	"mask-dst=255.255.255.255 sport=0 dport=65535 master-src=192.168.0.2 master-dst=192.168.1.2 " +
	"sport=59856 dport=21 class=0 helper=ftp";
const MASTER =
	"tcp 6 431999 ESTABLISHED src=192.168.0.2 dst=192.168.1.2 sport=59856 dport=21 " +
	"src=10.0.0.5 dst=192.168.0.2 sport=21 dport=59856 [ASSURED] mark=0 helper=ftp use=1";

test("the words of ctsync policy", () => {
	assert.deepEqual(parseArgv(["policy", "test", "-"]), { kind: "policy test", input: "-" });
	assert.deepEqual(parseArgv(["-C", "c", "policy", "test", "f"]), {
		kind: "policy test",
		input: "f",
		config: "c",
	});
	assert.equal(parseArgv(["policy", "rejected"]).kind, "client");
	for (const words of [
		["policy"],
		["policy", "test"],
		["policy", "test", "a", "b"],
		["policy", "x"],
		["policy", "rejected", "x"],
		["policy", "test", "-q"],
	]) {
		assert.equal(parseArgv(words).kind, "error", words.join(" "));
	}
});

test("each rule has its line, and the last line is the verdict", () => {
	const good = testPolicy(`${expectation(40_515)}\n`, configOf(), []);
	assert.deepEqual([good.judged, good.rejected], [1, 0]);
	assert.equal(good.text.match(/^ {2}X\d\d ok/gm)!.length, 16);
	assert.match(good.text, / {2}accepted\n$/);
	assert.match(good.text, /its master is not given/);
	const bad = testPolicy(
		`# a comment\n${expectation(22, "10.9.9.9")}\n\n${expectation(40_515)}`,
		configOf(),
		[],
	);
	assert.deepEqual([bad.judged, bad.rejected], [2, 1]);
	assert.match(
		bad.text,
		/X07 broken {2}destination address: its destination is none of the master's addresses/,
	);
	assert.match(bad.text, / {2}rejected: X07, X09\n/);
});

test("the master's line counts where it is given, wherever it stands", () => {
	const line = expectation(40_515, "10.0.0.5");
	assert.equal(testPolicy(line, configOf(), []).rejected, 1);
	assert.equal(testPolicy(`${line}\n${MASTER}`, configOf(), []).rejected, 0);
	assert.equal(testPolicy(`${MASTER}\n${line}`, configOf(), []).rejected, 0);
});

test("the configuration and the addresses of this host count", () => {
	const line = expectation(22);
	assert.equal(testPolicy(line, configOf(), []).rejected, 1);
	const wide = configOf("ExpectationSync on ExpectationPolicy { Helper ftp { DstPort 20-23 } }");
	assert.equal(testPolicy(line, wide, []).rejected, 0);
	assert.match(testPolicy(line, configOf("ExpectationSync { sip }"), []).text, /X01 broken/);
	assert.match(testPolicy(line, configOf(""), []).text, /X01 broken/);
	assert.match(
		testPolicy(expectation(40_515), configOf(), ["192.168.1.2"]).text,
		/X07 broken.*this firewall/,
	);
});

test("JSON may tell what lines cannot", () => {
	const mask = {
		family: "ipv4",
		protocol: 6,
		src: "255.255.255.255",
		dst: "255.255.255.255",
		sport: 0,
		dport: 65535,
	};
	const master = {
		family: "ipv4",
		protocol: 6,
		src: "192.168.0.2",
		dst: "192.168.1.2",
		sport: 5000,
		dport: 21,
	};
	const one = {
		family: "ipv4",
		protocol: 6,
		src: "192.168.0.2",
		dst: "192.168.1.2",
		sport: 0,
		dport: 4000,
		zone: 0,
		mask,
		master,
		helper: "ftp",
		timeout: 5,
	};
	assert.equal(testPolicy(JSON.stringify(one), configOf(), []).rejected, 0);
	const list = [{ expectation: { ...one, fn: "sip" } }, { expectation: one }];
	const found = testPolicy(JSON.stringify(list), configOf(), []);
	assert.deepEqual([found.judged, found.rejected], [2, 1]);
	assert.match(found.text, /X15 broken/);
	const told = found.json
		.trimEnd()
		.split("\n")
		.map((line) => JSON.parse(line));
	assert.deepEqual([told.length, told[0].accepted, told[1].accepted], [2, false, true]);
	const [broken] = told[0].rules.filter(({ verdict }: { verdict: string }) => verdict === "broken");
	assert.deepEqual([broken.rule, told[0].expectation.fn, told[0].master], ["X15", "sip", null]);
	// as a dump has them, an object a line
	const lines = `${JSON.stringify({ node: "10.0.0.2", age: 1, ...one })}\n${JSON.stringify({ ...one, fn: "sip" })}\n`;
	const dumped = testPolicy(lines, configOf(), []);
	assert.deepEqual([dumped.judged, dumped.rejected], [2, 1]);
	const { family, protocol, ...orig } = master;
	const connection = { node: "a", family, protocol, orig, helper: "ftp", zoneOrig: 0, zoneReply: 0 };
	const [judged] = testPolicy(`${lines}${JSON.stringify(connection)}\n`, configOf(), []).json.split("\n");
	assert.deepEqual(JSON.parse(judged!).master, connection);
	assert.throws(() => testPolicy('[{"expectation":{"family":"ipv4"}}]', configOf(), []), /expectation 1: /);
	const stranger = { ...master, orig: { ...master, src: "192.168.0.3" }, zoneOrig: 0, zoneReply: 0 };
	const wrong = JSON.stringify({ expectation: one, master: stranger });
	assert.throws(() => testPolicy(wrong, configOf(), []), /expectation 1: its master/);
	assert.throws(
		() => testPolicy("nonsense", configOf(), []),
		/^Error: neither a connection nor an expectation: line 1: /,
	);
});
