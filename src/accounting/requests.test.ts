import assert from "node:assert/strict";
import { test } from "node:test";
import { newInternalCaches } from "../cache/internal-cache.ts";
import { NameTable } from "../conntrack/names.ts";
import { Opcode } from "../control/request.ts";
import { type AccountingControl, accountingRequests } from "./requests.ts";

const SERVED: Partial<Record<keyof typeof Opcode, string>> = {
	dumpInternalCt: "",
	dumpInternalCtXml: "",
	stats: "text 21",
	statsCache: "text 29",
	flushInternal: "flushCache",
	flushCachesCt: "flushCache",
	flushCachesAll: "flushCache",
	flushKernelCt: "flushKernel",
	flushKernelAll: "flushKernel",
	resyncKernelCt: "resyncKernel",
	resyncKernelAll: "resyncKernel",
	kill: "stop",
};

test("what there is is served, everything else is refused with the mode's name", async () => {
	let seen = "";
	const note = (what: string) => async () => {
		seen += what;
	};
	const daemon: AccountingControl = {
		cache: newInternalCaches(1, 10).conntracks,
		names: new NameTable(),
		clock: { now: () => 0, after: () => () => {}, pause: async () => {}, wall: () => new Date(0) },
		flushCache: note("flushCache"),
		flushKernel: note("flushKernel"),
		resyncKernel: note("resyncKernel"),
		statistics: (op) => (op === Opcode.stats || op === Opcode.statsCache ? `text ${op}` : undefined),
		stop: () => void note("stop")(),
		notice: () => {},
		unknown: (op) => void note(`unknown ${op}`)(),
	};
	const handle = accountingRequests(daemon);
	for (const [name, op] of Object.entries(Opcode)) {
		seen = "";
		const reply = await handle(op, (text) => void (seen += text) as undefined);
		const expected = SERVED[name as keyof typeof Opcode];
		assert.equal(seen, expected ?? "", name);
		if (expected !== undefined) assert.deepEqual(reply, { status: 0 }, name);
		else assert.match(reply.error ?? "", /Stats mode/, name);
	}
	assert.match((await handle(Opcode.dumpInternalExpect, () => undefined)).error!, /expectations/);
	assert.deepEqual(await handle(99, () => undefined), { status: 1, error: "unknown request 99" });
});
