// A dump of a million entries, as text, XML and JSON, while the peer goes on telling of changes: how long it takes, what the
// event loop does meanwhile, and what the daemon's memory grows by. Then sixteen clients that ask for a dump and read nothing.
import { connect } from "node:net";
import { Pair, VARIANTS } from "../daemon.mjs";
import { watchLoops, watchStart } from "../loops.mjs";
import { short, TCP4 } from "../settings.mjs";
import { now, run, sleep } from "../shell.mjs";

const ENTRIES = 1_000_000;
const FORMS = { text: "-e", XML: "-e -x", JSON: "dump external --json" };
/** What the peer tells meanwhile, a second. */
const RATE = 2000;
const CLIENTS = 16;
const STUCK_MS = 5000;

export const name = "dump";

export function metrics({ scale }) {
	const n = short(Math.round(ENTRIES * scale));
	const list = (id, text, seconds) => [
		...(seconds ? [{ row: "dump", id: `dump.${id}.seconds`, text, unit: "s", goals: [] }] : []),
		...["p99", "max"].map((quantile) => ({
			row: "dump",
			id: `dump.${id}.loop.${quantile}`,
			text: `event loop stands still during ${text}, ${quantile}`,
			unit: "ms",
			goals: [{ most: quantile === "max" ? 20 : 5 }],
		})),
		{ row: "dump", id: `dump.${id}.grown`, text: `memory grows during ${text} by`, unit: "MB", goals: [] },
	];
	return [
		...Object.keys(FORMS).flatMap((form) => list(form, `a dump of ${n} as ${form}`, true)),
		...list("stuck", `${CLIENTS} dumps of ${n} that nobody reads`, false),
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
		await pair.b.start();
		if (!(await pair.fillPeer(n, 120))) throw new Error(`the peer does not get ${n} entries`);
		await pair.quiet();
		for (const [form, words] of Object.entries(FORMS)) {
			if (pair.isConntrackd && form === "JSON") continue;
			const { command } = VARIANTS[variant];
			const client = `${command} -C ${pair.b.configuration} ${words}`;
			await observe(bench, variant, pair, form, async () => {
				const begin = now();
				const lines = await run(["sh", "-c", `${client} | wc -l`]);
				if (Number(lines) !== n) throw new Error(`${form}: ${lines.trim()} lines of ${n} entries`);
				return now() - begin;
			});
		}
		if (!pair.isConntrackd) await observe(bench, variant, pair, "stuck", () => stuck(pair.b.socket));
		await pair.quiet();
		if (!(await pair.isEqual(n))) throw new Error("what the peer told meanwhile has not arrived");
	} finally {
		await pair.stop();
		await pair.empty();
	}
}

/** Emits what the action costs; the peer goes on telling as long as it lasts, and a little longer. */
async function observe({ lab, emit }, variant, pair, id, action) {
	const before = pair.b.memory();
	let peak = before;
	const timer = setInterval(() => {
		peak = Math.max(peak, pair.b.memory());
	}, 20);
	let seconds;
	const { loop, jitter } = await watchLoops(lab, [pair.b], async () => {
		const changes = lab.load("a", `update ${TCP4} -n ${RATE * 10} -r ${RATE} --errors-ok`);
		// an action that fails must not leave a timer that looks at a process which has gone
		[seconds] = await Promise.all([action().finally(() => clearInterval(timer)), changes]);
	});
	if (seconds !== undefined) emit(`dump.${id}.seconds`, seconds);
	for (const quantile of ["p99", "max"]) {
		if (loop[quantile] !== undefined) emit(`dump.${id}.loop.${quantile}`, loop[quantile]);
		if (variant === "ctsync") emit(`dump.${id}.loop.${quantile}`, jitter[quantile], {}, "floor");
	}
	emit(`dump.${id}.grown`, (peak - before) / 1e6);
}

/** As many clients as there is room for ask as conntrackd's does, and do not read. */
async function stuck(socket) {
	const request = Buffer.alloc(4);
	request.writeInt32LE(17);
	const clients = await Promise.all(
		Array.from(
			{ length: CLIENTS },
			() =>
				new Promise((resolve, reject) => {
					const client = connect(socket, () => client.write(request));
					client.on("error", reject);
					client.pause();
					setTimeout(() => resolve(client), 100);
				}),
		),
	);
	await sleep(STUCK_MS);
	for (const client of clients) client.destroy();
}
