// One schedule: a seed decides how many nodes there are, which faults exist and how strong they are (swarm testing: a
// schedule with a few faults finds what one with all of them hides), what happens when, and how everything heals.
import { KINDS, type Kind } from "../../src/conntrack/kind.ts";
import { Attacker } from "./attacker.ts";
import { excess, type Work } from "./budget.ts";
import type { Trace, Violation } from "./history.ts";
import type { Traffic } from "./network.ts";
import { Random } from "./random.ts";
import { drawSwarm, type Swarm } from "./swarm.ts";
import { type Difference, World, type WorldNode } from "./world.ts";

/** After this long without a fault all nodes must be equal, milliseconds. */
const CONVERGE_WITHIN = 8000;
/** How exactly the time of convergence is measured, milliseconds. */
const CONVERGE_STEP = 10;
/** How long nothing may change any more, milliseconds. */
const QUIET = 250;
/** The longest that a datagram is in flight before it counts as lost (sync/pace.ts), and its successor's round trip. */
const PATIENCE = 1500;
/** After this long what was cut off must be repaired without the help of digests, milliseconds. */
const REPAIRS_WITHIN = 1500;
/** Events of the scheduler in one schedule: one that does more does not come to an end. */
const STEPS_MAX = 5_000_000;

export interface Outcome {
	seed: number;
	nodes: number;
	violation?: Violation;
	/** Milliseconds from the end of all faults; -1 if that never happened. */
	converged: number;
	datagrams: number;
	traffic: Traffic;
	/** Events of the scheduler. */
	steps: number;
	work: Work;
}

export async function runSchedule(seed: number, nodeCount: number, trace?: Trace): Promise<Outcome> {
	const schedule = new Schedule(seed, nodeCount, trace);
	return schedule.run();
}

class Schedule {
	readonly #seed: number;
	readonly #random: Random;
	readonly #swarm: Swarm;
	readonly #world: World;
	readonly #attacker: Attacker | undefined;
	/** Share of datagrams that are lost, or late enough to count as lost. */
	readonly #loss: number;
	#isOver = false;
	#healedAt = 0;
	#converged = -1;

	constructor(seed: number, nodeCount: number, trace?: Trace) {
		this.#seed = seed;
		const random = new Random(seed * 31 + nodeCount);
		this.#random = random;
		const nodes = nodeCount;
		const swarm = drawSwarm(random, nodes);
		const isOn = (share: number): boolean => random.chance(share);
		this.#swarm = swarm;
		this.#world = new World({
			seed,
			nodes,
			isSealed: swarm.isSealed,
			settings: {
				hashSeed: random.below(2 ** 31),
				datagramMax: random.pick([300, 600, 1400]),
				credit: Math.round(random.scale(8, 500)),
				eventDelay: random.scale(0.1, 5),
				dumpStep: 1 + random.below(30),
				dumpDelay: random.scale(0.1, 10),
			},
			...(trace ? { trace } : {}),
		});
		const { weather } = this.#world.network;
		if (isOn(0.5)) weather.loss = random.scale(0.005, 0.4);
		if (isOn(0.3)) weather.duplicate = random.scale(0.01, 0.3);
		if (isOn(0.2)) weather.flip = random.scale(0.005, 0.1);
		if (isOn(0.5)) weather.jitter = random.scale(0.2, 30);
		if (isOn(0.3)) weather.delay = random.scale(0.1, 15);
		if (isOn(0.15)) {
			weather.lateShare = random.scale(0.005, 0.1);
			weather.late = random.scale(20, 1000);
		}
		this.#loss = weather.loss + weather.flip + weather.lateShare;
		const isAttacked = swarm.replays > 0 || swarm.forgeries > 0;
		if (isAttacked) {
			this.#attacker = new Attacker(this.#world.network, new Random(seed + 77), swarm.isSealed);
		}
		trace?.line(
			`seed ${seed}: ${JSON.stringify(
				{ ...swarm, ...weather, ...this.#world.settings, cut: undefined },
				(_, value) =>
					value === 0 ? undefined : typeof value === "number" ? Number(value.toPrecision(3)) : value,
			)}`,
		);
	}

	async run(): Promise<Outcome> {
		const world = this.#world;
		const { oracle, scheduler, network } = world;
		const began = scheduler.now;
		this.#begin();
		await world.run(this.#swarm.duration);
		this.#heal();
		await this.#converge();
		if (!oracle.violation) await this.#rest();
		const entries = Math.max(
			...world.nodes.map(({ kernel }) => kernel.tables[0].size + kernel.tables[1].size),
		);
		const work: Work = {
			nodes: this.#swarm.nodes,
			duration: scheduler.now - began,
			changes: oracle.changes,
			bulks: world.bulks,
			contacts: world.contacts,
			entries,
		};
		const tooMuch = excess(network.traffic, work);
		if (tooMuch) oracle.fail("I6 traffic", tooMuch);
		return {
			seed: this.#seed,
			nodes: this.#swarm.nodes,
			...(oracle.violation ? { violation: oracle.violation } : {}),
			converged: this.#converged,
			datagrams: network.datagrams,
			traffic: network.traffic,
			steps: scheduler.steps,
			work,
		};
	}

	#begin(): void {
		const world = this.#world;
		const random = this.#random;
		const swarm = this.#swarm;
		for (const node of world.nodes) {
			// what was there before anybody watched
			for (let i = random.below(swarm.keys); i > 0; i--) this.#change(node);
			world.scheduler.after(random.chance(0.6) ? 0 : random.between(0, 800), () => world.start(node));
			this.#every(swarm.changes, () => this.#traffic(node));
		}
		const one = (action: (node: WorldNode) => void) => () => action(random.pick(world.nodes));
		this.#every(swarm.cuts, () => this.#cut());
		this.#every(swarm.partitions, () => this.#partition());
		this.#every(
			swarm.crashes,
			one((node) => this.#crash(node, false)),
		);
		this.#every(
			swarm.reboots,
			one((node) => this.#crash(node, true)),
		);
		this.#every(
			swarm.overruns,
			one((node) => this.#overrun(node)),
		);
		this.#every(
			swarm.stalls,
			one((node) => this.#stall(node)),
		);
		this.#every(
			swarm.splitBrains,
			one((node) => this.#splitBrain(node)),
		);
		const operator = (rate: number, name: string, action: (node: WorldNode) => void): void =>
			this.#every(
				rate,
				one((node) => {
					// one that stands still does what it is asked later on; another request will do as well
					if (!node.daemon?.isReady || node.stalledUntil > world.scheduler.now) return;
					world.note(() => `operator of node ${node.id}: ${name}`);
					action(node);
				}),
			);
		operator(swarm.commits, "commit", (node) => node.daemon!.commit());
		operator(swarm.kernelFlushes, "flush kernel", (node) => node.daemon!.flushKernel());
		operator(swarm.internalFlushes, "flush internal, resync", (node) => node.daemon!.flushInternal());
		operator(swarm.externalFlushes, "flush external, request", (node) => node.daemon!.flushExternal());
		operator(swarm.resyncs, "resync", (node) => node.daemon!.resyncKernel());
		operator(swarm.bulks, "bulk", (node) => node.daemon!.bulk());
		operator(swarm.requests, "request", (node) => node.daemon!.requestResync());
		this.#every(100, () => world.checkBounds());
		const attacker = this.#attacker;
		if (!attacker) return;
		this.#every(swarm.replays, () => attacker.replay(), true);
		this.#every(swarm.forgeries, () => attacker.forge(), true);
		if (swarm.replays > 0) this.#every(0.3, () => attacker.replayEverything(), true);
	}

	/** Again and again, at random, so many times a second, until everything heals. */
	#every(perSecond: number, action: () => void, isHostile = false): void {
		if (perSecond === 0) return;
		const { scheduler } = this.#world;
		const random = this.#random;
		const again = (): void => {
			scheduler.after(random.wait(perSecond), () => {
				if (this.#isOver && !(isHostile && this.#swarm.staysHostile)) return;
				action();
				again();
			});
		};
		again();
	}

	/** Traffic comes in bursts. */
	#traffic(node: WorldNode): void {
		const random = this.#random;
		for (let i = random.chance(0.05) ? random.below(30) : 1; i > 0; i--) this.#change(node);
	}

	#change(node: WorldNode): void {
		const random = this.#random;
		const swarm = this.#swarm;
		const kind: Kind = random.chance(swarm.expectations) ? 1 : 0;
		const table = node.kernel.tables[kind];
		const key = this.#key(node.id, random.below(swarm.keys));
		if (table.size > 0 && random.chance(swarm.ends)) {
			// also of keys that came by a commit
			const victim = table.has(key) ? key : [...table.keys()][random.below(table.size)]!;
			node.kernel.destroy(kind, victim);
			if (random.chance(0.1)) node.kernel.set(kind, victim, random.below(1000));
		} else node.kernel.set(kind, key, random.below(1000));
		this.#world.oracle.isStirred = true;
	}

	#key(node: number, index: number): number {
		return node * 1000 + index;
	}

	#cut(): void {
		const { network, nodes, scheduler } = this.#world;
		const random = this.#random;
		const from = random.pick(nodes).id;
		const to = random.pick(nodes).id;
		if (from === to) return;
		const { cut } = network.weather;
		const isBoth = random.chance(0.3);
		this.#world.note(() => `cut ${from} > ${to}${isBoth ? " and back" : ""}`);
		cut.add(from * 256 + to);
		if (isBoth) cut.add(to * 256 + from);
		scheduler.after(this.#span(), () => {
			cut.delete(from * 256 + to);
			if (isBoth) cut.delete(to * 256 + from);
		});
	}

	#partition(): void {
		const { network, nodes, scheduler } = this.#world;
		const random = this.#random;
		const side = nodes.map(() => random.chance(0.5));
		const cut: number[] = [];
		for (const [i, a] of nodes.entries()) {
			for (const [j, b] of nodes.entries()) if (side[i] !== side[j]) cut.push(a.id * 256 + b.id);
		}
		this.#world.note(() => `partition ${side.map((isLeft) => (isLeft ? "L" : "R")).join("")}`);
		for (const pair of cut) network.weather.cut.add(pair);
		scheduler.after(this.#span(), () => {
			for (const pair of cut) network.weather.cut.delete(pair);
		});
	}

	/** How long a trouble lasts: mostly short, sometimes longer than a peer is waited for. */
	#span(): number {
		return this.#random.scale(5, 5000);
	}

	#crash(node: WorldNode, isReboot: boolean): void {
		const world = this.#world;
		const random = this.#random;
		world.crash(node);
		if (isReboot) {
			world.note(() => `node ${node.id} boots with empty tables`);
			node.kernel.clear();
		}
		world.scheduler.after(random.chance(0.3) ? 0 : random.scale(1, 2000), () => world.start(node));
		if (this.#swarm.replays > 0 && random.chance(0.3)) {
			world.scheduler.after(random.scale(1, 1000), () => this.#attacker!.replayEverything());
		}
	}

	#overrun(node: WorldNode): void {
		const { daemon } = node;
		if (!daemon) return;
		this.#world.note(() => `node ${node.id} loses events`);
		daemon.isDeaf = true;
		this.#world.scheduler.after(this.#random.scale(1, 300), () => {
			daemon.isDeaf = false;
		});
	}

	#stall(node: WorldNode): void {
		const span = this.#random.scale(5, 5000);
		this.#world.note(() => `node ${node.id} stands still for ${span.toFixed(0)} ms`);
		this.#world.stall(node, span);
	}

	/** Both have the address: the same connections are in two kernels, seen differently. */
	#splitBrain(node: WorldNode): void {
		const random = this.#random;
		const other = random.pick(this.#world.nodes);
		this.#world.note(() => `node ${node.id} and node ${other.id} have the same connections`);
		for (const kind of KINDS) {
			for (const key of [...other.kernel.tables[kind].keys()]) {
				if (random.chance(0.5)) node.kernel.set(kind, key, random.below(1000));
			}
		}
	}

	/** From now on nothing goes wrong any more. */
	#heal(): void {
		const world = this.#world;
		const { weather } = world.network;
		this.#isOver = true;
		weather.loss = weather.flip = weather.lateShare = weather.duplicate = 0;
		weather.cut.clear();
		for (const node of world.nodes) {
			world.wake(node);
			if (node.daemon) node.daemon.isDeaf = false;
			world.start(node);
		}
		this.#healedAt = world.scheduler.now;
		world.note(() => "everything heals");
	}

	/** I1 */
	async #converge(): Promise<void> {
		const world = this.#world;
		const { oracle, scheduler } = world;
		oracle.isStirred = true;
		let steps = 0;
		while (!oracle.violation) {
			// cuts that were to end later
			world.network.weather.cut.clear();
			steps++;
			// not all that decides is seen to change: how long a lost table is kept, for one
			if (oracle.isStirred || steps % 10 === 0) {
				oracle.isStirred = false;
				if (world.isEqual) {
					this.#converged = scheduler.now - this.#healedAt;
					return;
				}
			}
			if (scheduler.now - this.#healedAt > CONVERGE_WITHIN || scheduler.steps > STEPS_MAX) {
				this.#differ(`not equal after ${CONVERGE_WITHIN} ms`, world.differences());
				return;
			}
			await world.run(CONVERGE_STEP);
		}
	}

	/** What is equal stays so, and nothing is left over. */
	async #rest(): Promise<void> {
		const world = this.#world;
		const { oracle } = world;
		await world.run(QUIET);
		// an acknowledgement that was lost before everything healed is asked for again when patience ends
		const isUnderWay = (): boolean =>
			world.nodes.some(({ daemon }) => (daemon?.ftfw.outgoing.inFlight.count ?? 0) > 0);
		for (let waited = 0; isUnderWay() && !oracle.violation; waited += 20) {
			if (waited > PATIENCE) oracle.fail("I6", "datagrams are in flight for ever");
			await world.run(20);
		}
		if (oracle.violation) return;
		const differences = world.differences();
		if (differences.length > 0) {
			this.#differ("not equal any more", differences);
			return;
		}
		world.checkBounds(true);
		this.#checkEffort();
	}

	/**
	 * Digests are for what should not happen: where nobody was cut off, they find nothing to repair, and where somebody
	 * was, nothing that is left when everything has healed. And where nothing goes wrong at all, nodes meet once.
	 */
	#checkEffort(): void {
		const { oracle, repairedAt, contacts } = this.#world;
		const { cuts, partitions, stalls, crashes, reboots, nodes } = this.#swarm;
		const isWhole = cuts + partitions + stalls === 0 && this.#loss < 0.1;
		const since = isWhole ? 0 : this.#healedAt + REPAIRS_WITHIN;
		if (repairedAt > since) {
			const when = repairedAt - this.#healedAt;
			oracle.fail(
				"I1 repair",
				`digests found a difference ${when.toFixed(0)} ms after the end of all faults`,
			);
		}
		const isCalm = isWhole && crashes + reboots + this.#loss === 0;
		// a buffer that is too small for all at once loses something, too
		const most = 1.25 * nodes * (nodes - 1);
		if (isCalm && contacts > most)
			oracle.fail("I6 traffic", `${contacts} contacts of ${nodes} nodes in peace`);
	}

	#differ(text: string, differences: readonly Difference[]): void {
		const few = differences.slice(0, 6).map((difference) => difference.text);
		const rest = differences.length > 6 ? `; and ${differences.length - 6} more` : "";
		this.#world.oracle.fail("I1", `${text}: ${few.join("; ")}${rest}`, differences[0]?.about);
	}
}
