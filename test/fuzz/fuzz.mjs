#!/usr/bin/env node
// node test/fuzz/fuzz.mjs [--target frame|record|netlink|control|config|all] [--count N] [--seed S] [--dist DIR]
//
// Feeds what comes from outside (dedicated link, kernel, control socket, configuration file) with random, mutated and
// lying input. Exit status 1 if anything fails, with the command that shows it again. The inputs are taken in a worker
// thread, so that one that never ends is found, too.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { FuzzFailure, openTarget } from "./engine.mjs";
import { TARGETS } from "./targets.mjs";

/** An input that has not ended after so many seconds will not. */
const ENDLESS_SECONDS = 10;

if (isMainThread) process.exitCode = await main();
else parentPort.postMessage(await fuzz(workerData));

/** @returns the exit status */
async function main() {
	const { values } = parseArgs({
		options: {
			target: { type: "string", default: "all" },
			count: { type: "string", default: "100000" },
			seed: { type: "string" },
			dist: { type: "string" },
		},
	});
	const names = values.target === "all" ? Object.keys(TARGETS) : [values.target];
	const count = Number(values.count);
	const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed);
	if (
		!names.every((name) => name in TARGETS) ||
		!Number.isInteger(count) ||
		count < 1 ||
		!Number.isInteger(seed)
	) {
		console.error(
			`--target is one of ${Object.keys(TARGETS).join(", ")} or all; --count and --seed are numbers`,
		);
		return 1;
	}
	const dist = values.dist
		? pathToFileURL(`${resolve(values.dist)}/`)
		: new URL("../../dist/", import.meta.url);
	let failed = 0;
	for (const name of names) {
		const { ok, text } = await watch({ name, seed, count, dist: dist.href });
		(ok ? console.log : console.error)(`${name.padEnd(8)} ${text}`);
		if (!ok) failed++;
	}
	const total = (names.length - failed) * count;
	console.log(failed ? `${failed} of ${names.length} targets FAILED` : `${total} inputs, nothing found`);
	return failed ? 1 : 0;
}

/** Runs one target in a worker, which is ended when it does not move on. */
function watch(run) {
	const position = new Float64Array(new SharedArrayBuffer(16));
	const worker = new Worker(new URL(import.meta.url), { workerData: { ...run, position } });
	return new Promise((done) => {
		let before = [];
		let still = 0;
		const timer = setInterval(() => {
			still = before.every((number, i) => number === position[i]) ? still + 1 : 0;
			before = [...position];
			if (still < ENDLESS_SECONDS) return;
			const [lifeSeed, count] = before;
			const endless = new FuzzFailure("an input does not end", { target: run.name, seed: lifeSeed, count });
			finish({ ok: false, text: count > 0 ? describe(endless) : "a kept input does not end" });
		}, 1000);
		const finish = (result) => {
			clearInterval(timer);
			void worker.terminate();
			done(result);
		};
		worker.once("message", finish);
		worker.once("error", (error) => finish({ ok: false, text: error.stack }));
	});
}

async function fuzz({ name, seed, count, dist, position }) {
	try {
		const target = await openTarget(name, new URL(dist));
		const kept = target.replay();
		const { taken, seconds, rate, growth } = await target.run(seed, count, position);
		const share = ((100 * taken) / count).toFixed(1);
		const text =
			`${count} inputs in ${seconds.toFixed(1)} s, ${Math.round(rate)}/s: ${share} % taken, ` +
			`heap ${(growth / 2 ** 20).toFixed(1)} MiB, ${kept} kept inputs, seed ${seed}`;
		return { ok: true, text };
	} catch (error) {
		return { ok: false, text: describe(error) };
	}
}

function describe(error) {
	if (!(error instanceof FuzzFailure)) return error.stack;
	const lines = [error.message, `again: ${error.command}`];
	if (error.bytes) lines.splice(1, 0, `input: ${Buffer.from(error.bytes).toString("hex") || "(empty)"}`);
	return lines.join("\n");
}
