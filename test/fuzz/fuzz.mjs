#!/usr/bin/env node
// node test/fuzz/fuzz.mjs [--target frame|record|netlink|control|config|all] [--count N] [--seed S] [--dist DIR]
//
// Feeds what comes from outside (dedicated link, kernel, control socket, configuration file) with random, mutated and
// lying input. Exit status 1 if anything fails, with the command that shows it again.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { FuzzFailure, openTarget } from "./engine.mjs";
import { TARGETS } from "./targets.mjs";

const { values } = parseArgs({
	options: {
		target: { type: "string", default: "all" },
		count: { type: "string", default: "100000" },
		seed: { type: "string" },
		dist: { type: "string" },
	},
});
const names = values.target === "all" ? Object.keys(TARGETS) : [values.target];
const count = Number(values.count);
const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
if (
	!names.every((name) => name in TARGETS) ||
	!Number.isInteger(count) ||
	count < 0 ||
	!Number.isInteger(seed)
) {
	console.error(
		`--target is one of ${Object.keys(TARGETS).join(", ")} or all; --count and --seed are numbers`,
	);
	process.exit(1);
}
const dist = values.dist
	? pathToFileURL(`${resolve(values.dist)}/`)
	: new URL("../../dist/", import.meta.url);

let total = 0;
for (const name of names) {
	try {
		const target = await openTarget(name, dist);
		const kept = target.replay();
		const { taken, seconds, rate, growth } = await target.run(seed, count, progress(name));
		total += count;
		const share = ((100 * taken) / Math.max(1, count)).toFixed(1);
		console.log(
			`${name.padEnd(8)} ${count} inputs in ${seconds.toFixed(1)} s, ${Math.round(rate)}/s: ` +
				`${share} % taken, heap ${(growth / 2 ** 20).toFixed(1)} MiB, ${kept} kept inputs, seed ${seed}`,
		);
	} catch (error) {
		console.error(`${name}: ${error.message}`);
		if (error instanceof FuzzFailure) {
			if (error.bytes) console.error(`input: ${Buffer.from(error.bytes).toString("hex") || "(empty)"}`);
			console.error(`again: ${error.command}`);
		}
		process.exitCode = 1;
	}
}
console.log(`${total} inputs${process.exitCode ? ", FAILED" : ", nothing found"}`);

/** A line that rewrites itself, on a terminal only. */
function progress(name) {
	if (!process.stderr.isTTY) return () => {};
	return (done) => process.stderr.write(`\r${name} ${done} \r`);
}
