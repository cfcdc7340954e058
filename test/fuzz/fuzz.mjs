#!/usr/bin/env node
// node test/fuzz/fuzz.mjs [--target NAME|all] [--count N|full] [--jobs N] [--seed S] [--dist DIR]
//
// Feeds what comes from outside (dedicated link, kernel, control socket, configuration and key files) with random,
// mutated and lying input, in as many threads as there are jobs. `--count full` is each target's own large number.
// Exit status 1 if anything fails, with the command that shows it again.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { LIFE } from "./engine.mjs";
import { TARGETS } from "./targets.mjs";
import { watch } from "./watch.mjs";

const { values } = parseArgs({
	options: {
		target: { type: "string", default: "all" },
		count: { type: "string", default: "100000" },
		jobs: { type: "string", default: "1" },
		seed: { type: "string" },
		dist: { type: "string" },
	},
});
const names = values.target === "all" ? Object.keys(TARGETS) : values.target.split(",");
const jobs = Number(values.jobs);
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 30) : Number(values.seed);
const isFull = values.count === "full";
const isCount = (number) => Number.isInteger(number) && number >= 1;
if (
	!names.every((name) => Object.hasOwn(TARGETS, name)) ||
	!(isFull || isCount(Number(values.count))) ||
	!isCount(jobs) ||
	!Number.isInteger(seed)
) {
	console.error(
		`--target is one of ${Object.keys(TARGETS).join(", ")} or all; --count (or "full"), --jobs and --seed are numbers`,
	);
	process.exit(1);
}
const dist = values.dist
	? pathToFileURL(`${resolve(values.dist)}/`)
	: new URL("../../dist/", import.meta.url);

/** The inputs of a run, in parts of whole lives: [first, how many] each. */
function parts(count) {
	const lives = Math.ceil(count / LIFE);
	const size = Math.ceil(lives / Math.min(jobs, lives)) * LIFE;
	const found = [];
	for (let first = 0; first < count; first += size) found.push([first, Math.min(size, count - first)]);
	return found;
}

const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);

let failed = 0;
let total = 0;
for (const name of names) {
	const count = isFull ? TARGETS[name].full : Number(values.count);
	const began = performance.now();
	const results = await Promise.all(
		parts(count).map(([first, inputs]) =>
			watch({ name, seed: seed + first, count: inputs, dist: dist.href }),
		),
	);
	const seconds = (performance.now() - began) / 1000;
	const found = results.filter(({ ok }) => !ok);
	if (found.length > 0) {
		failed++;
		for (const { text } of found) console.error(`${name.padEnd(8)} FAILED: ${text}`);
		continue;
	}
	const most = (of) => Math.max(...results.map(of));
	const taken = results.reduce((sum, result) => sum + result.taken, 0);
	total += count;
	console.log(
		`${name.padEnd(8)} ${count} inputs in ${seconds.toFixed(1)} s, ${Math.round(count / seconds)}/s: ` +
			`0 crashes, 0 hangs, ${((100 * taken) / count).toFixed(1)} % taken, ` +
			`heap at most ${mebibytes(most(({ heap }) => heap))} MiB (grown by ${mebibytes(most(({ growth }) => growth))}), ` +
			`${results[0].kept} kept inputs, seed ${seed}`,
	);
}
console.log(failed ? `${failed} of ${names.length} targets FAILED` : `${total} inputs, nothing found`);
process.exitCode = failed ? 1 : 0;
