import assert from "node:assert/strict";
import { test } from "node:test";
import { type Command, parseArgv } from "./argv.ts";

const parse = (line: string): Command => parseArgv(line.split(" "));
const keys = (line: string): unknown => {
	const command = parse(line);
	assert.equal(command.kind, "keys", JSON.stringify(command));
	const { kind, ...rest } = command;
	return rest;
};
const error = (message: string): Command => ({ kind: "error", message, pointsToHelp: true });

test("keygen takes a number and a file, in any order", () => {
	assert.deepEqual(keys("keygen"), { command: { action: "generate" } });
	assert.deepEqual(keys("keygen 7"), { command: { action: "generate", id: "7" } });
	assert.deepEqual(keys("keygen --out f"), { command: { action: "generate", out: "f" } });
	assert.deepEqual(keys("keygen --out f 7"), { command: { action: "generate", id: "7", out: "f" } });
	assert.deepEqual(keys("keygen 7 --out f"), { command: { action: "generate", id: "7", out: "f" } });
});

test("keys lists the file of the configuration, or another one", () => {
	assert.deepEqual(keys("keys"), { command: { action: "list" } });
	assert.deepEqual(keys("keys /etc/k"), { command: { action: "list", file: "/etc/k" } });
	assert.deepEqual(keys("keys ./use"), { command: { action: "list", file: "./use" } });
});

test("keys use and keys remove take a number", () => {
	assert.deepEqual(keys("keys use 2"), { command: { action: "use", id: "2" } });
	assert.deepEqual(keys("keys remove 2"), { command: { action: "remove", id: "2" } });
});

test("the configuration may stand anywhere, the last one counts", () => {
	for (const line of ["-C a.conf keys", "keys -C a.conf", "-C b.conf keys -C a.conf"]) {
		assert.deepEqual(keys(line), { command: { action: "list" }, config: "a.conf" }, line);
	}
	for (const line of ["-C a.conf keys use 2", "keys -C a.conf use 2", "keys use -C a.conf 2"]) {
		assert.deepEqual(keys(line), { command: { action: "use", id: "2" }, config: "a.conf" }, line);
	}
	assert.deepEqual(parse("keys -C"), error("Missing config filename"));
});

test("what does not go together is invalid", () => {
	for (const line of [
		"keygen 1 2",
		"-C a.conf keygen",
		"keygen -C a.conf --out f",
		"keys f -C a.conf",
		"keys f g",
		"keys use",
		"keys remove",
		"keys use 1 2",
		"keys remove 1 f",
		"-d keys",
		"-i keygen",
		"-s keys",
		"-n keys",
	]) {
		const expected = line === "-s keys" ? "unknown parameter `keys' for option `-s'" : "Invalid parameters";
		const command = parse(line);
		assert.equal(command.kind === "error" && command.message, expected, line);
	}
});

test("a verb is a whole word", () => {
	for (const line of ["key", "keyge", "keysx", "Keys"])
		assert.deepEqual(parse(line), error(`Unknown option: ${line}`));
});

test("an option that a verb does not have is unknown", () => {
	assert.deepEqual(parse("keys -i"), error("Unknown option: -i"));
	assert.deepEqual(parse("keys --out f"), error("Unknown option: --out"));
	assert.deepEqual(parse("keygen --out"), error("Missing key filename"));
	assert.deepEqual(parseArgv(["keygen", "--out", ""]), error("Missing key filename"));
	assert.deepEqual(parseArgv(["keys", ""]), error("Unknown option: "));
});

test("version and help are shown behind a verb too", () => {
	assert.deepEqual(parse("keys -h"), { kind: "help" });
	assert.deepEqual(parse("keygen -v"), { kind: "version" });
});
