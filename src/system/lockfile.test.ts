import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { LockFile } from "./lockfile.ts";
import { loadNative } from "./native.ts";

const folder = mkdtempSync(join(tmpdir(), "ctsync-lock-"));
after(() => rmSync(folder, { recursive: true }));
const native = loadNative();
const path = join(folder, "lock");
const taken = { message: `lockfile \`${path}' exists, perhaps ctsync already running?` };

test("a lock has the process id in it, is nobody else's, and goes with its release", () => {
	const lock = LockFile.take(native, path);
	assert.equal(readFileSync(path, "utf8"), `${process.pid}\n`);
	assert.throws(() => LockFile.take(native, path), taken);
	assert.equal(readFileSync(path, "utf8"), `${process.pid}\n`, "who is refused changes nothing");
	lock.release();
	assert.ok(!existsSync(path));
});

test("the file of a process that was killed locks nobody out", async () => {
	const take = `
		import { LockFile } from ${JSON.stringify(new URL("./lockfile.js", import.meta.url).href)};
		import { loadNative } from ${JSON.stringify(new URL("./native.js", import.meta.url).href)};
		globalThis.lock = LockFile.take(loadNative(), ${JSON.stringify(path)});
		console.log("taken");
		setInterval(() => {}, 1000);`;
	const holder = spawn(process.execPath, ["--input-type=module", "--eval", take], {
		stdio: ["ignore", "pipe", "inherit"],
	});
	const ended = new Promise((resolve) => holder.on("close", resolve));
	try {
		await new Promise((resolve) => holder.stdout.once("data", resolve));
		assert.throws(() => LockFile.take(native, path), taken);
	} finally {
		holder.kill("SIGKILL");
	}
	await ended;
	assert.ok(existsSync(path), "it is still there");
	const lock = LockFile.take(native, path);
	assert.equal(readFileSync(path, "utf8"), `${process.pid}\n`);
	lock.release();
});

test("a file that conntrackd has left is taken over, one that cannot be made is named", () => {
	writeFileSync(path, "");
	LockFile.take(native, path).release();
	const nowhere = join(folder, "none", "lock");
	assert.throws(() => LockFile.take(native, nowhere), {
		message: `cannot open lockfile \`${nowhere}': no such file or directory`,
	});
});
