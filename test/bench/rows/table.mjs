// A daemon that starts on a kernel with many entries, what it needs for them, and a peer that starts empty beside it.
//
// Start: from the start of the program until its cache holds all. Bulk: from the start of the peer until it holds
// all, entry by entry, less what a bare start takes on empty tables; ctsync fills a peer by itself, conntrackd is asked to
// (-n) as soon as the peer answers. Memory: resident, less that of the same daemon on an empty table.
import { Pair } from "../daemon.mjs";
import { cpuOf } from "../meter.mjs";
import { median } from "../report.mjs";
import { FULL6, short, TCP4 } from "../settings.mjs";
import { now, sleep, until } from "../shell.mjs";

const SIZES = [100_000, 1_000_000];

export const name = "table";
/** Any of these has it run. */
export const rows = ["start", "bulk", "memory"];

const sizes = (scale) => SIZES.map((size) => Math.round(size * scale));

export function metrics({ scale }) {
	const [small, large] = sizes(scale);
	const list = [];
	for (const n of [large]) {
		list.push({
			row: "start",
			id: `start.${n}`,
			text: `start to ready with ${short(n)} kernel entries`,
			unit: "s",
			goals: [{ ratio: 0.6 }],
		});
		list.push({
			row: "start",
			id: `resync.${n}`,
			text: `-R with ${short(n)} kernel entries`,
			unit: "s",
			goals: [{ ratio: 0.6 }],
		});
	}
	for (const n of [small, large]) {
		list.push({
			row: "bulk",
			id: `bulk.${n}`,
			text: `bulk of ${short(n)} to an empty peer`,
			unit: "s",
			goals: n === large ? [{ ratio: 1 }] : [],
		});
		list.push({
			row: "bulk",
			id: `bulk.cpu.sender.${n}`,
			text: `bulk of ${short(n)}, CPU of the sender`,
			unit: "s",
			goals: [],
		});
		list.push({
			row: "bulk",
			id: `bulk.cpu.receiver.${n}`,
			text: `bulk of ${short(n)}, CPU of the receiver`,
			unit: "s",
			goals: [],
		});
	}
	for (const kind of ["v4", "v6"])
		for (const n of [small, large])
			for (const cache of ["internal", "external"])
				list.push({
					row: "memory",
					id: `memory.${kind}.${cache}.${n}`,
					text: `memory per entry, ${cache}, ${short(n)}, ${kind === "v4" ? "IPv4 TCP" : "IPv6, NAT, helper"}`,
					unit: "B",
					goals: [{ ratio: kind === "v4" ? 0.25 : 0.4 }],
				});
	return list;
}

export async function* measure(bench, variant) {
	for (const n of sizes(bench.scale)) {
		yield;
		if (variant === "floor") {
			if (bench.wants("start")) await measureFloor(bench, n);
			continue;
		}
		const bare = await bareStart(bench, variant);
		await measureFull(bench, variant, n, bare, "v4");
		yield;
		if (bench.wants("memory")) await measureFull(bench, variant, n, bare, "v6");
	}
}

/** What a pair needs on empty tables: seconds and CPU of the start of b (of three), and the memory of both. */
export async function bareStart({ lab }, variant, options) {
	const pair = new Pair(lab, variant, options);
	const [seconds, cpu] = [[], []];
	try {
		await pair.empty();
		await pair.a.start();
		for (let i = 0; i < 3; i++) {
			await pair.b.stop();
			seconds.push(await pair.b.start());
			cpu.push((await cpuOf(lab, pair.b))[0]);
		}
		await sleep(1500);
		const memory = { a: pair.a.memory(), b: pair.b.memory() };
		return { seconds: median(seconds), cpu: median(cpu), memory };
	} finally {
		await pair.stop();
	}
}

/**
 * A daemon that starts on n entries, then an empty peer beside it.
 *
 * @param bare what `bareStart` has found @param kind "v4", with all figures, or "v6": only the memory of larger entries
 */
export async function measureFull(bench, variant, n, bare, kind) {
	const { lab } = bench;
	const pair = new Pair(lab, variant);
	const isPlain = kind === "v4";
	try {
		await pair.empty();
		await lab.load("a", `create ${isPlain ? TCP4 : FULL6} -n ${n}`);
		const begin = now();
		await pair.a.start();
		const ready = await until(120, async () => (await pair.a.count("internal")) === n);
		if (ready === undefined) throw new Error(`${variant}: the internal cache does not get ${n} entries`);
		if (isPlain) bench.emit(`start.${n}`, now() - begin, { cpu: (await cpuOf(lab, pair.a))[0] });
		await settle(lab, pair.a);
		emitMemory(bench, `memory.${kind}.internal.${n}`, pair.a, bare.memory.a, n);
		if (isPlain && bench.wants("start")) await measureResync(bench, pair.a, n);
		await settle(lab, pair.a);
		if (!isPlain) {
			await pair.b.start();
			if (!(await pair.fillPeer(n))) throw new Error(`${variant}: the peer does not get ${n} entries`);
		} else await measureBulk(bench, pair, n, bare);
		await settle(lab, pair.b);
		emitMemory(bench, `memory.${kind}.external.${n}`, pair.b, bare.memory.b, n);
	} finally {
		await pair.stop();
		await pair.empty();
	}
}

function emitMemory(bench, id, daemon, empty, n) {
	const resident = daemon.memory();
	bench.emit(id, (resident - empty) / n, { resident, empty });
}

/** conntrackd does not answer before it is done, ctsync goes on with its work: until the CPU is idle again. */
async function measureResync(bench, daemon, n) {
	const begin = now();
	const [before] = await cpuOf(bench.lab, daemon);
	await daemon.ask("-R");
	await daemon.count("internal");
	const end = await idleSince(bench.lab, daemon);
	bench.emit(`resync.${n}`, Math.max(0, end - begin), { cpu: (await cpuOf(bench.lab, daemon))[0] - before });
}

/** @returns since when the daemon uses less than a tenth of a CPU */
async function idleSince(lab, daemon) {
	const PAUSE = 0.02;
	let [before] = await cpuOf(lab, daemon);
	let then = now();
	let since = then;
	while (now() - since < 0.3) {
		await sleep(PAUSE * 1000);
		const [after] = await cpuOf(lab, daemon);
		const time = now();
		if ((after - before) / (time - then) > 0.1) since = time;
		before = after;
		then = time;
	}
	return since;
}

/** Until the daemon uses less than a quarter of a CPU: ctsync asks for up to 4096 masters a second, an eighth at a time. */
async function settle(lab, daemon) {
	for (let used = 1; used > 0.25; ) {
		const [before] = await cpuOf(lab, daemon);
		const begin = now();
		await sleep(500);
		used = ((await cpuOf(lab, daemon))[0] - before) / (now() - begin);
	}
}

async function measureBulk(bench, pair, n, bare) {
	const { lab } = bench;
	const [before] = await cpuOf(lab, pair.a);
	const begin = now();
	await pair.b.start();
	const filled = await pair.fillPeer(n);
	const seconds = now() - begin - bare.seconds;
	const [sender, receiver] = await cpuOf(lab, pair.a, pair.b);
	const isComplete = filled?.tries === 1 && (await pair.areBothEqual());
	bench.emit(`bulk.${n}`, seconds, { isComplete, tries: filled?.tries, bareStart: bare.seconds });
	bench.emit(`bulk.cpu.sender.${n}`, sender - before, { isComplete });
	bench.emit(`bulk.cpu.receiver.${n}`, receiver - bare.cpu, { isComplete });
	if (!filled) throw new Error("the peer does not get all entries");
}

/** The floor of a start and of a resync: reading the table. */
async function measureFloor(bench, n) {
	const { lab } = bench;
	await lab.load("a", "flush");
	await lab.load("a", `create ${TCP4} -n ${n}`);
	const { seconds } = await lab.load("a", "dump");
	await lab.load("a", "flush");
	bench.emit(`start.${n}`, seconds);
	bench.emit(`resync.${n}`, seconds);
}
