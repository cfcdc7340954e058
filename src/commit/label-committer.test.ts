// Connlabels through a commit, on a real kernel with and without a rule that looks at labels.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { afterEach, test } from "node:test";
import { type Conntrack, conntrackFromRecord } from "../conntrack/conntrack.ts";
import { CONNTRACK } from "../conntrack/kind.ts";
import { LABEL_BITS, labelMask } from "../conntrack/labels.ts";
import { TCP, udpEntries } from "../netlink/kernel-cases.ts";
import { KernelDump } from "../netlink/kernel-dump.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { FailoverKit } from "./failover-kit.ts";

const nft = (script: string) => spawnSync("nft", ["-f", "-"], { input: script, encoding: "utf8" });
const RULE =
	"table inet labels {\n chain c {\n type filter hook input priority 0\n ct label 1 counter\n }\n}\n";
const ALL = labelMask(Array.from({ length: LABEL_BITS }, (_, bit) => bit));

if (isInPrivateNetwork(import.meta.url)) {
	const native = loadNative();
	let kit: FailoverKit;
	let dump: KernelDump;
	const start = async (allowed: number[]): Promise<void> => {
		kit = await FailoverKit.start({ native, labels: labelMask(allowed) });
		dump = new KernelDump(native, systemClock, kit.names, { labels: ALL });
	};
	afterEach(async () => {
		dump.close();
		await kit.stop();
	});

	/** Labels by source port. */
	const kernelLabels = async (): Promise<Record<string, number[] | undefined>> => {
		const found: Record<string, number[] | undefined> = {};
		await dump.conntracks((record) => {
			const { orig, labels } = conntrackFromRecord(record, kit.names);
			found[String(orig.sport)] = labels;
		});
		return found;
	};
	const labelled = (sport: number, ...labels: number[]): Conntrack => ({
		...TCP,
		orig: { ...TCP.orig, sport },
		reply: { ...TCP.reply, dport: sport },
		labels: [...labelMask(labels)].map((word) => word >>> 0),
	});

	test("where no rule looks at labels the entries are there without, and are counted", async () => {
		await start([0, 64]);
		kit.tell([labelled(1, 0), labelled(2, 64), ...udpEntries(3, 10)]);
		for (const [created, kept] of [
			[5, 0],
			[0, 5],
		]) {
			const result = await kit.commit.run(CONNTRACK);
			assert.deepEqual([result.created, result.kept, result.failed], [created, kept, 0]);
			assert.equal(result.withoutLabels, 2);
		}
		assert.deepEqual(kit.refusals, []);
		assert.deepEqual(Object.values(await kernelLabels()), [
			undefined,
			undefined,
			undefined,
			undefined,
			undefined,
		]);
	});

	test("what is allowed is set and cleared; other labels stay as they are", async (t) => {
		const made = nft(RULE);
		if (made.error) return t.skip("needs nft (scripts/setup.sh test installs it)");
		assert.equal(made.status, 0, made.stderr);
		try {
			await start([0, 64, 127]);
			kit.tell([labelled(1, 0, 127), labelled(2, 1, 64), labelled(3, 5), ...udpEntries(600, 10)]);
			const result = await kit.commit.run(CONNTRACK);
			assert.deepEqual([result.created, result.withoutLabels, result.failed], [603, 0, 0]);
			let found = await kernelLabels();
			assert.deepEqual(found["1"], [1, 0, 0, 0x80000000]);
			assert.deepEqual(found["2"], [0, 0, 1, 0], "1 is not allowed");
			assert.equal(found["3"], undefined);
			// a rule of this node adds one of its own, and the peer takes one back
			kit.tell([labelled(1, 127)]);
			kit.kernel.label(labelled(1, 7), [7]);
			const again = await kit.commit.run(CONNTRACK);
			assert.deepEqual([again.created, again.withoutLabels, again.failed], [0, 0, 0]);
			found = await kernelLabels();
			assert.deepEqual(found["1"], [1 << 7, 0, 0, 0x80000000]);
		} finally {
			nft("delete table inet labels");
		}
	});

	test("none is written where none is allowed", async (t) => {
		const made = nft(RULE);
		if (made.error) return t.skip("needs nft (scripts/setup.sh test installs it)");
		try {
			await start([]);
			kit.tell([labelled(1, 0)]);
			const result = await kit.commit.run(CONNTRACK);
			assert.deepEqual([result.created, result.withoutLabels], [1, 0]);
			assert.equal((await kernelLabels())["1"], undefined);
		} finally {
			nft("delete table inet labels");
		}
	});
}
