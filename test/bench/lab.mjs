// Two network namespaces, "a" and "b", joined by one veth pair. Each variant has its own, so that several can be at work in
// turn. Everything is named after this process; what a killed run has left is swept by the next one.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run, start } from "./shell.mjs";

const PREFIX = "ctsync-bench-";

/** The device on the link, in each namespace, and the addresses there. */
export const LINK = "sync0";
export const ADDRESS = { a: "192.168.77.1", b: "192.168.77.2" };

const quiet = { stdio: "ignore" };

export class Lab {
	#id;
	/** Temporary files: configurations, logs, sockets, keys. */
	folder;
	ctload;

	/** @param name of this one among those of the process @param ctload path of the generator */
	constructor(name, ctload) {
		this.#id = `${PREFIX}${process.pid}-${name}`;
		this.ctload = ctload;
	}

	up() {
		this.folder = mkdtempSync(join(tmpdir(), `${this.#id}-`));
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
		for (const node of ["a", "b"]) remove(this.namespace(node));
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
export function sweep() {
	const dead = (name) => {
		const pid = /^ctsync-bench-(\d+)-/.exec(name)?.[1];
		return pid !== undefined && !existsSync(`/proc/${pid}`);
	};
	if (existsSync("/run/netns")) readdirSync("/run/netns").filter(dead).forEach(remove);
	for (const name of readdirSync(tmpdir()).filter(dead))
		rmSync(join(tmpdir(), name), { recursive: true, force: true });
}
