import assert from "node:assert/strict";
import { test } from "node:test";
import { newInternalCaches } from "../cache/internal-cache.ts";
import { CONNTRACK } from "../conntrack/kind.ts";
import { NameTable } from "../conntrack/names.ts";
import { recordOf } from "../sync/simulation.ts";
import { dump } from "./dump.ts";

test("others have their turn also while nothing is found: a cache may have been much larger", async () => {
	const { conntracks } = newInternalCaches(1, 100_000);
	for (let key = 0; key < 40_000; key++) conntracks.apply(recordOf(key, 0), true, 0);
	for (let key = 0; key < 39_999; key++) conntracks.destroy(recordOf(key, 0), 0);
	let pauses = 0;
	const clock = { now: () => 0, pause: async () => void pauses++ };
	let text = "";
	await dump(
		{ names: new NameTable(), clock },
		CONNTRACK,
		[conntracks],
		{ form: "text", isInternal: true },
		(piece) => {
			text += piece;
			return Promise.resolve();
		},
	);
	assert.equal(text.split("\n").length, 2, "one line");
	assert.ok(pauses >= 5, `${pauses} pauses`);
});
