// The inputs kept in test/fuzz/corpus, and some thousands of new ones for everything that reads what others wrote.
// `node test/fuzz/fuzz.mjs` does the same for as long as one likes.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

interface FuzzTarget {
	replay(): number;
	run(seed: number, count: number): Promise<{ count: number; taken: number }>;
}

interface FuzzFailure extends Error {
	command: string;
	seed: number;
	count: number;
}

const COUNT = Number(process.env.CTSYNC_FUZZ_COUNT ?? 20_000);
const SEED = Number(process.env.CTSYNC_FUZZ_SEED ?? 1);

const fuzz = new URL("../test/fuzz/engine.mjs", import.meta.url);
const { openTarget } = (await import(fuzz.href)) as {
	openTarget(name: string, dist: URL): Promise<FuzzTarget>;
};
const here = new URL("./", import.meta.url);

for (const name of ["frame", "record", "netlink", "control", "config"]) {
	test(`${name}: every kept input is taken or refused as it should be`, async () => {
		assert.ok((await openTarget(name, here)).replay() >= 10);
	});

	test(`${name}: so are ${COUNT} new ones, and not all of them are refused at the door`, async () => {
		const target = await openTarget(name, here);
		try {
			const { count, taken } = await target.run(SEED, COUNT);
			assert.equal(count, COUNT);
			assert.ok(taken > COUNT / 50 && taken < COUNT, `${taken} were taken`);
		} catch (error) {
			if (error instanceof Error && "command" in error) error.message += `\nagain: ${error.command}`;
			throw error;
		}
	});
}

const folder = mkdtempSync(join(tmpdir(), "ctsync-fuzz-"));
after(() => rmSync(folder, { recursive: true }));

/** A dist with a control parser of its own, for the target "control". */
function madeUp(name: string, parseRequest: string): URL {
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
	return pathToFileURL(`${join(folder, name)}/`);
}

async function failureOf(dist: URL, seed: number, count: number): Promise<FuzzFailure> {
	const target = await openTarget("control", dist);
	return target.run(seed, count).then(
		() => assert.fail("nothing was found"),
		(error: FuzzFailure) => error,
	);
}

test("the fuzzer finds an exception, and what it prints shows it again", async () => {
	const dist = madeUp("throws", "if (bytes.length === 3) null.x;");
	const found = await failureOf(dist, 7, 5000);
	assert.match(found.message, /TypeError/);
	const [, seed, count] = /^node test\/fuzz\/fuzz\.mjs --target control --seed (\d+) --count (\d+)$/.exec(
		found.command,
	)!;
	const again = await failureOf(dist, Number(seed), Number(count));
	assert.equal(again.command, found.command);
	await assert.doesNotReject((await openTarget("control", dist)).run(Number(seed), Number(count) - 1));
});

test("the fuzzer finds a hang, and is not deceived by one slow moment", async () => {
	const spin = "const end = performance.now() + 60; while (performance.now() < end);";
	const hangs = await failureOf(madeUp("hangs", `if (bytes.length === 30) { ${spin} }`), 7, 3000);
	assert.match(hangs.message, /^took \d+ ms/);
	const once = await openTarget("control", madeUp("slow-once", `if (calls === 100) { ${spin} }`));
	assert.equal((await once.run(7, 200)).count, 200);
});

test("the fuzzer finds a change of a built-in prototype", async () => {
	const dist = madeUp("pollutes", "if (calls === 50) Object.prototype.polluted = 1;");
	try {
		assert.match((await failureOf(dist, 7, 1000)).message, /prototype has changed/);
	} finally {
		delete (Object.prototype as { polluted?: number }).polluted;
	}
});

test("the fuzzer finds a leak", async () => {
	const leaks = "(globalThis.ctsyncLeak ??= []).push(new Array(1000).fill(calls));";
	assert.match((await failureOf(madeUp("leaks", leaks), 7, 6000)).message, /heap has grown/);
	delete (globalThis as { ctsyncLeak?: unknown }).ctsyncLeak;
});
