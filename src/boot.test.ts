import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { boot, type Cleanup, cleanUp } from "./boot.ts";
import { parseConfig } from "./config/config.ts";
import { ControlServer, newControlCounters } from "./control/server.ts";
import { systemClock } from "./system/clock.ts";
import { loadNative } from "./system/native.ts";

const folder = mkdtempSync(join(tmpdir(), "ctsync-boot-"));
after(() => rmSync(folder, { recursive: true }));
const lockFile = join(folder, "lock");
const socket = join(folder, "ctl");
const { config } = parseConfig(
	`General { LockFile ${lockFile} LogFile ${folder}/log UNIX { Path ${socket} } }`,
	"f",
);

/** As a daemon begins; what it does at its end is in `cleanup`. */
function start() {
	const cleanup: Cleanup = [];
	const options = { configPath: "f", config, warnings: [], ready: () => {} };
	const { serve } = boot(options, loadNative(), systemClock, cleanup);
	const control = new ControlServer(socket, async () => ({ status: 0 }), newControlCounters());
	return { cleanup, opened: () => serve(control) };
}

test("a start beside a running daemon leaves the other's lock file alone", async () => {
	const other = createServer().listen(socket);
	await new Promise((resolve) => other.once("listening", resolve));
	try {
		for (const content of ["", "4711\n"]) {
			writeFileSync(lockFile, content);
			const { cleanup, opened } = start();
			await assert.rejects(opened(), /^Error: somebody answers on /);
			assert.equal(readFileSync(lockFile, "utf8"), content);
			await cleanUp(cleanup);
			assert.equal(readFileSync(lockFile, "utf8"), content);
		}
	} finally {
		await new Promise((resolve) => other.close(resolve));
	}
});

test("a daemon that answers has its number in the lock file, and takes both away at its end", async () => {
	writeFileSync(lockFile, "");
	const { cleanup, opened } = start();
	await opened();
	assert.equal(readFileSync(lockFile, "utf8"), `${process.pid}\n`);
	assert.ok(existsSync(socket));
	await cleanUp(cleanup);
	assert.ok(!existsSync(lockFile));
	assert.ok(!existsSync(socket));
});
