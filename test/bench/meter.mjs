// What a phase of work has cost: CPU of both daemons, bytes on the wire, events that were lost.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { now, run, sleep, start } from "./shell.mjs";

/**
 * The hardware's cycles per second, or undefined where the machine has no counter. With it CPU time is counted in cycles;
 * without it in nanoseconds of the scheduler, which are as exact for a process but grow when the machine is slowed down.
 */
const hertz = calibrate();

export const cpuUnit = hertz ? `cycles at ${(hertz / 1e9).toFixed(2)} GHz` : "scheduler nanoseconds";

function calibrate() {
	try {
		const argv = [
			"stat",
			"-x,",
			"-e",
			"cycles,task-clock",
			"--",
			"sh",
			"-c",
			"i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done 2>&1",
		];
		const text = execFileSync("sh", ["-c", 'exec perf "$@" 2>&1', "perf", ...argv], { encoding: "utf8" });
		const value = (name) => Number(new RegExp(`^([\\d.]+),[^,]*,${name}`, "m").exec(text)?.[1]);
		const found = (value("cycles") / value("task-clock")) * 1000;
		return Number.isFinite(found) && found > 0 ? found : undefined;
	} catch {
		return undefined; // no perf here
	}
}

/** CPU time that processes have used, in seconds of the scheduler; threads that have ended are in it. */
export async function cpuOf(lab, ...daemons) {
	const text = await run([lab.ctload, "cpu", ...daemons.map((daemon) => `${daemon.pid}`)]);
	return JSON.parse(text).map((nanoseconds) => nanoseconds / 1e9);
}

/** Counts one process's cycles; `end()` is CPU seconds. */
function countCycles(lab, daemon) {
	const file = `${lab.folder}/cycles.${daemon.node}`;
	const child = start(["perf", "stat", "-x,", "-e", "cycles", "-p", `${daemon.pid}`, "-o", file]);
	return {
		async end() {
			child.kill("SIGINT");
			await child.ended;
			return Number(/^(\d+),[^,]*,cycles/m.exec(readFileSync(file, "utf8"))?.[1] ?? Number.NaN) / hertz;
		},
	};
}

export class Meter {
	#lab;
	#pair;
	#cpu;
	#cycles = [];
	#sent;
	#drops;
	#begin;

	constructor(lab, pair) {
		this.#lab = lab;
		this.#pair = pair;
	}

	async begin() {
		const { a, b } = this.#pair;
		if (hertz) {
			this.#cycles = [a, b].map((daemon) => countCycles(this.#lab, daemon));
			await sleep(200);
		}
		this.#cpu = await cpuOf(this.#lab, a, b);
		this.#sent = [a.sent(), b.sent()];
		this.#drops = a.drops();
		this.#begin = now();
	}

	/**
	 * Waits until the link is at rest, and takes what the work has cost up to then.
	 *
	 * @returns since `begin`: CPU seconds of a and b, bytes and packets that each has sent, events that a has lost, seconds
	 */
	async untilQuiet() {
		const { a, b } = this.#pair;
		let last = await this.#look();
		await this.#pair.quiet(async () => (last = await this.#look()));
		const cycles = await Promise.all(this.#cycles.map((counter) => counter.end()));
		const scheduled = last.cpu.map((value, index) => value - this.#cpu[index]);
		return {
			seconds: last.time - this.#begin,
			cpu: hertz ? cycles : scheduled,
			scheduled,
			bytes: last.sent.bytes - this.#sent[0].bytes,
			packets: last.sent.packets - this.#sent[0].packets,
			bytesBack: b.sent().bytes - this.#sent[1].bytes,
			drops: a.drops() - this.#drops,
		};
	}

	async #look() {
		const { a, b } = this.#pair;
		return { time: now(), cpu: await cpuOf(this.#lab, a, b), sent: a.sent() };
	}
}
