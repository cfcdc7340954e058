// Sequence adjustments that change without an event, against a real kernel's table.
import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { KernelTables } from "../commit/kernel-tables.ts";
import { type Conntrack, conntrackFromRecord, conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { CONTROL } from "./kernel-cases.ts";
import { MasterWatch } from "./master-watch.ts";

const TRANSLATED: Conntrack = {
	...CONTROL,
	reply: { ...CONTROL.reply!, dst: "203.0.113.9" },
	status: 0x219e,
};
const number = (n: number): Conntrack => ({
	...TRANSLATED,
	orig: { ...TRANSLATED.orig, sport: n },
	reply: { ...TRANSLATED.reply!, dport: n },
});

if (isInPrivateNetwork(import.meta.url)) {
	const native = loadNative();
	const names = new NameTable();
	const kernel = new KernelTables(native, systemClock, names);
	const found = new Map<number, Conntrack>();
	let watch: MasterWatch;
	beforeEach(() => {
		found.clear();
		watch = new MasterWatch({
			native,
			clock: systemClock,
			names,
			found: (record) => {
				const conntrack = conntrackFromRecord(record, names);
				found.set(conntrack.orig.sport!, conntrack);
			},
			batchEnd: () => {},
		});
	});
	afterEach(() => {
		watch.close();
		kernel.flush();
	});
	after(() => kernel.close());
	const soon = async (isSo: () => boolean): Promise<void> => {
		const end = systemClock.now() + 15_000;
		while (!isSo() && systemClock.now() < end) {
			await new Promise((resolve) => systemClock.after(20, () => resolve(undefined)));
		}
		assert.ok(isSo());
	};
	const see = (conntrack: Conntrack): void => watch.seen(conntrackToRecord(conntrack, names));

	test("every translated TCP connection with a helper is asked for again and again, until it has ended", async () => {
		const masters = Array.from({ length: 200 }, (_, i) => number(1000 + i));
		for (const master of masters) assert.equal(kernel.create(master), "ok");
		masters.forEach(see);
		masters.forEach(see);
		assert.equal(watch.size, 200);
		await soon(() => found.size === 200);
		const seqOrig = { correctionPosition: 77, offsetBefore: 0, offsetAfter: 4 };
		assert.equal(kernel.update({ ...masters[150]!, seqOrig }), "ok");
		await soon(() => found.get(1150)!.seqOrig?.offsetAfter === 4);
		for (const master of masters.slice(0, 199)) kernel.delete(master);
		await soon(() => watch.size === 1);
	});

	test("whoever has no helper, is no TCP or is not translated, is not watched, or no longer than to find out", async () => {
		const { helper: _, ...plain } = TRANSLATED;
		see(plain);
		see({ ...TRANSLATED, protocol: 17 });
		see(CONTROL);
		assert.equal(watch.size, 0);
		assert.equal(kernel.create(CONTROL), "ok");
		watch.announced(conntrackToRecord(CONTROL, names));
		assert.equal(found.size, 1, "asked for at once");
		await soon(() => watch.size === 0);
	});

	test("before a hand-over all of them are asked for at once", () => {
		const masters = Array.from({ length: 100 }, (_, i) => number(1000 + i));
		for (const master of masters) kernel.create(master);
		masters.forEach(see);
		watch.askAll();
		assert.equal(found.size, 100);
	});
}
