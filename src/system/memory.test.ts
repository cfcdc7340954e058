// What is freed goes back to the system.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const MEMORY = fileURLToPath(new URL("./memory.js", import.meta.url));
const MIB = 1 << 20;

/** Run in a process of its own: tables grow, are given up for larger ones, and are gone in the end. */
const PROGRAM = `
	const { keepSmall } = await import(process.argv[1]);
	if (process.argv[2] === "small") keepSmall();
	// what gc finds is freed by another thread, a little later
	const collect = () => { gc(); return new Promise((resolve) => setTimeout(resolve, 50)); };
	const resident = async () => { await collect(); await collect(); return process.memoryUsage.rss(); };
	const before = await resident();
	for (let size = ${MIB}; size <= 32 * ${MIB}; size *= 2) {
		new Int32Array(size / 4).fill(1);
		await collect();
	}
	// what was freed last lies behind something small that stays, as in a daemon
	const held = Array.from({ length: 32 }, () => [new Int32Array(${MIB} / 4).fill(1), new ArrayBuffer(20_000)]);
	for (const pair of held) pair.shift();
	console.log((await resident()) - before);
`;

function left(how: "small" | "as it is"): number {
	const args = ["--expose-gc", "--input-type=module", "-e", PROGRAM, MEMORY, how];
	return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

test("tables that were given up take no memory", () => {
	const isGlibc = "glibcVersionRuntime" in (process.report.getReport() as { header: object }).header;
	assert.ok(left("small") < 4 * MIB, "kept small");
	if (isGlibc) assert.ok(left("as it is") > 16 * MIB, "without it malloc keeps them: is it still needed?");
});

/** Run in a process of its own: much survives for a while, as the records of a start do. */
const SURVIVORS = `
	const { keepSmall, keepYoungSmall } = await import(process.argv[1]);
	const { Worker } = await import("node:worker_threads");
	const { getHeapSpaceStatistics } = await import("node:v8");
	keepSmall();
	const worker = new Worker("setInterval(() => {}, 1000)", { eval: true });
	await new Promise((resolve) => worker.on("online", resolve));
	if (process.argv[2] === "again") keepYoungSmall();
	const held = new Map();
	for (let i = 0; i < 300_000; i++) {
		held.set(\`key \${i}\`, new Int32Array(60));
		if (held.size > 4096) held.delete(held.keys().next().value);
	}
	console.log(getHeapSpaceStatistics().find((space) => space.space_name === "new_space").physical_space_size);
	await worker.terminate();
`;

test("the young generation stays small, also when a worker has been started", () => {
	const size = (how: string): number => {
		const args = ["--input-type=module", "-e", SURVIVORS, MEMORY, how];
		return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
	};
	assert.ok(size("again") < 5 * MIB, "kept small");
	assert.ok(size("not again") > 8 * MIB, "without it the worker's start undoes it: is it still needed?");
});
