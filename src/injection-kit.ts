// For tests: a node with direct injection over the kernel's tables of the thread's network namespace, and the cache of one
// peer, into which the test tells.
import assert from "node:assert/strict";
import { ConntrackLayout } from "./cache/conntrack-layout.ts";
import { ExpectationLayout } from "./cache/expectation-layout.ts";
import { ExternalCache } from "./cache/external-cache.ts";
import { type InternalCache, type InternalCaches, newInternalCaches } from "./cache/internal-cache.ts";
import { RecordStore } from "./cache/record-store.ts";
import { Injection } from "./commit/injection.ts";
import { KernelTables } from "./commit/kernel-tables.ts";
import type { Refusal } from "./commit/messages.ts";
import {
	type Conntrack,
	conntrackFromRecord,
	conntrackToRecord,
	type Expectation,
	expectationToRecord,
} from "./conntrack/conntrack.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "./conntrack/kind.ts";
import { NameTable } from "./conntrack/names.ts";
import { EventRouter } from "./event-router.ts";
import { ExpectationMasters } from "./expectation-masters.ts";
import { EventListener } from "./netlink/event-listener.ts";
import { type Clock, systemClock } from "./system/clock.ts";
import { ENOBUFS, loadNative } from "./system/native.ts";

const SEED = 4711;
const LIMIT = 200_000;

/**
 * The way of the kernel's events into the caches of a node with direct injection, of which none may be lost.
 *
 * @param changed a batch of them is through
 */
export function injectingRouter(
	internal: readonly [InternalCache, InternalCache],
	injection: Injection,
	clock: Clock,
	changed: () => void,
): EventRouter {
	return new EventRouter({
		internal,
		passes: () => true,
		masters: new ExpectationMasters(internal, clock),
		injection,
		flushPort: -1,
		clock,
		ended: () => {},
		announced: () => {},
		helped: () => {},
		seen: () => {},
		changed,
		overrun: () => assert.fail("events were lost"),
	});
}

/** The receiving node: everything between a peer's cache and the kernel, with a clock that stands still by itself. */
export class InjectingNode {
	readonly names = new NameTable();
	readonly internal: InternalCaches = newInternalCaches(SEED, LIMIT);
	readonly external: readonly [ExternalCache, ExternalCache];
	readonly kernel: KernelTables;
	readonly injection: Injection;
	readonly router: EventRouter;
	readonly refusals: Refusal[] = [];
	readonly peer: {
		external: readonly [ExternalCache, ExternalCache];
		isUp: boolean;
		epochTag: number;
		isReceivingBulk: boolean;
		state: { isPrimary: boolean };
	};
	/** Slots of the internal cache that the peers are to hear of. */
	told = 0;
	/** Calls into the kernel. */
	calls = 0;
	isPrimary = false;
	isCommitting = false;
	termBegan = Number.POSITIVE_INFINITY;
	/** Calls that the kernel does not take; each is a failure that is told. */
	refusedCalls = 0;
	/** The rule by which every expectation is refused; 0: none is. */
	rule = 0;
	readonly #listener: EventListener;
	#now = systemClock.now();
	#version = 0;

	/** @param isActiveActive all nodes forward */
	constructor(isActiveActive = false) {
		const real = loadNative();
		const native = {
			...real,
			send: (...args: Parameters<typeof real.send>) => {
				this.calls++;
				if (this.refusedCalls > 0) return -ENOBUFS;
				return real.send(...args);
			},
		};
		const clock: Clock = { ...systemClock, now: () => this.#now };
		const { conntracks, expectations } = this.internal;
		const internal = [conntracks, expectations] as const;
		for (const cache of internal) {
			cache.listener = {
				changed: () => void this.told++,
				destroyed: (slot) => {
					this.told++;
					cache.forget(slot);
				},
			};
		}
		this.external = [
			new ExternalCache(new RecordStore(new ConntrackLayout(), SEED), LIMIT),
			new ExternalCache(new RecordStore(new ExpectationLayout(), SEED, 64), LIMIT),
		];
		this.peer = {
			external: this.external,
			isUp: true,
			epochTag: 1,
			isReceivingBulk: false,
			state: { isPrimary: false },
		};
		this.kernel = new KernelTables(real, systemClock, this.names);
		this.injection = new Injection({
			native,
			names: this.names,
			clock,
			internal,
			windowTracking: false,
			termBegan: () => this.termBegan,
			isPrimary: () => this.isPrimary,
			isActiveActive,
			isCommitting: () => this.isCommitting,
			drain: () => this.#listener.drain(),
			pump: () => {},
			policy: () => () => this.rule,
			refused: (_, refusal) => void this.refusals.push(refusal),
			failed: (error) => {
				if (this.refusedCalls-- <= 0) assert.fail(error);
			},
		});
		this.injection.follow(this.peer);
		this.router = injectingRouter(internal, this.injection, clock, () => {});
		this.#listener = new EventListener({
			native: real,
			clock: systemClock,
			names: this.names,
			handler: this.router,
			expectations: true,
			receiveBuffer: 16 << 20,
			reliable: false,
			ignorePorts: [this.injection.port],
		});
	}

	close(): void {
		this.kernel.flush();
		this.injection.close();
		this.#listener.close();
		this.kernel.close();
	}

	/** Seconds pass, here and not in the kernel. */
	pass(seconds: number): void {
		this.#now += seconds * 1000;
	}

	tell(...conntracks: Conntrack[]): void {
		for (const conntrack of conntracks) {
			this.external[CONNTRACK].set(this.record(conntrack), ++this.#version, this.#seconds);
		}
	}

	tellExpectation(expectation: Expectation): void {
		this.external[EXPECTATION].set(
			expectationToRecord(expectation, this.names),
			++this.#version,
			this.#seconds,
		);
	}

	tellEnd(...conntracks: Conntrack[]): void {
		for (const conntrack of conntracks) {
			this.external[CONNTRACK].delete(this.record(conntrack), ++this.#version, 0, this.#seconds);
		}
	}

	/** A packet of this connection passes, and the kernel tells so. */
	packet(conntrack: Conntrack, event: "new" | "update" = "update"): void {
		this.router.conntrack(event, this.record(conntrack), 0);
		this.router.batchEnd();
	}

	/** Everything that was told has been written, and every event has been heard. */
	async settle(): Promise<void> {
		for (let i = 0; i < 3; i++) await systemClock.pause();
		for (;;) {
			this.injection.work();
			if (this.injection.waiting === 0 || this.refusals.length > 0) break;
			await systemClock.pause();
		}
		await systemClock.pause();
		this.#listener.drain();
	}

	async inKernel(): Promise<Conntrack[]> {
		return this.kernel.conntracks();
	}

	/** The internal cache's conntracks. */
	own(): Conntrack[] {
		const { store } = this.internal.conntracks;
		const out: Conntrack[] = [];
		const record = new Int32Array(store.layout.recordWords);
		for (let slot = 0; slot < store.end; slot++) {
			if (!store.isLive(slot)) continue;
			store.read(slot, record);
			out.push(conntrackFromRecord(record, this.names));
		}
		return out;
	}

	record(conntrack: Conntrack): Int32Array {
		return conntrackToRecord(conntrack, this.names);
	}

	isForeign(kind: Kind, record: Int32Array): boolean {
		return this.injection.isForeign(kind, record);
	}

	get #seconds(): number {
		return Math.floor(this.#now / 1000);
	}
}
