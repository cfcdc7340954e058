// What the benchmark needs of the whole machine: room for entries in the kernel, to be the only one that measures, and that
// what else runs does not delay it.
import { readFileSync, writeFileSync } from "node:fs";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { now, run, start } from "./shell.mjs";

const MAX = "/proc/sys/net/netfilter/nf_conntrack_max";
const BUCKETS = "/sys/module/nf_conntrack/parameters/hashsize";
/** Of all benchmarks, whichever tree they are from. */
const LOCK = join(tmpdir(), "ctsync-bench.lock");

/** With "own" all processes have the priority that they give themselves. */
const isEqual = process.env.SCHEDULER !== "own";
const NICEST = -20;

/** What the limits were before, by file. */
const before = new Map();

/** Raises the limits so that each network namespace may have so many entries; `restoreLimits` puts the old ones back. */
export function makeRoom(entries) {
	raise(MAX, Math.ceil(entries * 1.1));
	raise(BUCKETS, 2 ** Math.floor(Math.log2(entries)));
}

function raise(file, least) {
	const read = () => Number(readFileSync(file, "utf8"));
	if (read() >= least) return;
	if (!before.has(file)) before.set(file, read());
	writeFileSync(file, `${least}`);
	if (read() < least) throw new Error(`${file}: cannot be raised to ${least}`);
}

export function restoreLimits() {
	for (const [file, value] of before) writeFileSync(file, `${value}`);
	before.clear();
}

/** Whatever is started from here on, generator, clients and daemons, inherits it. */
export function raisePriority() {
	if (isEqual) setPriority(NICEST);
}

/** conntrackd makes itself a real-time process if it is not told what to be; ctsync stays what it was started as. */
export async function equalPriority(pid) {
	if (!isEqual) return;
	await run(["chrt", "--all-tasks", "--other", "--pid", "0", `${pid}`]);
	setPriority(pid, NICEST);
}

/** Runs the action while no other benchmark measures. */
export async function alone(action) {
	const asked = now();
	// flock ends with its standard input, and with this process
	const child = start(["flock", LOCK, "sh", "-c", "echo; exec cat"], { stdio: ["pipe", "pipe", "inherit"] });
	await new Promise((resolve) => child.stdout.once("data", resolve));
	if (now() - asked > 1) console.error(`bench: waited ${(now() - asked).toFixed(0)} s for another benchmark`);
	try {
		return await action();
	} finally {
		child.stdin.end();
		await child.ended;
	}
}
