// The committer against a kernel that answers what a real one does only when it is in trouble.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ConntrackLayout } from "../cache/conntrack-layout.ts";
import { RecordStore } from "../cache/record-store.ts";
import { type Conntrack, conntrackFromRecord, conntrackToRecord } from "../conntrack/conntrack.ts";
import { CONNTRACK } from "../conntrack/kind.ts";
import { NameTable } from "../conntrack/names.ts";
import { type ConntrackRecord, H_MASTER, HAS, ORIG_PORTS, REPLY_PORTS } from "../conntrack/record.ts";
import { WireBuffer } from "../netlink/attribute.ts";
import { IPCTNL_MSG_CT_GET, NLM_F_ECHO } from "../netlink/constants.ts";
import { CONTROL, TCP, UDP } from "../netlink/kernel-cases.ts";
import { eachMessage, messageType } from "../netlink/message.ts";
import type { Native } from "../system/native.ts";
import { ConntrackCommitter } from "./conntrack-committer.ts";
import { newCommitResult } from "./messages.ts";
import { ModelKernel } from "./model-kernel.ts";
import { ModelTables, originalKey } from "./model-tables.ts";
import { StoreReader } from "./store-reader.ts";

const NOTHING = newCommitResult();
const ENOMEM = 12;
const EINVAL = 22;
const EBUSY = 16;
const EEXIST = 17;
const ENOSPC = 28;

/** The model's tables, with whatever a test puts before them. */
class Tables extends ModelTables {
	/** Creations that were asked for. */
	attempts: ConntrackRecord[] = [];
	live = 0;
	before: (record: ConntrackRecord) => number = () => 0;
	beforeUpdate: (record: ConntrackRecord) => number = () => 0;

	override create(record: ConntrackRecord): number {
		this.attempts.push(record.slice());
		const errno = this.before(record) || super.create(record);
		if (errno === 0) this.live++;
		return errno;
	}

	override update(record: ConntrackRecord): number {
		return this.beforeUpdate(record) || super.update(record);
	}

	override delete(record: ConntrackRecord): number {
		const errno = super.delete(record);
		if (errno === 0) this.live--;
		return errno;
	}
}

/** A kernel that says when it is asked for an entry, and sends events only if it is told to. */
function watched(native: Native, sendsEvents: boolean, asked: () => void): Native {
	return {
		...native,
		send: (fd, bytes, offset, length) => {
			const wire = new WireBuffer(bytes);
			eachMessage(wire, offset, offset + length, (start) => {
				if (!sendsEvents) wire.halves[(start >> 1) + 3]! &= ~NLM_F_ECHO;
				if ((messageType(wire, start) & 0xff) === IPCTNL_MSG_CT_GET) asked();
			});
			return native.send(fd, wire.bytes, offset, length);
		},
	};
}

function setUp(max = 0, knowsHelper = true, disguise = (native: Native) => native) {
	const names = new NameTable();
	const tables = new Tables({ max, knowsHelper: () => knowsHelper });
	const native = disguise(new ModelKernel(tables, names).native({} as Native));
	const limits: { [name: string]: () => number } = { max: () => max, count: () => tables.live };
	const committer = new ConntrackCommitter(native, names, (name) =>
		limits[name.replace("net.netfilter.nf_conntrack_", "")]?.(),
	);
	const layout = new ConntrackLayout();
	const store = new RecordStore(layout, 1);
	for (const slab of [store.slab, ...layout.slabs]) slab.onMissing = () => assert.fail();
	const tell = (entries: readonly Conntrack[]): void => {
		for (const entry of entries) store.insert(conntrackToRecord(entry, names), 0);
	};
	const commit = (windowTracking = false) => {
		const chunks = [store.slab, ...layout.slabs].map((slab) => slab.chunks);
		const reader = new StoreReader(CONNTRACK, chunks, () => {});
		committer.begin(windowTracking, undefined);
		for (let slot = 0; slot < store.end; slot++) committer.add(reader, slot);
		committer.finish();
		return { result: committer.result, refusals: committer.refusals };
	};
	const held = (entry: Conntrack): Conntrack | undefined => {
		const found = tables.find(originalKey(conntrackToRecord(entry, names)));
		return found && conntrackFromRecord(found, names);
	};
	return { names, tables, committer, tell, commit, held };
}

/** The connection from this port. */
const from = (entry: Conntrack, port: number): Conntrack => ({
	...entry,
	orig: { ...entry.orig, sport: port },
	reply: { ...entry.reply!, dport: port },
});
const many = (entry: Conntrack, first: number, count: number): Conntrack[] =>
	Array.from({ length: count }, (_, i) => from(entry, first + i));

const OTHER_TCP: Conntrack = { ...TCP, tcp: { ...TCP.tcp, state: "FIN_WAIT" } };
/** Of an entry whose master this kernel does not have. */
const MASTER = { family: "ipv4", protocol: 6, zone: 0, ...from(CONTROL, 7).orig } as const;
const YOUNG: Conntrack = { ...UDP, status: 0xa };
/** One of each value in turn, the least valuable first. */
const mixed = (count: number): Conntrack[] => {
	const kinds = [YOUNG, UDP, OTHER_TCP, TCP];
	return Array.from({ length: count }, (_, i) => from(kinds[i % 4]!, 1 + i));
};

test("in a table with room for 60 per cent the most valuable are taken, and every other one is counted", () => {
	const { tables, tell, commit, held } = setUp(1200);
	const entries = mixed(2000);
	tell(entries);
	const { result, refusals } = commit();
	assert.deepEqual(result, { ...NOTHING, created: 1200, failed: 800, full: [0, 0, 300, 500] });
	assert.equal(refusals.length, 800);
	for (const [i, entry] of entries.entries()) if (i % 4 >= 2) assert.ok(held(entry), String(i));
	// what is not assured is not even tried: the kernel would drop others of its kind for it
	const youngPorts = new Set(entries.filter((_, i) => i % 4 === 0).map(({ orig }) => orig.sport));
	assert.ok(!tables.attempts.some((record) => youngPorts.has(record[ORIG_PORTS]! & 0xffff)));
	assert.deepEqual(new Set(refusals.map(({ errno, exists }) => `${errno} ${exists}`)), new Set(["12 false"]));
});

test("the order is by value, and the last find room one by one", () => {
	const { tables, tell, commit } = setUp(1700);
	tell(mixed(2000));
	assert.deepEqual(commit().result, { ...NOTHING, created: 1700, failed: 300, full: [0, 0, 0, 300] });
	const value = (record: ConntrackRecord): number => ((record[ORIG_PORTS]! & 0xffff) - 1) % 4;
	const order = tables.attempts.map(value);
	assert.equal(order.length, 1700, "nothing is tried that would push another one out");
	assert.deepEqual(
		order,
		order.toSorted((a, b) => b - a),
	);
});

test("an entry that had to wait until there was room is the one that is tried then, whatever became of those before", () => {
	const { tables, tell, commit, held } = setUp(10);
	tell(many(YOUNG, 1, 12));
	const port = (record: ConntrackRecord): number => record[ORIG_PORTS]! & 0xffff;
	tables.before = (record) => (port(record) === 10 ? EINVAL : 0);
	assert.deepEqual(commit().result, { ...NOTHING, created: 10, failed: 2, full: [0, 0, 0, 1] });
	assert.deepEqual(
		tables.attempts.map(port),
		Array.from({ length: 11 }, (_, i) => i + 1),
	);
	assert.ok(held(from(YOUNG, 11)));
});

test("a second commit into a full table finds what the first one has left there", () => {
	const { tell, commit } = setUp(1200);
	tell(mixed(2000));
	commit();
	const { result, refusals } = commit();
	assert.deepEqual(result, { ...NOTHING, kept: 1200, failed: 800, full: [0, 0, 300, 500] });
	assert.equal(refusals.length, 800);
	const young = setUp(100);
	young.tell(many(YOUNG, 1, 100));
	assert.deepEqual(young.commit().result, { ...NOTHING, created: 100 });
	assert.deepEqual(young.commit().result, { ...NOTHING, kept: 100 });
});

test("refusals and joined entries are handed over by the thousand, not at the end", () => {
	const { committer, tell, commit } = setUp(2000);
	let refused = 0;
	let most = 0;
	committer.isMany = () => {
		most = Math.max(most, committer.refusals.length + committer.joined.length);
		refused += committer.refusals.splice(0).length;
		committer.joined.splice(0);
	};
	tell(many(UDP, 1, 5000));
	assert.equal(commit().result.failed, 3000);
	assert.deepEqual([refused, most, committer.refusals.length], [3000, 1000, 0]);
	committer.isMany = () => {};
});

test("when nothing fits any more nothing more is tried, and a later commit brings the rest", () => {
	for (const errno of [ENOMEM, ENOSPC]) {
		const { tables, tell, commit } = setUp();
		tell([...many(TCP, 1, 1000), ...many(UDP, 2000, 3000)]);
		tables.before = () => (tables.live >= 400 ? errno : 0);
		const { result, refusals } = commit();
		assert.deepEqual(result, { ...NOTHING, created: 400, failed: 3600, full: [600, 0, 3000, 0] });
		assert.ok(tables.attempts.length <= 400 + 256 + 256, String(tables.attempts.length));
		assert.ok(refusals.some(({ cause }) => cause === "not tried"));
		tables.before = () => 0;
		assert.deepEqual(commit().result, { ...NOTHING, created: 3600, kept: 400 });
	}
});

test("single failures do not end the commit", () => {
	const { tables, tell, commit } = setUp();
	tell(many(TCP, 1, 2000));
	tables.before = (record) => ((record[ORIG_PORTS]! & 0xffff) % 100 === 0 ? ENOMEM : 0);
	assert.deepEqual(commit().result, { ...NOTHING, created: 1980, failed: 20, full: [20, 0, 0, 0] });
});

test("what the kernel has translated otherwise is deleted again, and told", () => {
	const { tables, tell, commit, held } = setUp();
	const dnat = { ...TCP, reply: { ...TCP.reply, src: "203.0.113.9" } };
	const [good, bad] = [from(dnat, 1), from(dnat, 2)];
	tables.before = (record) => {
		if ((record[ORIG_PORTS]! & 0xffff) === 2) record[REPLY_PORTS]! += 1 << 16;
		return 0;
	};
	tell([good, bad]);
	const { result, refusals } = commit();
	assert.deepEqual(result, { ...NOTHING, created: 1, failed: 1 });
	assert.deepEqual(
		refusals.map(({ cause, exists }) => [cause, exists]),
		[["translated", false]],
	);
	assert.ok(held(good));
	assert.equal(held(bad), undefined);
});

test("what is read back and sent no event is asked for", () => {
	let asked = 0;
	const silent = (native: Native) => watched(native, false, () => asked++);
	const { tables, tell, commit, held } = setUp(0, true, silent);
	const dnat = { ...TCP, reply: { ...TCP.reply, src: "203.0.113.9" } };
	tables.before = (record) => {
		if ((record[ORIG_PORTS]! & 0xffff) % 100 === 0) record[REPLY_PORTS]! += 1000 << 16;
		return 0;
	};
	tell([...many(dnat, 1, 300), ...many(TCP, 1001, 50)]);
	assert.deepEqual(commit().result, { ...NOTHING, created: 347, failed: 3 });
	assert.equal(held(from(dnat, 200)), undefined);
	assert.ok(held(from(dnat, 201)));
	// who was deleted again is asked for once more: by whom its place is taken
	assert.equal(asked, 300 + 3);
});

test("events that come are told apart, also behind failures, and none of these is asked for", () => {
	let asked = 0;
	const counting = (native: Native) => watched(native, true, () => asked++);
	const { tables, tell, commit, held } = setUp(0, true, counting);
	const dnat = { ...TCP, reply: { ...TCP.reply, src: "203.0.113.9" } };
	tables.before = (record) => {
		const port = record[ORIG_PORTS]! & 0xffff;
		if (port % 100 === 0) record[REPLY_PORTS]! += 1000 << 16;
		return port % 10 === 5 ? ENOMEM : 0;
	};
	tell(many(dnat, 1, 300));
	assert.deepEqual(commit().result, { ...NOTHING, created: 267, failed: 33, full: [30, 0, 0, 0] });
	assert.equal(held(from(dnat, 200)), undefined);
	assert.ok(held(from(dnat, 201)));
	assert.equal(asked, 3);
});

test("an offloaded flow, which shows neither timeout nor state, is established and not checked for windows", () => {
	for (const windowTracking of [false, true]) {
		const { tell, commit, held } = setUp();
		const { tcp: _, timeout: __, ...offloaded } = { ...TCP, status: 0x400e };
		const { timeout: ___, ...udp } = { ...UDP, status: 0xc00e };
		tell([offloaded, udp]);
		assert.deepEqual(commit(windowTracking).result, { ...NOTHING, created: 2, offloaded: 2 });
		const { tcp, timeout, status } = held(offloaded)!;
		assert.deepEqual([tcp!.state, timeout, status! & 0xc000], ["ESTABLISHED", 432_000, 0]);
		assert.ok(tcp!.flagsOrig & tcp!.flagsReply & 0x8);
		assert.equal(held(udp)!.timeout, 120);
	}
});

test("a helper that is not there is asked for once, and every entry goes without it", () => {
	const { tables, tell, commit, held } = setUp(0, false);
	tell(many(CONTROL, 1, 1000));
	assert.deepEqual(commit().result, { ...NOTHING, created: 1000, withoutHelper: 1000 });
	// those of the first batch twice
	assert.ok(tables.attempts.length <= 1000 + 256, String(tables.attempts.length));
	assert.equal(held(from(CONTROL, 1000))!.helper, undefined);
});

test("an entry without its master and without a helper that this kernel knows comes all the same", () => {
	const { tell, commit, held } = setUp(0, false);
	const orphan: Conntrack = { ...CONTROL, master: MASTER };
	tell([orphan]);
	assert.deepEqual(commit().result, { ...NOTHING, created: 1, withoutHelper: 1, withoutMaster: 1 });
	assert.ok(held(orphan));
});

test("an entry without its master that was in the way of something keeps to do without it", () => {
	const { tables, tell, commit } = setUp();
	tell([{ ...TCP, master: MASTER }]);
	let ghosts = 1;
	tables.before = (record) => ((record[HAS]! & H_MASTER) === 0 && ghosts-- > 0 ? EEXIST : 0);
	assert.deepEqual(commit().result, { ...NOTHING, created: 1, withoutMaster: 1 });
});

test("an entry that gets further while it is looked at is looked at once more", () => {
	const { tables, tell, commit, held } = setUp();
	tell([TCP]);
	tables.create(
		conntrackToRecord(
			{ ...TCP, status: 0x8, timeout: 9, tcp: { ...TCP.tcp, state: "SYN_SENT" } },
			new NameTable(),
		),
	);
	let busy = 1;
	tables.beforeUpdate = () => (busy-- > 0 ? EBUSY : 0);
	assert.deepEqual(commit().result, { ...NOTHING, updated: 1 });
	assert.equal(held(TCP)!.tcp!.state, "ESTABLISHED");
	tables.beforeUpdate = () => 0;
	tables.update(conntrackToRecord({ ...TCP, mark: 1 }, new NameTable()));
	tables.beforeUpdate = () => EBUSY;
	const { result, refusals } = commit();
	assert.deepEqual([result.failed, refusals[0]?.errno, refusals[0]?.exists], [1, EBUSY, true]);
});

test("an entry that was in the way and has gone is created after all, one that stays invisible is refused", () => {
	const { tables, tell, commit, held } = setUp();
	tell([TCP]);
	let ghosts = 1;
	tables.before = () => (ghosts-- > 0 ? EEXIST : 0);
	assert.deepEqual(commit().result, { ...NOTHING, created: 1 });
	assert.ok(held(TCP));
	const other = setUp();
	other.tell([TCP]);
	other.tables.before = () => EEXIST;
	assert.deepEqual(other.commit().result, { ...NOTHING, failed: 1 });
	assert.equal(other.tables.attempts.length, 2);
});
