// For tests: a network namespace of one's own for a whole test file, with the kernel's real tables in it.
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

/** Set in the process that runs inside. */
const INSIDE = "CTSYNC_TEST_PRIVATE_NETWORK";

/**
 * Runs the calling test file once more in an empty network namespace, which goes away with the process. To be called
 * before any test is declared.
 *
 * @param module `import.meta.url` of the test file
 * @returns whether this is the process inside, which declares and runs the tests; the one outside declares none, or
 *   a skipped one that says why there is no namespace to be had
 */
export function isInPrivateNetwork(module: string): boolean {
	if (process.env[INSIDE] !== undefined) return true;
	const attempt = spawnSync("unshare", ["--net", "true"], { encoding: "utf8" });
	if (process.getuid?.() !== 0 || attempt.status !== 0) {
		const cause = process.getuid?.() !== 0 ? "needs root" : (attempt.error?.message ?? attempt.stderr.trim());
		test("the kernel's tables in a network namespace", { skip: cause }, () => {});
		return false;
	}
	// whoever listens to this process' output hears the tests of that one
	const { status } = spawnSync(
		"unshare",
		["--net", process.execPath, ...process.execArgv, fileURLToPath(module)],
		{ stdio: "inherit", env: { ...process.env, [INSIDE]: "1" } },
	);
	process.exitCode = status ?? 1;
	return false;
}
