// The sender does not run for 1.5 s while a storm goes over it, so that its event queue overflows: how long until its cache
// and the peer's hold what its kernel has, entry by entry? The clock starts when the storm is over and the sender runs again.
import { Pair } from "../daemon.mjs";
import { TCP4 } from "../settings.mjs";
import { now, sleep, until } from "../shell.mjs";

const ENTRIES = 400_000;
const STOPPED_MS = 1500;
/** Seconds after which it counts as never. */
const LIMIT = 60;

export const name = "overload";

export function metrics() {
	return ["create", "destroy"].map((op) => ({
		row: "overload",
		id: `overload.${op}`,
		text: `overload, ${op}: until both sides equal the kernel (never: ${LIMIT})`,
		unit: "s",
		goals: [{ most: 2 }],
	}));
}

export async function* measure(bench, variant) {
	if (variant === "floor") return;
	const { lab } = bench;
	const n = Math.round(ENTRIES * bench.scale);
	const pair = new Pair(lab, variant);
	try {
		await pair.start();
		if (!(await storm(bench, pair, "create", n))) await pair.startFull(n, TCP4);
		yield;
		await storm(bench, pair, "destroy", n);
	} finally {
		await pair.stop();
		await pair.empty();
	}
}

async function storm({ lab, emit }, pair, op, n) {
	const drops = pair.a.drops();
	pair.a.signal("SIGSTOP");
	const awake = sleep(STOPPED_MS).then(() => pair.a.signal("SIGCONT"));
	await lab.load("a", `${op} ${TCP4} -n ${n}`);
	await awake;
	const kernel = op === "create" ? n : 0;
	const begin = now();
	const isOver = async () =>
		(await pair.a.count("internal")) === kernel &&
		(await pair.b.count("external")) === kernel &&
		(await pair.areBothEqual());
	const seconds = await until(LIMIT, isOver, 0.02);
	const missing = seconds === undefined ? Math.abs((await pair.b.count("external")) - kernel) : 0;
	emit(`overload.${op}`, seconds ?? LIMIT, {
		isComplete: seconds !== undefined,
		drops: pair.a.drops() - drops,
		missing,
		observed: now() - begin,
	});
	return seconds !== undefined;
}
