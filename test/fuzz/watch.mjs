// Runs a target in a thread of its own, so that an input which never ends is found, too.
import { Worker } from "node:worker_threads";
import { FuzzFailure } from "./engine.mjs";

/** An input that has not ended after so many seconds will not. */
const ENDLESS_SECONDS = 10;

/**
 * Resolves to { ok: true, kept, count, taken, seconds, heap, growth }, or to { ok: false, text } with what was found
 * and, if one command shows it again, { seed, count, command }.
 *
 * @param run { name, seed, count, dist }: the target, the first seed, how many inputs, the URL of the built dist
 */
export function watch(run, endlessSeconds = ENDLESS_SECONDS) {
	const position = new Float64Array(new SharedArrayBuffer(16));
	const worker = new Worker(new URL("worker.mjs", import.meta.url), { workerData: { ...run, position } });
	return new Promise((done) => {
		let before;
		let still = 0;
		const timer = setInterval(() => {
			still = before?.every((number, i) => number === position[i]) ? still + 1 : 0;
			before = [...position];
			if (still < 10) return;
			const [seed, count] = before;
			const endless = new FuzzFailure("an input does not end", { target: run.name, seed, count });
			finish({ ok: false, ...(count > 0 ? endless.report : { text: "a kept input does not end" }) });
		}, endlessSeconds * 100);
		const finish = (result) => {
			clearInterval(timer);
			void worker.terminate();
			done(result);
		};
		worker.once("message", finish);
		worker.once("error", (error) => finish({ ok: false, text: error.stack }));
	});
}
