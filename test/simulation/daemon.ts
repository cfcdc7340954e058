// One life of a node's daemon: the production modules, joined as src/daemon.ts joins them, over a modelled kernel and
// link. What src/operations.ts does with a worker thread is modelled here: commit, flush, the resync after an overrun.
import { type InternalCaches, newInternalCaches } from "../../src/cache/internal-cache.ts";
import { CONNTRACK, KINDS, type Kind } from "../../src/conntrack/kind.ts";
import { NameTable } from "../../src/conntrack/names.ts";
import { newConntrackRecord } from "../../src/conntrack/record.ts";
import { EventRouter, type RouterOptions } from "../../src/event-router.ts";
import { Ftfw } from "../../src/sync/ftfw.ts";
import { KernelResync } from "../../src/sync/kernel-resync.ts";
import type { ReplicationMode } from "../../src/sync/mode.ts";
import { Ticker } from "../../src/sync/ticker.ts";
import { EPOCH_SIZE } from "../../src/sync/wire/frame.ts";
import type { Seal } from "../../src/sync/wire/seal.ts";
import type { Clock } from "../../src/system/clock.ts";
import { Entries, entryKey, entryValue } from "./entries.ts";
import { type DaemonWatch, type Epoch, newDaemonWatch } from "./history.ts";
import type { Kernel, KernelEvent } from "./kernel.ts";
import type { Sent } from "./network.ts";
import type { Oracle } from "./oracle.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";
import { watchInternal } from "./watch-internal.ts";

/** Netlink ports of the daemon's own requests. */
const FLUSH_PORT = 7;
/** As in src/operations.ts, milliseconds. */
const OVERRUN_WAIT = 100;
const SUSPICION_EVERY = 60_000;

export interface DaemonOptions {
	node: number;
	/** Counts the node's starts. */
	index: number;
	kernel: Kernel;
	scheduler: Scheduler;
	random: Random;
	oracle: Oracle;
	seal: (node: number, epoch: Uint8Array) => Seal;
	/** `isData`: it is sent again, in one way or another, if it is lost. */
	send: (epoch: Epoch, bytes: Uint8Array, end: number, isData: boolean) => void;
	settings: DaemonSettings;
	/** Source addresses of conntracks by key, where they are not all the same. */
	sources: ReadonlyMap<number, number>;
	/** Whether the process stands still; what it has to do meanwhile it does afterwards, in the same order. */
	isStalled: () => boolean;
	defer: (run: () => void) => void;
	/** What an operator would read in the log. */
	notice: (text: string) => void;
}

export interface DaemonSettings {
	hashSeed: number;
	datagramMax: number;
	/** Datagrams that the receive buffer holds. */
	credit: number;
	/** Milliseconds until an event is read, at most. */
	eventDelay: number;
	/** Entries per message of a dump, and milliseconds between two, at most. */
	dumpStep: number;
	dumpDelay: number;
	/** How the node replicates; Mode FTFW unless given. Called for each start. */
	mode?: (entropy: (size: number) => Uint8Array) => ReplicationMode;
}

/** The model's expectations have no masters: each counts as if its own were there. */
const ANY_MASTER: RouterOptions["masters"] = {
	find: () => newConntrackRecord(),
	locate: () => {},
	isAwaited: false,
	wait: () => {},
	forget: () => false,
	arrived: () => [],
};

export class Daemon {
	readonly ftfw: Ftfw;
	readonly internal: InternalCaches;
	readonly watch: DaemonWatch;
	readonly epoch: Epoch;
	readonly resync: KernelResync;
	isRunning = true;
	/** The first dump is in: it sends and receives. */
	isReady = false;
	/** Events are lost while this is true. */
	isDeaf = false;
	readonly #options: DaemonOptions;
	readonly #ticker: Ticker;
	readonly #router: EventRouter;
	readonly #entries: Entries;
	#events: KernelEvent[] = [];
	#isReading = false;
	/** Events were thrown away since the last read. */
	#isOverrun = false;
	#suspectedAt = Number.NEGATIVE_INFINITY;
	#isOverrunPending = false;
	#received: { sent: Sent; bytes: Uint8Array; isIntact: boolean }[] = [];

	constructor(options: DaemonOptions) {
		this.#options = options;
		const { node, random, scheduler, oracle, settings, kernel } = options;
		const names = new NameTable();
		this.#entries = new Entries(names, options.sources);
		this.internal = newInternalCaches(settings.hashSeed, 1_000_000);
		const { conntracks, expectations } = this.internal;
		const internal = [conntracks, expectations] as const;
		const epoch = random.bytes(EPOCH_SIZE);
		this.epoch = oracle.newEpoch(node, options.index, epoch);
		this.watch = newDaemonWatch(this.#entries);
		const clock: Clock = {
			now: () => scheduler.now,
			after: (milliseconds, run) => this.#after(milliseconds, run),
			pause: () => this.#pause(0.05),
			wall: () => new Date(0),
		};
		this.ftfw = new Ftfw({
			node,
			epoch,
			internal: this.internal,
			names,
			hashSeed: settings.hashSeed,
			externalLimit: 1_000_000,
			datagramMax: settings.datagramMax,
			credit: settings.credit,
			...(settings.mode && { mode: settings.mode((size) => random.bytes(size)) }),
			seal: options.seal(node, epoch),
			sink: (bytes, end) => {
				const { inFlight, nextSequence } = this.ftfw.outgoing;
				options.send(this.epoch, bytes, end, inFlight.pending(nextSequence - 1) !== 0);
			},
			entropy: (size) => random.bytes(size),
			notice: options.notice,
			rejected: () => {},
			suspected: () => this.#suspected(),
		});
		this.ftfw.onCaches = (caches) => oracle.watchExternal(node, this.watch, caches, () => this.ftfw.peers);
		watchInternal(oracle, this.epoch, internal, this.#entries);
		this.#ticker = new Ticker(this.ftfw, clock);
		this.#router = new EventRouter({
			internal,
			passes: () => true,
			masters: ANY_MASTER,
			flushPort: FLUSH_PORT,
			clock,
			// the modelled commit takes no time, so nothing ends in the midst of it
			ended: () => {},
			announced: () => {},
			helped: () => {},
			seen: () => {},
			changed: () => this.#ticker.pump(),
			overrun: () => this.#overrun(),
		});
		this.resync = new KernelResync({
			internal,
			tables: (kind, visit) => this.#dump(kind, visit),
			passes: () => true,
			clock,
			drain: () => this.#drain(),
			pump: () => this.#ticker.pump(),
		});
		// subscribed before the dump
		kernel.listener = (event) => this.#event(event);
		this.#run(this.resync.run(), () => {
			this.isReady = true;
			oracle.isStirred = true;
			this.#ticker.start();
		});
	}

	/** The process is gone, whatever it was about to do. */
	crash(): void {
		this.isRunning = false;
		this.isReady = false;
		this.#options.kernel.listener = undefined;
	}

	/** A datagram comes into the receive buffer, if there is room: whether there is. */
	arrive(sent: Sent, bytes: Uint8Array, isIntact: boolean): boolean {
		if (!this.isReady || this.#received.length >= this.#options.settings.credit) return false;
		this.#received.push({ sent, bytes, isIntact });
		if (this.#received.length > 1) return true;
		const { isStalled, defer } = this.#options;
		if (isStalled()) defer(() => this.#read());
		else this.#read();
		return true;
	}

	/**
	 * -c: all that the peers' caches hold, and what a peer has given back, comes into this kernel, and is this node's own
	 * from then on. As in src/commit/commit.ts: who took over last knows best, and a local entry knows better.
	 */
	commit(): void {
		const { kernel, scheduler } = this.#options;
		const seconds = Math.floor(scheduler.now / 1000);
		const { returned, contacts } = this.ftfw;
		contacts.becomePrimary(scheduler.now);
		const peers = this.ftfw.peers.toSorted((a, b) => b.state.term - a.state.term || b.heardAt - a.heardAt);
		for (const kind of KINDS) {
			const cache = this.#cache(kind);
			const externals = peers.map((peer) => peer.external[kind]);
			if (returned.caches) externals.push(returned.caches[kind]);
			for (const { store } of externals) {
				const record = new Int32Array(store.layout.recordWords);
				for (let slot = 0; slot < store.end; slot++) {
					if (!store.isLive(slot) || !store.isOwned(slot)) continue;
					store.read(slot, record);
					const known = cache.store.find(record);
					const isKnown = known >= 0 && cache.store.isLive(known);
					const key = entryKey(kind, record);
					if (isKnown || kernel.tables[kind].has(key)) continue;
					cache.apply(record, false, seconds);
					kernel.set(kind, key, entryValue(kind, record), true);
				}
			}
		}
		this.#ticker.pump();
	}

	/** -F: the kernel's tables are emptied, which ends no connection. */
	flushKernel(): void {
		const { kernel } = this.#options;
		for (const kind of KINDS) this.resync.withdrawals.add(kind);
		for (const kind of KINDS) {
			for (const key of [...kernel.tables[kind].keys()]) kernel.destroy(kind, key, FLUSH_PORT);
		}
	}

	/** -f internal, and -R, which fills the cache again. */
	flushInternal(): void {
		for (const kind of KINDS) {
			const cache = this.#cache(kind);
			for (let slot = 0; slot < cache.store.end; slot++) {
				if (cache.store.isLive(slot)) cache.withdraw(slot, Math.floor(this.#options.scheduler.now / 1000));
			}
		}
		this.resyncKernel();
	}

	/** -f external, and -n, which fills the caches again. */
	flushExternal(): void {
		this.watch.isFlushing = true;
		for (const peer of this.ftfw.peers) {
			peer.equality.suspend();
			for (const kind of KINDS) {
				const external = peer.external[kind];
				for (let slot = 0; slot < external.store.end; slot++) {
					if (external.store.isLive(slot)) external.drop(slot);
				}
			}
			peer.equality.emptied();
		}
		this.watch.isFlushing = false;
		this.requestResync();
	}

	/** -R */
	resyncKernel(): void {
		this.#run(this.resync.run(), () => {});
	}

	/** -B */
	bulk(): void {
		this.ftfw.bulk(this.#options.scheduler.now);
		this.#ticker.pump();
	}

	/** -n */
	requestResync(): void {
		this.ftfw.contacts.becomeBackup(this.#options.scheduler.now);
		this.ftfw.requestResync(this.#options.scheduler.now);
		this.#ticker.pump();
	}

	/** A peer has found a difference: is it this node that is wrong? */
	#suspected(): void {
		const { now } = this.#options.scheduler;
		if (now - this.#suspectedAt < SUSPICION_EVERY) return;
		this.#suspectedAt = now;
		this.#options.oracle.note(() => `node ${this.#options.node}: a peer has found a difference`);
		this.#run(this.resync.run(KINDS, true), () => {});
	}

	#cache(kind: Kind) {
		return kind === CONNTRACK ? this.internal.conntracks : this.internal.expectations;
	}

	/** Calls back unless the process has gone; late if it stands still. */
	#after(milliseconds: number, run: () => void): () => void {
		const { scheduler, isStalled, defer } = this.#options;
		const task = scheduler.after(milliseconds, () => {
			if (isStalled()) defer(attempt);
			else attempt();
		});
		const attempt = (): void => {
			if (this.isRunning && !task.isCancelled) run();
		};
		return () => {
			task.isCancelled = true;
		};
	}

	#pause(milliseconds: number): Promise<void> {
		return new Promise((resolve) => {
			this.#after(milliseconds, () => {
				this.#options.scheduler.hasPromises = true;
				resolve();
			});
		});
	}

	#run(promise: Promise<void>, done: () => void): void {
		const { scheduler, oracle } = this.#options;
		scheduler.hasPromises = true;
		promise.then(done).catch((error: Error) => oracle.fail("exception", error.stack ?? error.message));
	}

	/** Everything in the receive buffer. */
	#read(): void {
		if (!this.isRunning) return;
		const { scheduler } = this.#options;
		while (this.#received.length > 0) {
			const batch = this.#received;
			this.#received = [];
			for (const { sent, bytes, isIntact } of batch) {
				this.watch.present = { sent, isIntact, isRepeated: this.watch.processed.has(sent.id) };
				// a seal opens in place, and the bytes are on their way to others
				const own = bytes.slice();
				this.ftfw.receive(own, 0, own.length, scheduler.now);
				this.watch.present = undefined;
			}
		}
		this.#ticker.pump();
	}

	#event(event: KernelEvent): void {
		if (this.isDeaf) this.#isOverrun = true;
		else this.#events.push(event);
		if (this.#isReading) return;
		this.#isReading = true;
		const { random, settings } = this.#options;
		this.#after(random.next() * settings.eventDelay, () => {
			this.#isReading = false;
			this.#drain();
		});
	}

	#drain(): void {
		// the socket says first that something was lost, then what it has
		if (this.#isOverrun) {
			this.#isOverrun = false;
			this.#router.overrun();
		}
		const events = this.#events;
		if (events.length === 0) return;
		this.#events = [];
		for (const { kind, event, key, value, id, port } of events) {
			const record = this.#entries.record(kind, key, value, id);
			if (kind === CONNTRACK) this.#router.conntrack(event, record, port);
			else this.#router.expectation(event, record, port);
		}
		this.#router.batchEnd();
	}

	/** Events that wait are still delivered: the kernel has thrown away those that came after them. */
	#overrun(): void {
		if (this.#isOverrunPending) return;
		this.#isOverrunPending = true;
		this.#after(OVERRUN_WAIT, () => {
			this.#isOverrunPending = false;
			this.resyncKernel();
		});
	}

	/** Message by message: the kernel fills one when the one before was read, so entries come and go between them. */
	async #dump(kind: Kind, visit: (record: Int32Array) => void): Promise<void> {
		const { kernel, random, settings } = this.#options;
		const table = kernel.tables[kind];
		const keys = [...table.keys()];
		for (let at = 0; at < keys.length; at += settings.dumpStep) {
			const message = keys.slice(at, at + settings.dumpStep).map((key) => ({ key, ...table.get(key) }));
			await this.#pause(random.next() * settings.dumpDelay);
			for (const { key, value, id } of message) {
				if (value !== undefined) visit(this.#entries.record(kind, key, value, id));
			}
		}
	}
}
