// How long "-s" takes as a command, from its start to its end, beside the shortest that Node itself can do.
import { Pair, VARIANTS } from "../daemon.mjs";
import { median } from "../report.mjs";
import { now, run } from "../shell.mjs";

const CALLS = 20;

export const name = "client";

export function metrics() {
	return [
		{
			row: "client",
			id: "client",
			text: "-s as a command (floor: node -e 0)",
			unit: "ms",
			goals: [{ floor: 2 }],
		},
	];
}

export async function* measure({ lab, emit }, variant) {
	if (variant === "floor") return; // comes with the others
	const pair = new Pair(lab, variant);
	const [calls, bare] = [[], []];
	try {
		await pair.a.start();
		for (let i = 0; i < CALLS; i++) {
			yield;
			calls.push(await wall([VARIANTS[variant].command, "-C", pair.a.configuration, "-s"]));
			if (variant === "ctsync") bare.push(await wall([process.execPath, "-e", "0"]));
		}
	} finally {
		await pair.stop();
	}
	emit("client", median(calls));
	if (bare.length) emit("client", median(bare), {}, "floor");
}

/** @returns milliseconds from the start of the command to its end */
async function wall(argv) {
	const begin = now();
	await run(argv);
	return (now() - begin) * 1000;
}
