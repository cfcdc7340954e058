// What an operator, or a failover script, has the daemon do: commit, flush, resync, bulk, stop.
import type { ExternalCache } from "./cache/external-cache.ts";
import type { InternalCache } from "./cache/internal-cache.ts";
import type { Commit } from "./commit/commit.ts";
import type { CommitWorker } from "./commit/commit-worker.ts";
import type { Rehearsal } from "./commit/rehearsal.ts";
import { CONNTRACK, EXPECTATION, KINDS, type Kind } from "./conntrack/kind.ts";
import type { NameTable } from "./conntrack/names.ts";
import type { DaemonControl } from "./control/handlers.ts";
import { Failover } from "./failover.ts";
import type { FilterPolicy, OwnTraffic } from "./filter/filter.ts";
import type { LocalAddresses } from "./filter/own-connection.ts";
import { type EventBuffer, growBuffer, OverrunWatch } from "./overrun.ts";
import { Purge, walkSlices } from "./purge.ts";
import { attempt, reloadSettings } from "./reload.ts";
import type { LinkSecurity } from "./security/link-security.ts";
import type { Settings } from "./settings.ts";
import type { Ftfw } from "./sync/ftfw.ts";
import type { KernelResync } from "./sync/kernel-resync.ts";
import type { Peer } from "./sync/peer.ts";
import type { Ticker } from "./sync/ticker.ts";
import type { Clock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";

/** The kernel's tables are compared with the caches this often, though nothing seems to be wrong, milliseconds. */
const AUDIT_EVERY_MS = 600_000;
/** How often a comparison looks whether the commit is over that it waits for. */
const COMMIT_POLL_MS = 20;
/** After a table could not be read for a bulk: so long until it is tried again. */
const DUMP_AGAIN_MS = 1000;
/** The same when a peer has found a difference: at most this often. */
const SUSPICION_EVERY_MS = 60_000;

export interface OperationsOptions {
	commit: Commit;
	rehearsal: Rehearsal;
	worker: CommitWorker;
	ftfw: Ftfw;
	ticker: Ticker;
	internal: readonly [InternalCache, InternalCache];
	externals: (kind: Kind) => readonly ExternalCache[];
	/** The one that knows best first. */
	peers: () => readonly Peer[];
	filter: { policy: FilterPolicy; own: OwnTraffic[] };
	/** Which connections are the firewall's own. */
	addresses: LocalAddresses;
	names: NameTable;
	/** Seconds; asked for anew each time. */
	purgeTimeout: () => number;
	hasExpectations: boolean;
	resync: KernelResync;
	/** DisableInternalCache: reads the kernel's conntracks, which are nowhere else. */
	table?: (visit: (record: Int32Array) => void) => Promise<void>;
	/** Direct injection: gives an entry up to the peer that holds it, too, and the kernel keeps it; false if none does. */
	handOver?: (record: Int32Array) => boolean;
	/** This node may lose its connections to another: learns what the kernel sends no event for. */
	handingOver: () => void;
	/** Kernel events so far, those that are waiting included. */
	events: () => number;
	clock: Clock;
	log: Log;
}

export class Operations {
	readonly commit: Commit;
	readonly resync: KernelResync;
	readonly failover: Failover;
	kernelFlushes = 0;
	/** Resolves with the exit status when the daemon is to stop. */
	readonly stopped: Promise<number>;
	stop: (status: number) => void = () => {};
	readonly #options: OperationsOptions;
	readonly #purge: Purge;
	/** Cancels what the clock has still to do. */
	readonly #timers = new Set<() => void>();
	readonly #overruns: OverrunWatch;
	#suspectedAt = Number.NEGATIVE_INFINITY;
	/** Resolves with the end of a commit; one for all who wait for it. */
	#commitEnd: Promise<void> | undefined;

	constructor(options: OperationsOptions) {
		this.#options = options;
		this.commit = options.commit;
		options.ftfw.onCaches = (made) => {
			for (const kind of KINDS) options.commit.share(kind, made[kind]);
		};
		this.resync = options.resync;
		this.#purge = new Purge({
			...options,
			peers: () => options.ftfw.peers,
			begun: () => {
				this.kernelFlushes++;
				this.resync.withdrawals.add(CONNTRACK).add(EXPECTATION);
			},
			over: () => this.resync.withdrawals.add(CONNTRACK).add(EXPECTATION),
		});
		this.failover = new Failover({
			...options,
			stopPurge: () => this.#purge.stop(),
			disturbed: () => void this.#attempt(() => this.#resync(KINDS, true)),
		});
		this.#overruns = new OverrunWatch({
			clock: options.clock,
			log: options.log,
			resync: () => {
				options.log.limited("overrun", "events were lost: resync with the kernel tables");
				if (options.table) return this.#bulk();
				return this.#resync(KINDS);
			},
		});
		this.stopped = new Promise((resolve) => {
			this.stop = (status) => {
				options.log.notice("---- shutdown received ----");
				this.stop = () => {};
				options.handingOver();
				void this.#purge.stop();
				options.rehearsal.abort("the daemon is about to stop");
				this.#overruns.close();
				for (const cancel of this.#timers) cancel();
				resolve(status);
			};
		});
	}

	/** The first dump of the kernel. @throws NetlinkError */
	async populate(kinds: readonly Kind[]): Promise<void> {
		await this.resync.run(kinds);
		this.resync.count = 0;
	}

	/** Compares the caches with the kernel's tables now and then. */
	audit(): void {
		this.#later(AUDIT_EVERY_MS, () => {
			void this.#attempt(() => this.#resync(KINDS, true)).then(() => this.audit());
		});
	}

	/** A peer has found that it does not hold what this node has: is it this node that is wrong? */
	suspected(): void {
		const { clock, log } = this.#options;
		if (clock.now() - this.#suspectedAt < SUSPICION_EVERY_MS) return;
		this.#suspectedAt = clock.now();
		log.notice("a peer has found a difference: comparing the caches with the kernel tables");
		void this.#attempt(() => this.#resync(KINDS, true));
	}

	/** Compares the expectations with the kernel's, which is no resync that anybody asked for. */
	async compareExpectations(): Promise<void> {
		await this.#commitOver();
		await this.resync.table(EXPECTATION);
	}

	/** Masters have come into the cache whose expectations were passed over before. */
	lookForExpectations(): void {
		if (this.#options.hasExpectations) void this.#attempt(() => this.compareExpectations());
	}

	/** The requests of the control socket. */
	control(
		statistics: DaemonControl["statistics"],
		internal: DaemonControl["internal"],
		externals: DaemonControl["externals"],
	): Omit<DaemonControl, "verify" | "keysInUse" | "whyRejected" | "originOf" | "unknown"> {
		const { clock, log, names, ftfw, hasExpectations, ticker } = this.#options;
		return {
			internal,
			externals,
			names,
			clock,
			hasExpectations,
			statistics,
			commit: (kinds) => this.failover.commit(kinds),
			rehearse: (kinds, request, write) => this.failover.rehearse(kinds, request, write),
			commitAndTell: (kinds, request, write) => this.failover.commitAndTell(kinds, request, write),
			flushInternal: () => this.#flushInternal(),
			flushExternal: () => this.#flushExternal(),
			flushKernel: (kinds) => this.#flushKernel(kinds),
			resyncKernel: (kinds) => this.#resyncKernel(kinds),
			sendBulk: () => {
				this.#options.handingOver();
				this.#tellOfBulk("-B");
				ftfw.bulk(clock.now());
				ticker.pump();
			},
			requestResync: () => {
				this.#options.handingOver();
				// the stock hook asks when the node becomes backup
				ftfw.contacts.becomeBackup(clock.now());
				this.#tellOfBulk("-n");
				ftfw.requestResync(clock.now());
				ticker.pump();
			},
			resetTimers: () => {
				this.#options.handingOver();
				// the stock hook does so when the node is backup or at fault
				ftfw.contacts.becomeBackup(clock.now());
				// what this node has it goes on with, whatever role a hook tells
				if (ftfw.contacts.state.isActiveActive)
					log.notice("active-active: no entry is left over, and none is flushed");
				else this.#purge.schedule();
			},
			stop: () => this.stop(0),
			notice: (text) => log.notice(text),
		};
	}

	/** Mode ALARM: says that the request has no effect, and that none is needed. */
	#tellOfBulk(word: string): void {
		const { ftfw, log } = this.#options;
		if (ftfw.mode.hasBulk) return;
		log.notice(`Mode ALARM: ${word} has no effect, every entry is sent within RefreshTime`);
	}

	/** SIGHUP: the configuration, the log file, the keys. What cannot be used changes nothing, and does not keep the rest back. */
	reload(security: LinkSecurity, settings: Settings, reopenLog: (file: string | false) => void): void {
		const { log, ftfw, clock } = this.#options;
		attempt(log, "configuration", () => reloadSettings(settings, log));
		attempt(log, "log file", () => reopenLog(settings.current.general.logFile));
		attempt(log, "keys", () => {
			security.reload(settings.current.security?.keyFile);
			// the others want to know which keys this node accepts
			ftfw.contacts.sendHello(clock.now());
			log.notice(`keys reloaded: ${security.text}`);
		});
	}

	/** Events were lost: the buffer grows if it may, and the caches are compared with the kernel. */
	overrun(socket: { receiveBuffer: number }, buffer: EventBuffer, resync: number | false): void {
		growBuffer(socket, buffer, this.#options.log);
		if (resync !== false) this.#overruns.lost();
	}

	#later(milliseconds: number, action: () => void): void {
		const cancel = this.#options.clock.after(milliseconds, () => {
			this.#timers.delete(cancel);
			action();
		});
		this.#timers.add(cancel);
	}

	async #flushInternal(): Promise<void> {
		const { clock } = this.#options;
		this.#purge.cancel();
		for (const cache of this.#options.internal) {
			await walkSlices(clock, cache.store, (slot) => cache.withdraw(slot, Math.floor(clock.now() / 1000)));
		}
	}

	async #flushExternal(): Promise<string | undefined> {
		const { clock, log, ftfw, externals } = this.#options;
		this.#purge.cancel();
		if (this.commit.isRunning) {
			log.warning("commit still in progress, external cache not flushed");
			return "commit still in progress, external cache not flushed";
		}
		// what an operator has taken out must not come back by itself
		for (const { equality } of ftfw.peers) equality.suspend();
		for (const kind of KINDS) {
			for (const cache of externals(kind)) await walkSlices(clock, cache.store, (slot) => cache.drop(slot));
		}
		for (const { equality } of ftfw.peers) equality.emptied();
		return undefined;
	}

	async #flushKernel(kinds: readonly Kind[]): Promise<void> {
		const { worker, filter, log } = this.#options;
		for (const kind of kinds) {
			log.notice(`flushing kernel ${kind === CONNTRACK ? "conntrack" : "expect"} table`);
			this.kernelFlushes++;
			// the end of a master is that of its expectations
			this.resync.withdrawals.add(kind).add(EXPECTATION);
			await worker.run({ type: "flush", kind, ...filter });
			// a dump that was read meanwhile has not seen all of it
			this.resync.withdrawals.add(kind).add(EXPECTATION);
		}
	}

	/** What the lost events have told is nowhere here: the peers are sent everything, and drop what is not in it. */
	async #bulk(): Promise<void> {
		const { ftfw, clock } = this.#options;
		ftfw.bulk(clock.now());
	}

	async #resyncKernel(kinds: readonly Kind[]): Promise<void> {
		if (this.#options.table) {
			this.#options.log.warning(
				"resync with the kernel is unsupported in this mode: there is no internal cache",
			);
			return;
		}
		for (const kind of kinds) {
			this.#options.log.notice(`resync with master ${kind === CONNTRACK ? "conntrack" : "expect"} table`);
		}
		await this.#resync(kinds);
	}

	/** Both tables, for PollSecs: nobody has asked for it. */
	comparePolled(): Promise<void> {
		return this.#resync(KINDS, true);
	}

	/** Both tables, into internal caches that keep nothing, for a bulk; calls back with whether that was all, if not after a while. */
	async dumpFor(done: (isComplete: boolean) => void): Promise<void> {
		try {
			await this.#commitOver();
			await this.resync.run(this.#options.hasExpectations ? KINDS : [CONNTRACK], true);
			done(true);
		} catch (error) {
			this.#options.log.limited(
				"bulk",
				`the bulk is not complete, trying again: ${(error as Error).message}`,
			);
			await new Promise<void>((resolve) => this.#later(DUMP_AGAIN_MS, resolve));
			done(false);
		}
		this.#options.ticker.pump();
	}

	async #resync(kinds: readonly Kind[], isAudit = false): Promise<void> {
		const { hasExpectations, table } = this.#options;
		await this.#commitOver();
		// without an internal cache every conntrack would be news
		const wanted = kinds.filter((kind) => (kind === CONNTRACK ? !table : hasExpectations));
		if (wanted.length > 0) await this.resync.run(wanted, isAudit);
	}

	/** A dump would not show what a commit has taken into the cache and not written yet. */
	async #commitOver(): Promise<void> {
		const { clock } = this.#options;
		const wait = async (): Promise<void> => {
			while (this.commit.isRunning)
				await new Promise<void>((resolve) => clock.after(COMMIT_POLL_MS, resolve));
			this.#commitEnd = undefined;
		};
		if (this.commit.isRunning) await (this.#commitEnd ??= wait());
	}

	/** Runs what nobody waits for; a failure is a log line. */
	async #attempt(action: () => Promise<void>): Promise<void> {
		try {
			await action();
		} catch (error) {
			this.#options.log.error((error as Error).message);
		}
	}
}
