#!/usr/bin/env node
// node test/fuzz/fuzz.mjs [--target frame|record|netlink|control|config|all] [--count N] [--seed S] [--dist DIR]
//
// Feeds what comes from outside (dedicated link, kernel, control socket, configuration file) with random, mutated and
// lying input. Exit status 1 if anything fails, with the command that shows it again.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { TARGETS } from "./targets.mjs";
import { watch } from "./watch.mjs";

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
	count < 1 ||
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

let failed = 0;
for (const name of names) {
	const result = await watch({ name, seed, count, dist: dist.href });
	if (result.ok) {
		const { kept, taken, seconds, rate, growth } = result;
		console.log(
			`${name.padEnd(8)} ${count} inputs in ${seconds.toFixed(1)} s, ${Math.round(rate)}/s: ` +
				`${((100 * taken) / count).toFixed(1)} % taken, heap ${(growth / 2 ** 20).toFixed(1)} MiB, ` +
				`${kept} kept inputs, seed ${seed}`,
		);
	} else {
		failed++;
		console.error(`${name.padEnd(8)} ${result.text}`);
	}
}
const total = (names.length - failed) * count;
console.log(failed ? `${failed} of ${names.length} targets FAILED` : `${total} inputs, nothing found`);
process.exitCode = failed ? 1 : 0;
