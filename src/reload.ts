// SIGHUP: what both modes have to do. What cannot be used changes nothing, and does not keep the rest back.
import { formatProblem } from "./config/config.ts";
import type { Settings } from "./settings.ts";
import type { Log } from "./system/log.ts";

/** Runs one part of a reload; what it throws is told. */
export function attempt(log: Log, what: string, action: () => void): void {
	try {
		action();
	} catch (error) {
		for (const line of (error as Error).message.split("\n")) log.error(`${what} not reloaded: ${line}`);
	}
}

/** Reads the configuration again, and tells what has changed. @throws ConfigError */
export function reloadSettings(settings: Settings, log: Log): void {
	const { changes, warnings } = settings.reload();
	if (changes.length === 0) {
		log.notice("configuration reloaded: nothing has changed");
		return;
	}
	for (const warning of warnings) log.warning(formatProblem(warning));
	for (const { directive, before, after, reload } of changes) {
		const what = `${directive} ${before} -> ${after}`;
		if (reload) log.notice(`configuration reloaded: ${what}`);
		else log.warning(`configuration changed, not in force before a restart: ${what}`);
	}
}
