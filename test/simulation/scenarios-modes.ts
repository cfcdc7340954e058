// Named scenarios about what Mode NOTRACK and Mode ALARM promise. The swarm is Mode FTFW's: what is lost in these modes stays lost
// for a while, which the swarm would call a violation; that nothing is invented, brought back or mixed up holds for all.
import { AlarmMode } from "../../src/sync/alarm.ts";
import { notrackMode } from "../../src/sync/notrack.ts";
import { type Scenario, Scene } from "./scene.ts";

/** Seconds. */
const REFRESH = 3;
const TIMEOUT = 8;

const notrack = { mode: () => notrackMode };
const alarm = {
	mode: (entropy: (size: number) => Uint8Array) =>
		new AlarmMode({ refreshTime: REFRESH, cacheTimeout: TIMEOUT, entropy }),
};

const withoutLoss: Scenario = {
	name: "NOTRACK: without losses all nodes are equal, whatever is repeated and overtaken",
	run: async () => {
		let slowest = 0;
		for (let seed = 1; seed <= 20; seed++) {
			const scene = new Scene({ nodes: 2 + (seed % 3), seed, settings: notrack });
			const { weather } = scene.world.network;
			weather.jitter = seed % 4;
			weather.duplicate = 0.1;
			await scene.startAll(2000);
			await scene.traffic(1000, 400, 80);
			slowest = Math.max(slowest, await scene.untilEqual(1000));
		}
		return `slowest ${slowest.toFixed(0)} ms`;
	},
};

const afterLoss: Scenario = {
	name: "NOTRACK: what was lost is known, and -n makes all equal",
	run: async () => {
		let differences = 0;
		for (let seed = 1; seed <= 20; seed++) {
			const scene = new Scene({ nodes: 2, seed, settings: notrack });
			await scene.startAll(2000);
			const { weather } = scene.world.network;
			weather.loss = 0.3;
			await scene.traffic(1500, 200, 80);
			weather.loss = 0;
			await scene.run(9000);
			const found = scene.world.differences().length;
			differences += found;
			for (const { daemon } of scene.world.nodes) {
				const peer = daemon!.ftfw.peers[0]!;
				scene.expect(peer.equality.repairs === 0, "a repair that nobody asked for");
			}
			const known = scene.world.nodes.some(({ daemon }) => daemon!.ftfw.peers[0]!.equality.differing > 0);
			scene.expect(found === 0 || known, `seed ${seed}: ${found} differences that nobody has noticed`);
			for (const { daemon } of scene.world.nodes) daemon!.ftfw.requestResync(scene.world.scheduler.now);
			await scene.untilEqual(2000);
		}
		requireLosses(differences);
		return `${differences} differences in 20 rounds`;
	},
};

/** The losses must have done something, or nothing was shown. */
function requireLosses(differences: number): void {
	if (differences < 20) throw new Error(`${differences} differences in 20 rounds: too few to mean anything`);
}

const repeated: Scenario = {
	name: "ALARM: after losses all nodes are equal when RefreshTime and CacheTimeout are over",
	run: async () => {
		let slowest = 0;
		for (let seed = 1; seed <= 12; seed++) {
			const scene = new Scene({ nodes: 2 + (seed % 2), seed, settings: alarm });
			await scene.startAll(2000);
			const { weather } = scene.world.network;
			weather.loss = 0.4;
			await scene.traffic(2000, 200, 80);
			weather.loss = 0;
			slowest = Math.max(slowest, await scene.untilEqual((REFRESH + TIMEOUT + 1) * 1000));
		}
		return `slowest ${slowest.toFixed(0)} ms`;
	},
};

const died: Scenario = {
	name: "ALARM: the entries of a node that has died go after CacheTimeout, and not before",
	run: async () => {
		const scene = new Scene({ nodes: 2, settings: alarm });
		const [one, other] = [scene.node(1), scene.node(2)];
		for (let key = 0; key < 200; key++) one.kernel.set(0, key, 1);
		await scene.startAll(2000 + REFRESH * 1000);
		const held = (): number => other.daemon!.ftfw.peers[0]!.external[0].store.live;
		scene.expect(held() === 200, `${held()} of 200 are held`);
		scene.world.crash(one);
		// its kernel lives on: what is given up is lost, and that is what the mode says
		other.daemon!.watch.isFlushing = true;
		await scene.run((TIMEOUT - REFRESH - 1) * 1000);
		scene.expect(held() === 200, `${held()} of 200 are left before CacheTimeout`);
		await scene.run((REFRESH + 3) * 1000);
		scene.expect(held() === 0, `${held()} are left after CacheTimeout`);
		return undefined;
	},
};

export const MODES: readonly Scenario[] = [withoutLoss, afterLoss, repeated, died];
