// CPU per event of sender and receiver, bytes on the wire, and what the generator (the packet path) pays for it.
//
// One pair lives through all of it. It is warmed up first, both kinds of daemon by the same work: a storm of create, update
// and destroy of 100,000 entries, and two seconds of each at 50,000 a second. Then each rate from the lowest up; a phase ends when
// the link has been quiet for a fifth of a second, and only then the caches are compared with the kernel, entry by entry.
import { Pair } from "../daemon.mjs";
import { Meter } from "../meter.mjs";
import { TCP4 } from "../settings.mjs";
import { until } from "../shell.mjs";

export const OPERATIONS = ["create", "update", "destroy"];
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
	for (const [side, text] of [
		["sender", "sender"],
		["receiver", "receiver"],
	])
		for (const step of RATES)
			for (const op of OPERATIONS)
				list.push({
					row: "rate",
					id: `cpu.${side}.${step.text}.${op}`,
					text: `CPU per event, ${text}, ${step.text}, ${op}`,
					unit: "µs",
					goals: [{ ratio: step[side] }],
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

const entriesOf = (step, bench) => Math.max(1000, Math.round(step.entries * bench.scale));

export async function measure(bench, variant) {
	if (variant === "floor") return await measureFloor(bench);
	const pair = new Pair(bench.lab, variant);
	try {
		await pair.start();
		await warmUp(bench, pair);
		for (const step of RATES)
			for (const op of OPERATIONS)
				if (!(await phase(bench, pair, step, op))) {
					// what was lost would be repaired in the middle of the next phase
					await pair.stop();
					await pair.start();
					await warmUp(bench, pair);
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
			await new Meter(lab, pair).quiet();
		}
	await until(60, async () => (await pair.b.count("external")) === 0);
}

/** One kind of event at one rate, of entries of their own; false if the sides did not become equal. */
export async function phase(bench, pair, step, op) {
	const { lab } = bench;
	const n = entriesOf(step, bench);
	const meter = new Meter(lab, pair);
	await meter.begin();
	const generator = await lab.load("a", `${op} ${TCP4} -n ${n} -r ${step.rate} --errors-ok`);
	await meter.quiet();
	const cost = await meter.end();
	const isComplete = await pair.isEqual();
	const more = { isComplete, n, drops: cost.drops, perSecond: generator.per_s, scheduled: cost.scheduled };
	bench.emit(`cpu.sender.${step.text}.${op}`, (cost.cpu[0] / n) * 1e6, more);
	bench.emit(`cpu.receiver.${step.text}.${op}`, (cost.cpu[1] / n) * 1e6, { isComplete });
	bench.emit(`wire.${step.text}.${op}`, cost.bytes / n, {
		isComplete,
		packets: cost.packets,
		bytesBack: cost.bytesBack,
	});
	bench.emit(`packet.${step.text}.${op}`, generator.cpu_ns / n / 1000);
	return isComplete;
}

/** A reader that throws events away is the sender's floor; that of the generator is nobody who listens. */
async function measureFloor(bench) {
	const { lab } = bench;
	for (const step of RATES) {
		const n = entriesOf(step, bench);
		for (const op of OPERATIONS) {
			const generator = await lab.load("a", `${op} ${TCP4} -n ${n} -r ${step.rate}`);
			bench.emit(`packet.${step.text}.${op}`, generator.cpu_ns / n / 1000);
		}
		for (const op of OPERATIONS) {
			const reader = lab.watch("a", "drain --idle 300");
			await bench.pause(200);
			await lab.load("a", `${op} ${TCP4} -n ${n} -r ${step.rate}`);
			const { cpu_ns, events } = await reader.end();
			bench.emit(`cpu.sender.${step.text}.${op}`, cpu_ns / events / 1000);
		}
	}
}
