import assert from "node:assert/strict";
import { test } from "node:test";
import {
	encodeCommitRequest,
	parseCommitRequest,
	SHOW_DEFAULT,
	SHOW_MAX,
} from "../control/commit-request.ts";
import { Opcode } from "../control/request.ts";
import { parseArgv } from "./argv.ts";
import { COMMIT_FORMS } from "./commit-words.ts";

const PLAIN = { which: "all", form: "text", show: SHOW_DEFAULT, isVerbose: false } as const;

/** The opcode, and the request as the daemon reads it. */
function asked(line: string): unknown[] {
	const command = parseArgv(line.split(" "));
	if (command.kind !== "client") return [command.kind];
	return [command.op, parseCommitRequest(command.argument), command.config].slice(0, command.config ? 3 : 2);
}

test("commit is -c with a report, --dry-run a rehearsal", () => {
	assert.deepEqual(asked("commit"), [Opcode.commit, PLAIN]);
	assert.deepEqual(asked("commit ct"), [Opcode.commit, { ...PLAIN, which: "ct" }]);
	assert.deepEqual(asked("commit exp --json"), [Opcode.commit, { ...PLAIN, which: "expect", form: "json" }]);
	assert.deepEqual(asked("-C a commit"), [Opcode.commit, PLAIN, "a"]);
	assert.deepEqual(asked("commit -C b"), [Opcode.commit, PLAIN, "b"]);
	assert.deepEqual(asked("commit --dry-run"), [Opcode.rehearse, PLAIN]);
	assert.deepEqual(asked("commit --json --dry-run c --show 3 --verbose"), [
		Opcode.rehearse,
		{ which: "ct", form: "json", show: 3, isVerbose: true },
	]);
	assert.deepEqual(asked("commit --dry-run --show all"), [Opcode.rehearse, { ...PLAIN, show: SHOW_MAX }]);
});

test("--json after -c asks for the report, and stands after nothing that prints nothing", () => {
	const json = { which: "all", form: "json", show: 0, isVerbose: false };
	assert.deepEqual(asked("-c --json"), [Opcode.commit, json]);
	assert.deepEqual(asked("-c ct --json"), [Opcode.commit, { ...json, which: "ct" }]);
	assert.deepEqual(asked("-c e --json -C a"), [Opcode.commit, { ...json, which: "expect" }, "a"]);
	for (const line of ["--json", "-f --json", "-k --json", "-d --json", "-c --json --json"]) {
		assert.deepEqual(asked(line), ["error"], line);
	}
});

test("what is not understood starts nothing", () => {
	for (const line of [
		"commit x",
		"commit ct expect",
		"commit --show 3",
		"commit --verbose",
		"commit --dry-run --show",
		"commit --dry-run --show -1",
		"commit --dry-run --show 1e9",
		"commit --dry-run --all",
		"commit -C",
		"-s commit",
		"-d commit",
	]) {
		assert.deepEqual(asked(line), ["error"], line);
	}
	assert.deepEqual(asked("commit -h"), ["help"]);
	assert.deepEqual(asked("commit -v"), ["version"]);
});

test("what the usage lists is understood", () => {
	for (const { words } of COMMIT_FORMS) {
		const form = words.replaceAll(/[[\]]/g, "").replace("ct|expect", "ct").replace("N|all", "5");
		assert.equal(parseArgv(form.split(" ")).kind, "client", form);
	}
});

test("the request survives its words, and other words are none", () => {
	for (const which of ["all", "ct", "expect"] as const) {
		for (const isVerbose of [false, true]) {
			const request = { which, form: "json", show: 7, isVerbose } as const;
			assert.deepEqual(parseCommitRequest(encodeCommitRequest(request)), request);
		}
	}
	for (const text of [
		undefined,
		"",
		"all",
		"all text",
		"none text 1",
		"all xml 1",
		"all text -1",
		"all text 1 x",
	]) {
		assert.equal(parseCommitRequest(text), undefined, text);
	}
	assert.equal(parseCommitRequest("all text 999999")!.show, SHOW_MAX);
});
