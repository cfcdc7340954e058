// The policy against the oracle that was written apart from it: a short run of `make policy-oracle`.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

test("20000 generated expectations get the verdict that the oracle gives", () => {
	const main = fileURLToPath(new URL("../test/policy/main.mjs", import.meta.url));
	const { status, stdout, stderr } = spawnSync(process.execPath, [main, "20000"], { encoding: "utf8" });
	assert.equal(status, 0, `${stdout}${stderr}`);
});
