// What named scenarios are made of: a world in fair weather, and a few things to do in it.
import type { Kind } from "../../src/conntrack/kind.ts";
import type { DaemonSettings } from "./daemon.ts";
import type { Trace } from "./history.ts";
import type { Sent } from "./network.ts";
import { World, type WorldNode } from "./world.ts";

const SETTINGS: DaemonSettings = {
	hashSeed: 1,
	datagramMax: 1400,
	credit: 200,
	eventDelay: 1,
	dumpStep: 20,
	dumpDelay: 0.2,
};

export interface Scenario {
	name: string;
	/** @returns what was measured, if anything; throws SceneError */
	run: () => Promise<string | undefined>;
}

/** A scenario did not come to the end that it should. */
export class SceneError extends Error {}

export interface SceneOptions {
	nodes: number;
	seed?: number;
	isSealed?: boolean;
	settings?: Partial<DaemonSettings>;
	trace?: Trace;
}

export class Scene {
	readonly world: World;
	/** Everything that was on the link, from `record` on. */
	readonly recorded: Sent[] = [];

	constructor({ nodes, seed = 1, isSealed = false, settings = {}, trace }: SceneOptions) {
		this.world = new World({
			seed,
			nodes,
			isSealed,
			settings: { ...SETTINGS, ...settings },
			...(trace ? { trace } : {}),
		});
	}

	node(id: number): WorldNode {
		return this.world.nodes[id - 1]!;
	}

	async startAll(milliseconds = 1500): Promise<void> {
		for (const node of this.world.nodes) this.world.start(node);
		await this.run(milliseconds);
	}

	/** Lets time pass; a broken invariant ends the scenario. */
	async run(milliseconds: number): Promise<void> {
		await this.world.run(milliseconds);
		const { violation } = this.world.oracle;
		if (violation) throw new SceneError(`${violation.rule}: ${violation.text}`);
	}

	/** Time passes in small steps until all are equal. @returns how long it took, milliseconds */
	async untilEqual(within: number): Promise<number> {
		const { scheduler } = this.world;
		const began = scheduler.now;
		while (!this.world.isEqual) {
			if (scheduler.now - began > within) {
				const few = this.world.differences().slice(0, 4);
				const texts = few.map(({ text }) => text).join("; ");
				throw new SceneError(`not equal after ${within} ms: ${texts}`);
			}
			await this.run(5);
		}
		return scheduler.now - began;
	}

	/** Changes at random, so many a second, for a while: on one node, or on all. */
	async traffic(milliseconds: number, perSecond: number, keys: number, only?: WorldNode): Promise<void> {
		const { world } = this;
		const { random, scheduler } = world;
		const end = scheduler.now + milliseconds;
		for (const node of only ? [only] : world.nodes) {
			const again = (): void => {
				const wait = random.wait(perSecond);
				if (scheduler.now + wait >= end) return;
				scheduler.after(wait, () => {
					const kind: Kind = random.chance(0.1) ? 1 : 0;
					const key = node.id * 100_000 + random.below(keys);
					if (random.chance(0.35)) node.kernel.destroy(kind, key);
					else node.kernel.set(kind, key, random.below(1000));
					again();
				});
			};
			again();
		}
		await this.run(milliseconds);
	}

	record(): void {
		this.world.network.tap = (sent) => this.recorded.push(sent);
	}

	/** Everything recorded, shuffled, to everybody. */
	replayAll(): void {
		const { network, random } = this.world;
		const shuffled = this.recorded.slice();
		for (let i = shuffled.length - 1; i > 0; i--) {
			const j = random.below(i + 1);
			[shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
		}
		for (const sent of shuffled) for (const to of network.receivers) network.inject(to, sent.bytes, sent);
	}

	expect(isGood: boolean, text: string): void {
		if (!isGood) throw new SceneError(text);
	}
}
