// Kernel events -> internal caches: which count, and what an event that we caused ourselves means.
import type { InternalCache } from "./cache/internal-cache.ts";
import type { Injection } from "./commit/injection.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "./conntrack/kind.ts";
import { isMasterOf, writeMasterKey } from "./conntrack/master.ts";
import { H_HELPER, HAS, newConntrackRecord, ORIG_PORTS } from "./conntrack/record.ts";
import type { ExpectationMasters } from "./expectation-masters.ts";
import type { ConntrackLookup } from "./netlink/conntrack-lookup.ts";
import type { EventHandler, EventKind } from "./netlink/event-listener.ts";
import type { Clock } from "./system/clock.ts";

export interface RouterOptions {
	internal: readonly [InternalCache, InternalCache];
	passes: (kind: Kind, record: Int32Array) => boolean;
	masters: Pick<ExpectationMasters, "find" | "locate" | "isAwaited" | "wait" | "forget" | "arrived">;
	/** Direct injection: which entries of this kernel are the peers'. */
	injection?: Pick<Injection, "adopt" | "adoptMaster" | "adoptMasterOf" | "gone" | "isForeign">;
	/** DisableInternalCache: where the whole state of a conntrack is that is not kept. */
	lookup?: Pick<ConntrackLookup, "want" | "forget" | "flush">;
	/** Netlink port of our own flushes: they withdraw, they do not end connections. */
	flushPort: number;
	clock: Clock;
	/** The kernel has ended an entry, not at our bidding. */
	ended: (kind: Kind, record: Int32Array) => void;
	/** A packet has made or changed a conntrack. */
	seen: (record: Int32Array) => void;
	/** An expectation was announced. */
	announced: (record: Int32Array) => void;
	/** A conntrack with a helper is new or has changed. */
	helped: (record: Int32Array) => void;
	/** A batch of events has been applied. */
	changed: () => void;
	overrun: () => void;
}

export class EventRouter implements EventHandler {
	/** Events that the filter kept out. */
	filtered = 0;
	readonly overrun: () => void;
	readonly #options: RouterOptions;
	/** The conntrack that we flushed last. */
	readonly #flushed = newConntrackRecord();
	readonly #master = newConntrackRecord();
	/** The second of the present batch, -1 between two of them: asking the clock for each event took 1 to 2 % of a storm. */
	#second = -1;

	constructor(options: RouterOptions) {
		this.#options = options;
		this.overrun = options.overrun;
	}

	batchEnd(): void {
		this.#options.lookup?.flush(this.#lookedUp);
		this.#second = -1;
		this.#options.changed();
	}

	conntrack(event: EventKind, record: Int32Array, port: number): void {
		const { masters, helped, flushPort, injection } = this.#options;
		const isEnd = event === "destroy";
		if (injection && port === 0) {
			// whoever sees its packets has it; what they make may hang from another one
			if (event === "update") injection.adopt(record);
			else if (event === "new") injection.adoptMaster(record);
		}
		this.#route(CONNTRACK, event, record, port === flushPort, port === 0);
		if (isEnd && port === flushPort) this.#flushed.set(record);
		if (isEnd || (record[HAS]! & H_HELPER) === 0) return;
		// perhaps the same connection comes back, and what it will expect is not what was flushed
		if (this.#flushed[ORIG_PORTS] === record[ORIG_PORTS]) this.#flushed.fill(0);
		helped(record);
		if (masters.isAwaited) for (const waiting of masters.arrived(record)) this.#apply(waiting, "new");
	}

	expectation(event: EventKind, record: Int32Array, port: number): void {
		const { masters, flushPort, injection } = this.#options;
		if (event !== "destroy") {
			if (port === 0) injection?.adoptMasterOf(record);
			if (this.#findMaster(record)) this.#apply(record, event);
			else masters.wait(record);
			return;
		}
		if (masters.forget(record)) return;
		masters.locate(record);
		// the kernel ends a master's expectations right after it, in nobody's name
		const isFlushed = port === flushPort || (port === 0 && isMasterOf(this.#flushed, record));
		this.#route(EXPECTATION, event, record, isFlushed);
	}

	/** A conntrack as the kernel has it now, asked for outside of events. One that is not held has ended meanwhile. */
	refreshed(record: Int32Array): void {
		const { internal, clock } = this.#options;
		internal[CONNTRACK].refresh(record, Math.floor(clock.now() / 1000));
	}

	/** Where conntracks are not kept the master may be known to the kernel only. */
	#findMaster(expectation: Int32Array): boolean {
		const { masters, lookup } = this.#options;
		if (masters.find(expectation)) return true;
		if (!lookup) return false;
		writeMasterKey(this.#master, expectation, 0);
		lookup.want(this.#master);
		lookup.flush(this.#lookedUp);
		return masters.find(expectation) !== undefined;
	}

	/** A conntrack that is not kept, whole. */
	readonly #lookedUp = (record: Int32Array): void => {
		const { internal, passes, clock, helped, masters } = this.#options;
		if (!passes(CONNTRACK, record)) {
			this.filtered++;
			return;
		}
		const cache = internal[CONNTRACK];
		cache.apply(record, false, Math.floor(clock.now() / 1000));
		if ((record[HAS]! & H_HELPER) === 0) return;
		helped(record);
		if (masters.isAwaited) for (const waiting of masters.arrived(record)) this.#apply(waiting, "new");
	};

	#apply(expectation: Int32Array, event: EventKind): void {
		this.#route(EXPECTATION, event, expectation, false);
		this.#options.announced(expectation);
	}

	/** @param isPacket a packet has caused the event, and nobody's request */
	#route(kind: Kind, event: EventKind, record: Int32Array, isFlush: boolean, isPacket = true): void {
		const { internal, passes, clock, ended, injection } = this.#options;
		const cache = internal[kind];
		const lookup = kind === CONNTRACK ? this.#options.lookup : undefined;
		if (this.#second < 0) this.#second = Math.floor(clock.now() / 1000);
		const now = this.#second;
		if (event === "destroy") {
			const slot = cache.store.find(record);
			const isHeld = slot >= 0 && cache.store.isLive(slot);
			if (!isFlush) ended(kind, record);
			if (injection?.gone(kind, record, isPacket && !isFlush)) return;
			lookup?.forget(record);
			if (isHeld && isFlush) cache.withdraw(slot, now);
			else if (!isHeld && lookup) {
				// what is not kept is not withdrawn: the peers have it on
				if (!isFlush && passes(kind, record)) cache.endPassed(record, now);
			}
			// an entry that is held ends, whatever the filter says of its last state
			else if (isHeld || passes(kind, record)) cache.destroy(record, now);
			else this.filtered++;
		} else if (!isPacket && injection?.isForeign(kind, record)) {
			// what a request of somebody's has made of a peer's entry is nobody's state
			this.filtered++;
		} else if (passes(kind, record)) {
			if (lookup && event === "update" && !isLive(cache, record)) {
				lookup.want(record);
				if (isPacket) this.#options.seen(record);
				return;
			}
			// what a request of somebody's has changed says nothing of packets
			cache.apply(record, event === "new", now, isPacket);
			if (kind === CONNTRACK && isPacket) this.#options.seen(record);
		} else this.filtered++;
	}
}

function isLive({ store }: InternalCache, record: Int32Array): boolean {
	const slot = store.find(record);
	return slot >= 0 && store.isLive(slot);
}
