// The highest rate at which nothing is lost with the shipped buffers: no event in the kernel's queue, and the peer has
// everything in the end. Steps down from "as fast as the generator can"; the figure is the rate of the step, or what the
// generator came to.
import { Pair, SHIPPED_BUFFERS } from "../daemon.mjs";
import { TCP4 } from "../settings.mjs";
import { warmUp } from "./rate.mjs";

const OPERATIONS = ["create", "update", "destroy"];
const RATES = [0, 300_000, 200_000, 150_000, 100_000, 70_000, 50_000, 30_000, 10_000];
const ENTRIES = 400_000;

export const name = "clean";

export function metrics() {
	return OPERATIONS.map((op) => ({
		row: "clean",
		id: `clean.${op}`,
		text: `highest clean rate, shipped buffers, ${op}`,
		unit: "1/s",
		goals: [{ atLeast: 1 }],
	}));
}

export async function* measure(bench, variant) {
	if (variant === "floor") return await measureFloor(bench);
	for (const rate of RATES) {
		yield;
		// what an attempt has lost would be repaired in the middle of the next one
		const pair = new Pair(bench.lab, variant, { buffers: SHIPPED_BUFFERS });
		try {
			await pair.start();
			await warmUp(bench, pair, [20_000]);
			const found = await attempt(bench, pair, rate);
			if (!found) continue;
			// the generator keeps a rate to a few thousandths, which is no difference between two daemons
			const reached = (op) => (found[op] > rate * 0.98 && rate > 0 ? rate : found[op]);
			for (const op of OPERATIONS) bench.emit(`clean.${op}`, reached(op), { rate });
			return;
		} finally {
			await pair.stop();
		}
	}
	throw new Error("not clean at any rate");
}

/** @returns operations per second by kind, or undefined when something was lost */
async function attempt({ lab, scale }, pair, rate) {
	const n = Math.round(Math.min(ENTRIES, rate ? rate * 3 : ENTRIES) * scale);
	const found = {};
	for (const op of OPERATIONS) {
		const before = pair.a.drops();
		found[op] = (await lab.load("a", `${op} ${TCP4} -n ${n} -r ${rate} --errors-ok`)).per_s;
		await pair.quiet();
		if (pair.a.drops() !== before || !(await pair.isEqual(op === "destroy" ? 0 : n))) return undefined;
	}
	return found;
}

/** How fast the kernel takes them while somebody listens who keeps nothing. */
async function measureFloor({ lab, scale, pause, emit }) {
	const n = Math.round(ENTRIES * scale);
	for (const op of OPERATIONS) {
		const reader = lab.watch("a", "drain --idle 300");
		await pause(200);
		emit(`clean.${op}`, (await lab.load("a", `${op} ${TCP4} -n ${n}`)).per_s);
		await reader.end();
	}
}
