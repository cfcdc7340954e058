import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";
import type { Clock } from "../system/clock.ts";
import { KernelResync, type ResyncOptions } from "./kernel-resync.ts";
import { recordOf, type SimulatedNode, Simulation } from "./simulation.ts";

/** Two nodes in contact, and the resync of the first with tables that the test writes. */
function setUp(tables: ResyncOptions["tables"], options: Partial<ResyncOptions> = {}) {
	const sim = new Simulation(1, 2);
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	sim.run(1500);
	const clock: Clock = {
		now: () => sim.now,
		after: () => () => {},
		pause: async () => {},
		wall: () => new Date(0),
	};
	const { conntracks, expectations } = a.internal;
	const resync = new KernelResync({
		internal: [conntracks, expectations],
		tables,
		passes: () => true,
		clock,
		drain: () => {},
		pump: () => a.ftfw.pump(sim.now),
		...options,
	});
	return { sim, a, b, conntracks, resync };
}

/** The keys that node b holds of node a. */
const heldKeys = ({ sim, a, b }: { sim: Simulation; a: SimulatedNode; b: SimulatedNode }): number[] => {
	sim.run(500);
	return [...sim.held(b, a).keys()].sort((x, y) => x - y);
};

test("what the kernel has comes in, what it has no more goes, and the peer learns of both", async () => {
	const all = setUp(async (kind, visit) => {
		if (kind === CONNTRACK) for (const key of [2, 3, 4]) visit(recordOf(key, 0));
	});
	for (const key of [1, 2, 3]) all.conntracks.apply(recordOf(key, 0), true, 0);
	assert.deepEqual(heldKeys(all), [1, 2, 3]);
	await all.resync.run();
	assert.deepEqual(heldKeys(all), [2, 3, 4]);
	assert.equal(all.resync.count, 1);
	assert.equal(all.conntracks.store.count, 3, "the dead are forgotten once the peer knows");
});

test("what the filter does not let pass is treated as if the kernel had it not", async () => {
	const passes = (_: Kind, record: Int32Array) => record[3]! % 2 === 0;
	const all = setUp(
		async (kind, visit) => {
			if (kind === CONNTRACK) for (const key of [1, 2, 3]) visit(recordOf(key, 0));
		},
		{ passes },
	);
	all.conntracks.apply(recordOf(1, 0), true, 0);
	await all.resync.run([CONNTRACK]);
	assert.deepEqual(heldKeys(all), [2]);
});

test("a run reads one table after another, no table twice at a time, and one table does not wait for the other", async () => {
	const log: string[] = [];
	const { resync } = setUp(async (kind) => {
		log.push(`begin ${kind}`);
		await new Promise((resolve) => setImmediate(resolve));
		log.push(`end ${kind}`);
	});
	await Promise.all([resync.run(), resync.run([CONNTRACK])]);
	const first = log.indexOf("end 0");
	assert.deepEqual(log.slice(0, first + 1), ["begin 0", "end 0"]);
	assert.ok(log.indexOf("begin 1") > first);
	assert.deepEqual(
		log.filter((line) => line.endsWith("0")),
		["begin 0", "end 0", "begin 0", "end 0"],
	);
	log.length = 0;
	await Promise.all([resync.table(CONNTRACK), resync.table(EXPECTATION)]);
	assert.deepEqual(log, ["begin 0", "begin 1", "end 0", "end 1"]);
	assert.equal(resync.count, 2, "a single table is nobody's resync");
});

test("connections that begin and end while the dump is read leave nothing behind", async () => {
	const all = setUp(async (kind, visit) => {
		if (kind !== CONNTRACK) return;
		const { conntracks, a, sim } = all;
		// ended before anybody was told, and the queue still names its slot
		conntracks.apply(recordOf(1, 0), true, 0);
		conntracks.destroy(recordOf(1, 0), 0);
		a.ftfw.pump(sim.now);
		// came, went, and came back as often as a busy port does
		for (let i = 0; i < 3; i++) {
			conntracks.apply(recordOf(2, i), true, 0);
			conntracks.destroy(recordOf(2, i), 0);
		}
		visit(recordOf(1, 0));
		visit(recordOf(2, 0));
	});
	await all.resync.run();
	assert.deepEqual(heldKeys(all), []);
	assert.equal(all.conntracks.store.count, 0);
});

test("an end that comes just before the dump's reaches the peer that was told of the beginning", async () => {
	const all = setUp(async (kind) => {
		if (kind !== CONNTRACK) return;
		const { conntracks, sim } = all;
		conntracks.destroy(recordOf(1, 0), 0);
		conntracks.apply(recordOf(1, 5), true, 0);
		sim.run(100);
		conntracks.destroy(recordOf(1, 5), 0);
	});
	await all.resync.run();
	assert.deepEqual(heldKeys(all), []);
});

test("a flush while the dump is read withdraws: the peer keeps what it has", async () => {
	const all = setUp(async (kind, visit) => {
		if (kind !== CONNTRACK) return;
		const { conntracks, a, sim } = all;
		conntracks.apply(recordOf(1, 7), false, 0);
		conntracks.withdraw(conntracks.store.find(recordOf(1, 0)), 0);
		a.ftfw.pump(sim.now);
		visit(recordOf(1, 7));
	});
	all.conntracks.apply(recordOf(1, 0), true, 0);
	assert.deepEqual(heldKeys(all), [1]);
	await all.resync.run();
	assert.deepEqual(heldKeys(all), [1]);
	assert.equal(all.conntracks.store.count, 0);
});

test("a dump that fails drops nothing, keeps no dead, and the next one works", async () => {
	let fails = true;
	const all = setUp(async (kind, visit) => {
		if (kind !== CONNTRACK) return;
		visit(recordOf(1, 0));
		if (fails) throw new Error("dump conntracks: EBUSY");
	});
	for (const key of [1, 2]) all.conntracks.apply(recordOf(key, 0), true, 0);
	await assert.rejects(all.resync.run(), /EBUSY/);
	assert.equal(all.resync.count, 0);
	assert.deepEqual(heldKeys(all), [1, 2]);
	for (let key = 100; key < 200; key++) {
		all.conntracks.apply(recordOf(key, 0), true, 0);
		all.conntracks.destroy(recordOf(key, 0), 0);
	}
	all.sim.run(500);
	assert.equal(all.conntracks.store.count, 2, "what dies after a failed dump is forgotten as ever");
	fails = false;
	await all.resync.run();
	assert.deepEqual(heldKeys(all), [1]);
});

test("what a flush deletes while a dump is read is withdrawn, by that dump and by the next", async () => {
	let rest = [1, 2, 3, 4];
	let during = (): void => {};
	const all = setUp(async (kind, visit) => {
		if (kind !== CONNTRACK) return;
		during();
		for (const key of rest) visit(recordOf(key, 0));
	});
	for (const key of rest) all.conntracks.apply(recordOf(key, 0), true, 0);
	assert.deepEqual(heldKeys(all), [1, 2, 3, 4]);
	// the flush begins before the dump and ends after it
	all.resync.withdrawals.add(CONNTRACK);
	during = () => {
		rest = [3, 4];
	};
	await all.resync.table(CONNTRACK);
	all.resync.withdrawals.add(CONNTRACK);
	during = () => {
		rest = [];
	};
	await all.resync.table(CONNTRACK);
	assert.equal(all.conntracks.store.live, 0);
	assert.deepEqual(heldKeys(all), [1, 2, 3, 4], "no connection has ended");
	// the mark is used up
	all.conntracks.apply(recordOf(5, 0), true, 0);
	await all.resync.table(CONNTRACK);
	assert.deepEqual(heldKeys(all), [1, 2, 3, 4]);
	assert.equal(all.resync.withdrawals.size, 0);
});

test("what a flush that begins during a dump deletes is withdrawn", async () => {
	let begins = (): void => {};
	const all = setUp(async () => begins());
	all.conntracks.apply(recordOf(1, 0), true, 0);
	assert.deepEqual(heldKeys(all), [1]);
	begins = () => void all.resync.withdrawals.add(CONNTRACK);
	await all.resync.table(CONNTRACK);
	assert.deepEqual(heldKeys(all), [1]);
});

test("others have their turn while many end", async () => {
	const live: number[] = [];
	const clock: Clock = {
		now: () => 1000,
		after: () => () => {},
		pause: async () => void live.push(all.conntracks.store.live),
		wall: () => new Date(0),
	};
	const all = setUp(async () => {}, { clock });
	for (let key = 0; key < 10_000; key++) all.conntracks.apply(recordOf(key, 0), true, 0);
	live.push(10_000);
	await all.resync.table(CONNTRACK);
	live.push(all.conntracks.store.live);
	assert.equal(live.at(-1), 0);
	const ended = live.slice(1).map((left, i) => live[i]! - left);
	assert.ok(Math.max(...ended) <= 2048, `${Math.max(...ended)} in one turn`);
});

/** Tables whose dumps end when the test says so. */
function slowTables() {
	const begun: Kind[] = [];
	const ends: ((error?: Error) => void)[] = [];
	const { resync } = setUp((kind) => {
		begun.push(kind);
		return new Promise((resolve, reject) => ends.push((error) => (error ? reject(error) : resolve())));
	});
	const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
	const end = async (error?: Error): Promise<void> => {
		ends.shift()!(error);
		await turn();
	};
	return { resync, begun, end, turn };
}

test("however many ask while a table is read, it is read once more, for all of them", async () => {
	const { resync, begun, end, turn } = slowTables();
	const asked = [resync.run([CONNTRACK])];
	await turn();
	for (let i = 0; i < 1000; i++) asked.push(resync.run([CONNTRACK]));
	await turn();
	assert.deepEqual(begun, [CONNTRACK], "one at a time");
	const ended = end();
	for (let i = 0; i < 20; i++) {
		asked.push(resync.run([CONNTRACK]));
		await Promise.resolve();
	}
	await ended;
	assert.deepEqual(begun, [CONNTRACK, CONNTRACK]);
	// this one may miss what has changed since it began
	asked.push(resync.run([CONNTRACK]));
	assert.equal(begun.length, 2);
	await end();
	assert.deepEqual(begun, [CONNTRACK, CONNTRACK, CONNTRACK]);
	await end();
	await Promise.all(asked);
	assert.equal(begun.length, 3);
	assert.equal(resync.count, asked.length, "each request was answered");
	const again = resync.table(CONNTRACK);
	await turn();
	assert.equal(begun.length, 4, "and nobody waits for what is over");
	await end();
	await again;
});

test("a dump that fails fails for those who asked for it, and the one that waits is read all the same", async () => {
	const { resync, begun, end, turn } = slowTables();
	const outcomes = new Map<string, string>();
	const ask = async (name: string): Promise<void> => {
		await resync.table(CONNTRACK).then(
			() => outcomes.set(name, "read"),
			(error: Error) => outcomes.set(name, error.message),
		);
	};
	const first = ask("first");
	await turn();
	const waiting = [ask("second"), ask("third")];
	await end(new Error("EBUSY"));
	await first;
	assert.deepEqual([...outcomes], [["first", "EBUSY"]]);
	assert.deepEqual(begun, [CONNTRACK, CONNTRACK]);
	const last = ask("last");
	await end(new Error("EINTR"));
	await end();
	await Promise.all([...waiting, last]);
	assert.deepEqual(
		[...outcomes],
		[
			["first", "EBUSY"],
			["second", "EINTR"],
			["third", "EINTR"],
			["last", "read"],
		],
	);
});
