// The model's rules without a kernel; that they are the kernel's is what rehearsal.test.ts shows, and here they are
// asked by the production committer where that needs no kernel either.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConntrackLayout } from "../cache/conntrack-layout.ts";
import { RecordStore } from "../cache/record-store.ts";
import {
	type Conntrack,
	conntrackFromRecord,
	conntrackToRecord,
	expectationToRecord,
} from "../conntrack/conntrack.ts";
import { CONNTRACK } from "../conntrack/kind.ts";
import { NameTable } from "../conntrack/names.ts";
import type { ConntrackRecord } from "../conntrack/record.ts";
import { newConntrackRecord } from "../conntrack/record.ts";
import { ConntrackDecoder } from "../netlink/decode-conntrack.ts";
import { ConntrackEncoder } from "../netlink/encode-conntrack.ts";
import {
	CASES,
	CONTROL,
	comparable,
	EXPECTATION as HOLE,
	MASTER,
	TCP,
	UDP,
	udpEntries,
} from "../netlink/kernel-cases.ts";
import { attributesOf } from "../netlink/message.ts";
import type { Native } from "../system/native.ts";
import { ConntrackCommitter } from "./conntrack-committer.ts";
import { ModelKernel } from "./model-kernel.ts";
import { ModelTables } from "./model-tables.ts";
import { RequestSocket } from "./request-socket.ts";
import { StoreReader } from "./store-reader.ts";

const OK = 0;
const ENOENT = 2;
const ENOMEM = 12;
const EEXIST = 17;
const EOPNOTSUPP = 95;

function model(max = 0): {
	tables: ModelTables;
	names: NameTable;
	record: (one: Conntrack) => ConntrackRecord;
} {
	const names = new NameTable();
	const tables = new ModelTables({ max, knowsHelper: () => true });
	return { tables, names, record: (one) => conntrackToRecord(one, names) };
}

test("a tuple belongs to one connection, in either direction", () => {
	const { tables, record } = model();
	const snat = { ...TCP, reply: { ...TCP.reply, dst: "203.0.113.9" } };
	assert.equal(tables.create(record(snat)), OK);
	assert.equal(tables.create(record(TCP)), EEXIST, "the original tuple");
	const other = { ...snat, orig: { ...TCP.orig, src: "192.0.2.99" } };
	assert.equal(tables.create(record(other)), EEXIST, "the reply tuple");
	const back = { ...TCP, orig: { ...snat.reply }, reply: { ...TCP.orig } };
	assert.equal(tables.create(record(back)), EEXIST, "its reply tuple is an original one");
	assert.equal(
		tables.create(record({ ...TCP, zoneOrig: 7, zoneReply: 7 })),
		OK,
		"in another zone it is another",
	);
	assert.equal(tables.delete(record(snat)), OK);
	assert.equal(tables.delete(record(snat)), ENOENT);
	assert.equal(tables.create(record(other)), OK);
});

test("the table has room for so many", () => {
	const { tables, record } = model(3);
	const entries = udpEntries(4).map((one) => record(one));
	tables.load(entries[0]!);
	assert.deepEqual(
		entries.slice(1).map((one) => tables.create(one)),
		[OK, OK, ENOMEM],
	);
	assert.equal(tables.delete(entries[0]!), OK);
	assert.equal(tables.create(entries[3]!), OK);
});

test("masters come first, and have the helper of their expectations", () => {
	const { tables, names, record } = model();
	const child = { ...UDP, master: MASTER };
	const hole = expectationToRecord(HOLE, names);
	assert.equal(tables.create(record(child)), ENOENT);
	assert.equal(tables.createExpectation(hole), ENOENT);
	const { helper: _, ...plain } = CONTROL;
	assert.equal(tables.create(record(plain)), OK);
	assert.equal(tables.create(record(child)), OK);
	assert.equal(tables.createExpectation(hole), EOPNOTSUPP);
	assert.equal(tables.updateExpectation(hole), ENOENT);
	tables.delete(record(plain));
	tables.create(record(CONTROL));
	assert.equal(tables.createExpectation(hole), OK);
	assert.equal(tables.createExpectation(hole), EEXIST);
	assert.equal(tables.updateExpectation(hole), OK);
	tables.delete(record(CONTROL));
	assert.equal(tables.updateExpectation(hole), ENOENT, "it has gone with its master");
});

test("a helper that the kernel does not have costs the entry", () => {
	const names = new NameTable();
	const tables = new ModelTables({ max: 0, knowsHelper: () => false });
	assert.equal(tables.create(conntrackToRecord(CONTROL, names)), EOPNOTSUPP);
	const { helper: _, ...plain } = CONTROL;
	assert.equal(tables.create(conntrackToRecord(plain, names)), OK);
});

test("every kind of entry is shown as the kernel would show it", () => {
	for (const [name, conntrack, differs] of CASES) {
		const { tables, names, record } = model();
		if (conntrack.master) tables.load(record({ ...CONTROL, orig: { ...MASTER } } as Conntrack));
		const kernel = new ModelKernel(tables, names).native({} as Native);
		const requests = new RequestSocket(kernel, 1 << 16);
		const encoder = new ConntrackEncoder(requests.writer, names);
		const refused: number[] = [];
		let shown: Conntrack | undefined;
		encoder.create(record(conntrack), requests.sequence(0), 0, { windowTracking: false });
		encoder.get(record(conntrack), requests.sequence(1));
		requests.exchange(
			(_, errno) => refused.push(errno),
			(start, end) => {
				const into = newConntrackRecord();
				assert.ok(new ConntrackDecoder(names).decode(requests.wire, attributesOf(start), end, into), name);
				shown = conntrackFromRecord(into, names);
			},
		);
		assert.deepEqual(refused, [], name);
		const expected = comparable({ ...conntrack, ...differs });
		assert.deepEqual(comparable(shown!), expected, name);
	}
});

test("a commit into a table that is nearly full: the most valuable first, and the counts are exact", () => {
	const { tables, names, record } = model(100);
	for (const one of udpEntries(10, 50_000)) tables.load(record(one));
	const entries: Conntrack[] = [
		...udpEntries(50, 1).map((one) => ({ ...one, status: 0x8 })),
		...udpEntries(30, 1000),
		...udpEntries(40, 2000).map((one) => ({ ...one, protocol: 6, tcp: TCP.tcp })),
	];
	const store = new RecordStore(new ConntrackLayout(), 1);
	for (const one of entries) store.insert(record(one), 0);
	const { slab, layout } = store;
	const chunks = [slab, ...layout.slabs].map((one) => one.chunks);
	const reader = new StoreReader(CONNTRACK, chunks, () => {});
	const settings = new Map([
		["net.netfilter.nf_conntrack_max", () => 100],
		["net.netfilter.nf_conntrack_count", () => tables.count],
	]);
	const native = new ModelKernel(tables, names).native({} as Native);
	const committer = new ConntrackCommitter(native, names, (name) => settings.get(name)?.());
	committer.begin(false, undefined);
	for (let slot = 0; slot < store.end; slot++) committer.add(reader, slot);
	committer.finish();
	const { created, failed, full } = committer.result;
	assert.deepEqual({ created, failed, full }, { created: 90, failed: 30, full: [0, 0, 0, 30] });
	assert.equal(committer.refusals.length, 30);
	assert.equal(tables.count, 100);
	for (const one of entries.slice(50)) assert.equal(tables.create(record(one)), EEXIST, "it is there");
});
