// Whole files in the shapes that people and tools write, each with what it means: its warnings, and the file with every value
// written. UPDATE_GOLDEN=1 writes the latter anew, to be read before it is committed.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Config } from "./config.ts";
import { formatProblem, parseConfig } from "./config.ts";
import { printConfig } from "./print.ts";

const GOLDEN = fileURLToPath(new URL("../../test/config/golden/", import.meta.url));
const DEBIAN = "/usr/share/doc/conntrackd/examples";

/** The warnings as comments, then the normalized file. */
function expectedOf(text: string, name: string): string {
	const { config, warnings } = parseConfig(text, name);
	const lines = warnings.map((warning) => `# ${formatProblem(warning, "warning")}\n`);
	return `${lines.join("")}${printConfig(config)}`;
}

function withoutLines(config: Config): Config {
	const copy = structuredClone(config) as Config;
	for (const link of copy.sync?.links ?? []) link.line = 0;
	return copy;
}

const names = readdirSync(GOLDEN).filter((file) => file.endsWith(".conf"));

test("there are files of every shape", () => assert.ok(names.length >= 30));

for (const name of names) {
	test(`${name} means what stands beside it`, () => {
		const text = readFileSync(GOLDEN + name, "utf8");
		const beside = GOLDEN + name.replace(/conf$/, "normal");
		const found = expectedOf(text, name);
		if (process.env.UPDATE_GOLDEN) writeFileSync(beside, found);
		const expected = readFileSync(beside, "utf8");
		assert.equal(found, expected);
		// which is a configuration itself, of the same meaning
		const again = parseConfig(expected, name);
		assert.deepEqual(withoutLines(again.config), withoutLines(parseConfig(text, name).config));
		assert.equal(printConfig(again.config), expected.replace(/^#.*\n/gm, ""));
	});
}

// What Debian's examples become is kept here, the files themselves are read from the package.
for (const example of ["stats", "sync/alarm", "sync/ftfw", "sync/notrack"]) {
	const path = `${DEBIAN}/${example}/conntrackd.conf`;
	test(`Debian's ${example} means what is kept here`, {
		skip: existsSync(path) ? false : `${path} is not installed`,
	}, () => {
		const beside = `${GOLDEN}debian-${example.replace("/", "-")}.normal`;
		const found = expectedOf(readFileSync(path, "utf8"), "conntrackd.conf");
		if (process.env.UPDATE_GOLDEN) writeFileSync(beside, found);
		assert.equal(found, readFileSync(beside, "utf8"));
	});
}
