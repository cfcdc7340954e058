// Bursts of new entries over a link that loses five per cent of the datagrams, both ways: from the end of a burst until
// the peer holds all. The worst of sixty bursts is one whose last datagram was lost; the median is one that lost others.
import { Pair } from "../daemon.mjs";
import { median } from "../report.mjs";
import { TCP4 } from "../settings.mjs";
import { run, until } from "../shell.mjs";

const BURSTS = 60;
const SIZE = 200;
const WARM_BURSTS = 10;
const LOSS = 0.05;
/** Seconds after which a burst counts as not repaired. */
const LIMIT = 20;

export const name = "loss";

export function metrics() {
	const percent = LOSS * 100;
	return [
		{
			row: "loss",
			id: "loss.worst",
			text: `lost tail of a burst, ${percent} % loss, worst of ${BURSTS}`,
			unit: "ms",
			goals: [{ most: 50 }],
		},
		{ row: "loss", id: "loss.median", text: `burst with ${percent} % loss, median`, unit: "ms", goals: [] },
	];
}

export async function* measure({ lab, emit }, variant) {
	if (variant === "floor") return;
	const pair = new Pair(lab, variant);
	const rule = "INPUT -p udp --dport 3780 -m statistic --mode random --probability";
	const lose = async (flag) => {
		for (const node of ["a", "b"])
			await run(lab.in(node, "iptables", flag, ...rule.split(" "), `${LOSS}`, "-j", "DROP"));
	};
	let total = 0;
	const burst = async () => {
		await lab.load("a", `create ${TCP4} --base ${total} -n ${SIZE}`);
		total += SIZE;
		return await until(LIMIT, async () => (await pair.b.count("external")) === total, 0.003);
	};
	try {
		await pair.start();
		for (let i = 0; i < WARM_BURSTS; i++) await burst();
		await lose("-A");
		const times = [];
		for (let i = 0; i < BURSTS; i++) {
			if (i % 10 === 0) yield;
			times.push(await burst());
		}
		await lose("-D");
		const isComplete = !times.includes(undefined) && (await pair.isEqual());
		const milliseconds = times.map((seconds) => (seconds ?? LIMIT) * 1000);
		emit("loss.worst", Math.max(...milliseconds), { isComplete, milliseconds });
		emit("loss.median", median(milliseconds), { isComplete });
	} finally {
		await pair.stop();
		for (const node of ["a", "b"]) await run(lab.in(node, "iptables", "-F", "INPUT"));
		await pair.empty();
	}
}
