// A commit on b of all that a holds, by the daemon's own log line; whether b's kernel has the same afterwards, entry by
// entry; and how long until b's internal cache has it, too. The floor is one C program that writes in batches of 256 beside
// a listener to which the kernel does not tell what this program causes. Meanwhile a's kernel is as full as it is for the
// daemons: all network namespaces share one hash table, so that a's entries lie in the chains that have to be searched.
import { Pair, same } from "../daemon.mjs";
import { SNAT4, short, TCP4 } from "../settings.mjs";
import { until } from "../shell.mjs";

const CASES = [
	{ entries: 500_000, mix: TCP4, text: "plain", goals: [{ ratio: 0.5 }, { floor: 1.15 }], settles: true },
	{ entries: 1_000_000, mix: TCP4, text: "plain", goals: [{ ratio: 0.5 }, { floor: 1.15 }] },
	{ entries: 100_000, mix: SNAT4, text: "SNAT", goals: [{ ratio: 0.6 }] },
	{ entries: 500_000, mix: SNAT4, text: "SNAT", goals: [{ ratio: 0.6 }] },
];
/** Seconds in which the internal cache may become complete. */
const SETTLE_LIMIT = 60;

export const name = "commit";

const sizeOf = (kind, scale) => Math.round(kind.entries * scale);

export function metrics({ scale }) {
	return CASES.flatMap((kind) => {
		const n = short(sizeOf(kind, scale));
		const id = `commit.${kind.text}.${n}`;
		const list = [{ row: "commit", id, text: `commit of ${n}, ${kind.text}`, unit: "s", goals: kind.goals }];
		if (kind.settles)
			list.push({
				row: "commit",
				id: `${id}.settled`,
				text: "internal cache complete after that commit",
				unit: "s",
				goals: [{ most: 0.1 }],
			});
		return list;
	});
}

export async function* measure(bench, variant) {
	for (const kind of CASES) {
		yield;
		const n = sizeOf(kind, bench.scale);
		const id = `commit.${kind.text}.${short(n)}`;
		if (variant === "floor") await measureFloor(bench, id, n, kind.mix);
		else await measureCommit(bench, variant, id, n, kind);
	}
}

/** Emits the seconds of a commit of n entries as `id`, and with `settles` those until the internal cache has them. */
export async function measureCommit(bench, variant, id, n, { mix, settles }) {
	const { lab } = bench;
	const pair = new Pair(lab, variant);
	try {
		await pair.startFull(n, mix);
		const seconds = await commit(pair.b);
		const settled = settles
			? await until(SETTLE_LIMIT, async () => (await pair.b.count("internal")) === n, 0.05)
			: undefined;
		const table = await lab.load("b", "digest");
		bench.emit(id, seconds, { isComplete: same(table, await lab.load("a", "digest")), n });
		if (!settles) return;
		const isComplete = settled !== undefined && same(table, await pair.b.digest("internal"));
		bench.emit(`${id}.settled`, settled ?? SETTLE_LIMIT, { isComplete });
	} finally {
		await pair.stop();
		await pair.empty();
	}
}

/** @returns seconds, as the daemon's log has them */
export async function commit(daemon) {
	const line = /commit has taken ([\d.]+) seconds/;
	await daemon.ask("-c");
	let found;
	await until(120, () => (found = line.exec(daemon.log())) !== null);
	if (!found) throw new Error("no line about the commit in the log");
	return Number(found[1]);
}

async function measureFloor(bench, id, n, mix) {
	const { lab } = bench;
	const port = 777;
	for (const node of ["a", "b"]) await lab.load(node, "flush");
	await lab.load("a", `create ${mix} -n ${n}`);
	const listener = lab.watch("b", `drain --ignore ${port}`);
	await bench.pause(200);
	const { seconds } = await lab.load("b", `create ${mix} -n ${n} --portid ${port}`);
	const { events } = await listener.end("SIGTERM");
	if (events > 0) throw new Error("the kernel told the listener what it was to keep back");
	for (const node of ["a", "b"]) await lab.load(node, "flush");
	bench.emit(id, seconds, { n });
}
