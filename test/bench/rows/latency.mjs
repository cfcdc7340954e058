// From an entry that is made in a's kernel to the event of the same entry in b's, with DisableExternalCache: the peer's
// daemon puts it into its kernel at once. The floor is when a program on a hears of it.
import { Pair } from "../daemon.mjs";
import { TCP4 } from "../settings.mjs";

const RATES = [
	{ rate: 100, count: 400 },
	{ rate: 1000, count: 2000 },
];
/** Before the first measured one: ten seconds of what comes one by one, too, so that what is measured is no compiler. */
const WARM = { rate: 3000, count: 30_000 };
const QUANTILES = { p50: 150, p99: 1000 };

export const name = "latency";

export function metrics() {
	return RATES.flatMap(({ rate }) =>
		Object.entries(QUANTILES).map(([quantile, most]) => ({
			row: "latency",
			id: `latency.${rate}.${quantile}`,
			text: `kernel to kernel, ${rate}/s, ${quantile}`,
			unit: "µs",
			goals: [{ most }],
		})),
	);
}

export async function* measure(bench, variant) {
	if (variant === "floor") return; // comes with the others
	const { lab, emit } = bench;
	const pair = new Pair(lab, variant, { isDirect: true });
	let base = 0;
	const run = async (count, rate) => {
		const sides = `--src /run/netns/${lab.namespace("a")} --dst /run/netns/${lab.namespace("b")}`;
		const found = await lab.load("a", `latency ${sides} ${TCP4} --base ${base} -n ${count} -r ${rate}`);
		base += count;
		return found;
	};
	try {
		await pair.start();
		if ((await run(1, 0)).lost > 0) {
			for (const { id } of metrics()) emit(id, null, { cause: "nothing arrives in the peer's kernel" });
			return;
		}
		await run(WARM.count, WARM.rate);
		for (const { rate, count } of RATES) {
			yield;
			const { lost, peer_kernel_us, own_event_us } = await run(count, rate);
			for (const quantile of Object.keys(QUANTILES)) {
				emit(`latency.${rate}.${quantile}`, peer_kernel_us?.[quantile] ?? null, {
					isComplete: lost === 0,
					lost,
				});
				if (variant === "ctsync") emit(`latency.${rate}.${quantile}`, own_event_us[quantile], {}, "floor");
			}
		}
	} finally {
		await pair.stop();
		await pair.empty();
	}
}
