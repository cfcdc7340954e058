// Reads a configuration file. The only file of this folder that touches the disk.
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { getSystemErrorMap } from "node:util";
import type { Config, ConfigProblem } from "./config.ts";
import { ConfigError, parseConfig } from "./config.ts";

/** No configuration is longer; bytes. */
const FILE_MAX = 1 << 20;

/**
 * Reads and parses the file.
 * @throws ConfigError if it cannot be read (one problem, with line 0) or is not a valid configuration
 */
export function loadConfig(path: string): { config: Config; warnings: ConfigProblem[] } {
	return parseConfig(readText(path), path);
}

function readText(path: string): string {
	try {
		if (statSync(path).size > FILE_MAX) throw new Error(`longer than ${FILE_MAX} bytes`);
		return readAtMost(path);
	} catch (cause) {
		const message = `cannot open config file \`${path}': ${reasonOf(cause as NodeJS.ErrnoException)}`;
		throw new ConfigError([{ file: path, line: 0, column: 0, message }], { cause });
	}
}

/** Devices and pipes have no size: what does not end is not read for ever. */
function readAtMost(path: string): string {
	const fd = openSync(path, "r");
	try {
		const bytes = Buffer.alloc(FILE_MAX + 1);
		let length = 0;
		while (length <= FILE_MAX) {
			const count = readSync(fd, bytes, length, bytes.length - length, null);
			if (count === 0) return bytes.toString("utf8", 0, length);
			length += count;
		}
		throw new Error(`longer than ${FILE_MAX} bytes`);
	} finally {
		closeSync(fd);
	}
}

/** The system's words for the error, without the code and the path that Node puts around them. */
function reasonOf(error: NodeJS.ErrnoException): string {
	const known = error.errno === undefined ? undefined : getSystemErrorMap().get(error.errno);
	return known?.[1] ?? error.message;
}
