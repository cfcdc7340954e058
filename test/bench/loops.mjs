// How long daemons do nothing else, seen in two ways: from inside (the delays of ctsync's event loop) and from outside (how
// long the control socket's answers take, which can be asked of both daemons).
import { sleep, until } from "./shell.mjs";

/**
 * Watches while the action runs.
 *
 * @returns milliseconds: p99 and max of the event loop of the worst of the daemons (undefined for conntrackd), p99 and max of
 * the last one's answers, and how late a sleep of a millisecond ended on this machine meanwhile
 */
export async function watchLoops(lab, daemons, action) {
	for (const daemon of daemons) await daemon.loopDelays();
	const watches = [
		lab.watch("b", `probe --interval 5000 ${daemons.at(-1).socket}`),
		lab.watch("b", "jitter --interval 1000"),
	];
	const end = () => watches.map((watch) => watch.end("SIGTERM"));
	try {
		await sleep(50); // until both are at work; what is going on already is in the first view from here on
		await action();
	} catch (error) {
		await Promise.allSettled(end()); // they would go on beside the next row
		throw error;
	}
	const [{ answer_us }, { late_us }] = await Promise.all(end());
	const reports = (await Promise.all(daemons.map((daemon) => daemon.loopDelays()))).filter(Boolean);
	const worst = (name) => (reports.length ? Math.max(...reports.map((report) => report[name])) : undefined);
	return {
		loop: { p99: worst("p99"), max: worst("max") },
		answer: { p99: answer_us.p99 / 1000, max: answer_us.max / 1000 },
		jitter: { p99: late_us.p99 / 1000, max: late_us.max / 1000 },
	};
}

/** Starts a on a kernel that holds n entries; what is watched begins with its first answer. */
export async function watchStart(lab, pair, n) {
	await pair.a.start();
	return await watchLoops(lab, [pair.a], async () => {
		if ((await until(300, async () => (await pair.a.count("internal")) === n, 0.1)) === undefined)
			throw new Error(`the internal cache does not get ${n} entries`);
	});
}

/** Starts b, empty, beside a with n entries. */
export async function watchBulk(lab, pair, n) {
	await pair.b.start();
	return await watchLoops(lab, [pair.a, pair.b], async () => {
		if (!(await pair.fillPeer(n, 120))) throw new Error(`the peer does not get ${n} entries`);
	});
}
