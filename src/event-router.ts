// Kernel events -> internal caches: which count, and what an event that we caused ourselves means.
import type { InternalCache } from "./cache/internal-cache.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "./conntrack/kind.ts";
import type { EventHandler, EventKind } from "./netlink/event-listener.ts";
import type { Clock } from "./system/clock.ts";

export interface RouterOptions {
	internal: readonly [InternalCache, InternalCache];
	passes: (kind: Kind, record: Int32Array) => boolean;
	/** Netlink port of our own flushes: they withdraw, they do not end connections. */
	flushPort: number;
	clock: Clock;
	/** The kernel has ended an entry, not at our bidding. */
	ended: (kind: Kind, record: Int32Array) => void;
	/** An expectation was announced. */
	announced: (record: Int32Array) => void;
	/** A batch of events has been applied. */
	changed: () => void;
	overrun: () => void;
}

export class EventRouter implements EventHandler {
	/** Events that the filter kept out. */
	filtered = 0;
	readonly overrun: () => void;
	readonly batchEnd: () => void;
	readonly #options: RouterOptions;

	constructor(options: RouterOptions) {
		this.#options = options;
		this.overrun = options.overrun;
		this.batchEnd = options.changed;
	}

	conntrack(event: EventKind, record: Int32Array, port: number): void {
		this.#route(CONNTRACK, event, record, port);
	}

	expectation(event: EventKind, record: Int32Array, port: number): void {
		this.#route(EXPECTATION, event, record, port);
		if (event !== "destroy") this.#options.announced(record);
	}

	/** A conntrack as the kernel has it now, asked for outside of events. One that is not held has ended meanwhile. */
	refreshed(record: Int32Array): void {
		const { internal, clock } = this.#options;
		internal[CONNTRACK].refresh(record, Math.floor(clock.now() / 1000));
	}

	#route(kind: Kind, event: EventKind, record: Int32Array, port: number): void {
		const { internal, passes, flushPort, clock, ended } = this.#options;
		const cache = internal[kind];
		const now = Math.floor(clock.now() / 1000);
		if (event === "destroy") {
			const slot = cache.store.find(record);
			const isHeld = slot >= 0 && cache.store.isLive(slot);
			if (port !== flushPort) ended(kind, record);
			if (isHeld && port === flushPort) cache.withdraw(slot, now);
			// an entry that is held ends, whatever the filter says of its last state
			else if (isHeld || passes(kind, record)) cache.destroy(record, now);
			else this.filtered++;
		} else if (passes(kind, record)) cache.apply(record, event === "new", now);
		else this.filtered++;
	}
}
