// `ctsync --check`: what is wrong in a configuration file, and what the daemon would make of it. Starts nothing and touches
// nothing but the file.
import type { ConfigProblem } from "./config/config.ts";
import { ConfigError } from "./config/config.ts";
import { loadConfig } from "./config/load.ts";
import { printConfig } from "./config/print.ts";
import { formatProblem } from "./config/problem.ts";
import { cautions } from "./setup.ts";

export interface Verdict {
	/** 1 if the daemon would not start with it. */
	status: 0 | 1;
	/** One line, or with `isVerbose` the file with every value written; empty if there is none. */
	output: string;
	/** A line for each problem, `FILE:LINE:COLUMN: error: ...` or `warning: ...`, and one that counts the errors. */
	problems: string;
	/** All of it as one JSON object on one line; its members are an interface (docs/json.md). */
	json: string;
}

/** A problem as it is told in JSON. Without line and column it is one of the file as a whole. */
interface ToldProblem {
	severity: "error" | "warning";
	file: string;
	line?: number;
	column?: number;
	message: string;
	suggestion?: string;
}

export function checkConfig(path: string, isVerbose: boolean): Verdict {
	const lines: string[] = [];
	const told: ToldProblem[] = [];
	const tell = (severity: "error" | "warning", problems: readonly ConfigProblem[]): void => {
		for (const problem of problems) {
			lines.push(formatProblem(problem, severity));
			const { line, column, ...rest } = problem;
			told.push({ severity, ...rest, ...(line === 0 ? {} : { line, column }) });
		}
	};
	const verdict = (errors: number, output: string): Verdict => {
		if (errors > 0) lines.push(`${path}: ${count(errors, "error")}`);
		const problems = lines.map((line) => `${line}\n`).join("");
		const status = errors > 0 ? 1 : 0;
		const printed = isVerbose && output !== "" ? { configuration: output } : {};
		const members = {
			version: 1,
			kind: "check",
			file: path,
			valid: errors === 0,
			problems: told,
			...printed,
		};
		return { status, output, problems, json: `${JSON.stringify(members)}\n` };
	};
	try {
		const { config, warnings } = loadConfig(path);
		tell("warning", warnings);
		const whole = cautions(config);
		for (const message of whole) {
			lines.push(`${path}: warning: ${message}`);
			told.push({ severity: "warning", file: path, message });
		}
		const all = warnings.length + whole.length;
		const valid = `${path}: valid${all > 0 ? `, ${count(all, "warning")}` : ""}\n`;
		return verdict(0, isVerbose ? printConfig(config) : valid);
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		tell("error", error.problems);
		return verdict(error.problems.length, "");
	}
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;
