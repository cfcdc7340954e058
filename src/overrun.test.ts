import assert from "node:assert/strict";
import { test } from "node:test";
import { OverrunWatch } from "./overrun.ts";
import { HandClock } from "./system/hand-clock.ts";

function setUp() {
	const clock = new HandClock();
	const state = { resyncs: [] as number[], failures: [] as string[], fails: false };
	const watch = new OverrunWatch({
		clock,
		resync: async () => {
			state.resyncs.push(clock.now());
			if (state.fails) throw new Error("dump conntracks: EBUSY");
		},
		log: { limited: (reason, text) => void state.failures.push(`${reason}: ${text}`) },
	});
	/** Events are lost every ten milliseconds, for so long. */
	const storm = async (milliseconds: number) => {
		for (let i = 0; i < milliseconds; i += 10) {
			watch.lost();
			await clock.live(10);
		}
	};
	return { clock, state, watch, storm };
}

test("one loss has one resync, a tenth of a second later", async () => {
	const { clock, state, watch } = setUp();
	watch.lost();
	await clock.live(60_000);
	assert.deepEqual(state.resyncs, [100]);
});

test("however long a storm goes on, a resync begins within a tenth of a second after its last loss", async () => {
	for (const milliseconds of [50, 500, 5000, 60_000]) {
		const { clock, state, storm } = setUp();
		await storm(milliseconds);
		await clock.live(60_000);
		const after = state.resyncs.at(-1)! - (milliseconds - 10);
		assert.ok(after > 0 && after <= 100, `storm of ${milliseconds} ms: ${after} ms later`);
	}
});

test("while a storm goes on the tables are read seldom, but they are read", async () => {
	const { state, storm } = setUp();
	await storm(60_000);
	assert.ok(state.resyncs.length >= 12 && state.resyncs.length <= 20, `${state.resyncs.length} resyncs`);
	const gaps = state.resyncs.map((at, i) => at - (state.resyncs[i - 1] ?? 0));
	assert.ok(Math.max(...gaps) <= 5010, `${Math.max(...gaps)} ms without one`);
});

test("the next storm is taken for the first when it comes long after", async () => {
	const { clock, state, storm } = setUp();
	await storm(60_000);
	await clock.live(20_000);
	const before = state.resyncs.length;
	await storm(150);
	assert.equal(state.resyncs.length, before + 1);
});

test("a resync that fails is tried again, is told by a limited line, and is not tried after the end", async () => {
	const { clock, state, watch } = setUp();
	state.fails = true;
	watch.lost();
	await clock.live(5100);
	const line = "resync: dump conntracks: EBUSY: trying again";
	assert.deepEqual(
		[state.resyncs, state.failures],
		[
			[100, 5100],
			[line, line],
		],
	);
	watch.close();
	await clock.live(60_000);
	assert.equal(state.resyncs.length, 2);
});
