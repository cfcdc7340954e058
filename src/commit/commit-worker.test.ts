// The handle on a worker that dies.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RecordStore } from "../cache/record-store.ts";
import { CONNTRACK } from "../conntrack/kind.ts";
import { NameTable } from "../conntrack/names.ts";
import { systemClock } from "../system/clock.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { CommitWorker } from "./commit-worker.ts";

if (isInPrivateNetwork(import.meta.url)) {
	test("a job of a worker that has died fails, and does not wait for ever", async () => {
		const deaths: string[] = [];
		const worker = await CommitWorker.start(new NameTable(), ({ message }) => void deaths.push(message));
		// what no worker can make anything of
		const nonsense = { slab: { chunks: 5, onChunk: () => {} }, layout: { slabs: [] } };
		worker.share(CONNTRACK, nonsense as unknown as RecordStore);
		const job = worker.run({ type: "flush", kind: CONNTRACK, policy: {}, own: [] });
		let cancel = (): void => {};
		const late = new Promise<string>((resolve) => {
			cancel = systemClock.after(5000, () => resolve("late"));
		});
		const outcome = job.then(
			() => "done",
			({ name }) => String(name),
		);
		assert.equal(await Promise.race([outcome, late]), "TypeError");
		cancel();
		assert.equal(deaths.length, 1);
	});
}
