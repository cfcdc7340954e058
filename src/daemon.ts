// The daemon: builds every part and joins them. The path of an event, from this kernel to the peer's:
//   netlink/event-listener -> filter -> cache/internal -> sync/outgoing -> channel ~~~~> channel -> sync/ftfw
//     -> cache/external -> (ctsync -c) -> commit -> kernel
import { randomBytes } from "node:crypto";
import { Admission } from "./admission.ts";
import { boot, type Cleanup, cleanUp } from "./boot.ts";
import type { ExternalCache } from "./cache/external-cache.ts";
import { newInternalCaches } from "./cache/internal-cache.ts";
import { Commit } from "./commit/commit.ts";
import { CommitWorker } from "./commit/commit-worker.ts";
import { jobOf } from "./commit/expectation-commit.ts";
import { ExpectationDeadlines } from "./commit/expectation-deadlines.ts";
import { unknownView } from "./commit/local-view.ts";
import { Rehearsal } from "./commit/rehearsal.ts";
import type { Config, ConfigProblem } from "./config/config.ts";
import { CONNTRACK, EXPECTATION, KINDS, type Kind } from "./conntrack/kind.ts";
import { labelMask } from "./conntrack/labels.ts";
import { NameTable } from "./conntrack/names.ts";
import { formatNode } from "./conntrack/node-id.ts";
import { requestHandler } from "./control/handlers.ts";
import { ControlServer, newControlCounters } from "./control/server.ts";
import { openLinks } from "./dedicated-link.ts";
import { directInjection } from "./direct-injection.ts";
import { entryRules } from "./entry-rules.ts";
import { EventRouter } from "./event-router.ts";
import { openEventSource } from "./event-source.ts";
import { ExpectationWatch } from "./expectation-watch.ts";
import { keysInUse } from "./keys-in-use.ts";
import { ConntrackLookup } from "./netlink/conntrack-lookup.ts";
import { KernelDumps } from "./netlink/kernel-dumps.ts";
import { MasterWatch } from "./netlink/master-watch.ts";
import { OwnAddresses } from "./netlink/own-addresses.ts";
import { Operations } from "./operations.ts";
import { LinkSecurity } from "./security/link-security.ts";
import { Settings } from "./settings.ts";
import { netlinkBuffer, nodeIdOf, policyChecksum, replicationMode } from "./setup.ts";
import { Statistics } from "./stats/statistics.ts";
import { Ftfw } from "./sync/ftfw.ts";
import { KernelResync } from "./sync/kernel-resync.ts";
import { differenceText } from "./sync/mode.ts";
import type { Peer } from "./sync/peer.ts";
import { REJECTS } from "./sync/sync-counters.ts";
import { Ticker } from "./sync/ticker.ts";
import { EPOCH_SIZE } from "./sync/wire/frame.ts";
import { systemClock } from "./system/clock.ts";
import { ciphersOf, loadNative } from "./system/native.ts";
import { onSignals } from "./system/signals.ts";
import { Verification } from "./verification.ts";

export interface DaemonOptions {
	configPath: string;
	config: Config;
	warnings: ConfigProblem[];
	/** Runs behind `-d`: called when the daemon answers on its control socket. */
	ready?: () => void;
}

/**
 * Runs until it is told to stop; the exit status.
 *
 * @throws Error with a line for the operator when it cannot start
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
	const { config } = options;
	if (!config.sync) return (await import("./stats-daemon.ts")).runStatsDaemon(options);
	const { general, sync } = config;
	const isActiveActive = sync.role === "active-active";
	const settings = new Settings(options.configPath, config);
	const clock = systemClock;
	const native = loadNative();

	const cleanup: Cleanup = [];
	try {
		const { log, service, serve } = boot(options, native, clock, cleanup);

		// what the parts are made of
		const names = new NameTable();
		const hashSeed = randomBytes(4).readInt32LE();
		const caches = newInternalCaches(hashSeed, general.hashLimit);
		const internal = [caches.conntracks, caches.expectations] as const;
		const labels = labelMask(sync.labels);
		const seenLabels = labelMask([...sync.labels, ...(general.filter?.label?.labels ?? [])]);
		const rules = entryRules({
			config,
			internal,
			names,
			clock,
			log,
			addresses: () => addresses,
			young: () => admission.young,
			externals: () => [
				...ftfw.peers.map(({ external }) => external),
				...(ftfw.returned.caches ? [ftfw.returned.caches] : []),
			],
		});
		const { checks, hasExpectations, passes, masters: expectationMasters } = rules;

		// the dedicated link and the protocol on it
		const link = openLinks({ config, native, clock, log, ftfw: () => ftfw });
		const { channel } = link;
		cleanup.unshift(() => channel.close());
		const node = config.security?.node ?? nodeIdOf(link.config, link.device);
		const epoch = randomBytes(EPOCH_SIZE);
		const security = new LinkSecurity(config.security, node, epoch, ciphersOf(native));
		const entropy = (size: number): Uint8Array => randomBytes(size);
		const dump = (done: (isComplete: boolean) => void): void => void operations.dumpFor(done);
		const isHeld = (): boolean => operations.commit.isRunning;
		const mode = replicationMode(config, { dump, isHeld }, entropy);
		const ftfw: Ftfw = new Ftfw({
			node,
			epoch,
			internal: caches,
			names,
			hashSeed,
			externalLimit: general.hashLimit,
			datagramMax: channel.datagramMax,
			credit: channel.credit,
			seal: security.seal,
			sink: (bytes, end) => channel.send(bytes, end),
			entropy,
			mode,
			...(!mode.isAcknowledged && { isCongested: () => channel.isCongested }),
			policy: policyChecksum(config),
			isActiveActive,
			keys: () => security.keys,
			notice: (text) => log.notice(text),
			suspected: () => operations.suspected(),
			repairing: (peer) => log.limited("repair", differenceText(mode, peer)),
			expectations: checks,
			differs: (peer, difference) => verification.differs(peer, difference),
			rejected: (reason) => log.limited(reason, `dropped a datagram ${REJECTS[reason]}`),
		});
		const ticker = new Ticker(ftfw, clock);
		cleanup.unshift(() => ticker.stop());
		const verification = new Verification({ ftfw, ticker, names, clock });
		// whoever took over last, or was heard last, knows best: the commit takes its view first
		const peers = (): readonly Peer[] =>
			ftfw.peers.toSorted((a, b) => b.state.term - a.state.term || b.heardAt - a.heardAt);
		const externals = (kind: Kind): readonly ExternalCache[] => [
			...peers().map((peer) => peer.external[kind]),
			...(ftfw.returned.caches ? [ftfw.returned.caches[kind]] : []),
		];

		const addresses = new OwnAddresses({
			native,
			failed: (error) => log.limited("addresses", error.message),
			changed: () => admission.addressesChanged(),
		});
		cleanup.unshift(() => addresses.close());

		const admission: Admission = new Admission({
			config,
			rules: rules.conntracks,
			internal,
			native,
			names,
			labels: seenLabels,
			clock,
			isPassing: mode.dump !== undefined,
			seed: hashSeed,
			router: () => router,
			pump: () => ticker.pump(),
			lookForExpectations: () => operations.lookForExpectations(),
			log,
		});
		cleanup.unshift(() => admission.close());

		// the way into the kernel
		const worker = await CommitWorker.start(names, (error) => {
			statistics.workerFailures++;
			log.error(`the commit worker has died: ${error.message}`);
			operations.stop(1);
		});
		cleanup.unshift(() => worker.stop());
		// the same for a commit and for its rehearsal
		const termBegan = (): number => Math.floor(ftfw.contacts.termFrom(clock.now()) / 1000);
		const committing = {
			internal,
			externals,
			names,
			clock,
			windowTracking: sync.tcpWindowTracking,
			labels,
			timeout: sync.commitTimeout,
			isActiveActive,
			termBegan,
			...(mode.dump && { unknownView: () => unknownView(Math.floor(clock.now() / 1000), termBegan()) }),
		};
		const injection = directInjection(sync, {
			...committing,
			native,
			log,
			ftfw,
			checks,
			isCommitting: () => operations.commit.isRunning,
			drain: () => listener.drain(),
			adopted: (record) => masters.committed(record),
			pump: () => ticker.pump(),
		});
		cleanup.unshift(() => injection?.close());
		const operations = new Operations({
			rehearsal: new Rehearsal({
				...committing,
				policy: () => checks.forCommit(true),
				native,
				hasExpectations,
			}),
			commit: new Commit({
				...committing,
				policy: () => checks.forCommit(),
				worker,
				adopted: (record) => masters.committed(record),
				guard: (record, deadline) => deadlines.add(record, deadline),
				pump: () => ticker.pump(),
				refused: (kind, refusal) => operations.failover.refused(kind, refusal),
				warning: (text) => log.warning(text),
			}),
			worker,
			ftfw,
			ticker,
			internal,
			externals,
			peers,
			filter: { policy: rules.policy, own: rules.own },
			addresses,
			names,
			purgeTimeout: () => settings.current.sync!.purgeTimeout,
			hasExpectations,
			resync: new KernelResync({
				internal,
				tables: admission.tables((kind, visit) => dumps.read(kind, visit)),
				passes: (kind, record) => !injection?.isForeign(kind, record) && router.isDumped(kind, record),
				clock,
				drain: () => listener.drain(),
				pump: () => ticker.pump(),
			}),
			...(mode.dump && { table: (visit) => dumps.read(CONNTRACK, visit) }),
			...(injection && { handOver: (record) => injection.handOver(record) }),
			handingOver: () => masters.askAll(),
			events: () => {
				listener.drain();
				return listener.counters.received;
			},
			clock,
			log,
		});

		// the way out of the kernel
		const buffer = netlinkBuffer(config);
		const dumps = new KernelDumps({
			native,
			clock,
			names,
			labels: seenLabels,
			seen: (record) => masters.seen(record),
		});
		cleanup.unshift(() => dumps.close());
		const lookupFailed = (error: Error): void => log.limited("lookup", error.message);
		const lookup =
			mode.dump && new ConntrackLookup({ native, names, labels: seenLabels, failed: lookupFailed });
		cleanup.unshift(() => lookup?.close());
		const router: EventRouter = new EventRouter({
			internal,
			passes,
			...admission.forRouter,
			masters: expectationMasters,
			...(lookup && { lookup }),
			...(injection && { injection }),
			flushPort: worker.flushPort,
			clock,
			ended: (kind, record) => operations.commit.ended(kind, record),
			announced: (record) => {
				deadlines.announced(record);
				const master = expectationMasters.find(record);
				if (master) masters.announced(master);
			},
			helped: (record) => {
				masters.seen(record);
				if (internal[EXPECTATION].store.live > 0) expectationWatch.soon();
			},
			seen: (record) => operations.commit.seen(record),
			changed: () => ticker.pump(),
			overrun: () =>
				operations.overrun(listener.socket, buffer, settings.current.general.netlinkOverrunResync),
		});
		const masters = new MasterWatch({
			native,
			clock,
			names,
			labels: seenLabels,
			seed: hashSeed,
			found: (record) => router.refreshed(record),
			batchEnd: () => ticker.pump(),
		});
		cleanup.unshift(() => masters.close());
		const expectationWatch = new ExpectationWatch({
			clock,
			isNeeded: () => hasExpectations && (internal[EXPECTATION].store.live > 0 || masters.size > 0),
			read: () => operations.compareExpectations(),
			failed: (error) => log.limited("expectations", error.message),
		});
		cleanup.unshift(() => expectationWatch.close());
		const deadlines = new ExpectationDeadlines({
			clock,
			internal: internal[EXPECTATION],
			remove: async (records) => {
				await worker.run(jobOf(records.map((record) => ({ record, step: "delete" }))));
				log.notice(
					`${records.length} committed expectations were there beyond their time and have been removed`,
				);
			},
			failed: (error) => log.limited("expectations", error.message),
		});
		cleanup.unshift(() => deadlines.close());
		const listener = openEventSource({
			config,
			native,
			clock,
			names,
			log,
			handler: router,
			expectations: hasExpectations,
			receiveBuffer: buffer.size,
			ports: [worker.commitPort, masters.pickUp.port, ...(injection ? [injection.port] : [])],
			labels: seenLabels,
			compare: () => operations.comparePolled(),
		});
		cleanup.unshift(() => listener.close());

		const statistics = new Statistics({
			internal,
			externals,
			ftfw,
			channel,
			silent: () => link.silent,
			listener,
			dump: dumps,
			router,
			operations,
			...(injection && { injection }),
			...(hasExpectations && { policy: checks }),
			security: {
				get text() {
					return `${security.text}\n${link.speakers}`;
				},
			},
			clock,
		});
		const controlCounters = newControlCounters();
		const control = new ControlServer(
			general.unixPath,
			requestHandler({
				...operations.control(
					(op, form) => statistics.render(op, controlCounters, form),
					internal,
					externals,
				),
				originOf: (cache) => {
					const peer = ftfw.peers.find(({ external }) => external.includes(cache));
					return peer && formatNode(peer.node);
				},
				unknown: (op) => {
					controlCounters.unknownRequests++;
					log.limited("request", `unknown request ${op} on the control socket`);
				},
				verify: (name) => verification.run(name),
				whyRejected: (record, store, rule) => checks.why(record, store, rule),
				keysInUse: (change, key) => keysInUse(ftfw.peers, security, change, key),
			}),
			controlCounters,
		);
		await serve(control);

		const stop = (): void => operations.stop(0);
		const reload = (): void => operations.reload(security, settings, (file) => log.reopen(file));
		cleanup.unshift(onSignals({ SIGHUP: reload, SIGINT: stop, SIGTERM: stop }));
		// subscribed already: dump, then tell the peers
		listener.start();
		const populated = operations.populate(hasExpectations ? KINDS : [CONNTRACK]);
		const status = await Promise.race([populated, operations.stopped]);
		if (status !== undefined) return status;
		channel.start(
			(bytes, start, end) => ftfw.receive(bytes, start, end, clock.now()),
			() => ticker.pump(),
		);
		ticker.start();
		operations.audit();
		log.notice("initialization completed");
		log.notice(options.ready ? "-- starting in daemon mode --" : "-- starting in console mode --");
		options.ready?.();
		service.ready();
		return await operations.stopped;
	} finally {
		await cleanUp(cleanup);
	}
}
