// For tests: one node's way into its kernel, from a peer's cache on: what daemon.ts joins, without peers.
import assert from "node:assert/strict";
import { ConntrackLayout } from "../cache/conntrack-layout.ts";
import { ExpectationLayout } from "../cache/expectation-layout.ts";
import { ExternalCache } from "../cache/external-cache.ts";
import { type InternalCaches, newInternalCaches } from "../cache/internal-cache.ts";
import { RecordStore } from "../cache/record-store.ts";
import {
	type Conntrack,
	conntrackFromRecord,
	conntrackToRecord,
	type Expectation,
	expectationFromRecord,
	expectationToRecord,
} from "../conntrack/conntrack.ts";
import { CONNTRACK, EXPECTATION, KINDS, type Kind } from "../conntrack/kind.ts";
import { type LabelMask, NO_LABELS } from "../conntrack/labels.ts";
import { NameTable } from "../conntrack/names.ts";
import { IPS_REPLICATED } from "../conntrack/status.ts";
import { EventListener } from "../netlink/event-listener.ts";
import { type Clock, systemClock } from "../system/clock.ts";
import type { Native } from "../system/native.ts";
import { Commit, type CommitSummary } from "./commit.ts";
import { CommitWorker } from "./commit-worker.ts";
import { KernelTables } from "./kernel-tables.ts";
import type { Refusal } from "./messages.ts";

const SEED = 4711;
const LIMIT = 100_000;

export interface KitOptions {
	native: Native;
	clock?: Clock;
	windowTracking?: boolean;
	/** CommitTimeout, seconds. */
	timeout?: number;
	/** The connlabels that count. */
	labels?: LabelMask;
	peers?: number;
	/** When this node was put in charge, seconds. Without it every entry that it has is a left-over. */
	termBegan?: () => number;
	/** All nodes forward. */
	isActiveActive?: boolean;
}

export interface NamedRefusal extends Refusal {
	entry: Conntrack | Expectation;
}

export class FailoverKit {
	readonly names = new NameTable();
	readonly internal: InternalCaches = newInternalCaches(SEED, LIMIT);
	/** By Kind, one for each peer. */
	readonly external: readonly [ExternalCache[], ExternalCache[]];
	readonly kernel: KernelTables;
	readonly worker: CommitWorker;
	readonly commit: Commit;
	readonly refusals: NamedRefusal[] = [];
	/** Hears of committed expectations. */
	guard: (record: Int32Array, deadline: number) => void = () => {};
	readonly #listener: EventListener;
	readonly #clock: Clock;
	#version = 0;
	/** When the peer has last told of something, seconds. */
	#toldAt = 0;
	/** Milliseconds that have passed here and nowhere else. */
	#passed = 0;

	private constructor(options: KitOptions, names: NameTable, worker: CommitWorker) {
		const {
			native,
			clock: base = systemClock,
			windowTracking = false,
			timeout,
			labels = NO_LABELS,
			peers = 1,
		} = options;
		const termBegan = options.termBegan ?? (() => Number.POSITIVE_INFINITY);
		this.names = names;
		this.worker = worker;
		// stands still by itself, so that no second begins between a packet and what the peer tells
		const startedAt = base.now();
		const clock: Clock = {
			now: () => (options.clock ? base.now() : startedAt) + this.#passed,
			after: (milliseconds, callback) => base.after(milliseconds, callback),
			pause: () => base.pause(),
			wall: () => base.wall(),
		};
		this.#clock = clock;
		const stores = <T>(make: () => T): T[] => Array.from({ length: peers }, make);
		this.external = [
			stores(() => new ExternalCache(new RecordStore(new ConntrackLayout(), SEED), LIMIT)),
			stores(() => new ExternalCache(new RecordStore(new ExpectationLayout(), SEED, 64), LIMIT)),
		];
		const { conntracks, expectations } = this.internal;
		this.commit = new Commit({
			worker,
			internal: [conntracks, expectations],
			externals: (kind) => this.external[kind],
			names,
			clock,
			windowTracking,
			timeout,
			labels,
			pump: () => {},
			termBegan,
			isActiveActive: options.isActiveActive ?? false,
			guard: (record, deadline) => this.guard(record, deadline),
			refused: (kind, refusal) => {
				const entry =
					kind === CONNTRACK
						? conntrackFromRecord(refusal.record, names)
						: expectationFromRecord(refusal.record, names);
				this.refusals.push({ ...refusal, entry });
			},
		});
		for (const kind of KINDS) {
			for (const external of this.external[kind]) this.commit.share(kind, external);
		}
		this.kernel = new KernelTables(native, systemClock, names);
		const apply = (kind: Kind, event: string, record: Int32Array, port: number): void => {
			const cache = kind === CONNTRACK ? conntracks : expectations;
			if (event === "destroy") this.commit.ended(kind, record);
			if (event === "destroy") cache.destroy(record, this.now);
			else cache.apply(record, event === "new", this.now, port === 0);
		};
		this.#listener = new EventListener({
			native,
			clock: systemClock,
			names,
			handler: {
				conntrack: (event, record, port) => apply(CONNTRACK, event, record, port),
				expectation: (event, record, port) => apply(EXPECTATION, event, record, port),
				batchEnd: () => {},
				overrun: () => {},
			},
			expectations: true,
			receiveBuffer: 16 << 20,
			reliable: false,
			ignorePorts: [worker.commitPort],
		});
		this.#listener.start();
	}

	static async start(options: KitOptions): Promise<FailoverKit> {
		const names = new NameTable();
		const worker = await CommitWorker.start(names, () => {});
		return new FailoverKit(options, names, worker);
	}

	async stop(): Promise<void> {
		this.kernel.flush();
		this.#listener.close();
		this.kernel.close();
		await this.worker.stop();
	}

	get now(): number {
		return Math.floor(this.#clock.now() / 1000);
	}

	/** The peer says that it has these. */
	tell(conntracks: readonly Conntrack[], peer = 0): void {
		for (const conntrack of conntracks) {
			const record = conntrackToRecord(conntrack, this.names);
			this.external[CONNTRACK][peer]!.set(record, ++this.#version, this.now);
		}
		this.#toldAt = this.now;
	}

	/** The peer says that it has this one no more. */
	tellEnd(conntrack: Conntrack, peer = 0): void {
		const record = conntrackToRecord(conntrack, this.names);
		this.external[CONNTRACK][peer]!.delete(record, ++this.#version, 0, this.now);
	}

	tellExpectations(expectations: readonly Expectation[]): void {
		for (const expectation of expectations) {
			const record = expectationToRecord(expectation, this.names);
			this.external[EXPECTATION][0]!.set(record, ++this.#version, this.now);
		}
	}

	/** A packet of this connection passes, in a later second than all that the peer has told: what the kernel would tell. */
	packet(conntrack: Conntrack, isNew = false): void {
		if (this.now <= this.#toldAt) this.#passed += 1000;
		this.internal.conntracks.apply(conntrackToRecord(conntrack, this.names), isNew, this.now);
	}

	/** What the internal cache holds. */
	conntracks(): Conntrack[] {
		return entries(this.internal.conntracks.store, (record) => conntrackFromRecord(record, this.names));
	}

	expectations(): Expectation[] {
		return entries(this.internal.expectations.store, (record) => expectationFromRecord(record, this.names));
	}

	/** Commits a half, and checks that the internal cache is the kernel's table after it. */
	async commitHalf(kind: Kind): Promise<Omit<CommitSummary, "seconds">> {
		const counts = withoutSeconds(await this.commit.run(kind));
		await this.settle();
		assert.deepEqual(replicated(this.conntracks()), replicated(await this.kernel.conntracks()));
		assert.deepEqual(
			replicatedExpectations(this.expectations()),
			replicatedExpectations(await this.kernel.expectations()),
		);
		return counts;
	}

	/** The kernel's entry with this one's key, which is there. */
	got(conntrack: Conntrack): Conntrack {
		const entry = this.kernel.get(conntrack);
		assert.ok(typeof entry === "object", String(entry));
		return entry;
	}

	/** Lets the listener deliver what the kernel has told so far. */
	async settle(): Promise<void> {
		this.#listener.drain();
		await systemClock.pause();
	}
}

export const withoutSeconds = ({ seconds: _, ...counts }: CommitSummary) => counts;

function entries<T>(store: RecordStore, read: (record: Int32Array) => T): T[] {
	const record = new Int32Array(store.layout.recordWords);
	const out: T[] = [];
	for (let slot = 0; slot < store.end; slot++) {
		if (!store.isLive(slot)) continue;
		store.read(slot, record);
		out.push(read(record));
	}
	return out;
}

/**
 * What is replicated of entries, in an order that does not depend on where they come from: neither times, ids and
 * the status bits that are a kernel's own, nor the TCP flags of the moment.
 */
export function replicated(conntracks: readonly Conntrack[]): unknown[] {
	return conntracks
		.map(({ id: _, timeout: __, status, mark, tcp, ...rest }) => ({
			...rest,
			status: (status ?? 0) & IPS_REPLICATED,
			...(mark ? { mark } : {}),
			...(tcp ? { tcp: tcp.state } : {}),
		}))
		.map(
			(entry) => [JSON.stringify([entry.family, entry.protocol, entry.zoneOrig, entry.orig]), entry] as const,
		)
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([, entry]) => entry);
}

export function replicatedExpectations(expectations: readonly Expectation[]): unknown[] {
	return expectations
		.map(
			({ id: _, timeout: __, ...rest }) =>
				[JSON.stringify([rest.src, rest.dst, rest.dport, rest.zone]), rest] as const,
		)
		.sort(([a], [b]) => (a < b ? -1 : 1))
		.map(([, entry]) => entry);
}
