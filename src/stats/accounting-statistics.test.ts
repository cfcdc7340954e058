import assert from "node:assert/strict";
import { test } from "node:test";
import { newInternalCaches } from "../cache/internal-cache.ts";
import { Opcode } from "../control/request.ts";
import type { ControlCounters } from "../control/server.ts";
import { AccountingStatistics } from "./accounting-statistics.ts";

const { conntracks: cache } = newInternalCaches(1, 10);
cache.counters.created = 6;
cache.counters.destroyed = 2;
const statistics = new AccountingStatistics({
	cache,
	accounting: { filtered: 4, traffic: { bytes: 2n ** 60n, packets: 36n } },
	flowLog: { counters: { lines: 9, lost: 2, failures: 1, syslogLost: 3 }, waiting: 77 },
	listener: {
		counters: { received: 3, unknownType: 0, malformed: 0, overruns: 0 },
		socket: { receiveBuffer: 2048 },
	},
	dump: { counters: { malformed: 0 } },
	flushes: { count: 1, failures: 0 },
	resync: { count: 5 },
	clock: { now: () => 0, after: () => () => {}, pause: async () => {}, wall: () => new Date(0) },
});
const render = (op: number, form?: "json"): string | undefined =>
	statistics.render(op, { readErrors: 0, unknownRequests: 8 } as ControlCounters, form);

test("-s is conntrackd's block of the cache and of the traffic, then one of ours", () => {
	assert.equal(
		render(Opcode.stats),
		[
			"cache stats:",
			"current active connections:\t           0",
			"connections created:\t\t           6\tfailed:\t           0",
			"connections updated:\t\t           0\tfailed:\t           0",
			"connections destroyed:\t\t           2\tfailed:\t           0",
			"",
			"traffic processed:",
			" 1152921504606846976 Bytes                        36 Pckts",
			"",
			"flow log:",
			"lines written:\t\t\t           7",
			"lines lost:\t\t\t           2",
			"lost to syslog:\t\t\t           3",
			"failed writes:\t\t\t           1",
			"bytes waiting:\t\t\t          77",
			"",
			"",
		].join("\n"),
	);
	assert.match(render(Opcode.statsCache)!, /^cache:stats\tactive objects:\t\t {11}0\n/);
	assert.match(render(Opcode.statsRuntime)!, /events filtered:\t +4\n/);
	assert.equal(render(Opcode.statsProcess), "");
});

test("the same as JSON", () => {
	const general = JSON.parse(render(Opcode.stats, "json")!);
	assert.deepEqual(general.flowLog, { lines: 9, lost: 2, failures: 1, syslogLost: 3, waiting: 77 });
	assert.deepEqual([general.kind, general.stats.createOk, general.traffic.packets], ["ct", 6, 36]);
	assert.match(render(Opcode.stats, "json")!, /"bytes":1152921504606846976\b/);
	assert.equal(JSON.parse(render(Opcode.statsCache, "json")!).stats.destroyOk, 2);
	const runtime = JSON.parse(render(Opcode.statsRuntime, "json")!);
	assert.deepEqual([runtime.kernelResyncs, runtime.localUnknownRequest], [5, 8]);
	assert.deepEqual([runtime.eventsReceived, runtime.netlinkBufferBytes], [3, 1024]);
});

test("there is no link, and nothing to say of one", () => {
	for (const op of [Opcode.statsNetwork, Opcode.statsLink, Opcode.statsQueue, Opcode.statsExpect, 99])
		assert.equal(render(op), undefined);
});
