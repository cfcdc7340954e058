import assert from "node:assert/strict";
import { test } from "node:test";
import { changes } from "./changes.ts";
import { parseConfig } from "./config.ts";

const LINK = "Multicast { IPv4_address 225.0.0.50 Group 3780 Interface eth3 }";
const told = (before: string, after: string): string[] =>
	changes(parseConfig(before, "a").config, parseConfig(after, "b").config).map(
		({ directive, before, after, reload }) =>
			`${directive}: ${before} -> ${after}${reload ? " (reload)" : ""}`,
	);
const sync = (text: string, mode = "Mode FTFW { }"): string => `Sync { ${mode} ${LINK} ${text} }`;

test("what is written otherwise and means the same is no change", () => {
	assert.deepEqual(told("", "General { }"), []);
	assert.deepEqual(told("General { SocketBufferSize 3 }", "General { NetlinkBufferSize 3 # x\n }"), []);
	assert.deepEqual(told(sync("RefreshTime 60"), `\n${sync("")}`), []);
});

test("values are named with their sections, in the order of a normalized file", () => {
	assert.deepEqual(
		told(
			"General { HashLimit 100000 UNIX { Path /x } }",
			"General { LogFile on HashLimit 90000 PollSecs 3 UNIX { Path /y } NetlinkOverrunResync off }",
		),
		[
			"General HashLimit: 100000 -> 90000",
			"General LogFile: off -> /var/log/conntrackd.log (reload)",
			"General NetlinkOverrunResync: 30 -> off (reload)",
			"General UNIX Path: /x -> /y",
			"General PollSecs: not set -> 3",
		],
	);
});

test("a mode's words are compared within the mode", () => {
	assert.deepEqual(told(sync(""), sync("", "Mode FTFW { PurgeTimeout 5 CommitTimeout 99 }")), [
		"Sync Mode PurgeTimeout: 60 -> 5 (reload)",
		"Sync Mode CommitTimeout: not set -> 99",
	]);
	assert.deepEqual(told(sync(""), sync("", "Mode ALARM { PurgeTimeout 5 }")), [
		"Sync Mode: FTFW { ... } -> ALARM { ... }",
	]);
});

test("a section that comes or goes is one change that waits for a restart", () => {
	assert.deepEqual(told("General { }", "General { Security { KeyFile /k } }"), [
		"General Security: not set -> { ... }",
	]);
	assert.deepEqual(told("General { Security { KeyFile /k } }", "General { Security { KeyFile /l } }"), [
		"General Security KeyFile: /k -> /l (reload)",
	]);
	assert.deepEqual(told(sync(""), ""), ["Sync: { ... } -> not set"]);
});

test("each link is for itself", () => {
	const link = (host: number, port: number, mark = ""): string =>
		`UDP ${mark} { IPv4_address 10.${host}.0.1 IPv4_Destination_Address 10.${host}.0.2 Port ${port} }`;
	const links = (...list: string[]): string => `Sync { Mode FTFW { } ${list.join(" ")} }`;
	assert.deepEqual(told(links(link(1, 1), link(2, 2)), links(link(1, 1), link(2, 3))), [
		"Sync UDP (2) Port: 2 -> 3",
	]);
	assert.deepEqual(told(links(link(1, 1)), links(link(1, 1), link(2, 3))), [
		"Sync UDP (2): not set -> { ... }",
	]);
	assert.deepEqual(told(links(link(1, 1)), links(link(1, 1).replace("10.1.0.2", "10.1.0.3"))), [
		"Sync UDP IPv4_Destination_Address: 10.1.0.2 -> 10.1.0.3",
	]);
});

test("lists are compared as wholes, and cut", () => {
	const filter = (list: string): string => `General { Filter { Protocol Accept { ${list} } } }`;
	assert.deepEqual(told(filter("TCP"), filter("UDP TCP")), [
		"General Filter Protocol: Accept { tcp } -> Accept { udp tcp }",
	]);
	const long = sync(`Options { Labels { ${Array.from({ length: 100 }, (_, i) => i).join(" ")} } }`);
	assert.match(told(sync(""), long)[0]!, /^Sync Options Labels: not set -> \{ 0 1 .{100,130}\.\.\.$/);
	assert.deepEqual(
		told(sync("Options { ExpectationSync on }"), sync("Options { ExpectationSync { ftp sip } }")),
		["Sync Options ExpectationSync: on -> { ftp sip }"],
	);
});

test("the rules for a helper have its name", () => {
	const rules = (text: string): string =>
		sync(`Options { ExpectationSync on ExpectationPolicy { ${text} } }`);
	assert.deepEqual(
		told(rules("Helper sip { Timeout 3 }"), rules("Helper sip { Timeout 4 } Helper ftp { Loose yes }")),
		[
			"Sync Options ExpectationPolicy Helper sip Timeout: 3 -> 4",
			"Sync Options ExpectationPolicy Helper ftp: not set -> ftp { ... }",
		],
	);
});
