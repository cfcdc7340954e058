// The configuration in force. SIGHUP reads the file again: what the table of directives calls reloadable is taken over, the
// rest is told and waits for a restart.
import { type Change, changes } from "./config/changes.ts";
import type { Config, ConfigProblem } from "./config/config.ts";
import { loadConfig } from "./config/load.ts";

export class Settings {
	readonly #path: string;
	#current: Config;

	constructor(path: string, config: Config) {
		this.#path = path;
		this.#current = config;
	}

	/** What reloads must be asked for anew whenever it is used. */
	get current(): Config {
		return this.#current;
	}

	/**
	 * Reads the file again. A file with an error changes nothing.
	 *
	 * @returns what differs from what is in force (or was, if `reload`), and what is to be said about the file
	 * @throws ConfigError
	 */
	reload(): { changes: Change[]; warnings: ConfigProblem[] } {
		const { config, warnings } = loadConfig(this.#path);
		const found = changes(this.#current, config);
		this.#current = merge(this.#current, config);
		return { changes: found, warnings };
	}
}

/** `now` with the values of `next` that can be reloaded. */
function merge(now: Config, next: Config): Config {
	const { logFile, netlinkOverrunResync } = next.general;
	const merged: Config = { ...now, general: { ...now.general, logFile, netlinkOverrunResync } };
	if (now.sync && now.sync.mode === next.sync?.mode) {
		merged.sync = { ...now.sync, purgeTimeout: next.sync.purgeTimeout };
	}
	if (now.stats && next.stats) merged.stats = { ...now.stats, logFile: next.stats.logFile };
	if (now.security && next.security) {
		merged.security = { ...now.security, keyFile: next.security.keyFile };
	}
	return merged;
}
