// What every daemon begins with, whatever its mode: the lock file, the log and what there is to say in it, scheduling, and the
// service manager.
import { formatProblem } from "./config/config.ts";
import type { DaemonOptions } from "./daemon.ts";
import { cautions, kernelWarnings, openLog } from "./setup.ts";
import type { Clock } from "./system/clock.ts";
import { LockFile } from "./system/lockfile.ts";
import type { DaemonLog } from "./system/log.ts";
import type { Native } from "./system/native.ts";
import { applyScheduling } from "./system/scheduling.ts";
import { ServiceManager } from "./system/service-manager.ts";

/** What has to be done at the end, the last first. */
export type Cleanup = (() => void | Promise<void>)[];

/** What answers on the control socket. */
type Control = { listen: () => Promise<void>; close: () => void };

export interface Booted {
	log: DaemonLog;
	service: ServiceManager;
	/**
	 * Opens the control socket. Where no other daemon answers there none runs, and the lock file gets this one's number.
	 *
	 * @throws Error with a line for the operator when one does
	 */
	serve: (control: Control) => Promise<void>;
}

/** @throws Error with a line for the operator when another instance runs, or the log cannot be opened */
export function boot(options: DaemonOptions, native: Native, clock: Clock, cleanup: Cleanup): Booted {
	const { general } = options.config;
	const lock = LockFile.take(native, general.lockFile);
	cleanup.unshift(() => lock.release());
	const log = openLog(general, { clock, native, console: options.ready === undefined });
	cleanup.unshift(() => log.close());
	for (const problem of options.warnings) log.warning(formatProblem(problem));
	const isActiveActive = options.config.sync?.role === "active-active";
	for (const warning of [...cautions(options.config), ...kernelWarnings(isActiveActive)])
		log.warning(warning);
	if (general.scheduler) applyScheduling(native, general.scheduler, (text) => log.warning(text));
	const service = new ServiceManager(native, clock, general.systemd ? process.env : {});
	cleanup.unshift(() => service.close());
	const serve = async (control: Control): Promise<void> => {
		await control.listen();
		cleanup.unshift(() => control.close());
		lock.sign();
	};
	return { log, service, serve };
}

/** Does it; what fails is told, and does not keep the rest back. */
export async function cleanUp(cleanup: Cleanup): Promise<void> {
	for (const step of cleanup) {
		try {
			await step();
		} catch (error) {
			process.stderr.write(`ctsync: at the end: ${(error as Error).message}\n`);
		}
	}
}
