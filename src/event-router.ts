// Kernel events -> internal caches: which count, and what an event that we caused ourselves means.
import type { InternalCache } from "./cache/internal-cache.ts";
import { NEVER_SEEN } from "./cache/internal-cache.ts";
import { CREATED } from "./cache/record-layout.ts";
import type { Injection } from "./commit/injection.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "./conntrack/kind.ts";
import { isMasterOf, writeMasterKey } from "./conntrack/master.ts";
import { H_HELPER, HAS, newConntrackRecord, ORIG_PORTS } from "./conntrack/record.ts";
import type { ConntrackRules } from "./conntrack-rules.ts";
import type { ExpectationMasters } from "./expectation-masters.ts";
import type { ConntrackLookup } from "./netlink/conntrack-lookup.ts";
import type { EventHandler, EventKind } from "./netlink/event-listener.ts";
import type { Clock } from "./system/clock.ts";
import type { YoungEntries } from "./young-entries.ts";

/** Looked up in one turn of the event loop: a millisecond. */
const LOOKUPS_AT_ONCE = 256;

export interface RouterOptions {
	internal: readonly [InternalCache, InternalCache];
	passes: (kind: Kind, record: Int32Array) => boolean;
	/** What may be said of a conntrack that is held; absent: what passes once passes always. */
	rules?: Pick<ConntrackRules, "isChangeable" | "belongs" | "mustAsk" | "wasOwn">;
	/** MinimumAge: conntracks that are not replicated yet. */
	young?: Pick<YoungEntries, "has" | "take" | "drop" | "dumped" | "refresh">;
	/** Asks for what an event that has a conntrack come tells too little of. */
	query?: Pick<ConntrackLookup, "want" | "flush">;
	masters: Pick<ExpectationMasters, "find" | "locate" | "isAwaited" | "wait" | "forget" | "arrived">;
	/** Direct injection: which entries of this kernel are the peers'. */
	injection?: Pick<Injection, "adopt" | "adoptMaster" | "adoptMasterOf" | "gone" | "isForeign">;
	/** DisableInternalCache: where the whole state of a conntrack is that is not kept. */
	lookup?: Pick<ConntrackLookup, "want" | "forget" | "flush" | "ask">;
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
	/** DisableInternalCache: events that were passed on. */
	readonly bypass = { created: 0, updated: 0, destroyed: 0 };
	readonly overrun: () => void;
	readonly #options: RouterOptions;
	/** The conntrack that we flushed last. */
	readonly #flushed = newConntrackRecord();
	readonly #master = newConntrackRecord();
	/** The lookups go on with the next turn. */
	#isLookingUp = false;
	/** The second of the present batch, -1 between two of them: asking the clock for each event took 1 to 2 % of a storm. */
	#second = -1;

	constructor(options: RouterOptions) {
		this.#options = options;
		this.overrun = options.overrun;
	}

	batchEnd(): void {
		this.#lookUp();
		// what is held is made whole before it is sent
		this.#options.query?.flush((record) => this.refreshed(record));
		this.#second = -1;
		this.#options.changed();
	}

	conntrack(event: EventKind, record: Int32Array, port: number): void {
		this.#beginBatch();
		const { masters, helped, flushPort, injection } = this.#options;
		const isEnd = event === "destroy";
		if (injection && port === 0) {
			// whoever sees its packets has it; what they make may hang from another one
			if (event === "update") injection.adopt(record);
			else if (event === "new") injection.adoptMaster(record);
		}
		this.#route(CONNTRACK, event, record, port === flushPort, port === 0);
		if (isEnd && port === flushPort) this.#flushed.set(record);
		if (isEnd || (record[HAS]! & H_HELPER) === 0 || this.#options.young?.has(record)) return;
		// perhaps the same connection comes back, and what it will expect is not what was flushed
		if (this.#flushed[ORIG_PORTS] === record[ORIG_PORTS]) this.#flushed.fill(0);
		helped(record);
		if (masters.isAwaited) for (const waiting of masters.arrived(record)) this.#apply(waiting, "new");
	}

	expectation(event: EventKind, record: Int32Array, port: number): void {
		this.#beginBatch();
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
		const { internal, rules, young } = this.#options;
		if (rules && !rules.belongs(record)) this.#leave(record);
		else {
			internal[CONNTRACK].refresh(record, this.#now());
			young?.refresh(record, this.#now());
		}
	}

	/** A dump shows the entry: whether it belongs into the internal cache. */
	isDumped(kind: Kind, record: Int32Array): boolean {
		const { internal, passes, rules, young, lookup } = this.#options;
		const doesPass = passes(kind, record);
		if (kind === EXPECTATION) return doesPass;
		if (!doesPass) {
			this.#leave(record);
			return false;
		}
		const { store, resync } = internal[CONNTRACK];
		const slot = store.find(record);
		if (slot >= 0 && store.isLive(slot)) return true;
		if (rules?.wasOwn(record)) return false;
		// what the first dump shows is of unknown age, and was there before
		if (!young || ((resync <= 1 || lookup) && !young.has(record))) return true;
		return !young.dumped(record, this.#now());
	}

	/** A conntrack is old enough: first seen, and last changed by a packet, in these seconds. */
	matured(record: Int32Array, created: number, updated: number): void {
		const { internal, passes, masters, helped } = this.#options;
		const { store } = internal[CONNTRACK];
		const known = store.find(record);
		// an address may have come since, and a commit may have brought it
		if (!passes(CONNTRACK, record) || (known >= 0 && store.isLive(known))) return;
		const isSeen = updated !== NEVER_SEEN;
		const slot = internal[CONNTRACK].apply(record, true, isSeen ? updated : this.#now(), isSeen);
		if (slot >= 0) store.setHeader(slot, CREATED, created);
		if (this.#options.lookup) this.bypass.created++;
		if ((record[HAS]! & H_HELPER) === 0) return;
		helped(record);
		for (const waiting of masters.arrived(record)) this.#apply(waiting, "new");
	}

	/**
	 * A conntrack does not pass: if it is held, and does not belong any more, the peers have to forget it.
	 *
	 * @param mayBeTold it may have been told of, though it is not held
	 */
	#leave(record: Int32Array, mayBeTold = false): void {
		const { internal, rules, young } = this.#options;
		if (!rules || (!rules.isChangeable && !young)) return;
		const cache = internal[CONNTRACK];
		const slot = cache.store.find(record);
		const isHeld = slot >= 0 && cache.store.isLive(slot);
		if ((!isHeld && !mayBeTold && !young?.has(record)) || rules.belongs(record)) return;
		if (isHeld) cache.bury(slot, this.#now());
		else if (!young?.drop(record, this.#now()) && mayBeTold) cache.endPassed(record, this.#now());
	}

	/** A conntrack that passes: asks for it if need be; whether it is kept back because it is too young. */
	#isKeptBack(record: Int32Array, event: EventKind, isPacket: boolean): boolean {
		const { internal, young, rules, query, lookup } = this.#options;
		if (query && rules?.mustAsk(event === "update", record)) query.want(record);
		// what is not kept cannot be told from what is seen for the first time
		if (!young || (lookup && event === "update" && !young.has(record))) return false;
		const cache = internal[CONNTRACK];
		const slot = cache.store.find(record);
		if (slot >= 0 && cache.store.isLive(slot)) {
			if (event !== "new") return false;
			// the connection that had this tuple before has ended unheard of
			cache.bury(slot, this.#now());
		}
		return young.take(record, event === "new", this.#now(), isPacket);
	}

	/** A conntrack that is not kept and ends: whether a peer may hold it, whatever it ends in. */
	#mayBeTold(record: Int32Array): boolean {
		const { passes, rules } = this.#options;
		return rules ? rules.isChangeable || rules.belongs(record) : passes(CONNTRACK, record);
	}

	/** An event has come: `batchEnd` follows. */
	#beginBatch(): void {
		if (this.#second < 0) this.#second = Math.floor(this.#options.clock.now() / 1000);
	}

	#now(): number {
		return this.#second >= 0 ? this.#second : Math.floor(this.#options.clock.now() / 1000);
	}

	/** Where conntracks are not kept the master may be known to the kernel only. */
	#findMaster(expectation: Int32Array): boolean {
		const { masters, lookup } = this.#options;
		if (masters.find(expectation)) return true;
		if (!lookup) return false;
		writeMasterKey(this.#master, expectation, 0);
		lookup.ask(this.#master, this.#lookedUp);
		return masters.find(expectation) !== undefined;
	}

	/** Some of what is not kept; the rest in turns of the event loop of its own. */
	#lookUp(): void {
		const { lookup, clock } = this.#options;
		if (!lookup?.flush(this.#lookedUp, LOOKUPS_AT_ONCE) || this.#isLookingUp) return;
		this.#isLookingUp = true;
		void clock.pause().then(() => {
			this.#isLookingUp = false;
			this.batchEnd();
		});
	}

	/** A conntrack that is not kept, whole. */
	readonly #lookedUp = (record: Int32Array): void => {
		const { internal, passes, helped, masters } = this.#options;
		if (!passes(CONNTRACK, record)) {
			this.filtered++;
			this.#leave(record, true);
			return;
		}
		const cache = internal[CONNTRACK];
		cache.apply(record, false, this.#now());
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
		const { internal, passes, ended, injection, rules, young } = this.#options;
		const cache = internal[kind];
		const lookup = kind === CONNTRACK ? this.#options.lookup : undefined;
		const now = this.#now();
		if (event === "destroy") {
			const slot = cache.store.find(record);
			const isHeld = slot >= 0 && cache.store.isLive(slot);
			if (!isFlush) ended(kind, record);
			if (injection?.gone(kind, record, isPacket && !isFlush)) return;
			lookup?.forget(record);
			if (kind === CONNTRACK && young?.drop(record, now)) return;
			if (isHeld && isFlush) cache.withdraw(slot, now);
			else if (!isHeld && lookup) {
				// what is not kept is not withdrawn: the peers have it on
				if (isFlush || !this.#mayBeTold(record)) return;
				cache.endPassed(record, now);
				this.bypass.destroyed++;
			}
			// an entry that is held ends, whatever the filter says of its last state
			else if (isHeld || passes(kind, record)) {
				cache.destroy(record, now);
				if (lookup) this.bypass.destroyed++;
			} else this.filtered++;
		} else if (!isPacket && injection?.isForeign(kind, record)) {
			// what a request of somebody's has made of a peer's entry is nobody's state
			this.filtered++;
		} else if (passes(kind, record)) {
			if (kind === CONNTRACK && this.#isKeptBack(record, event, isPacket)) return;
			if (lookup) this.bypass[event === "new" ? "created" : "updated"]++;
			if (lookup && !isLive(cache, record) && (event === "update" || rules?.mustAsk(false, record))) {
				lookup.want(record);
				if (isPacket) this.#options.seen(record);
				return;
			}
			// what a request of somebody's has changed says nothing of packets
			cache.apply(record, event === "new", now, isPacket);
			if (kind === CONNTRACK && isPacket) this.#options.seen(record);
		} else {
			this.filtered++;
			if (kind === CONNTRACK) this.#leave(record, lookup !== undefined && event === "update");
		}
	}
}

function isLive({ store }: InternalCache, record: Int32Array): boolean {
	const slot = store.find(record);
	return slot >= 0 && store.isLive(slot);
}
