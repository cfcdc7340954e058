// Programs that the benchmark runs: to the end, or beside it.
import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";

export { sleep };

/** Every process that runs now; `killAll` ends what an interrupt leaves. */
const running = new Set();

/** Starts a program that dies with this process whatever happens to it. Its pid is that of the program itself. */
export function start(argv, { stdio = ["ignore", "ignore", "ignore"], env = process.env } = {}) {
	const child = spawn("setpriv", ["--pdeathsig", "KILL", ...argv], { stdio, env });
	running.add(child);
	child.ended = new Promise((resolve) => {
		child.on("error", (error) => resolve(error.message));
		child.on("close", (code, signal) => resolve(signal ?? code));
	}).finally(() => running.delete(child));
	return child;
}

export function killAll() {
	for (const child of running) child.kill("SIGKILL");
}

/**
 * Runs a program to its end.
 *
 * @returns what it wrote to stdout
 * @throws Error with its last words when it fails, or cannot be started
 */
export async function run(argv, options = {}) {
	const child = start(argv, { ...options, stdio: ["ignore", "pipe", "pipe"] });
	let stdout = "";
	let stderr = "";
	child.stdout.on("data", (chunk) => (stdout += chunk));
	child.stderr.on("data", (chunk) => (stderr += chunk));
	const status = await child.ended;
	if (status !== 0)
		throw new Error(`${argv.join(" ")}: ${stderr.trim().slice(-300) || `ended with ${status}`}`);
	return stdout;
}

/** Seconds of a clock that does not jump. */
export function now() {
	return performance.now() / 1000;
}

/**
 * Asks again and again until the answer is true.
 *
 * @returns seconds it took until the question with that answer was asked, or undefined after the limit
 */
export async function until(limit, question, pause = 0.01) {
	const begin = now();
	for (;;) {
		const asked = now() - begin;
		if (await question()) return asked;
		if (now() - begin > limit) return undefined;
		await sleep(pause * 1000);
	}
}
