// The inputs kept in test/fuzz/corpus, and some thousands of new ones for everything that reads what others wrote.
// `node test/fuzz/fuzz.mjs` does the same for as long as one likes.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

interface FuzzRun {
	name: string;
	seed: number;
	count: number;
	/** URL of the built sources. */
	dist: string;
}

type FuzzResult =
	| { ok: true; kept: number; count: number; taken: number }
	| { ok: false; text: string; seed?: number; count?: number; command?: string };

const COUNT = Number(process.env.CTSYNC_FUZZ_COUNT ?? 20_000);
const SEED = Number(process.env.CTSYNC_FUZZ_SEED ?? 1);

const { watch } = (await import(new URL("../test/fuzz/watch.mjs", import.meta.url).href)) as {
	watch(run: FuzzRun, endlessSeconds?: number): Promise<FuzzResult>;
};
const here = new URL("./", import.meta.url).href;

/** Of the count; those that take long take fewer. */
const SHARES = {
	config: 0.5,
	pair: 0.4,
	frame: 1,
	keys: 0.5,
	record: 1,
	sealed: 0.5,
	netlink: 1,
	control: 1,
	hello: 1,
};

describe(`every kept input and up to ${COUNT} new ones are taken or refused as they should be`, {
	concurrency: 2,
}, () => {
	for (const [name, share] of Object.entries(SHARES)) {
		test(name, async () => {
			const count = Math.ceil(COUNT * share);
			const result = await watch({ name, seed: SEED, count, dist: here });
			assert.ok(result.ok, result.ok ? "" : result.text);
			assert.ok(result.kept >= 10, `${result.kept} are kept`);
			assert.equal(result.count, count);
			assert.ok(result.taken > count / 50 && result.taken < count, `${result.taken} were taken`);
		});
	}
});

const folder = mkdtempSync(join(tmpdir(), "ctsync-fuzz-"));
after(() => rmSync(folder, { recursive: true }));

/** A dist with a control parser of its own, for the target "control". */
function madeUp(name: string, parseRequest: string): string {
	const files: Record<string, string> = {
		"package.json": '{"type":"module"}',
		"control/client.js": "export class ReplySplitter { push() {} end() {} }",
		"control/request.js": `export const REQUEST_MAX = 1e9, parseReply = () => undefined;
			let calls = 0;
			export function parseRequest(bytes) { calls++; ${parseRequest} return { kind: "bad", reason: "all" }; }`,
	};
	for (const [path, text] of Object.entries(files)) {
		const file = join(folder, name, path);
		mkdirSync(dirname(file), { recursive: true });
		writeFileSync(file, text);
	}
	return pathToFileURL(`${join(folder, name)}/`).href;
}

const run = (dist: string, seed: number, count: number, endlessSeconds?: number): Promise<FuzzResult> =>
	watch({ name: "control", seed, count, dist }, endlessSeconds);

type Finding = Extract<FuzzResult, { ok: false }>;

async function findingOf(dist: string, count: number, endlessSeconds?: number): Promise<Finding> {
	const result = await run(dist, 7, count, endlessSeconds);
	return result.ok ? assert.fail("nothing was found") : result;
}

/** For 80 ms of the processor's time, however busy it is. */
const spin = "const from = process.cpuUsage(); while (process.cpuUsage(from).user < 80_000);";

test("the fuzzer finds an exception, and what it prints shows it again", async () => {
	// every other call is with a piece of the input
	const dist = madeUp("throws", "if (bytes.length === 3 && calls > 3000 && calls % 2 === 1) null.x;");
	const found = await findingOf(dist, 9000);
	assert.match(found.text, /TypeError/);
	const { seed, count, command } = found;
	assert.equal(command, `node test/fuzz/fuzz.mjs --target control --seed ${seed} --count ${count}`);
	assert.ok(found.text.endsWith(`again: ${command}`));
	const input = /^input: ([0-9a-f]{6})$/m.exec(found.text)![1];
	const same = madeUp("throws-at-it", `if (Buffer.from(bytes).toString("hex") === "${input}") null.x;`);
	const again = await run(same, seed!, count!);
	assert.ok(!again.ok);
	assert.equal(again.command, command);
});

test("the fuzzer finds an input that is slow each time, and is not deceived by one slow moment", async () => {
	const slow = await findingOf(madeUp("slow", `if (bytes.length === 30 && calls > 1000) { ${spin} }`), 150);
	assert.match(slow.text, /^took \d+ ms/);
	assert.ok((await run(madeUp("slow-once", `if (calls === 1000) { ${spin} }`), 7, 1000)).ok);
});

test("the fuzzer finds an input that never ends", async () => {
	const endless = await findingOf(madeUp("endless", "if (calls === 2500) for (;;);"), 9000, 2);
	assert.match(endless.text, /^an input does not end/);
	assert.ok(endless.command !== undefined);
});

test("the fuzzer finds a change of a built-in prototype", async () => {
	const dist = madeUp("pollutes", "if (calls === 1000) Object.prototype.polluted = 1;");
	assert.match((await findingOf(dist, 1000)).text, /prototype has changed/);
});

test("the fuzzer finds a method that was replaced", async () => {
	const dist = madeUp("replaces", "if (calls === 1000) Array.prototype.at = () => 1;");
	assert.match((await findingOf(dist, 1000)).text, /prototype has changed: Array\.prototype\.at/);
});

test("the inputs of a run are divided among jobs, and a line says what came of it", () => {
	const script = fileURLToPath(new URL("../test/fuzz/fuzz.mjs", import.meta.url));
	const fuzz = (dist: string, count: number) => {
		const args = [
			"--target",
			"control",
			"--count",
			String(count),
			"--jobs",
			"2",
			"--seed",
			"5",
			"--dist",
			dist,
		];
		return spawnSync(process.execPath, [script, ...args], { encoding: "utf8" });
	};
	const { status, stdout } = fuzz(fileURLToPath(here), 2500);
	assert.match(stdout, /^control +2500 inputs in .*: 0 crashes, 0 hangs, .* heap at most .* seed 5\n/);
	assert.equal(status, 0);
	const dist = madeUp("throws-late", "if (calls > 1500) null.x;");
	const found = fuzz(fileURLToPath(dist), 2500);
	assert.match(found.stderr, /^control +FAILED: TypeError/);
	// the second job began with its own first input
	assert.match(found.stderr, /--seed 5 --count \d+\n[\s\S]*--seed 2005 --count/);
	assert.equal(found.status, 1);
});

test("the fuzzer finds a leak", async () => {
	const dist = madeUp("leaks", "(globalThis.kept ??= []).push(new Array(1000).fill(calls));");
	assert.match((await findingOf(dist, 6000)).text, /heap has grown/);
});
