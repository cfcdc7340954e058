// Named scenarios that measure how long something takes.
import { type Scenario, Scene, SceneError } from "./scene.ts";

const percentile = (values: readonly number[], share: number): number =>
	values.toSorted((a, b) => a - b)[Math.floor(share * (values.length - 1))]!;

/** How long it takes until a change of node 1 is at the nodes up to `last`, milliseconds. */
async function delays(
	scene: Scene,
	last: number,
	milliseconds: number,
	perSecond: number,
): Promise<number[]> {
	const { oracle, scheduler, random } = scene.world;
	const changed = new Map<number, number>();
	const found: number[] = [];
	oracle.onHeld = (holder, origin, _, key) => {
		const since = changed.get(key);
		if (origin === 1 && holder <= last && since !== undefined) found.push(scheduler.now - since);
	};
	let count = 0;
	const end = scheduler.now + milliseconds;
	const again = (): void => {
		const wait = random.wait(perSecond);
		if (scheduler.now + wait >= end) return;
		scheduler.after(wait, () => {
			const key = 5_000_000 + count++;
			changed.set(key, scheduler.now);
			scene.node(1).kernel.set(0, key, 1);
			if (count > 2 * perSecond) scene.node(1).kernel.destroy(0, key - 2 * perSecond);
			again();
		});
	};
	again();
	await scene.run(milliseconds + 1500);
	oracle.onHeld = () => {};
	scene.expect(
		found.length === count * (last - 1),
		`${found.length} of ${count * (last - 1)} changes arrived`,
	);
	return found;
}

const stoppedNode: Scenario = {
	name: "of 16 nodes one stops: the delay of the others does not move",
	run: async () => {
		const measure = async (stops: boolean): Promise<number[]> => {
			const scene = new Scene({ nodes: 16 });
			await scene.startAll(3000);
			if (stops) scene.world.crash(scene.node(16));
			return delays(scene, 15, 8000, 60);
		};
		const all = await measure(false);
		const without = await measure(true);
		const [before, after] = [percentile(all, 0.99), percentile(without, 0.99)];
		const text = `p99 ${before.toFixed(1)} ms with all, ${after.toFixed(1)} ms with one stopped, max ${Math.max(...without).toFixed(1)}`;
		if (after > before + 5) throw new SceneError(text);
		return text;
	},
};

const standstill: Scenario = {
	name: "of 4 nodes one stands still under load: the others wait for it 400 ms at most",
	run: async () => {
		const scene = new Scene({ nodes: 4, settings: { credit: 32 } });
		await scene.startAll(3000);
		scene.world.stall(scene.node(4), 6000);
		const found = await delays(scene, 3, 4000, 1000);
		const most = Math.max(...found);
		scene.expect(most <= 400, `a change took ${most.toFixed(0)} ms`);
		const took = await scene.untilEqual(8000);
		return `max ${most.toFixed(1)} ms; equal ${took.toFixed(0)} ms after`;
	},
};

const fresh: Scenario = {
	name: "a change is at the peer within event delay, link delay and 5 ms when nothing is lost",
	run: async () => {
		const scene = new Scene({ nodes: 2, settings: { eventDelay: 1 } });
		await scene.startAll();
		const found = await delays(scene, 2, 4000, 300);
		const most = Math.max(...found);
		scene.expect(most <= 1 + 0.3 + 5, `a change took ${most.toFixed(1)} ms`);
		return `p50 ${percentile(found, 0.5).toFixed(2)}, max ${most.toFixed(2)} ms`;
	},
};

const slowReader: Scenario = {
	name: "a peer that stands still is not sent more than it has room for",
	run: async () => {
		const scene = new Scene({ nodes: 2, settings: { credit: 16, datagramMax: 300 } });
		await scene.startAll();
		const { network } = scene.world;
		scene.world.stall(scene.node(2), 38);
		const before = network.traffic.data;
		for (let key = 0; key < 3000; key++) scene.node(1).kernel.set(0, key, 1);
		await scene.run(36);
		const sent = network.traffic.data - before;
		scene.expect(sent <= 16, `${sent} datagrams for a buffer of 16`);
		await scene.untilEqual(4000);
		return `${sent} datagrams`;
	},
};

const tail: Scenario = {
	name: "the end of a burst is acknowledged without being sent again when nothing is lost",
	run: async () => {
		const scene = new Scene({ nodes: 2, settings: { credit: 64, datagramMax: 600 } });
		await scene.startAll();
		await scene.run(1000);
		const { network } = scene.world;
		const before = network.traffic.data;
		for (let burst = 0; burst < 20; burst++) {
			// the second change finds that a question has just been asked
			for (const key of [2 * burst, 2 * burst + 1]) {
				scene.node(1).kernel.set(0, key, 1);
				await scene.run(4);
			}
			await scene.run(100);
		}
		const sent = network.traffic.data - before;
		scene.expect(sent <= 40, `${sent} datagrams for forty changes`);
		await scene.untilEqual(4000);
		return `${sent} datagrams for forty changes`;
	},
};

const lostTail: Scenario = {
	name: "the lost end of a burst is repaired within 50 ms and a round trip",
	run: async () => {
		const scene = new Scene({ nodes: 2 });
		await scene.startAll();
		await scene.run(5000);
		const { cut } = scene.world.network.weather;
		let most = 0;
		for (let burst = 0; burst < 20; burst++) {
			scene.node(1).kernel.set(0, burst, 1);
			await scene.run(4);
			cut.add(1 * 256 + 2);
			scene.node(1).kernel.set(0, burst, 2);
			await scene.run(5);
			cut.clear();
			most = Math.max(most, 5 + (await scene.untilEqual(4000)));
			await scene.run(100 + burst);
		}
		// equality is looked at every five milliseconds
		scene.expect(most <= 55 + 1, `it took ${most} ms`);
		return `max ${most.toFixed(0)} ms`;
	},
};

export const TIMING: readonly Scenario[] = [fresh, stoppedNode, standstill, slowReader, tail, lostTail];
