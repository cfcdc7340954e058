// How cost grows: start, bulk, commit and memory against the number of entries, and CPU per event against the rate.
//
//   make bench-growth                                       10k to 5M entries, 1k/s to a storm (root; an hour)
//   make bench-growth SIZES="10k 100k" RATES="1k 10k storm" REPEAT=3 VARIANTS="conntrackd ctsync"
//
// The tables go to build/bench/growth.md, each measurement to build/bench/growth.jsonl. What each figure is stands in
// rows/table.mjs, rows/commit.mjs and rows/rate.mjs.
import { digits, median } from "./report.mjs";
import { measureCommit } from "./rows/commit.mjs";
import { measureRates, OPERATIONS, SIDES } from "./rows/rate.mjs";
import { bareStart, measureFull } from "./rows/table.mjs";
import { Session } from "./session.mjs";
import { readNumbers, readSettings, short, TCP4 } from "./settings.mjs";

const SIZES = "10k 100k 500k 1M 2M 5M";
const RATES = "1k 5k 10k 50k 100k 200k storm";

/** The figures of one size, by the names that the rows give them. */
const BY_SIZE = [
	["start to ready, s", (n) => `start.${n}`],
	["bulk to an empty peer, s", (n) => `bulk.${n}`],
	["bulk, CPU of the sender, s", (n) => `bulk.cpu.sender.${n}`],
	["bulk, CPU of the receiver, s", (n) => `bulk.cpu.receiver.${n}`],
	["commit, s", (n) => `growth.commit.${n}`],
	["memory per entry, internal, B", (n) => `memory.v4.internal.${n}`],
	["memory per entry, external, B", (n) => `memory.v4.external.${n}`],
];

const bySize = (n) => ({
	name: `growth of ${short(n)}`,
	async *measure(bench, variant) {
		const bare = await bareStart(bench, variant);
		await measureFull(bench, variant, n, bare, "v4");
		yield;
		await measureCommit(bench, variant, `growth.commit.${n}`, n, { mix: TCP4 });
	},
});

const rateText = (rate) => (rate ? `${short(rate)}/s` : "storm");
/** Three seconds of it, but enough to be measured and not more than a storm needs. */
const stepOf = (rate) => ({
	rate,
	entries: rate ? Math.min(300_000, Math.max(10_000, rate * 3)) : 300_000,
	text: rateText(rate),
});

const byRate = (rates) => ({
	name: "growth by rate",
	measure: (bench, variant) => measureRates(bench, variant, rates.map(stepOf)),
});

/** The median of all samples with one of these names; incomplete ones are told. */
function figure(samples, variant, names) {
	const own = samples.filter((sample) => sample.variant === variant && names.includes(sample.metric));
	if (!own.length) return "-";
	const bad = own.filter((sample) => sample.isComplete === false).length;
	return (
		digits(median(own.map((sample) => sample.value))) + (bad ? ` (${bad} of ${own.length} incomplete)` : "")
	);
}

function markdown(title, columns, rows) {
	const line = (cells) => `| ${cells.join(" | ")} |`;
	return [`${title}\n`, line(columns), line(columns.map(() => "---")), ...rows.map(line), ""].join("\n");
}

function tables({ samples, settings: { variants } }, sizes, rates) {
	const head = (first) => [first, ...variants];
	const parts = BY_SIZE.map(([title, id]) =>
		markdown(
			title,
			head("entries"),
			sizes.map((n) => [short(n), ...variants.map((variant) => figure(samples, variant, [id(n)]))]),
		),
	);
	for (const side of SIDES) {
		const names = (rate) => OPERATIONS.map((op) => `cpu.${side}.${rateText(rate)}.${op}`);
		const row = (rate) => [
			rateText(rate),
			...variants.map((variant) => figure(samples, variant, names(rate))),
		];
		parts.push(
			markdown(
				`CPU per event, ${side}, µs (median of create, update, destroy)`,
				head("rate"),
				rates.map(row),
			),
		);
	}
	return parts.join("\n");
}

async function main() {
	const settings = readSettings();
	settings.variants = settings.variants.filter((variant) => variant !== "floor");
	const sizes = readNumbers("SIZES", SIZES);
	const rates = readNumbers("RATES", RATES);
	const session = new Session("growth", settings);
	await session.inLabs(async () => {
		for (let run = 1; run <= settings.repeat; run++) {
			for (const n of sizes) await session.measure(bySize(n), run, Math.max(1_200_000, n));
			await session.measure(byRate(rates), run, 1_200_000);
		}
	});
	const text = tables(session, sizes, rates);
	console.log(`${session.publish(text)}\n\n${text}`);
	if (session.failures) throw new Error(`${session.failures} measurements failed`);
}

try {
	await main();
} catch (error) {
	console.error(`bench: ${error.message}`);
	process.exitCode = 1;
}
