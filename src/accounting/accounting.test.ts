import assert from "node:assert/strict";
import { test } from "node:test";
import { newInternalCaches } from "../cache/internal-cache.ts";
import { type Conntrack, conntrackToRecord } from "../conntrack/conntrack.ts";
import type { FlowAccount } from "../conntrack/format.ts";
import { NameTable } from "../conntrack/names.ts";
import { Accounting } from "./accounting.ts";

const names = new NameTable();
const NOTHING: FlowAccount = {
	orig: undefined,
	reply: undefined,
	startedAt: undefined,
	stoppedAt: undefined,
};
const COUNTED: FlowAccount = {
	orig: { packets: 5n, bytes: 1268n },
	reply: { packets: 4n, bytes: 0xffff_ffff_ffffn },
	startedAt: 1000,
	stoppedAt: 1093,
};

function flow(sport: number, change: Partial<Conntrack> = {}): Int32Array {
	const conntrack: Conntrack = {
		family: "ipv4",
		protocol: 6,
		zoneOrig: 0,
		zoneReply: 0,
		orig: { src: "10.0.0.1", dst: "10.0.0.2", sport, dport: 80 },
		reply: { src: "10.0.0.2", dst: "10.0.0.1", sport: 80, dport: sport },
		status: 0xe,
		...change,
	};
	return conntrackToRecord(conntrack, names);
}

function setUp(limit = 100) {
	const account = { ...NOTHING };
	const lines: string[] = [];
	const { conntracks: cache } = newInternalCaches(1, limit);
	const state = { full: 0, flushes: 0, isOn: true };
	const accounting = new Accounting({
		cache,
		rules: {
			passes: (record) => record[1]! >>> 8 === 6 && record[23] !== 66,
			belongs: (record) => record[23] !== 66,
		},
		flowLog: {
			get isOn() {
				return state.isOn;
			},
			write: (_, stamp, text) => void lines.push(`${stamp}|${text}`),
			flush: () => void state.flushes++,
		},
		account,
		names,
		clock: {
			now: () => 5000,
			after: () => () => {},
			pause: async () => {},
			wall: () => new Date(2020, 0, 2),
		},
		full: () => void state.full++,
		overrun: () => {},
	});
	const end = (record: Int32Array, told: FlowAccount): void => {
		Object.assign(account, told);
		accounting.conntrack("destroy", record);
	};
	return { accounting, cache, lines, state, end };
}

const STAMP = "Thu Jan  2 00:00:00 2020";
const ORIG = "src=10.0.0.1 dst=10.0.0.2 sport=1 dport=80";
const REPLY = "src=10.0.0.2 dst=10.0.0.1 sport=80 dport=1";

test("a flow that ends has a line of what its end tells, and its counters are added up", () => {
	const { accounting, lines, end, state } = setUp();
	accounting.conntrack("new", flow(1, { helper: "ftp" }));
	end(flow(1, { mark: 7, zoneOrig: 5, zoneReply: 5 }), COUNTED);
	assert.deepEqual(lines, [], "another zone is another flow");
	end(flow(1, { mark: 7 }), COUNTED);
	accounting.batchEnd();
	assert.deepEqual(lines, [
		`${STAMP}|tcp      6 ${ORIG} packets=5 bytes=1268 ${REPLY} packets=4 bytes=281474976710655 [ASSURED] mark=7 delta-time=93`,
	]);
	assert.deepEqual(accounting.traffic, { packets: 9n, bytes: 281474976711923n });
	assert.equal(state.flushes, 1);
});

test("a kernel that does not count has lines all the same", () => {
	const { accounting, lines, end } = setUp();
	accounting.conntrack("new", flow(1));
	end(flow(1), NOTHING);
	assert.deepEqual(lines, [`${STAMP}|tcp      6 ${ORIG} ${REPLY} [ASSURED]`]);
	assert.deepEqual(accounting.traffic, { packets: 0n, bytes: 0n });
});

test("without a log there is no line, and the counters are added up", () => {
	const { accounting, lines, end, state } = setUp();
	state.isOn = false;
	accounting.conntrack("new", flow(1));
	end(flow(1), COUNTED);
	assert.deepEqual(lines, []);
	assert.equal(accounting.traffic.packets, 9n);
});

test("what the filter leaves out, and what is not held, has no line", () => {
	const { accounting, lines, end, cache } = setUp();
	accounting.conntrack("new", flow(1, { protocol: 17 }));
	end(flow(1, { protocol: 17 }), COUNTED);
	assert.equal(accounting.filtered, 2);
	end(flow(2), COUNTED);
	assert.equal(cache.counters.destroyNotFound, 1);
	assert.deepEqual([lines, accounting.traffic.bytes], [[], 0n]);
});

test("a resync that finds a flow gone writes what was known of it; a flush writes nothing", () => {
	const { accounting, lines, cache } = setUp();
	accounting.conntrack("new", flow(1, { mark: 3 }));
	accounting.conntrack("new", flow(2));
	cache.beginResync();
	cache.applyDumped(flow(2), 6);
	cache.sweepResync(0, 1000, 6);
	assert.deepEqual(lines, [`${STAMP}|tcp      6 ${ORIG} ${REPLY} [ASSURED] mark=3`]);
	cache.withdraw(cache.store.find(flow(2)), 7);
	assert.equal(lines.length, 1);
	assert.equal(cache.store.count, 0);
});

test("a flow that counts no more is held no more, and ends without a line", () => {
	const { accounting, lines, cache, end } = setUp();
	accounting.conntrack("new", flow(1, { mark: 1 }));
	accounting.conntrack("update", flow(1, { mark: 66 }));
	assert.equal(cache.store.count, 0);
	end(flow(1, { mark: 66 }), COUNTED);
	assert.deepEqual([lines, accounting.traffic.bytes], [[], 0n]);
});

test("beyond HashLimit a flow is told and not accounted", () => {
	const { accounting, lines, state, end } = setUp(1);
	for (const sport of [1, 2]) accounting.conntrack("new", flow(sport));
	assert.equal(state.full, 1);
	end(flow(2), COUNTED);
	assert.deepEqual(lines, []);
	end(flow(1), COUNTED);
	assert.equal(lines.length, 1);
});
