import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
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
	lock.sign();
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
		lock.sign();
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
	lock.sign();
	assert.equal(readFileSync(path, "utf8"), `${process.pid}\n`);
	lock.release();
});

test("a file that was there stays as it is until the lock is signed", () => {
	for (const content of ["", "12345\n"]) {
		writeFileSync(path, content);
		const lock = LockFile.take(native, path);
		assert.throws(() => LockFile.take(native, path), taken);
		lock.release();
		assert.equal(readFileSync(path, "utf8"), content, "it may be a running daemon's");
	}
	const lock = LockFile.take(native, path);
	lock.sign();
	assert.equal(readFileSync(path, "utf8"), `${process.pid}\n`);
	lock.release();
	assert.ok(!existsSync(path));
});

test("a file that the lock has made goes with it, signed or not", () => {
	LockFile.take(native, path).release();
	assert.ok(!existsSync(path));
});

test("a file that has come into the place of the lock's is not removed", () => {
	const lock = LockFile.take(native, path);
	lock.sign();
	renameSync(path, `${path}.moved`);
	writeFileSync(path, "another's");
	lock.release();
	assert.equal(readFileSync(path, "utf8"), "another's");
	rmSync(path);
});

test("a lock that is released between opening and locking is taken on the file that is there then", () => {
	const holder = LockFile.take(native, path);
	let rival: LockFile | undefined;
	const late = {
		...native,
		// the file is open, and the lock becomes free only now
		lock: (fd: number) => {
			if (!rival) {
				holder.release();
				rival = LockFile.take(native, path);
			}
			return native.lock(fd);
		},
	};
	assert.throws(() => LockFile.take(late, path), taken, "no two have the lock");
	rival!.release();
});

test("a file that cannot be made is named", () => {
	const nowhere = join(folder, "none", "lock");
	assert.throws(() => LockFile.take(native, nowhere), {
		message: `cannot open lockfile \`${nowhere}': no such file or directory`,
	});
});
