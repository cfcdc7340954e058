// What the benchmark and the growth tables share: tools, the compiled generator, the laboratory, the lines that are kept.
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { Lab, sweep } from "./lab.mjs";
import { alone, makeRoom, raisePriority, restoreLimits } from "./machine.mjs";
import { cpuUnit } from "./meter.mjs";
import { killAll, sleep } from "./shell.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const OUTPUT = here("../../build/bench");
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

/** Why nothing can be measured here, if so. */
function missing() {
	if (process.getuid() !== 0) return "needs root";
	for (const tool of ["ip", "setpriv", "flock", "chrt", "cc", "iptables", "conntrackd"])
		try {
			execFileSync("sh", ["-c", `command -v ${tool}`], { stdio: "ignore" });
		} catch {
			const purpose = tool === "conntrackd" ? ", which is the client of both daemons" : "";
			return `needs ${tool}${purpose} (scripts/setup.sh installs it)`;
		}
	return undefined;
}

/** @returns the path of ctload, compiled if its sources are newer */
function buildLoad() {
	const target = `${OUTPUT}/ctload`;
	const files = readdirSync(here("load")).map((file) => here(`load/${file}`));
	const built = statSync(target, { throwIfNoEntry: false })?.mtimeMs ?? 0;
	if (files.some((file) => statSync(file).mtimeMs > built)) {
		const sources = files.filter((file) => file.endsWith(".c"));
		const flags = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"];
		execFileSync(process.env.CC || "cc", [...flags, "-o", target, ...sources], { stdio: "inherit" });
	}
	return target;
}

export class Session {
	#file;
	#output;
	/** One for each variant. */
	#labs = new Map();
	samples = [];
	/** Measurements that could not be made. */
	failures = 0;

	/** @param name of the files in build/bench that receive the lines (NAME.jsonl) and the text (NAME.md) */
	constructor(name, settings) {
		const reason = missing();
		if (reason) throw new Error(reason);
		mkdirSync(OUTPUT, { recursive: true });
		this.#output = name;
		this.#file = `${OUTPUT}/${name}.jsonl`;
		writeFileSync(this.#file, "");
		this.settings = settings;
		const ctload = buildLoad();
		for (const variant of settings.variants) this.#labs.set(variant, new Lab(variant, ctload));
	}

	/** Runs the action in laboratories, which are taken down whatever happens; a signal ends it, after `interrupted`. */
	async inLabs(action, interrupted = () => {}) {
		for (const [signal, status] of Object.entries(SIGNALS))
			process.on(signal, () => {
				this.#down();
				interrupted();
				process.exit(status);
			});
		sweep();
		raisePriority();
		try {
			for (const lab of this.#labs.values()) lab.up();
			await action();
		} finally {
			this.#down();
		}
	}

	#down() {
		killAll();
		for (const lab of this.#labs.values()) lab.down();
		restoreLimits();
	}

	/**
	 * Has a row measured with all variants. A row's `measure` is a generator; its steps are done in turn, one of each variant
	 * after the other: what is compared has been done within seconds, whatever else the machine does.
	 *
	 * @param entries for which the kernel needs room @param wants which of the row's figures are asked for
	 */
	async measure(row, run, entries, wants = () => true) {
		await alone(async () => {
			makeRoom(entries);
			console.error(`bench: ${new Date().toTimeString().slice(0, 8)} ${row.name}, run ${run}`);
			const sides = this.settings.variants.map((variant) => ({
				variant,
				steps: row.measure(this.#bench(row, variant, run, wants), variant),
			}));
			for (const running = new Set(sides); running.size; )
				for (const side of running) if (await this.#step(row, side)) running.delete(side);
			restoreLimits();
		});
	}

	/** @returns whether this side is done; what fails is told and counted */
	async #step(row, { variant, steps }) {
		try {
			return (await steps.next()).done;
		} catch (error) {
			this.failures++;
			console.error(`bench: ${row.name}, ${variant}: could not be measured: ${error.message}`);
			return true;
		}
	}

	/** What a row works with. */
	#bench(row, variant, run, wants) {
		const emit = (metric, value, more = {}, as = variant) => {
			const sample = { row: row.name, variant: as, run, metric, value, ...more };
			this.samples.push(sample);
			appendFileSync(this.#file, `${JSON.stringify(sample)}\n`);
		};
		return { lab: this.#labs.get(variant), wants, scale: this.settings.scale, pause: sleep, emit };
	}

	/** Keeps the text below one line about the machine. @returns that line */
	publish(text) {
		const { scale } = this.settings;
		const runs = new Set(this.samples.map(({ run }) => run)).size;
		const kernel = execFileSync("uname", ["-r"], { encoding: "utf8" }).trim();
		const machine = `${cpus().length} x ${cpus()[0].model.trim()}, Linux ${kernel}, Node.js ${process.version}`;
		const scaled = scale === 1 ? "" : `, entries x ${scale}`;
		const head = `${machine}; CPU in ${cpuUnit}; median of ${runs}${scaled}`;
		writeFileSync(`${OUTPUT}/${this.#output}.md`, `${head}\n\n${text}`);
		return head;
	}
}
