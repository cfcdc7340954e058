// Five million entries, once: does it work, what does an entry take, and how long is the longest pause of the event loop in
// the start, the bulk to an empty peer and the commit there?
import { Pair, same } from "../daemon.mjs";
import { watchBulk, watchLoops, watchStart } from "../loops.mjs";
import { short, TCP4 } from "../settings.mjs";
import { sleep } from "../shell.mjs";
import { commit } from "./commit.mjs";
import { bareStart } from "./table.mjs";

const ENTRIES = 5_000_000;
/** Bytes: what the goal of a quarter of conntrackd's entry comes to. */
const GOALS = { internal: 132, external: 116 };

export const name = "large";
export const isOnce = true;
export const entries = ENTRIES;

export function metrics({ scale }) {
	const n = short(Math.round(ENTRIES * scale));
	const line = (id, text, unit, goals = []) => ({
		row: "large",
		id,
		text: `${n} entries: ${text}`,
		unit,
		goals,
	});
	return [
		line("large.memory.internal", "memory per entry, internal", "B", [{ most: GOALS.internal }]),
		line("large.memory.external", "memory per entry, external", "B", [{ most: GOALS.external }]),
		...["start", "bulk", "commit"].map((phase) =>
			line(`large.pause.${phase}`, `longest pause, ${phase}`, "ms", [{ most: 50 }]),
		),
		line("large.commit", "commit", "s"),
	];
}

export async function* measure(bench, variant) {
	if (variant !== "ctsync") return;
	const { lab, emit } = bench;
	yield;
	const n = Math.round(ENTRIES * bench.scale);
	const options = { isMonitored: true };
	const { memory } = await bareStart(bench, variant, options);
	const pair = new Pair(lab, variant, options);
	const pause = (phase, { loop, jitter }, more) => {
		emit(`large.pause.${phase}`, loop.max, more);
		emit(`large.pause.${phase}`, jitter.max, {}, "floor");
	};
	try {
		await pair.empty();
		await lab.load("a", `create ${TCP4} -n ${n}`);
		pause("start", await watchStart(lab, pair, n));
		await sleep(2000);
		emit("large.memory.internal", (pair.a.memory() - memory.a) / n);
		pause("bulk", await watchBulk(lab, pair, n), { isComplete: await pair.areBothEqual() });
		await sleep(2000);
		emit("large.memory.external", (pair.b.memory() - memory.b) / n);
		let seconds;
		pause("commit", await watchLoops(lab, [pair.b], async () => (seconds = await commit(pair.b))));
		const isComplete = same(await lab.load("a", "digest"), await lab.load("b", "digest"));
		emit("large.commit", seconds, { isComplete });
	} finally {
		await pair.stop();
		await pair.empty();
	}
}
