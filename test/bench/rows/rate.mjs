// CPU per event of sender and receiver, bytes on the wire, and what the generator (the packet path) pays for it.
//
// A pair of each kind lives through all of it. It is warmed up first, both kinds of daemon by the same work: 100,000 entries
// created, updated and destroyed as fast as it goes, and as many at 50,000 a second. Then the rates, from the lowest up. A
// phase ends when the link has been quiet for a fifth of a second (which is not counted), and only then the caches are compared
// with the kernel, entry by entry.
import { Pair } from "../daemon.mjs";
import { cpuOf, Meter } from "../meter.mjs";
import { TCP4 } from "../settings.mjs";
import { until } from "../shell.mjs";

export const OPERATIONS = ["create", "update", "destroy"];
export const SIDES = ["sender", "receiver"];
const RATES = [
	{ rate: 10_000, entries: 30_000, text: "10k/s", sender: 0.5, receiver: 0.6 },
	{ rate: 50_000, entries: 100_000, text: "50k/s", sender: 0.5, receiver: 0.7 },
	{ rate: 0, entries: 300_000, text: "storm", sender: 0.7, receiver: 0.8 },
];
const WIRE_GOALS = { create: 0.75, update: 0.75, destroy: 0.5 };
/** Entries of the warm-up are others than those that are measured. */
const WARM_BASE = 10_000_000;

export const name = "rate";
/** Any of these has it run. */
export const rows = ["rate", "wire", "packet"];

export function metrics() {
	const list = [];
	for (const side of SIDES)
		for (const step of RATES)
			for (const op of OPERATIONS)
				list.push({
					row: "rate",
					id: `cpu.${side}.${step.text}.${op}`,
					text: `CPU per event, ${side}, ${step.text}, ${op}`,
					unit: "µs",
					goals: [{ ratio: step[side] }],
				});
	for (const side of SIDES)
		list.push({
			row: "rate",
			id: `rest.${side}`,
			text: `CPU of a second at rest, ${side}`,
			unit: "ms",
			goals: [],
		});
	for (const step of RATES)
		for (const op of OPERATIONS)
			list.push({
				row: "wire",
				id: `wire.${step.text}.${op}`,
				text: `bytes on the wire per event, ${step.text}, ${op}`,
				unit: "B",
				goals: [{ ratio: WIRE_GOALS[op] }],
			});
	for (const step of RATES)
		for (const op of OPERATIONS)
			list.push({
				row: "packet",
				id: `packet.${step.text}.${op}`,
				text: `generator's CPU per event, ${step.text}, ${op}`,
				unit: "µs",
				goals: [{ ratio: 1 }],
			});
	return list;
}

export async function* measure(bench, variant) {
	const steps = RATES.map((step) => ({
		...step,
		entries: Math.max(1000, Math.round(step.entries * bench.scale)),
	}));
	if (variant === "floor") yield* measureFloor(bench, steps);
	else yield* measureRates(bench, variant, steps);
}

/** @param steps rate (0: as fast as it goes), how many entries, and the text for the names of the figures */
export async function* measureRates(bench, variant, steps) {
	const pair = new Pair(bench.lab, variant);
	const begin = async () => {
		await pair.start();
		await warmUp(bench, pair);
	};
	try {
		yield; // to the floor, which needs that nobody listens
		await begin();
		await measureRest(bench, pair);
		for (const step of steps)
			for (const op of OPERATIONS) {
				yield;
				if (await phase(bench, pair, step, op)) continue;
				// what was lost would be repaired in the middle of the next phase
				await pair.stop();
				await begin();
				break;
			}
	} finally {
		await pair.stop();
	}
}

/** The same work for whichever daemon, with entries that are not measured. */
export async function warmUp({ lab, scale }, pair, rates = [0, 50_000]) {
	const n = Math.max(1000, Math.round(100_000 * scale));
	for (const rate of rates)
		for (const op of OPERATIONS) {
			await lab.load("a", `${op} ${TCP4} --base ${WARM_BASE} -n ${n} -r ${rate} --errors-ok`);
			await pair.quiet();
		}
	await until(60, async () => (await pair.b.count("external")) === 0);
}

async function measureRest({ lab, emit, pause }, pair) {
	const SECONDS = 2;
	const before = await cpuOf(lab, pair.a, pair.b);
	await pause(SECONDS * 1000);
	const after = await cpuOf(lab, pair.a, pair.b);
	for (const [index, side] of SIDES.entries())
		emit(`rest.${side}`, ((after[index] - before[index]) * 1000) / SECONDS);
}

/** One kind of event at one rate, of entries of their own; false if the sides did not become equal. */
async function phase({ lab, emit }, pair, { rate, entries: n, text }, op) {
	const meter = new Meter(lab, pair);
	await meter.begin();
	const generator = await lab.load("a", `${op} ${TCP4} -n ${n} -r ${rate} --errors-ok`);
	const cost = await meter.untilQuiet();
	const isComplete = await pair.isEqual(op === "destroy" ? 0 : n);
	const { seconds, drops, scheduled, packets, bytesBack } = cost;
	const more = { isComplete, n, seconds, drops, scheduled, perSecond: generator.per_s };
	emit(`cpu.sender.${text}.${op}`, (cost.cpu[0] / n) * 1e6, more);
	emit(`cpu.receiver.${text}.${op}`, (cost.cpu[1] / n) * 1e6, { isComplete });
	emit(`wire.${text}.${op}`, cost.bytes / n, { isComplete, packets, bytesBack });
	emit(`packet.${text}.${op}`, generator.cpu_ns / n / 1000);
	return isComplete;
}

/**
 * The generator's floor is that nobody listens: it comes first, because the kernel builds events for every network namespace as
 * soon as somebody listens in any. The sender's is a reader that throws events away.
 */
async function* measureFloor({ lab, emit, pause }, steps) {
	const phases = steps.flatMap(({ rate, entries, text }) =>
		OPERATIONS.map((op) => ({
			op,
			n: entries,
			id: `${text}.${op}`,
			load: `${op} ${TCP4} -n ${entries} -r ${rate}`,
		})),
	);
	for (const { id, n, load } of phases) emit(`packet.${id}`, (await lab.load("a", load)).cpu_ns / n / 1000);
	yield;
	for (const { id, load } of phases) {
		yield;
		const reader = lab.watch("a", "drain --idle 300");
		await pause(200);
		await lab.load("a", load);
		const { cpu_ns, events } = await reader.end();
		emit(`cpu.sender.${id}`, cpu_ns / events / 1000);
	}
}
