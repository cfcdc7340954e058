// One daemon on one node, and the two of a pair: how they are configured, started, asked and measured.
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ADDRESS, LINK } from "./lab.mjs";
import { equalPriority } from "./machine.mjs";
import { now, run, sleep, start, until } from "./shell.mjs";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const MONITOR = new URL("loop-monitor.mjs", import.meta.url).href;
const PORT = 3780;
const MIB = 1 << 20;

/** What is compared. `isSealed`: the link has a key. */
export const VARIANTS = {
	conntrackd: { command: "conntrackd" },
	ctsync: { command: process.env.CTSYNC ?? `${ROOT}bin/ctsync` },
	sealed: { command: process.env.CTSYNC ?? `${ROOT}bin/ctsync`, isSealed: true },
	/** Another tree of ctsync, to compare a change with what was before: OTHER=/path/to/bin/ctsync. */
	other: { command: process.env.OTHER },
};

/** Buffers in which nothing is lost, so that what is measured is the work, and those of the shipped configuration. */
export const LARGE_BUFFERS = { netlink: 32 * MIB, netlinkMax: 32 * MIB, link: 8 * MIB };
export const SHIPPED_BUFFERS = { netlink: 2 * MIB, netlinkMax: 8 * MIB, link: 1249280 };

function configuration(lab, node, { buffers, isDirect, hashLimit }, key) {
	const peer = node === "a" ? "b" : "a";
	return `Sync {
	Mode FTFW {
		${isDirect ? "DisableExternalCache on" : ""}
	}
	UDP {
		IPv4_address ${ADDRESS[node]}
		IPv4_Destination_Address ${ADDRESS[peer]}
		Port ${PORT}
		Interface ${LINK}
		SndSocketBuffer ${buffers.link}
		RcvSocketBuffer ${buffers.link}
		Checksum on
	}
	${key ? `Security { KeyFile ${key} }` : ""}
}
General {
	HashSize 1048576
	HashLimit ${hashLimit}
	LogFile ${lab.folder}/${node}.log
	Syslog off
	LockFile ${lab.folder}/${node}.lock
	UNIX {
		Path ${lab.folder}/${node}.ctl
	}
	NetlinkBufferSize ${buffers.netlink}
	NetlinkBufferSizeMaxGrowth ${buffers.netlinkMax}
	Filter From Userspace {
		Protocol Accept {
			TCP
			UDP
		}
	}
}
`;
}

class Daemon {
	#lab;
	#variant;
	#file;
	#child;
	#reports = 0;
	pid;

	constructor(lab, variant, node, options) {
		this.#lab = lab;
		this.#variant = variant;
		this.node = node;
		this.#file = `${lab.folder}/${node}`;
		this.isMonitored = options.isMonitored && variant !== "conntrackd";
		writeFileSync(`${this.#file}.conf`, configuration(lab, node, options, keyFile(lab, variant)));
		// the stock client does not know the section of the key
		writeFileSync(`${this.#file}.client`, configuration(lab, node, options));
	}

	/** @returns seconds from the start of the program to its first answer */
	async start() {
		for (const end of [".lock", ".ctl", ".log", ".loop"]) rmSync(this.#file + end, { force: true });
		const { command } = VARIANTS[this.#variant];
		const out = openSync(`${this.#file}.out`, "w");
		const monitor = { NODE_OPTIONS: `--import=${MONITOR}`, BENCH_LOOP_REPORT: `${this.#file}.loop` };
		const begin = now();
		this.#child = start(this.#lab.in(this.node, command, "-C", `${this.#file}.conf`), {
			stdio: ["ignore", out, out],
			env: this.isMonitored ? { ...process.env, ...monitor } : process.env,
		});
		closeSync(out);
		this.pid = this.#child.pid;
		this.#reports = 0;
		let ended;
		this.#child.ended.then((status) => (ended = status));
		const answers = async () => {
			if (ended !== undefined)
				throw new Error(
					`${this.#variant} has ended with ${ended}: ${readFileSync(`${this.#file}.out`, "utf8")}`,
				);
			await equalPriority(this.pid); // again and again: when it changes its own is not known
			return existsSync(`${this.#file}.ctl`) && (await this.ask("-s cache").catch(() => "")) !== "";
		};
		if ((await until(60, answers)) === undefined) throw new Error(`${this.#variant} does not answer`);
		return now() - begin;
	}

	async stop() {
		if (!this.#child) return;
		this.#child.kill("SIGKILL");
		await this.#child.ended;
		this.#child = undefined;
	}

	/** A command of the stock client, which takes two milliseconds with both daemons. */
	ask(text) {
		return run(["conntrackd", "-C", `${this.#file}.client`, ...text.split(" ")]);
	}

	get socket() {
		return `${this.#file}.ctl`;
	}

	/** The configuration file for the stock client. */
	get client() {
		return `${this.#file}.client`;
	}

	get configuration() {
		return `${this.#file}.conf`;
	}

	signal(name) {
		this.#child.kill(name);
	}

	/** How many entries there are in the cache, "internal" or "external". */
	async count(cache) {
		const found = new RegExp(`cache:${cache}\\s+active objects:\\s*(\\d+)`).exec(await this.ask("-s cache"));
		if (!found) throw new Error(`${this.#variant}: no number of entries in "-s cache"`);
		return Number(found[1]);
	}

	/** Digest of a cache, as that of a kernel's table; an external cache shows original tuples only. */
	async digest(cache) {
		const flag = cache === "internal" ? "-i" : "-e";
		const only = cache === "external" ? "--original" : "";
		const pipe = `conntrackd -C ${this.#file}.client ${flag} | ${this.#lab.ctload} digest --text ${only}`;
		return JSON.parse(await run(["sh", "-c", pipe]));
	}

	/** Resident memory in bytes. */
	memory() {
		return Number(/^VmRSS:\s*(\d+)/m.exec(readFileSync(`/proc/${this.pid}/status`, "utf8"))[1]) * 1024;
	}

	/** Bytes and packets that this node has put on the link. */
	sent() {
		const line = readFileSync(`/proc/${this.pid}/net/dev`, "utf8")
			.split("\n")
			.find((text) => text.includes(`${LINK}:`));
		const fields = line.split(":")[1].trim().split(/\s+/).map(Number);
		return { bytes: fields[8], packets: fields[9] };
	}

	/** Events that the kernel could not deliver (NETLINK_NETFILTER is family 12). */
	drops() {
		const rows = readFileSync(`/proc/${this.pid}/net/netlink`, "utf8").trim().split("\n").slice(1);
		return rows
			.map((row) => row.trim().split(/\s+/))
			.reduce((n, row) => (row[1] === "12" ? n + Number(row[8]) : n), 0);
	}

	log() {
		return existsSync(`${this.#file}.log`) ? readFileSync(`${this.#file}.log`, "utf8") : "";
	}

	/** Delays of the event loop since the last report, in milliseconds; undefined if it is not monitored. */
	async loopDelays() {
		if (!this.isMonitored) return undefined;
		const report = `${this.#file}.loop`;
		this.signal("SIGUSR2");
		const wanted = ++this.#reports;
		const read = () => {
			try {
				return JSON.parse(readFileSync(report, "utf8"));
			} catch {
				return undefined; // not there yet, or being written
			}
		};
		if ((await until(60, () => read()?.number === wanted)) === undefined)
			throw new Error("no report of the event loop");
		return read();
	}
}

function keyFile(lab, variant) {
	const { isSealed, command } = VARIANTS[variant];
	if (!isSealed) return undefined;
	const file = `${lab.folder}/keys`;
	if (!existsSync(file)) execFileSync(command, ["keygen", "--out", file], { stdio: "ignore" });
	return file;
}

/** A pair of daemons of one kind, a: where the load is, b: its peer. */
export class Pair {
	#lab;
	#variant;
	#options;

	/** @param options buffers, isDirect (DisableExternalCache), isMonitored (the event loop), hashLimit */
	constructor(lab, variant, options = {}) {
		this.#lab = lab;
		this.#variant = variant;
		this.#options = { buffers: LARGE_BUFFERS, hashLimit: 8388608, ...options };
		for (const node of ["a", "b"]) this[node] = new Daemon(lab, variant, node, this.#options);
	}

	get isConntrackd() {
		return this.#variant === "conntrackd";
	}

	/** Both on empty tables, and time to get to know each other. */
	async start() {
		await this.empty();
		await this.a.start();
		await this.b.start();
		await sleep(1500);
		await this.quiet();
	}

	/**
	 * Waits until both sides send no more than what a link at rest carries: a few packets in a fifth of a second. `busy` is
	 * called after each fifth in which there was more.
	 */
	async quiet(busy = async () => {}, limit = 10) {
		const packets = () => this.a.sent().packets + this.b.sent().packets;
		const begin = now();
		for (let before = packets(); now() - begin < limit; ) {
			await sleep(200);
			const after = packets();
			if (after - before <= 4) return;
			before = after;
			await busy();
		}
	}

	async stop() {
		await Promise.all([this.a.stop(), this.b.stop()]);
	}

	/** Empties both kernel tables. */
	async empty() {
		for (const node of ["a", "b"]) await this.#lab.load(node, "flush");
	}

	/**
	 * Fills b from a, which holds n entries. ctsync does so by itself; conntrackd has to be asked, and where something is
	 * lost asked again.
	 *
	 * @returns seconds until b holds them all, since this was called, and how often conntrackd was asked; undefined: never
	 */
	async fillPeer(n, limit = 30) {
		const begin = now();
		for (let tries = 1; tries <= 5; tries++) {
			if (this.isConntrackd) await this.b.ask("-n");
			const took = await until(limit, async () => (await this.b.count("external")) === n);
			if (took !== undefined) return { seconds: now() - begin, tries };
		}
		return undefined;
	}

	/**
	 * Both daemons with n entries: the table is made first, then a is started, then b.
	 *
	 * @throws Error when b does not get them
	 */
	async startFull(n, mix) {
		await this.stop();
		await this.empty();
		await this.#lab.load("a", `create ${mix} -n ${n}`);
		await this.a.start();
		if ((await until(120, async () => (await this.a.count("internal")) === n)) === undefined)
			throw new Error(`${this.#variant}: the internal cache does not get ${n} entries`);
		await this.b.start();
		if (this.isConntrackd) await sleep(1500);
		if (!(await this.fillPeer(n)))
			throw new Error(`${this.#variant}: the external cache does not get ${n} entries`);
	}

	/** Does b's external cache hold what a's kernel has, entry by entry, and the kernel n entries (if n is told)? */
	async isEqual(n) {
		const kernel = await this.#lab.load("a", "digest --original");
		return (n === undefined || kernel.n === n) && same(kernel, await this.b.digest("external"));
	}

	/** Does a's internal cache hold what its kernel has, too? */
	async areBothEqual() {
		return (
			(await this.isEqual()) && same(await this.#lab.load("a", "digest"), await this.a.digest("internal"))
		);
	}
}

export function same(one, other) {
	return one.n === other.n && one.sum === other.sum;
}
