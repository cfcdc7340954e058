// One schedule, told: what happened, and every step of the key that it failed on.
import { runSchedule } from "./schedule.ts";

/** @returns whether it broke an invariant */
export async function tell(seed: number, nodes: number): Promise<boolean> {
	// the first run finds out which key is worth a line for each of its steps
	const { violation } = await runSchedule(seed, nodes);
	const outcome = await runSchedule(seed, nodes, {
		line: (text) => console.log(text),
		...(violation?.about === undefined ? {} : { about: violation.about }),
	});
	const { datagrams, work, converged, traffic, steps } = outcome;
	console.log(`${datagrams} datagrams ${JSON.stringify(traffic)}, ${JSON.stringify(work)}, ${steps} steps`);
	if (violation) console.log(`FAILED ${violation.rule}: ${violation.text}`);
	else console.log(`equal after ${Math.round(converged)} ms`);
	return violation !== undefined;
}
