// Named scenarios: what the swarm meets too seldom, or does not measure.
import { hashConntrack } from "../../src/conntrack/key.ts";
import * as R from "../../src/conntrack/record.ts";
import { FLAG_ACK } from "../../src/sync/wire/frame.ts";
import { collidingSources } from "./collisions.ts";
import { MODES } from "./scenarios-modes.ts";
import { STATE } from "./scenarios-state.ts";
import { TIMING } from "./scenarios-timing.ts";
import { type Scenario, Scene, SceneError } from "./scene.ts";

const oneBucket: Scenario = {
	name: "5000 keys in one bucket of the hash table become equal, change, and end",
	run: async () => {
		const scene = new Scene({ nodes: 2, settings: { hashSeed: 99 } });
		const keys = collidingSources(99, 5000);
		const record = R.newConntrackRecord();
		const hashes = new Set<number>();
		for (const { ports, source } of keys) {
			record[R.PROTOCOLS] = 2 | (6 << 8);
			record[R.ORIG_PORTS] = ports;
			record[R.ORIG_SRC] = source;
			record[R.ORIG_DST] = 0x0200000a;
			hashes.add(hashConntrack(record, 99));
		}
		scene.expect(hashes.size === 1, `the keys have ${hashes.size} hashes`);
		scene.world.sources = new Map(keys.map(({ ports, source }) => [ports, source]));
		const { kernel } = scene.node(1);
		for (const { ports } of keys) kernel.set(0, ports, 1);
		await scene.startAll(500);
		const first = await scene.untilEqual(4000);
		for (const { ports } of keys) kernel.set(0, ports, 2);
		const second = await scene.untilEqual(4000);
		for (const { ports } of keys) if (ports % 2 === 0) kernel.destroy(0, ports);
		const third = await scene.untilEqual(4000);
		await scene.run(500);
		scene.world.checkBounds(true);
		await scene.run(0);
		return `${first.toFixed(0)}, ${second.toFixed(0)} and ${third.toFixed(0)} ms`;
	},
};

const replays = (isSealed: boolean): Scenario => ({
	name: `a recorded session changes nothing, replayed across restarts${isSealed ? ", sealed" : ""}`,
	run: async () => {
		let datagrams = 0;
		for (let seed = 1; seed <= (isSealed ? 2 : 4); seed++) {
			const scene = new Scene({ nodes: 2 + (seed % 2), seed, isSealed });
			scene.record();
			await scene.startAll(800);
			await scene.traffic(500, 300, 60);
			await scene.untilEqual(3000);
			for (let round = 0; round < 4; round++) {
				// one, the other, both
				for (const node of scene.world.nodes) {
					if (round < 2 && node.id !== round + 1) continue;
					scene.world.crash(node);
					// what ended meanwhile must not come back
					for (const key of [...node.kernel.tables[0].keys()]) if (key % 2) node.kernel.destroy(0, key);
					scene.world.start(node);
				}
				scene.replayAll();
				await scene.run(100);
				scene.replayAll();
				await scene.traffic(300, 200, 60);
				scene.replayAll();
				await scene.run(20);
				await scene.untilEqual(4000);
				scene.replayAll();
				await scene.run(100);
				scene.expect(scene.world.isEqual, "a replay has changed something");
			}
			datagrams += scene.world.network.traffic.injected;
		}
		return `${datagrams} replayed datagrams`;
	},
});

const longPartition: Scenario = {
	name: "after 20 s of partition under load nodes are equal within 1 s, and memory has not grown",
	run: async () => {
		const scene = new Scene({ nodes: 3 });
		await scene.startAll();
		await scene.traffic(1000, 500, 200);
		const { cut } = scene.world.network.weather;
		for (const other of [1, 2]) cut.add(other * 256 + 3).add(3 * 256 + other);
		await scene.traffic(15_000, 300, 200);
		// connections that come and go
		const { kernel } = scene.node(1);
		for (let key = 2_000_000; key < 2_005_000; key++) {
			kernel.set(0, key, 1);
			if (key >= 2_000_100) kernel.destroy(0, key - 100);
			await scene.run(1);
		}
		for (const node of scene.world.nodes) {
			const { store } = node.daemon!.internal.conntracks;
			scene.expect(store.count <= 600, `node ${node.id} has ${store.count} slots for 300 keys`);
		}
		cut.clear();
		const took = await scene.untilEqual(1000);
		await scene.run(3000);
		scene.expect(scene.world.repairedAt < 0, "the bulk has left something to the digests");
		return `equal after ${took.toFixed(0)} ms`;
	},
};

const oneWay: Scenario = {
	name: "a link that is cut in one direction for 10 s heals within 3.5 s, and the third node does not notice",
	run: async () => {
		const scene = new Scene({ nodes: 3 });
		await scene.startAll();
		const { cut } = scene.world.network.weather;
		cut.add(1 * 256 + 3);
		await scene.traffic(10_000, 200, 100);
		await scene.run(500);
		const differences = scene.world
			.differences()
			.filter(({ text }) => !/node [13] holds .* of node [13]/.test(text));
		scene.expect(differences.length === 0, `${differences[0]?.text}`);
		cut.clear();
		const took = await scene.untilEqual(3500);
		return `equal after ${took.toFixed(0)} ms`;
	},
};

const quiet: Scenario = {
	name: "a minute without a change costs five datagrams a second and node at most",
	run: async () => {
		const scene = new Scene({ nodes: 4 });
		await scene.startAll(5000);
		const { network } = scene.world;
		const before = network.datagrams;
		await scene.run(60_000);
		const rate = (network.datagrams - before) / 60 / 4;
		scene.expect(rate <= 5, `${rate.toFixed(2)} a second and node`);
		return `${rate.toFixed(2)} a second and node`;
	},
};

const coalescing: Scenario = {
	name: "a thousand updates of a key while nothing gets through cost a few records",
	run: async () => {
		const scene = new Scene({ nodes: 2 });
		const { kernel } = scene.node(1);
		kernel.set(0, 7, 0);
		await scene.startAll();
		// slot 0 is the only one
		const { inFlight } = scene.node(1).daemon!.ftfw.outgoing;
		const add = inFlight.add.bind(inFlight);
		let sent = 0;
		inFlight.add = (sequence, key, version) => {
			if (key === 0) sent++;
			add(sequence, key, version);
		};
		scene.world.network.weather.cut.add(1 * 256 + 2);
		// more than may be in flight
		for (let key = 100; key < 12_000; key++) kernel.set(0, key, 1);
		await scene.run(100);
		for (let i = 1; i <= 1000; i++) {
			kernel.set(0, 7, i);
			await scene.run(0.5);
		}
		scene.world.network.weather.cut.clear();
		await scene.untilEqual(4000);
		scene.expect(sent <= 20, `${sent} records`);
		return `${sent} records`;
	},
};

const lateBeforeBulk: Scenario = {
	name: "a datagram that is older than a bulk does not confirm what the bulk leaves out",
	run: async () => {
		const scene = new Scene({ nodes: 3, settings: { datagramMax: 300 } });
		const { kernel } = scene.node(1);
		for (let key = 1000; key < 3000; key++) kernel.set(0, key, 1);
		await scene.startAll();
		const { network } = scene.world;
		const { cut } = network.weather;
		// node 3 misses the beginning of an entry, and is given up before its end
		scene.record();
		cut.add(1 * 256 + 3).add(3 * 256 + 1);
		kernel.set(0, 77, 1);
		await scene.run(20);
		const late = scene.recorded.find(
			({ epoch, bytes }) => epoch?.node === 1 && (bytes[3]! & FLAG_ACK) !== 0,
		)!;
		await scene.run(4000);
		kernel.destroy(0, 77);
		await scene.run(500);
		cut.clear();
		// its beginning comes in the midst of the bulk
		const peer = scene.node(3).daemon!.ftfw.peers.find(({ node }) => node === 1)!;
		const before = peer.bulkReceived;
		for (let i = 0; i < 50_000 && peer.bulkReceiving === 0; i++) await scene.run(0.1);
		scene.expect(peer.bulkReceiving > before, "there was no bulk");
		await scene.run(0.5);
		network.inject(scene.node(3), late.bytes, late);
		await scene.run(1500);
		await scene.untilEqual(3500);
		scene.expect(scene.world.repairedAt < 0, "it took the digests to find out");
		return undefined;
	},
};

const overtaken: Scenario = {
	name: "HELLOs that overtake each other make no contact end",
	run: async () => {
		for (let seed = 1; seed <= 60; seed++) {
			const scene = new Scene({ nodes: 3, seed });
			scene.world.network.weather.jitter = 80;
			await scene.startAll(4000);
			const { contacts } = scene.world;
			scene.expect(contacts === 6, `seed ${seed}: ${contacts} contacts of three nodes`);
		}
		return undefined;
	},
};

const SCENARIOS: readonly Scenario[] = [
	...TIMING,
	oneBucket,
	replays(false),
	replays(true),
	longPartition,
	oneWay,
	overtaken,
	quiet,
	coalescing,
	lateBeforeBulk,
	...STATE,
	...MODES,
];

/** @returns for each, of those whose name has the part, whether it passed */
export async function runScenarios(part = ""): Promise<boolean[]> {
	const results: boolean[] = [];
	for (const { name, run } of SCENARIOS) {
		if (!name.includes(part)) continue;
		let problem: string | undefined;
		let measured: string | undefined;
		try {
			measured = await run();
		} catch (error) {
			problem = error instanceof SceneError ? error.message : (error as Error).stack!;
		}
		console.log(`${problem ? "FAILED" : "passed"}: ${name}${measured ? ` (${measured})` : ""}`);
		if (problem) console.log(`  ${problem}`);
		results.push(problem === undefined);
	}
	return results;
}
