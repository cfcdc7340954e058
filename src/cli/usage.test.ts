import assert from "node:assert/strict";
import { test } from "node:test";
import { Opcode } from "../control/request.ts";
import { parseArgv } from "./argv.ts";
import { CHECK_FORMS } from "./check-words.ts";
import { CLIENT_OPTIONS, GENERAL_OPTIONS } from "./client-options.ts";
import { CLIENT_FORMS } from "./client-words.ts";
import { COMMIT_FORMS } from "./commit-words.ts";
import { KEY_FORMS } from "./key-words.ts";
import { POLICY_FORMS } from "./policy-words.ts";
import { formatUsage, formatVersion } from "./usage.ts";
import { VERIFY_FORMS } from "./verify-words.ts";

test("the version names program and number", () => {
	assert.match(
		formatVersion("1.2.3"),
		/^Connection tracking state replication daemon ctsync v1\.2\.3[^\n]*\n$/,
	);
});

test("the usage has conntrackd's layout", () => {
	const lines = formatUsage("1.2.3").split("\n");
	assert.equal(lines[0], "Connection tracking state replication daemon ctsync v1.2.3");
	assert.equal(lines[1], "Usage: ctsync [commands] [options]");
	assert.equal(lines[2], "");
	assert.equal(lines[3], "General commands:");
	assert.equal(lines[8], "");
	assert.equal(lines[9], "Client mode commands:");
	assert.deepEqual(lines.slice(-2), ["", ""], "one empty line at the end");
	const own = lines.indexOf("Words of our own:");
	assert.deepEqual(lines[own - 1], "");
	const rows = lines.slice(0, own).filter((line) => line.startsWith("  "));
	for (const row of rows) assert.match(row, /^ {2}(-[a-zA-Z]( \[[a-z|]+\]| or --[a-z]+)?|--json), \S/);
	const ownRows = lines.slice(own + 1, -2);
	const tables = [CLIENT_FORMS, COMMIT_FORMS, VERIFY_FORMS, POLICY_FORMS, KEY_FORMS, CHECK_FORMS];
	assert.equal(ownRows.length, tables.flat().length);
	for (const row of ownRows) assert.match(row, /^ {2}(--)?[a-z]+( [^,]+)?, \S/);
});

test("every key command that the usage lists is understood, with and without what is optional", () => {
	for (const { words } of KEY_FORMS) {
		for (const form of [words.replace(/ \[.*\]/, ""), words.replaceAll(/[[\]]/g, "")]) {
			assert.equal(parseArgv(form.split(" ")).kind, "keys", form);
		}
	}
});

test("verify is a request to the daemon, about one node if it is named", () => {
	assert.deepEqual(parseArgv(["verify"]), { kind: "client", op: Opcode.verify });
	assert.deepEqual(parseArgv(["-C", "a", "verify", "--peer", "10.0.0.2"]), {
		kind: "client",
		op: Opcode.verify,
		config: "a",
		argument: "10.0.0.2",
	});
	assert.deepEqual(parseArgv(["verify", "-C", "a"]), { kind: "client", op: Opcode.verify, config: "a" });
	for (const words of [
		["verify", "--peer"],
		["verify", "x"],
		["verify", "--all"],
		["-s", "verify", "-C"],
		["-d", "verify"],
	]) {
		assert.equal(parseArgv(words).kind, "error", words.join(" "));
	}
});

test("the usage lists every option with its parameters, and only what is understood", () => {
	const rows = formatUsage("1").match(/^ {2}-[^-].*$/gm)!;
	assert.deepEqual(
		rows.map((row) => row.slice(2, 4)),
		[...GENERAL_OPTIONS.map(({ flag }) => flag), ...CLIENT_OPTIONS.map(({ flag }) => flag), "-x"],
	);
	for (const row of rows.slice(GENERAL_OPTIONS.length, -1)) {
		const words = /\[(.*)\]/.exec(row)?.[1]?.split("|") ?? [];
		for (const word of ["", ...words]) {
			const command = parseArgv([row.slice(2, 4), ...(word === "" ? [] : [word])]);
			assert.equal(command.kind, "client", row);
		}
	}
	assert.ok(rows.some((row) => row.includes("[network|cache|runtime|link|rsqueue|process|queue|ct|expect]")));
});
