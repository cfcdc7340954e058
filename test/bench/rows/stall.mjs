// How long the event loop stands still, and how long an answer of the control socket takes, while a commit, a dump of the
// external cache (-e) or a bulk of a million entries is going on.
import { Pair } from "../daemon.mjs";
import { watchBulk, watchLoops, watchStart } from "../loops.mjs";
import { short, TCP4 } from "../settings.mjs";
import { run } from "../shell.mjs";
import { commit } from "./commit.mjs";

const ENTRIES = 1_000_000;
const PHASES = ["commit", "dump", "bulk"];
const GOALS = { p99: 5, max: 20 };

export const name = "stall";

export function metrics({ scale }) {
	const n = short(Math.round(ENTRIES * scale));
	const list = (kind, text, goals) =>
		PHASES.flatMap((phase) =>
			Object.keys(GOALS).map((quantile) => ({
				row: "stall",
				id: `stall.${kind}.${phase}.${quantile}`,
				text: `${text} during a ${phase} of ${n}, ${quantile}`,
				unit: "ms",
				goals: goals(quantile),
			})),
		);
	return [
		...list("loop", "event loop stands still", (quantile) => [{ most: GOALS[quantile] }]),
		...list("answer", "control socket's answer", () => []),
	];
}

export async function* measure(bench, variant) {
	if (variant === "floor") return; // comes with the others
	const { lab } = bench;
	yield;
	const n = Math.round(ENTRIES * bench.scale);
	const pair = new Pair(lab, variant, { isMonitored: true });
	try {
		await pair.empty();
		await lab.load("a", `create ${TCP4} -n ${n}`);
		await watchStart(lab, pair, n);
		emitAll(bench, variant, "bulk", await watchBulk(lab, pair, n));
		const dump = () => run(["sh", "-c", `conntrackd -C ${pair.b.client} -e >/dev/null`]);
		emitAll(bench, variant, "dump", await watchLoops(lab, [pair.b], dump));
		emitAll(bench, variant, "commit", await watchLoops(lab, [pair.b], () => commit(pair.b)));
	} finally {
		await pair.stop();
		await pair.empty();
	}
}

function emitAll({ emit }, variant, phase, { loop, answer, jitter }) {
	for (const quantile of Object.keys(GOALS)) {
		if (loop[quantile] !== undefined) emit(`stall.loop.${phase}.${quantile}`, loop[quantile]);
		if (variant === "ctsync") emit(`stall.loop.${phase}.${quantile}`, jitter[quantile], {}, "floor");
		emit(`stall.answer.${phase}.${quantile}`, answer[quantile]);
	}
}
