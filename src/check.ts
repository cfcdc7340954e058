// `ctsync --check`: what is wrong in a configuration file, and what the daemon would make of it on this host. Starts nothing;
// reads the file and its key file, and looks whether its interfaces and addresses are there.
import type { Config, ConfigProblem, LinkConfig } from "./config/config.ts";
import { ConfigError } from "./config/config.ts";
import { loadConfig } from "./config/load.ts";
import { printConfig } from "./config/print.ts";
import { formatProblem } from "./config/problem.ts";
import { readKeyFile } from "./security/key-ring.ts";
import { cautions, lookForLink } from "./setup.ts";
import { loadNative } from "./system/native.ts";

export interface Verdict {
	/** 1 if there is an error. A link that cannot be opened here is none: the file may be another host's. */
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

/** What is looked at besides the file. Each throws an Error with a line for the operator. */
export interface Host {
	/** The network interface is there, and the own address, if one is named, is this host's. */
	hasLink: (link: LinkConfig) => void;
	/** The key file can be read, and is good. */
	hasKeys: (keyFile: string) => void;
}

const thisHost: Host = {
	hasLink: (link) => lookForLink(loadNative(), link),
	hasKeys: (keyFile) => void readKeyFile(keyFile),
};

export function checkConfig(path: string, isVerbose: boolean, host = thisHost): Verdict {
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
		const tellOfWhole = (severity: "error" | "warning", messages: readonly string[]): void => {
			for (const message of messages) {
				lines.push(`${path}: ${severity}: ${message}`);
				told.push({ severity, file: path, message });
			}
		};
		const whole = [...cautions(config), ...missingLinks(config, host)];
		tellOfWhole("warning", whole);
		const unusable = badKeys(config, host);
		tellOfWhole("error", unusable);
		if (unusable.length > 0) return verdict(unusable.length, "");
		const all = warnings.length + whole.length;
		const valid = `${path}: valid${all > 0 ? `, ${count(all, "warning")}` : ""}\n`;
		return verdict(0, isVerbose ? printConfig(config) : valid);
	} catch (error) {
		if (!(error instanceof ConfigError)) throw error;
		tell("error", error.problems);
		return verdict(error.problems.length, "");
	}
}

/** The links that could not be opened here and now: they may well be on the host, or at the time, that the file is for. */
function missingLinks({ sync }: Config, host: Host): string[] {
	return (sync?.links ?? []).flatMap((link) =>
		complaint(() => host.hasLink(link)).map(
			(text) => `the dedicated link of line ${link.line} cannot be opened here: ${text}`,
		),
	);
}

/** Without its keys the daemon does not start. In the Stats mode there is no link to be sealed. */
const badKeys = ({ sync, security }: Config, host: Host): string[] =>
	sync && security ? complaint(() => host.hasKeys(security.keyFile)) : [];

/** The line of what was thrown, if anything was. */
function complaint(look: () => void): string[] {
	try {
		look();
		return [];
	} catch (error) {
		return [(error as Error).message];
	}
}

const count = (number: number, what: string): string => `${number} ${what}${number === 1 ? "" : "s"}`;
