// The daemon in the Stats mode: no peers, no link. Kernel events -> filter -> a cache of the kernel's table -> a line for every
// flow that ends.
import { randomBytes } from "node:crypto";
import { Accounting } from "./accounting/accounting.ts";
import { FlowLog } from "./accounting/flow-log.ts";
import { accountingRequests } from "./accounting/requests.ts";
import { boot, type Cleanup, cleanUp } from "./boot.ts";
import { newInternalCaches } from "./cache/internal-cache.ts";
import { CommitWorker } from "./commit/commit-worker.ts";
import type { StatsConfig } from "./config/config.ts";
import { CONNTRACK } from "./conntrack/kind.ts";
import { labelMask } from "./conntrack/labels.ts";
import { NameTable } from "./conntrack/names.ts";
import { type ConntrackPolicy, ConntrackRules } from "./conntrack-rules.ts";
import { ControlServer, newControlCounters } from "./control/server.ts";
import type { DaemonOptions } from "./daemon.ts";
import { type EventSource, openEventSource } from "./event-source.ts";
import { AccountDecoder } from "./netlink/decode-accounting.ts";
import { KernelDumps } from "./netlink/kernel-dumps.ts";
import { OwnAddresses } from "./netlink/own-addresses.ts";
import { type EventBuffer, growBuffer, OverrunWatch } from "./overrun.ts";
import { walkSlices } from "./purge.ts";
import { attempt, reloadSettings } from "./reload.ts";
import { Settings } from "./settings.ts";
import { netlinkBuffer } from "./setup.ts";
import { AccountingStatistics } from "./stats/accounting-statistics.ts";
import { KernelResync } from "./sync/kernel-resync.ts";
import { systemClock } from "./system/clock.ts";
import { loadNative } from "./system/native.ts";
import { onSignals } from "./system/signals.ts";
import { Syslog } from "./system/syslog.ts";

/** A configuration without a mode is one of this mode, as for conntrackd. */
const NO_LOG: StatsConfig = { logFile: false, syslog: false, netlinkEventsReliable: false };

/**
 * Runs until it is told to stop; the exit status.
 *
 * @throws Error with a line for the operator when it cannot start
 */
export async function runStatsDaemon(options: DaemonOptions): Promise<number> {
	const { config } = options;
	const { general, stats = NO_LOG } = config;
	const settings = new Settings(options.configPath, config);
	const clock = systemClock;
	const native = loadNative();

	const cleanup: Cleanup = [];
	try {
		const { log, service, serve } = boot(options, native, clock, cleanup);
		const flowLog = new FlowLog({
			clock,
			log,
			...(stats.logFile !== false && { file: stats.logFile }),
			...(stats.syslog !== false && { syslog: new Syslog(native, stats.syslog) }),
		});
		cleanup.unshift(() => flowLog.close());

		const names = new NameTable();
		const caches = newInternalCaches(randomBytes(4).readInt32LE(), general.hashLimit);
		const cache = caches.conntracks;
		const policy: ConntrackPolicy = general.filter ?? {};
		const labels = labelMask(policy.label?.labels ?? []);
		const addresses = new OwnAddresses({
			native,
			failed: (error) => log.limited("addresses", error.message),
		});
		cleanup.unshift(() => addresses.close());
		const rules = new ConntrackRules({ policy, own: [], addresses, stores: () => [cache.store] });
		const account = new AccountDecoder();

		let stop: (status: number) => void = () => {};
		const stopped = new Promise<number>((resolve) => {
			stop = (status) => {
				log.notice("---- shutdown received ----");
				stop = () => {};
				resolve(status);
			};
		});
		const accounting = new Accounting({
			cache,
			rules,
			flowLog,
			account,
			names,
			clock,
			full: () =>
				log.limited(
					"full",
					`the cache holds HashLimit ${cache.limit} flows: those beyond it are not accounted`,
				),
			overrun: () => {
				growBuffer(listener.socket, buffer, log);
				if (settings.current.general.netlinkOverrunResync !== false) overruns.lost();
			},
		});

		// the way out of the kernel
		const dumps = new KernelDumps({ native, clock, names, labels, seen: () => {} });
		cleanup.unshift(() => dumps.close());
		const resync = new KernelResync({
			internal: [cache, caches.expectations],
			tables: (kind, visit) => dumps.read(kind, visit),
			passes: (_, record) => rules.passes(record),
			clock,
			drain: () => listener.drain(),
			pump: () => accounting.batchEnd(),
		});
		const overruns = new OverrunWatch({
			clock,
			log,
			resync: () => {
				log.limited("overrun", "events were lost: resync with the kernel table");
				return resync.run([CONNTRACK]);
			},
		});
		cleanup.unshift(() => overruns.close());
		const buffer: EventBuffer = netlinkBuffer(config);
		const listener: EventSource = openEventSource({
			config,
			native,
			clock,
			names,
			log,
			handler: accounting,
			expectations: false,
			receiveBuffer: buffer.size,
			ports: [],
			account,
			labels,
			compare: () => resync.run([CONNTRACK], true),
		});
		cleanup.unshift(() => listener.close());

		// -F only, and then in a thread of its own
		let worker: Promise<CommitWorker> | undefined;
		const flushes = { count: 0, failures: 0 };
		const flusher = async (): Promise<CommitWorker> => {
			worker ??= CommitWorker.start(names, (error) => {
				flushes.failures++;
				worker = undefined;
				log.error(`the thread that flushes has died: ${error.message}`);
			});
			try {
				return await worker;
			} catch (error) {
				// the next one may start
				worker = undefined;
				throw error;
			}
		};
		cleanup.unshift(async () => (await worker)?.stop());

		const statistics = new AccountingStatistics({
			cache,
			accounting,
			flowLog,
			listener,
			dump: dumps,
			flushes,
			resync,
			clock,
		});
		const controlCounters = newControlCounters();
		const control = new ControlServer(
			general.unixPath,
			accountingRequests({
				cache,
				names,
				clock,
				flushCache: () =>
					walkSlices(clock, cache.store, (slot) => cache.withdraw(slot, Math.floor(clock.now() / 1000))),
				flushKernel: async () => {
					flushes.count++;
					await (await flusher()).run({ type: "flush", kind: CONNTRACK, policy, own: [] });
				},
				resyncKernel: () => resync.run([CONNTRACK]),
				statistics: (op, form) => statistics.render(op, controlCounters, form),
				stop: () => stop(0),
				notice: (text) => log.notice(text),
				unknown: (op) => {
					controlCounters.unknownRequests++;
					log.limited("request", `unknown request ${op} on the control socket`);
				},
			}),
			controlCounters,
		);
		await serve(control);

		const reload = (): void => {
			attempt(log, "configuration", () => reloadSettings(settings, log));
			attempt(log, "log file", () => log.reopen(settings.current.general.logFile));
			attempt(log, "log file of Stats", () => flowLog.reopen(settings.current.stats?.logFile ?? false));
		};
		cleanup.unshift(onSignals({ SIGHUP: reload, SIGINT: () => stop(0), SIGTERM: () => stop(0) }));
		// subscribed already: dump, then listen
		listener.start();
		const populated = resync.run([CONNTRACK]);
		const status = await Promise.race([populated, stopped]);
		if (status !== undefined) return status;
		resync.count = 0;
		log.notice("initialization completed");
		log.notice(options.ready ? "-- starting in daemon mode --" : "-- starting in console mode --");
		options.ready?.();
		service.ready();
		return await stopped;
	} finally {
		await cleanUp(cleanup);
	}
}
