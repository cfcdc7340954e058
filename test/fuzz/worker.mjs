// The thread that takes the inputs; see watch.mjs.
import { parentPort, workerData } from "node:worker_threads";
import { FuzzFailure, openTarget } from "./engine.mjs";

parentPort.postMessage(await fuzz(workerData));

async function fuzz({ name, seed, count, dist, position }) {
	try {
		const target = await openTarget(name, new URL(dist));
		const kept = target.replay();
		return { ok: true, kept, ...(await target.run(seed, count, position)) };
	} catch (error) {
		return { ok: false, ...(error instanceof FuzzFailure ? error.report : { text: error.stack }) };
	}
}
