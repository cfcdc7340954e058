// Runs the simulator against mutants, and says how soon each was caught, and by what.
import { fork } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MUTANTS, type Mutant } from "./mutants.ts";
import { nodesOf } from "./runner.ts";
import { runScenarios } from "./scenarios.ts";
import { runSchedule } from "./schedule.ts";

/** build/simulation, and where the mutants go. */
const BUILD = fileURLToPath(new URL("../../", import.meta.url));
const MUTANTS_DIR = fileURLToPath(new URL("../../../mutants/", import.meta.url));
/** A mutant that has not come to an end by then hangs, which is caught, too; milliseconds. */
const PATIENCE = 600_000;

/** What became of a mutant. */
interface Verdict {
	/** Undefined: it was not caught. */
	rule: string | undefined;
	seeds: number;
}

/** @returns whether every mutant was caught */
export async function runMutants(seeds: number, jobs: number): Promise<boolean> {
	const sources = MUTANTS.map(patched);
	const verdicts = new Map<Mutant, Verdict>();
	const waiting = [...MUTANTS.keys()];
	const worker = async (): Promise<void> => {
		for (let i = waiting.shift(); i !== undefined; i = waiting.shift()) {
			verdicts.set(MUTANTS[i]!, await hunt(MUTANTS[i]!, i, sources[i]!, seeds));
		}
	};
	await Promise.all(Array.from({ length: jobs }, worker));
	rmSync(MUTANTS_DIR, { recursive: true, force: true });
	let caught = 0;
	for (const mutant of MUTANTS) {
		const { rule, seeds: needed } = verdicts.get(mutant)!;
		if (rule) caught++;
		const by = rule ? `${rule}, ${mutant.scenario ? "named scenario" : `seed ${needed}`}` : "NOT CAUGHT";
		console.log(`  ${mutant.name.padEnd(68)} ${by}`);
	}
	console.log(`${caught} of ${MUTANTS.length} mutants caught within ${seeds} seeds`);
	return caught === MUTANTS.length;
}

/** The mutant's file, changed. */
function patched({ name, file, find, replace }: Mutant): string {
	const source = readFileSync(join(BUILD, file), "utf8");
	const pieces = source.split(find);
	if (pieces.length !== 2) {
		throw new Error(`mutant "${name}": ${file} has its piece ${pieces.length - 1} times, not once`);
	}
	return pieces.join(replace);
}

async function hunt(mutant: Mutant, index: number, source: string, seeds: number): Promise<Verdict> {
	const folder = join(MUTANTS_DIR, `${index}`);
	mkdirSync(MUTANTS_DIR, { recursive: true });
	cpSync(BUILD, folder, { recursive: true });
	writeFileSync(join(folder, mutant.file), source);
	const args = ["--hunt", "--seeds", `${seeds}`, "--nodes", `${mutant.nodes ?? 2}`];
	if (mutant.scenario) args.push("--scenario", mutant.scenario);
	try {
		return await new Promise((resolve) => {
			let verdict: Verdict = { rule: "the process ended", seeds: 0 };
			const child = fork(join(folder, "test/simulation/main.js"), args, { silent: true });
			const timer = setTimeout(() => {
				verdict = { rule: "it hangs", seeds: 0 };
				child.kill("SIGKILL");
			}, PATIENCE);
			child.on("message", (message: Verdict) => {
				verdict = message;
			});
			child.on("exit", () => {
				clearTimeout(timer);
				resolve(verdict);
			});
		});
	} finally {
		rmSync(folder, { recursive: true, force: true });
	}
}

/** The mutant's process: goes on until something is wrong. */
export async function huntHere(seeds: number, nodes: number | "mixed", scenario?: string): Promise<void> {
	const verdict: Verdict = { rule: undefined, seeds: 0 };
	if (scenario !== undefined) {
		const results = await runScenarios(scenario);
		if (results.length === 0) verdict.rule = undefined;
		else if (results.includes(false)) verdict.rule = "scenario";
	} else {
		for (let seed = 1; seed <= seeds && !verdict.rule; seed++) {
			const { violation } = await runSchedule(seed, nodesOf(seed, nodes));
			verdict.seeds = seed;
			verdict.rule = violation?.rule;
		}
	}
	process.send!({ ...verdict, rule: verdict.rule });
	process.disconnect();
}
