// Nodes, their kernels' tables and the network between them, in one process under a virtual clock. A seed decides
// everything, so a schedule that fails once fails again. Test code; the production modules run unchanged in it.
import { type InternalCaches, newInternalCaches } from "../cache/internal-cache.ts";
import { NameTable } from "../conntrack/names.ts";
import * as R from "../conntrack/record.ts";
import { invertTuple } from "../conntrack/tuple.ts";
import type { ExpectationJudge } from "./expectation-gate.ts";
import { Ftfw } from "./ftfw.ts";
import type { ReplicationMode } from "./mode.ts";
import { EPOCH_SIZE } from "./wire/frame.ts";
import { PlainSeal } from "./wire/seal.ts";

/** mulberry32: small, seeded, good enough for schedules. */
export class Random {
	#state: number;

	constructor(seed: number) {
		this.#state = seed | 0;
	}

	/** 0 <= x < 1 */
	next(): number {
		this.#state = (this.#state + 0x6d2b79f5) | 0;
		let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	}

	below(limit: number): number {
		return Math.floor(this.next() * limit);
	}

	chance(probability: number): boolean {
		return this.next() < probability;
	}
}

/** What the network does to a datagram. */
export interface Weather {
	loss: number;
	duplicate: number;
	/** Milliseconds, uniformly up to. */
	delayMax: number;
	/** Directions that are cut: "from>to". */
	cut: Set<string>;
}

export interface SimulationOptions {
	externalLimit?: number;
	judge?: (names: NameTable) => ExpectationJudge;
	/** How a node replicates; Mode FTFW unless given. Called for every start. */
	mode?: (entropy: (size: number) => Uint8Array, node: number) => ReplicationMode;
	/** Nodes that forward whatever the others do; none unless given. */
	isActiveActive?: (node: number) => boolean;
}

interface Packet {
	at: number;
	to: number;
	bytes: Uint8Array;
}

export class SimulatedNode {
	readonly id: number;
	/** The kernel's table: key number -> value; survives a restart of the daemon. */
	readonly kernel = new Map<number, number>();
	internal!: InternalCaches;
	names!: NameTable;
	/** How often a peer has found a difference. */
	suspicions = 0;
	/** How often something was due. */
	ticks = 0;
	ftfw!: Ftfw;

	constructor(id: number) {
		this.id = id;
	}
}

export class Simulation {
	now = 1000;
	readonly random: Random;
	readonly nodes: SimulatedNode[] = [];
	readonly weather: Weather = { loss: 0, duplicate: 0, delayMax: 1, cut: new Set() };
	readonly notices: string[] = [];
	/** Nodes, by id, whose link takes nothing now. */
	readonly congested = new Set<number>();
	readonly #externalLimit: number;
	readonly #mode: SimulationOptions["mode"];
	readonly #isActiveActive: (node: number) => boolean;
	readonly #judge: ((names: NameTable) => ExpectationJudge) | undefined;
	#packets: Packet[] = [];
	datagrams = 0;

	constructor(seed: number, nodes: number, options: SimulationOptions = {}) {
		this.#judge = options.judge;
		this.#mode = options.mode;
		this.#isActiveActive = options.isActiveActive ?? (() => false);
		this.#externalLimit = options.externalLimit ?? 1_000_000;
		this.random = new Random(seed);
		for (let i = 1; i <= nodes; i++) {
			const node = new SimulatedNode(i);
			this.nodes.push(node);
			this.start(node);
		}
	}

	/** Starts the daemon of a node, or restarts it: it knows nothing but its kernel. */
	start(node: SimulatedNode): void {
		node.names = new NameTable();
		node.internal = newInternalCaches(this.random.below(2 ** 31), 1_000_000);
		const entropy = (size: number): Uint8Array =>
			Uint8Array.from({ length: size }, () => this.random.below(256));
		node.ftfw = new Ftfw({
			node: node.id,
			epoch: entropy(EPOCH_SIZE),
			internal: node.internal,
			names: node.names,
			...(this.#judge && { expectations: this.#judge(node.names) }),
			...(this.#mode && { mode: this.#mode(entropy, node.id) }),
			isActiveActive: this.#isActiveActive(node.id),
			hashSeed: this.random.below(2 ** 31),
			externalLimit: this.#externalLimit,
			datagramMax: 600,
			credit: 64,
			isCongested: () => this.congested.has(node.id),
			seal: new PlainSeal(),
			sink: (bytes, end) => this.#send(node, bytes, end),
			entropy,
			rejected: () => {},
			suspected: () => {
				node.suspicions++;
			},
			notice: (text) => this.notices.push(`${this.now} node ${node.id}: ${text}`),
		});
		for (const [key, value] of node.kernel) this.#apply(node, key, value);
	}

	/** The kernel of a node makes or changes an entry. */
	set(node: SimulatedNode, key: number, value: number): void {
		node.kernel.set(key, value);
		this.#apply(node, key, value);
		if (this.random.chance(0.3)) node.ftfw.pump(this.now);
	}

	destroy(node: SimulatedNode, key: number): void {
		if (!node.kernel.delete(key)) return;
		node.internal.conntracks.destroy(recordOf(key, 0), Math.floor(this.now / 1000));
	}

	/** Lets virtual time pass, a millisecond at a time. */
	run(milliseconds: number, eachStep: () => void = () => {}): void {
		const until = this.now + milliseconds;
		while (this.now < until) {
			this.now++;
			eachStep();
			const due = this.#packets.filter((packet) => packet.at <= this.now);
			this.#packets = this.#packets.filter((packet) => packet.at > this.now);
			for (const { to, bytes } of due) {
				const node = this.nodes[to]!;
				node.ftfw.receive(bytes, 0, bytes.length, this.now);
			}
			for (const node of this.nodes) {
				if (this.now < node.ftfw.dueAt) node.ftfw.pump(this.now);
				else {
					node.ftfw.tick(this.now);
					node.ticks++;
				}
			}
		}
	}

	/** Every difference between what a node's kernel has and what another node holds of it. */
	differences(): string[] {
		const found: string[] = [];
		for (const holder of this.nodes) {
			for (const origin of this.nodes) {
				if (holder === origin) continue;
				const held = this.held(holder, origin);
				for (const [key, value] of origin.kernel) {
					if (held.get(key) !== value) {
						found.push(`${holder.id} has ${key}=${held.get(key)} of ${origin.id}, which has ${value}`);
					}
				}
				for (const key of held.keys()) {
					if (!origin.kernel.has(key))
						found.push(`${holder.id} has ${key} of ${origin.id}, which has it not`);
				}
			}
		}
		return found;
	}

	/** What `holder` would commit for `origin`. */
	held(holder: SimulatedNode, origin: SimulatedNode): Map<number, number> {
		const held = new Map<number, number>();
		const store = holder.ftfw.peers.find((peer) => peer.node === origin.id)?.external[0].store;
		if (!store) return held;
		const record = R.newConntrackRecord();
		for (let slot = 0; slot < store.end; slot++) {
			if (!store.isLive(slot)) continue;
			store.read(slot, record);
			held.set(record[R.ORIG_PORTS]! >>> 0, record[R.MARK]!);
		}
		return held;
	}

	#apply(node: SimulatedNode, key: number, value: number): void {
		node.internal.conntracks.apply(recordOf(key, value), false, Math.floor(this.now / 1000));
	}

	#send(from: SimulatedNode, bytes: Uint8Array, end: number): void {
		const sealed = bytes.slice(0, end);
		this.datagrams++;
		for (const to of this.nodes) {
			if (to === from || this.weather.cut.has(`${from.id}>${to.id}`)) continue;
			if (this.random.chance(this.weather.loss)) continue;
			const copies = this.random.chance(this.weather.duplicate) ? 2 : 1;
			for (let i = 0; i < copies; i++) {
				const at = this.now + this.random.below(this.weather.delayMax + 1);
				this.#packets.push({ at, to: this.nodes.indexOf(to), bytes: sealed });
			}
		}
	}
}

/** A TCP conntrack whose key and mark are the two numbers. */
export function recordOf(key: number, value: number): R.ConntrackRecord {
	const record = R.newConntrackRecord();
	record[R.HAS] = R.H_REPLY | R.H_STATUS | R.H_TIMEOUT | R.H_MARK | R.H_TCP;
	record[R.PROTOCOLS] = 2 | (6 << 8);
	record[R.ORIG_PORTS] = key;
	record[R.ORIG_SRC] = 0x0100000a;
	record[R.ORIG_DST] = 0x0200000a;
	invertTuple(record);
	record[R.STATUS] = 0xe;
	record[R.TIMEOUT] = 100;
	record[R.MARK] = value;
	record[R.PROTOINFO] = 3;
	return record;
}
