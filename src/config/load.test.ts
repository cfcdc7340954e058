import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ConfigError } from "./config.ts";
import { loadConfig } from "./load.ts";

let folder: string;
before(() => {
	folder = mkdtempSync(join(tmpdir(), "ctsync-config-"));
});
after(() => rmSync(folder, { recursive: true, force: true }));

test("a file is read and gives its name to the configuration", () => {
	const path = join(folder, "good.conf");
	writeFileSync(path, "General { HashSize 5 }");
	const { config, warnings } = loadConfig(path);
	assert.equal(config.file, path);
	assert.equal(config.general.hashSize, 5);
	assert.deepEqual(warnings, []);
});

test("errors name the file", () => {
	const path = join(folder, "bad.conf");
	writeFileSync(path, "General { HashSize x }");
	assert.throws(
		() => loadConfig(path),
		(error: Error) => error.message === `${path}:1:20: "x" is not a number of buckets`,
	);
});

test("a file that cannot be opened is a problem without a line", () => {
	const path = join(folder, "none.conf");
	assert.throws(
		() => loadConfig(path),
		(error) => {
			assert.ok(error instanceof ConfigError);
			assert.equal(error.message, `cannot open config file \`${path}': no such file or directory`);
			assert.equal(error.problems[0]?.line, 0);
			return true;
		},
	);
});

test("a folder in place of a file is refused", () => {
	assert.throws(() => loadConfig(folder), /cannot open config file .*: illegal operation on a directory/);
});
