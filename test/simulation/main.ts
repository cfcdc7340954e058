#!/usr/bin/env node
// node build/simulation/test/simulation/main.js [--seeds N] [--from S] [--nodes N|mixed] [--jobs N]
//     [--seed X] [--scenarios] [--quick] [--mutants] [--totals FILE]
//
// --quick runs 500 seeds of two nodes and 500 of three.
// --mutants tries up to --seeds seeds on each mutant (10000). --totals appends "PASSED FAILED SKIPPED".
//
// Runs schedules of the whole replication under a virtual clock. Exit status 1 if any of them breaks an invariant; a
// failing one is named with the command that shows it again.
import { appendFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { huntHere, runMutants } from "./mutation.ts";
import { nodesOf, runSeeds, work } from "./runner.ts";
import { runScenarios } from "./scenarios.ts";
import { tell } from "./tell.ts";

const { values } = parseArgs({
	options: {
		seeds: { type: "string" },
		from: { type: "string", default: "1" },
		nodes: { type: "string", default: "mixed" },
		jobs: { type: "string", default: "1" },
		seed: { type: "string" },
		scenarios: { type: "boolean", default: false },
		mutants: { type: "boolean", default: false },
		quick: { type: "boolean", default: false },
		totals: { type: "string" },
		/** Internal: this process does a share of another one's seeds, or is a mutant. */
		worker: { type: "boolean", default: false },
		hunt: { type: "boolean", default: false },
		scenario: { type: "string" },
	},
});

function whole(name: string, text: string): number {
	const value = Number(text);
	if (Number.isInteger(value) && value >= 0) return value;
	console.error(`--${name} must be a number, not "${text}"`);
	process.exit(2);
}

const nodes = values.nodes === "mixed" ? "mixed" : whole("nodes", values.nodes);
if (nodes !== "mixed" && (nodes < 2 || nodes > 16)) {
	console.error("--nodes must be from 2 to 16, or mixed");
	process.exit(2);
}
/** Seeds of a quick run, for two nodes and for three. */
const QUICK = 500;
let failed = 0;
if (values.worker) {
	await work();
} else if (values.hunt) {
	await huntHere(whole("seeds", values.seeds!), nodes, values.scenario);
} else if (values.seed !== undefined) {
	const seed = whole("seed", values.seed);
	failed = (await tell(seed, nodesOf(seed, nodes))) ? 1 : 0;
} else {
	let passed = 0;
	const count = (isGood: boolean): void => {
		if (isGood) passed++;
		else failed++;
	};
	if (values.scenarios) for (const isGood of await runScenarios()) count(isGood);
	if (values.quick) {
		const jobs = whole("jobs", values.jobs);
		for (const few of [2, 3]) count(await runSeeds({ seeds: QUICK, from: 1, nodes: few, jobs }));
	}
	if (values.mutants) {
		// so many seeds for each
		count(await runMutants(whole("seeds", values.seeds ?? "10000"), whole("jobs", values.jobs)));
	} else if (values.seeds !== undefined) {
		const seeds = whole("seeds", values.seeds);
		count(
			await runSeeds({ seeds, from: whole("from", values.from), nodes, jobs: whole("jobs", values.jobs) }),
		);
	}
	if (values.totals !== undefined) appendFileSync(values.totals, `${passed} ${failed} 0\n`);
}
if (failed > 0) process.exitCode = 1;
