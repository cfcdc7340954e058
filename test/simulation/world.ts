// Nodes with their kernels and daemons, the link between them, and what an observer who sees everything can tell.
import { createSecretKey } from "node:crypto";
import { DEAD } from "../../src/cache/record-layout.ts";
import { CONNTRACK, KINDS, type Kind } from "../../src/conntrack/kind.ts";
import { AeadSeal } from "../../src/security/aead-seal.ts";
import type { KeyRing } from "../../src/security/key-ring.ts";
import { IN_FLIGHT_MAX } from "../../src/sync/in-flight.ts";
import { PEERS_MAX, type Peer } from "../../src/sync/peer.ts";
import { WINDOW } from "../../src/sync/replay-window.ts";
import { PlainSeal, type Seal } from "../../src/sync/wire/seal.ts";
import { Daemon, type DaemonSettings } from "./daemon.ts";
import { entryKey, entryValue } from "./entries.ts";
import { type About, type Held, type Trace, viewName } from "./history.ts";
import { Kernel } from "./kernel.ts";
import { Network, type Receiver, type Sent } from "./network.ts";
import { Oracle } from "./oracle.ts";
import { Random } from "./random.ts";
import { Scheduler } from "./scheduler.ts";

export class WorldNode implements Receiver {
	readonly id: number;
	readonly kernel = new Kernel();
	daemon: Daemon | undefined;
	/** Starts of the daemon. */
	starts = 0;
	/** Milliseconds: until then the process stands still. */
	stalledUntil = 0;
	/** What it would have done since. */
	deferred: (() => void)[] = [];

	constructor(id: number) {
		this.id = id;
	}

	arrive(sent: Sent, bytes: Uint8Array, isIntact: boolean): boolean {
		return this.daemon?.arrive(sent, bytes, isIntact) ?? false;
	}
}

export interface WorldOptions {
	seed: number;
	nodes: number;
	isSealed: boolean;
	settings: DaemonSettings;
	/** Absent if nobody reads it. */
	trace?: Trace;
}

export class World {
	readonly random: Random;
	readonly scheduler = new Scheduler();
	readonly oracle: Oracle;
	readonly network: Network;
	readonly nodes: WorldNode[] = [];
	readonly isSealed: boolean;
	/** Bulks that some node meant to send to some other. */
	bulks = 0;
	/** Times that a node found that another one hears it. */
	contacts = 0;
	readonly settings: DaemonSettings;
	/** Source addresses of conntracks by key, where they are not all the same. */
	sources: ReadonlyMap<number, number> = new Map();
	readonly #ring: KeyRing;

	constructor(options: WorldOptions) {
		this.random = new Random(options.seed);
		this.network = new Network(this.scheduler, new Random(options.seed ^ 0x5bd1e995));
		this.isSealed = options.isSealed;
		this.settings = options.settings;
		this.oracle = new Oracle(() => this.scheduler.now, options.trace);
		const key = { id: 1, key: createSecretKey(this.random.bytes(32)), fingerprint: "00000001" };
		this.#ring = { keys: new Map([[1, key]]), primary: key };
		this.oracle.onViolation = () => {
			this.scheduler.isStopped = true;
		};
		for (let id = 1; id <= options.nodes; id++) {
			const node = new WorldNode(id);
			node.kernel.onLife = (kind, key, isAlive) => {
				if (isAlive) this.oracle.isStirred = true;
				else this.oracle.kernelEnd(id, kind, key);
			};
			this.nodes.push(node);
			this.network.receivers.push(node);
		}
	}

	note(text: () => string): void {
		this.oracle.note(text);
	}

	async run(milliseconds: number): Promise<void> {
		try {
			await this.scheduler.run(this.scheduler.now + milliseconds);
		} catch (error) {
			this.oracle.fail("exception", (error as Error).stack ?? String(error));
		}
	}

	start(node: WorldNode): void {
		if (node.daemon) return;
		node.starts++;
		this.note(() => `node ${node.id} starts its daemon for the ${node.starts}. time`);
		node.daemon = new Daemon({
			node: node.id,
			index: node.starts,
			kernel: node.kernel,
			scheduler: this.scheduler,
			random: this.random,
			oracle: this.oracle,
			seal: (id, epoch) => this.#seal(id, epoch),
			send: (epoch, bytes, end, isData) => this.network.send(node.id, epoch, bytes, end, isData),
			settings: this.settings,
			sources: this.sources,
			isStalled: () => node.stalledUntil > this.scheduler.now,
			defer: (run) => node.deferred.push(run),
			notice: (text) => {
				if (text.includes("sending bulk update")) this.bulks++;
				if (text.includes("is in contact")) this.contacts++;
				this.note(() => `node ${node.id}: ${text}`);
			},
		});
	}

	/** The process stands still for so many milliseconds from now on. */
	stall(node: WorldNode, milliseconds: number): void {
		node.stalledUntil = Math.max(node.stalledUntil, this.scheduler.now + milliseconds);
		this.scheduler.after(milliseconds, () => {
			if (node.stalledUntil <= this.scheduler.now) this.wake(node);
		});
	}

	wake(node: WorldNode): void {
		node.stalledUntil = 0;
		const { deferred } = node;
		node.deferred = [];
		for (const run of deferred) run();
	}

	crash(node: WorldNode): void {
		if (!node.daemon) return;
		this.note(() => `node ${node.id} crashes`);
		node.daemon.crash();
		node.daemon = undefined;
		// what starts next is another process
		node.stalledUntil = 0;
		node.deferred = [];
	}

	/** When digests last led to a repair, in the lives of the daemons that run; -Infinity: they did not. */
	get repairedAt(): number {
		let last = Number.NEGATIVE_INFINITY;
		for (const { daemon } of this.nodes) {
			for (const { equality } of daemon?.ftfw.peers ?? []) last = Math.max(last, equality.repairedAt);
		}
		return last;
	}

	/** Whether everybody holds what everybody's kernel has, by what the oracle saw: quick, and asked often. */
	get isEqual(): boolean {
		for (const origin of this.nodes) {
			if (!origin.daemon?.isReady) return false;
			for (const kind of KINDS) {
				const table = origin.kernel.tables[kind];
				const own = origin.daemon.epoch.alive[kind];
				if (own.size !== table.size) return false;
				for (const [key, { value }] of table) if (own.get(key) !== value) return false;
				for (const holder of this.nodes) {
					if (holder !== origin && !this.#holds(holder, origin, kind)) return false;
				}
			}
		}
		return true;
	}

	#holds(holder: WorldNode, origin: WorldNode, kind: Kind): boolean {
		const table = origin.kernel.tables[kind];
		const held = holder.daemon?.watch.views.get(viewName(origin.id, kind))?.held;
		if (!held) return table.size === 0 && this.#isMet(holder, origin);
		if (held.size < table.size) return false;
		for (const [key, { value }] of table) if (held.get(key)?.value !== value) return false;
		if (held.size === table.size) return true;
		for (const [key, state] of held) {
			if (!table.has(key) && !this.#mayHold(holder, origin, kind, key, state)) return false;
		}
		return true;
	}

	/** Whether a node may hold what the origin has not. */
	#mayHold(holder: WorldNode, origin: WorldNode, kind: Kind, key: number, state: Held): boolean {
		if (this.oracle.isWithdrawn(origin.id, kind, key, state)) return true;
		// the only copy of what the origin had before it restarted with an empty table, or nearly
		if (state.epoch === origin.daemon?.epoch) return false;
		const peer = this.#peerOf(holder, origin);
		return peer !== undefined && this.scheduler.now < peer.heldUntil;
	}

	#peerOf(holder: WorldNode, origin: WorldNode): Peer | undefined {
		return holder.daemon?.ftfw.peers.find((peer) => peer.node === origin.id);
	}

	#isMet(holder: WorldNode, origin: WorldNode): boolean {
		return this.#peerOf(holder, origin) !== undefined;
	}

	/** What differs, read from the caches themselves; the lines are for people. */
	differences(): Difference[] {
		const found: Difference[] = [];
		for (const origin of this.nodes) {
			for (const kind of KINDS) {
				const table = origin.kernel.tables[kind];
				const noun = NOUN[kind];
				const { daemon } = origin;
				if (!daemon) {
					found.push({ text: `node ${origin.id} is down` });
					continue;
				}
				const cache = kind === CONNTRACK ? daemon.internal.conntracks : daemon.internal.expectations;
				const own = read(kind, cache.store);
				for (const [key, { value }] of table) {
					if (own.get(key) !== value) {
						found.push({
							text: `node ${origin.id} has ${noun} ${key}=${own.get(key)}, its kernel ${value}`,
							about: { kind, key },
						});
					}
				}
				for (const key of own.keys()) {
					if (!table.has(key))
						found.push({
							text: `node ${origin.id} has ${noun} ${key}, its kernel not`,
							about: { kind, key },
						});
				}
				for (const holder of this.nodes) {
					if (holder === origin || !holder.daemon) continue;
					const peer = this.#peerOf(holder, origin);
					const held = peer ? read(kind, peer.external[kind].store) : new Map<number, number>();
					const who = `node ${holder.id} holds ${noun}`;
					for (const [key, { value }] of table) {
						if (held.get(key) !== value) {
							found.push({
								text: `${who} ${key}=${held.get(key)} of node ${origin.id}, whose kernel has ${value}`,
								about: { kind, key },
							});
						}
					}
					for (const key of held.keys()) {
						const state = holder.daemon.watch.views.get(viewName(origin.id, kind))?.held.get(key);
						if (table.has(key) || (state && this.#mayHold(holder, origin, kind, key, state))) continue;
						found.push({
							text: `${who} ${key} of node ${origin.id}, whose kernel has it not`,
							about: { kind, key },
						});
					}
				}
			}
		}
		return found;
	}

	/** I6: nothing grows beyond what it may. `isQuiet`: nothing is under way, so nothing may be left over either. */
	checkBounds(isQuiet = false): void {
		const { oracle } = this;
		for (const { id, daemon } of this.nodes) {
			if (!daemon) continue;
			const { ftfw, internal, watch } = daemon;
			const { outgoing, peers } = ftfw;
			const stores = [internal.conntracks.store, internal.expectations.store];
			const slots = stores[0]!.end + stores[1]!.end;
			const limit = (what: string, value: number, most: number): void => {
				if (value > most) oracle.fail("I6", `node ${id}: ${what} is ${value}, ${most} at most`);
			};
			limit("datagrams in flight", outgoing.inFlight.count, IN_FLIGHT_MAX);
			limit("sequence span in flight", outgoing.nextSequence - outgoing.inFlight.lowest, IN_FLIGHT_MAX);
			limit("dirty queue", outgoing.dirty.queue.length, slots);
			limit("bulk retry", outgoing.bulk.retry.length, IN_FLIGHT_MAX * 64);
			limit("peers", peers.length, PEERS_MAX);
			for (const peer of peers) {
				oracle.adopted(id, watch, peer);
				for (const kind of KINDS) {
					const { store } = peer.external[kind];
					// of one replay window; a datagram holds at most 64 records
					limit("graves", store.count - store.live, WINDOW * 64);
				}
			}
			if (!isQuiet) continue;
			for (const kind of KINDS) {
				const store = stores[kind]!;
				if (store.count === store.live) continue;
				const text = `node ${id}: ${store.count - store.live} dead ${NOUN[kind]}s are never forgotten`;
				const record = new Int32Array(store.layout.recordWords);
				for (let slot = 0; slot < store.end; slot++) {
					if (store.state(slot) === DEAD) store.read(slot, record);
				}
				oracle.fail("I6", text, { kind, key: entryKey(kind, record) });
			}
			limit("dirty queue at rest", outgoing.dirty.queue.length, 0);
			limit("bulk retry at rest", outgoing.bulk.retry.length, 0);
		}
	}

	#seal(node: number, epoch: Uint8Array): Seal {
		if (!this.isSealed) return new PlainSeal();
		return new AeadSeal({ ring: () => this.#ring, cluster: "simulated", node, epoch, suite: 1 });
	}
}

export interface Difference {
	text: string;
	about?: About;
}

const NOUN = ["conntrack", "expectation"] as const;

function read(
	kind: Kind,
	store: {
		end: number;
		isLive(slot: number): boolean;
		read(slot: number, record: Int32Array): void;
		layout: { recordWords: number };
	},
): Map<number, number> {
	const record = new Int32Array(store.layout.recordWords);
	const found = new Map<number, number>();
	for (let slot = 0; slot < store.end; slot++) {
		if (!store.isLive(slot)) continue;
		store.read(slot, record);
		found.set(entryKey(kind, record), entryValue(kind, record));
	}
	return found;
}
