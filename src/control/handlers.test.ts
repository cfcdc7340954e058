import assert from "node:assert/strict";
import { test } from "node:test";
import { ExpectationLayout } from "../cache/expectation-layout.ts";
import { ExternalCache } from "../cache/external-cache.ts";
import { AWAITS_MASTER } from "../cache/record-layout.ts";
import { RecordStore } from "../cache/record-store.ts";
import { NameTable } from "../conntrack/names.ts";
import { type DaemonControl, requestHandler } from "./handlers.ts";
import { Opcode } from "./request.ts";

test("others have their turn while what is kept back is listed", async () => {
	const external = new ExternalCache(new RecordStore(new ExpectationLayout(), 1, 64), 10_000);
	external.provisional = AWAITS_MASTER;
	const record = new Int32Array(external.store.layout.recordWords);
	for (let i = 0; i < 2000; i++) {
		record[6] = i + 1;
		external.set(record, i + 1, 1);
	}
	let pauses = 0;
	let text = "";
	const daemon: Partial<DaemonControl> = {
		externals: () => [external],
		names: new NameTable(),
		clock: {
			now: () => 0,
			pause: async () => {
				pauses++;
			},
		} as DaemonControl["clock"],
		whyRejected: () => "why",
	};
	const handle = requestHandler(daemon as DaemonControl);
	const reply = await handle(Opcode.policyRejected, (piece) => {
		text += piece;
		return undefined;
	});
	assert.deepEqual(reply, { status: 0 });
	assert.equal(text.split(" [why]\n").length - 1, external.store.live);
	assert.equal(external.store.live, 2000);
	assert.equal(pauses, 15);
});
