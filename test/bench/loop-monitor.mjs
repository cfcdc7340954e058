// Preloaded into ctsync where its event loop is watched (NODE_OPTIONS=--import=...): writes the delays since the last
// report to $BENCH_LOOP_REPORT on SIGUSR2, in milliseconds, less the millisecond of the monitor's own timer.
import { writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { isMainThread } from "node:worker_threads";

const RESOLUTION = 1;

if (isMainThread) {
	const delays = monitorEventLoopDelay({ resolution: RESOLUTION });
	delays.enable();
	let number = 0;
	const late = (nanoseconds) => Math.max(0, nanoseconds / 1e6 - RESOLUTION);
	process.on("SIGUSR2", () => {
		const { count } = delays;
		const report = {
			number: ++number,
			count,
			p99: count ? late(delays.percentile(99)) : 0,
			max: count ? late(delays.max) : 0,
		};
		writeFileSync(process.env.BENCH_LOOP_REPORT, JSON.stringify(report));
		delays.reset();
	});
}
