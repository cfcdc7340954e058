// Single conntracks, asked of the kernel itself.
import assert from "node:assert/strict";
import { after, afterEach, test } from "node:test";
import { KernelTables } from "../commit/kernel-tables.ts";
import { conntrackFromRecord, conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import * as R from "../conntrack/record.ts";
import { systemClock } from "../system/clock.ts";
import { ENOBUFS, loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { ConntrackLookup } from "./conntrack-lookup.ts";
import { CONTROL, udpEntries } from "./kernel-cases.ts";

if (isInPrivateNetwork(import.meta.url)) {
	const names = new NameTable();
	const native = loadNative();
	const kernel = new KernelTables(native, systemClock, names);
	const failures: string[] = [];
	let refusal = 0;
	const lookup = new ConntrackLookup({
		native: { ...native, send: (...args) => refusal || native.send(...args) },
		names,
		failed: ({ message }) => void failures.push(message),
	});
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

	test("a call with a limit leaves the rest to the next, but for what is beyond the bound", () => {
		const found: number[] = [];
		const some = (most: number): boolean =>
			lookup.flush((record) => found.push(record[R.ORIG_PORTS]! & 0xffff), most);
		const entries = udpEntries(300, 1000);
		for (const entry of entries) kernel.create(entry);
		for (const entry of entries) lookup.want(conntrackToRecord(entry, names));
		assert.equal(some(128), true);
		assert.equal(found.length, 128);
		assert.equal(some(128), true);
		assert.equal(some(128), false);
		assert.equal(new Set(found).size, 300);
		for (const entry of udpEntries(20_000, 1000)) lookup.want(conntrackToRecord(entry, names));
		const before = lookup.asked;
		assert.equal(some(128), true);
		assert.ok(lookup.asked - before >= 20_000 - 16_384, `${lookup.asked - before}`);
		assert.ok(lookup.asked - before < 20_000 - 16_384 + 64, `${lookup.asked - before}`);
		flush();
	});

	test("one alone is asked for at once, whatever is waiting", () => {
		const [one, two] = udpEntries(2, 1000);
		kernel.create(one!);
		kernel.create(two!);
		lookup.want(conntrackToRecord(one!, names));
		const found: number[] = [];
		lookup.ask(conntrackToRecord(two!, names), (record) => found.push(record[R.ORIG_PORTS]! & 0xffff));
		assert.deepEqual(found, [two!.orig.sport]);
		assert.deepEqual(flush(), [one!.orig.sport]);
	});

	test("what could not be sent is counted, told, and asked for with the next call", () => {
		const entries = udpEntries(100, 1000);
		for (const entry of entries) kernel.create(entry);
		for (const entry of entries) lookup.want(conntrackToRecord(entry, names));
		refusal = -ENOBUFS;
		assert.deepEqual(flush(), []);
		assert.equal(lookup.failures, 1);
		assert.match(failures.join(), /^ask for conntracks.*ENOBUFS/);
		refusal = 0;
		assert.equal(flush().length, 100);
	});

	test("while nothing can be sent no more than the bound waits", () => {
		refusal = -ENOBUFS;
		for (const entry of udpEntries(20_000, 1000)) lookup.want(conntrackToRecord(entry, names));
		flush();
		assert.equal(lookup.givenUp, 20_000 - 16_384);
		refusal = 0;
		const before = lookup.asked;
		flush();
		assert.equal(lookup.asked - before, 16_384);
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
