// The daemon's log: lines as conntrackd writes them, because scripts read them, to the console, a file, and syslog.
//
//   [Sat Nov 21 21:23:43 2026] (pid=12853) [notice] text
import { closeSync, fchmodSync, openSync, writeSync } from "node:fs";
import type { Clock } from "./clock.ts";
import type { Native } from "./native.ts";
import { reasonOf } from "./reason.ts";
import { Syslog } from "./syslog.ts";

export type Level = "notice" | "warning" | "ERROR";

export interface Log {
	notice(text: string): void;
	warning(text: string): void;
	error(text: string): void;
	/** Logs at most one line per reason in ten seconds; the next one says how many were left out. */
	limited(reason: string, text: string): void;
}

const LIMIT_MS = 10_000;
/** Severities of syslog(3). */
const SEVERITY: Readonly<Record<Level, number>> = { ERROR: 3, warning: 4, notice: 5 };

export interface LogOptions {
	clock: Clock;
	/** Write to stdout (notices) and stderr. */
	console: boolean;
	file?: string;
	syslog?: { facility: string; native: Native };
}

export class DaemonLog implements Log {
	readonly #clock: Clock;
	readonly #console: boolean;
	#file: number | undefined;
	readonly #syslog: Syslog | undefined;
	readonly #limits = new Map<string, { until: number; left: number }>();

	/** @throws when the log file cannot be opened */
	constructor(options: LogOptions) {
		this.#clock = options.clock;
		this.#console = options.console;
		if (options.file !== undefined) this.#file = openLog(options.file);
		if (options.syslog) this.#syslog = new Syslog(options.syslog.native, options.syslog.facility);
	}

	notice(text: string): void {
		this.#write("notice", text);
	}

	warning(text: string): void {
		this.#write("warning", text);
	}

	error(text: string): void {
		this.#write("ERROR", text);
	}

	limited(reason: string, text: string): void {
		const now = this.#clock.now();
		const limit = this.#limits.get(reason);
		if (limit && now < limit.until) {
			limit.left++;
			return;
		}
		this.#limits.set(reason, { until: now + LIMIT_MS, left: 0 });
		this.warning(limit?.left ? `${text} (and ${limit.left} more of this kind)` : text);
	}

	/**
	 * Goes on in this file, which may be the same name again after it was moved away; false: in none.
	 *
	 * @throws when it cannot be opened; the log then stays where it is
	 */
	reopen(file: string | false): void {
		const old = this.#file;
		this.#file = file === false ? undefined : openLog(file);
		if (old !== undefined) closeSync(old);
	}

	close(): void {
		if (this.#file !== undefined) closeSync(this.#file);
		this.#syslog?.close();
	}

	#write(level: Level, text: string): void {
		const line = formatLine(this.#clock.wall(), level, text);
		// a full disk or a closed terminal must not end the daemon
		if (this.#console) ignoreErrors(() => writeSync(level === "notice" ? 1 : 2, line));
		if (this.#file !== undefined) ignoreErrors(() => writeSync(this.#file!, line));
		this.#syslog?.write(this.#clock.wall(), SEVERITY[level], text);
	}
}

function openLog(file: string): number {
	try {
		const fd = openSync(file, "a", 0o600);
		fchmodSync(fd, 0o600);
		return fd;
	} catch (error) {
		throw new Error(`cannot open LogFile \`${file}': ${reasonOf(error)}`);
	}
}

/** A log line with its newline; the client dresses its errors alike. */
export function formatLine(date: Date, level: Level, text: string): string {
	return `[${formatDate(date)}] (pid=${process.pid}) [${level}] ${text}\n`;
}

/** As ctime(3) prints it, without the newline. */
export function formatDate(date: Date): string {
	const [weekday, month, day, year] = date.toDateString().split(" ");
	const clock = date.toTimeString().slice(0, 8);
	return `${weekday} ${month} ${day!.replace(/^0/, " ")} ${clock} ${year}`;
}

function ignoreErrors(action: () => void): void {
	try {
		action();
	} catch {}
}
