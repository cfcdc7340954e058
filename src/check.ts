// `ctsync --check`: what is wrong in a configuration file, and what the daemon would make of it. Starts nothing and touches
// nothing but the file.
import type { ConfigProblem } from "./config/config.ts";
import { ConfigError } from "./config/config.ts";
import { loadConfig } from "./config/load.ts";
import { printConfig } from "./config/print.ts";
import { formatProblem } from "./config/problem.ts";
import { unsupported } from "./setup.ts";

export interface Verdict {
	/** 1 if the daemon would not start with it. */
	status: 0 | 1;
	/** One line, or with `isVerbose` the file with every value written; empty if there is none. */
	output: string;
	/** A line for each problem, `FILE:LINE:COLUMN: error: ...` or `warning: ...`, and one that counts the errors. */
	problems: string;
}

export function checkConfig(path: string, isVerbose: boolean): Verdict {
	const lines: string[] = [];
	const tell = (kind: "error" | "warning", problems: readonly ConfigProblem[]): void => {
		for (const problem of problems) lines.push(formatProblem(problem, kind));
	};
	const verdict = (errors: number, output: string): Verdict => {
		if (errors > 0) lines.push(`${path}: ${count(errors, "error")}`);
		const problems = lines.map((line) => `${line}\n`).join("");
		return { status: errors > 0 ? 1 : 0, output, problems };
	};
	try {
		const { config, warnings } = loadConfig(path);
		const { fatal, warnings: limits } = unsupported(config);
		tell("warning", warnings);
		lines.push(...limits.map((text) => `${path}: warning: ${text}`));
		lines.push(...fatal.map((text) => text.replace(`${path}: `, `${path}: error: `)));
		const all = warnings.length + limits.length;
		const output = isVerbose
			? printConfig(config)
			: `${path}: valid${all > 0 ? `, ${count(all, "warning")}` : ""}\n`;
		return verdict(fatal.length, isVerbose || fatal.length === 0 ? output : "");
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		tell("error", error.problems);
		return verdict(error.problems.length, "");
	}
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;
