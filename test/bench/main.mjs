// The benchmark: ctsync, unsealed and sealed, beside conntrackd and beside what the kernel itself can do.
//
//   make bench                                   everything, five times (root; more than an hour)
//   make bench ROWS="rate commit" REPEAT=3       some rows
//   make bench REPEAT=1 SCALE=0.1                a quick look: a tenth of the entries
//   make bench OTHER=/path/to/bin/ctsync         another tree of ctsync as well, to see what a change has brought
//   make bench VARIANTS="ctsync floor"           some variants
//   make bench SCHEDULER=own                     with the priorities that the daemons give themselves
//
// Ctrl-C ends it with the table of what has been measured by then.
//
// Absolute times mean little on a machine that others use, too. So all variants do the same work in turn, step by step of
// each row; what counts are the ratios of their medians. Only one benchmark measures at a time.
//
// Each measurement is a line of JSON in build/bench/table.jsonl, with whether both sides were equal in the end; the table
// is build/bench/table.md. The status is 0 however the figures are, and 1 if something could not be measured.
//
//   lab.mjs      two network namespaces and their link     machine.mjs  limits of the machine, one benchmark at a time
//   daemon.mjs   one daemon, a pair of them                meter.mjs    CPU, wire, lost events
//   rows/        what is measured, and how                 load/        the generator and the floors, in C
//   session.mjs  has rows measured, variants in turn       report.mjs   medians, goals, the table
import { aligned, table } from "./report.mjs";
import { ROWS } from "./rows.mjs";
import { Session } from "./session.mjs";
import { readSettings } from "./settings.mjs";

const namesOf = (row) => row.rows ?? [row.name];

/** Entries for which every row needs room, if it does not say so itself. */
const ENTRIES = 1_200_000;

async function main() {
	const settings = readSettings();
	const names = ROWS.flatMap(namesOf);
	const unknown = settings.rows.find((row) => !names.includes(row));
	if (unknown) throw new Error(`ROWS: no such row: ${unknown} (there are ${names.join(", ")})`);
	const wants = (row) => !settings.rows.length || settings.rows.includes(row);
	const rows = ROWS.filter((row) => namesOf(row).some(wants));
	const session = new Session("table", settings);

	const metrics = rows.flatMap((row) => row.metrics(settings)).filter((metric) => wants(metric.row));
	const tell = () => {
		const text = table(metrics, session.samples, settings.variants);
		console.log(`${session.publish(text)}\n\n${aligned(text)}`);
	};

	await session.inLabs(async () => {
		for (let run = 1; run <= settings.repeat; run++)
			for (const row of rows.filter((row) => run === 1 || !row.isOnce))
				await session.measure(row, run, (row.entries ?? ENTRIES) * Math.max(1, settings.scale), wants);
	}, tell);
	tell();
	if (session.failures) throw new Error(`${session.failures} measurements failed`);
}

try {
	await main();
} catch (error) {
	console.error(`bench: ${error.message}`);
	process.exitCode = 1;
}
