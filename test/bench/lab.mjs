// Two network namespaces, "a" and "b", joined by one veth pair, and the limits of the machine's connection tracking.
// Everything is named after this process; what a killed run has left is swept by the next one.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { killAll, now, run, start } from "./shell.mjs";

const PREFIX = "ctsync-bench-";
const MAX = "/proc/sys/net/netfilter/nf_conntrack_max";
const BUCKETS = "/sys/module/nf_conntrack/parameters/hashsize";
/** One benchmark at a time on this machine, whichever tree it is from. */
const LOCK = join(tmpdir(), "ctsync-bench.lock");

/** The device on the link, in each namespace, and the addresses there. */
export const LINK = "sync0";
export const ADDRESS = { a: "192.168.77.1", b: "192.168.77.2" };

const number = (file) => Number(readFileSync(file, "utf8"));
const quiet = { stdio: "ignore" };

export class Lab {
	#id = `${PREFIX}${process.pid}`;
	/** What the limits were, by file. */
	#before = new Map();
	/** Temporary files: configurations, logs, sockets, keys. */
	folder;
	ctload;

	constructor(ctload) {
		this.ctload = ctload;
	}

	up() {
		sweep();
		this.folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
		const ip = (text) => execFileSync("ip", text.split(" "), { stdio: ["ignore", "ignore", "inherit"] });
		const [a, b] = [this.namespace("a"), this.namespace("b")];
		for (const name of [a, b]) ip(`netns add ${name}`);
		ip(`link add ${LINK} netns ${a} type veth peer name ${LINK} netns ${b}`);
		for (const node of ["a", "b"]) {
			ip(`-n ${this.namespace(node)} link set lo up`);
			ip(`-n ${this.namespace(node)} addr add ${ADDRESS[node]}/24 dev ${LINK}`);
			ip(`-n ${this.namespace(node)} link set ${LINK} up`);
		}
	}

	/** Takes everything away again; never throws, and may be called twice. */
	down() {
		killAll();
		for (const node of ["a", "b"]) remove(this.namespace(node));
		for (const [file, value] of this.#before) writeFileSync(file, `${value}`);
		this.#before.clear();
		if (this.folder) rmSync(this.folder, { recursive: true, force: true });
	}

	namespace(node) {
		return `${this.#id}-${node}`;
	}

	/** The command line that runs a command in the namespace; the process becomes that command. */
	in(node, ...argv) {
		return ["ip", "netns", "exec", this.namespace(node), ...argv];
	}

	/** Runs ctload in a namespace (its options as one text) to its end; what it says. */
	async load(node, text) {
		return JSON.parse(await run(this.in(node, this.ctload, ...text.trim().split(/\s+/))));
	}

	/** Starts ctload; `end()` sends it a signal if it does not end by itself, and is what it says. */
	watch(node, text) {
		const child = start(this.in(node, this.ctload, ...text.trim().split(/\s+/)), {
			stdio: ["ignore", "pipe", "ignore"],
		});
		let said = "";
		child.stdout.on("data", (chunk) => (said += chunk));
		const end = async (signal) => {
			if (signal) child.kill(signal);
			await child.ended;
			return JSON.parse(said);
		};
		return { end };
	}

	/** Makes room in the kernel for so many entries in each namespace; `down` puts the old limits back. */
	makeRoom(entries) {
		this.#raise(MAX, Math.ceil(entries * 1.1));
		this.#raise(BUCKETS, Math.min(entries, 1 << 20));
	}

	#raise(file, least) {
		const value = number(file);
		if (value >= least) return;
		if (!this.#before.has(file)) this.#before.set(file, value);
		writeFileSync(file, `${least}`);
		if (number(file) < least) throw new Error(`${file}: cannot be raised to ${least}`);
	}

	/** Runs the action while no other benchmark measures on this machine. */
	async alone(action) {
		const asked = now();
		const child = start(["flock", LOCK, "sh", "-c", "echo; exec cat"], {
			stdio: ["pipe", "pipe", "inherit"],
		});
		await new Promise((resolve) => child.stdout.once("data", resolve));
		if (now() - asked > 1)
			console.error(`bench: waited ${(now() - asked).toFixed(0)} s for another benchmark`);
		try {
			return await action();
		} finally {
			child.stdin.end();
			await child.ended;
		}
	}
}

function remove(namespace) {
	if (!existsSync(`/run/netns/${namespace}`)) return;
	try {
		execFileSync("ip", ["netns", "del", namespace], quiet);
	} catch {
		console.error(`bench: the network namespace ${namespace} could not be removed`);
	}
}

/** Removes what runs have left that were killed in a way no handler can see. */
function sweep() {
	const dead = (name) => {
		const pid = /^ctsync-bench-(\d+)-/.exec(name)?.[1];
		return pid !== undefined && !existsSync(`/proc/${pid}`);
	};
	if (existsSync("/run/netns")) readdirSync("/run/netns").filter(dead).forEach(remove);
	for (const name of readdirSync(tmpdir()).filter(dead))
		rmSync(join(tmpdir(), name), { recursive: true, force: true });
}
