// Many seeds, in this process or shared among several, and what came of them.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Random } from "./random.ts";
import { type Outcome, runSchedule } from "./schedule.ts";

export interface SeedRange {
	seeds: number;
	from: number;
	nodes: number | "mixed";
	jobs: number;
}

/** Seeds in one go between two messages. */
const CHUNK = 20;
/** Failures that are printed. */
const FAILURES_SHOWN = 10;
/** A run with more failures than this is broken, not unlucky. */
const FAILURES_MAX = 100;
const MAIN = fileURLToPath(new URL("./main.js", import.meta.url));

/** How many nodes the schedule of a seed has: mostly two, seldom many. */
export function nodesOf(seed: number, nodes: number | "mixed"): number {
	if (nodes !== "mixed") return nodes;
	const random = new Random(seed ^ 0x2545f491);
	const share = random.next();
	if (share < 0.65) return 2;
	if (share < 0.88) return 3;
	if (share < 0.98) return 4 + random.below(3);
	return 7 + random.below(10);
}

/** Sums over many schedules. */
class Summary {
	schedules = 0;
	failures = 0;
	#datagrams = 0;
	#virtual = 0;
	#changes = 0;
	readonly #converged: number[] = [];
	readonly #rules = new Map<string, number>();
	readonly #nodes: number | "mixed";

	constructor(nodes: number | "mixed") {
		this.#nodes = nodes;
	}

	add(outcome: Outcome): void {
		this.schedules++;
		this.#datagrams += outcome.datagrams;
		this.#virtual += outcome.work.duration;
		this.#changes += outcome.work.changes;
		const { violation } = outcome;
		if (!violation) {
			this.#converged.push(outcome.converged);
			return;
		}
		this.#rules.set(violation.rule, (this.#rules.get(violation.rule) ?? 0) + 1);
		if (this.failures++ >= FAILURES_SHOWN) return;
		console.log(`FAILED seed ${outcome.seed}, ${outcome.nodes} nodes: ${violation.rule}: ${violation.text}`);
		const nodes = this.#nodes === "mixed" ? "" : ` --nodes ${this.#nodes}`;
		console.log(`  again, and in detail: node ${relative(MAIN)} --seed ${outcome.seed}${nodes}`);
	}

	print(seconds: number): void {
		const sorted = this.#converged.toSorted((a, b) => a - b);
		const at = (share: number): string =>
			sorted.length === 0 ? "-" : `${Math.round(sorted[Math.floor(share * (sorted.length - 1))]!)}`;
		const rules = [...this.#rules].map(([rule, count]) => `${rule} ${count}`).join(", ");
		const nodes = this.#nodes === "mixed" ? "2 to 16" : this.#nodes;
		console.log(
			`${this.schedules} schedules of ${nodes} nodes in ${seconds.toFixed(0)} s: ${this.#datagrams} datagrams, ` +
				`${this.#changes} changes, ${Math.round(this.#virtual / 1000)} s of virtual time; ` +
				`${this.failures} violations${rules ? ` (${rules})` : ""}; ` +
				`equal after p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)} ms`,
		);
	}
}

/** @returns whether no invariant was broken */
export async function runSeeds(range: SeedRange): Promise<boolean> {
	const summary = new Summary(range.nodes);
	const began = performance.now();
	if (range.jobs > 1) await share(range, summary);
	else {
		for (let seed = range.from; seed < range.from + range.seeds; seed++) {
			summary.add(await runSchedule(seed, nodesOf(seed, range.nodes)));
			if (summary.failures >= FAILURES_MAX) break;
		}
	}
	summary.print((performance.now() - began) / 1000);
	return summary.failures === 0;
}

interface Job {
	from: number;
	to: number;
	nodes: number | "mixed";
}

/** Hands chunks of seeds to worker processes. */
async function share(range: SeedRange, summary: Summary): Promise<void> {
	let next = range.from;
	const end = range.from + range.seeds;
	const one = (): Promise<void> =>
		new Promise((resolve) => {
			const child = fork(MAIN, ["--worker"], { execArgv: ["--max-semi-space-size=32"] });
			const give = (): void => {
				if (next >= end || summary.failures >= FAILURES_MAX) {
					child.disconnect();
					return;
				}
				const job: Job = { from: next, to: Math.min(end, next + CHUNK), nodes: range.nodes };
				next = job.to;
				child.send(job);
			};
			child.on("message", (outcomes: Outcome[]) => {
				for (const outcome of outcomes) summary.add(outcome);
				give();
			});
			child.on("exit", (code) => {
				if (code !== 0) {
					console.log(`FAILED: a worker process ended with status ${code}`);
					summary.failures++;
				}
				resolve();
			});
			give();
		});
	await Promise.all(Array.from({ length: range.jobs }, one));
}

/** The other end of `share`. */
export async function work(): Promise<void> {
	await new Promise<void>((resolve) => {
		process.on("message", async ({ from, to, nodes }: Job) => {
			const outcomes: Outcome[] = [];
			for (let seed = from; seed < to; seed++) outcomes.push(await runSchedule(seed, nodesOf(seed, nodes)));
			process.send!(outcomes);
		});
		process.on("disconnect", resolve);
	});
}

function relative(path: string): string {
	const here = `${process.cwd()}/`;
	return path.startsWith(here) ? path.slice(here.length) : path;
}
