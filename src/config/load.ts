// Reads a configuration file. The only file of this folder that touches the disk.
import { readFileSync } from "node:fs";
import { getSystemErrorMap } from "node:util";
import type { Config, ConfigProblem } from "./config.ts";
import { ConfigError, parseConfig } from "./config.ts";

/**
 * Reads and parses the file.
 * @throws ConfigError if it cannot be read (one problem, with line 0) or is not a valid configuration
 */
export function loadConfig(path: string): { config: Config; warnings: ConfigProblem[] } {
	return parseConfig(readText(path), path);
}

function readText(path: string): string {
	try {
		return readFileSync(path, "utf8");
	} catch (cause) {
		const message = `cannot open config file \`${path}': ${reasonOf(cause as NodeJS.ErrnoException)}`;
		throw new ConfigError([{ file: path, line: 0, column: 0, message }], { cause });
	}
}

/** The system's words for the error, without the code and the path that Node puts around them. */
function reasonOf(error: NodeJS.ErrnoException): string {
	const known = error.errno === undefined ? undefined : getSystemErrorMap().get(error.errno);
	return known?.[1] ?? error.message;
}
