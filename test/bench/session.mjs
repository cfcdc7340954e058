// What the benchmark and the growth tables share: tools, the compiled generator, the laboratory, the lines that are kept.
import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { Lab } from "./lab.mjs";
import { cpuUnit } from "./meter.mjs";
import { sleep } from "./shell.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const OUTPUT = here("../../build/bench");
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

/** Why nothing can be measured here, if so. */
function missing() {
	if (process.getuid() !== 0) return "needs root";
	for (const tool of ["ip", "setpriv", "flock", "cc", "iptables", "conntrackd"])
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
	lab;
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
		this.lab = new Lab(buildLoad());
	}

	/** Runs the action in a laboratory, which is taken down whatever happens. */
	async inLab(action) {
		for (const [signal, status] of Object.entries(SIGNALS))
			process.on(signal, () => {
				this.lab.down();
				process.exit(status);
			});
		try {
			this.lab.up();
			await action();
		} finally {
			this.lab.down();
		}
	}

	/** Has the row measured with one variant; what fails is counted and told. */
	async measure(row, variant, run, wants = () => true) {
		const { scale } = this.settings;
		const emit = (metric, value, more = {}, as = variant) => {
			const sample = { row: row.name, variant: as, run, metric, value, ...more };
			this.samples.push(sample);
			appendFileSync(this.#file, `${JSON.stringify(sample)}\n`);
		};
		console.error(`bench: ${new Date().toTimeString().slice(0, 8)} ${row.name}, run ${run}, ${variant}`);
		try {
			await row.measure({ lab: this.lab, wants, scale, pause: sleep, emit }, variant);
		} catch (error) {
			this.failures++;
			console.error(`bench: ${row.name}, ${variant}: could not be measured: ${error.message}`);
		}
	}

	/** Keeps the text below one line about the machine. @returns that line */
	publish(text) {
		const { repeat, scale } = this.settings;
		const kernel = execFileSync("uname", ["-r"], { encoding: "utf8" }).trim();
		const machine = `${cpus().length} x ${cpus()[0].model.trim()}, Linux ${kernel}, Node.js ${process.version}`;
		const scaled = scale === 1 ? "" : `, entries x ${scale}`;
		const head = `${machine}; CPU in ${cpuUnit}; median of ${repeat}${scaled}`;
		writeFileSync(`${OUTPUT}/${this.#output}.md`, `${head}\n\n${text}`);
		return head;
	}
}
