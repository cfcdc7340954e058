// Single conntracks, asked of the kernel itself.
import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { KernelTables } from "../commit/kernel-tables.ts";
import { conntrackFromRecord, conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import * as R from "../conntrack/record.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { ConntrackLookup } from "./conntrack-lookup.ts";
import { CONTROL, udpEntries } from "./kernel-cases.ts";

if (isInPrivateNetwork(import.meta.url)) {
	const names = new NameTable();
	const native = loadNative();
	const kernel = new KernelTables(native, systemClock, names);
	const lookup = new ConntrackLookup({ native, names });
	afterEach(() => kernel.flush());
	after(() => {
		lookup.close();
		kernel.close();
	});

	/** The source ports of what is found. */
	const flush = (): number[] => {
		const ports: number[] = [];
		lookup.flush((record) => ports.push(record[R.ORIG_PORTS]! & 0xffff));
		return ports;
	};

	test("the answer is the whole state, from the key alone", () => {
		kernel.create(CONTROL);
		const key = conntrackToRecord(CONTROL, names);
		key[R.HAS] = 0;
		key.fill(0, R.ORIG_DST + 4);
		lookup.want(key);
		let helper: string | undefined;
		lookup.flush((record) => {
			({ helper } = conntrackFromRecord(record, names));
		});
		assert.equal(helper, CONTROL.helper);
		assert.notEqual(helper, undefined);
	});

	test("many are asked for together, each once, and what is not there is passed over", () => {
		const entries = udpEntries(200, 1000);
		for (const entry of entries.filter((_, i) => i % 2 === 0)) kernel.create(entry);
		const before = lookup.asked;
		for (const entry of [...entries, ...entries]) lookup.want(conntrackToRecord(entry, names));
		assert.equal(flush().length, 100);
		assert.equal(lookup.asked - before, 200);
		assert.deepEqual(flush(), [], "nothing is left to be asked for");
	});

	test("what has ended meanwhile is not asked for", () => {
		const [one, two] = udpEntries(2, 1000);
		kernel.create(one!);
		kernel.create(two!);
		lookup.want(conntrackToRecord(one!, names));
		lookup.want(conntrackToRecord(two!, names));
		lookup.forget(conntrackToRecord(one!, names));
		assert.deepEqual(flush(), [two!.orig.sport]);
	});
}
