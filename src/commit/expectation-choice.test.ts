import assert from "node:assert/strict";
import { test } from "node:test";
import { ConntrackLayout } from "../cache/conntrack-layout.ts";
import { ExpectationLayout } from "../cache/expectation-layout.ts";
import { ExternalCache } from "../cache/external-cache.ts";
import { newInternalCaches } from "../cache/internal-cache.ts";
import { RecordStore } from "../cache/record-store.ts";
import { SlotSet } from "../cache/slot-set.ts";
import { expectationToRecord } from "../conntrack/conntrack.ts";
import { CONNTRACK } from "../conntrack/kind.ts";
import { NameTable } from "../conntrack/names.ts";
import { expectationOf, masterOf } from "../policy/legal.ts";
import { systemClock } from "../system/clock.ts";
import { type ChoiceOptions, chooseExpectations } from "./expectation-choice.ts";

test("how many a master may have is the policy's to say where it counts them", async () => {
	const names = new NameTable();
	const { conntracks, expectations } = newInternalCaches(1, 1000);
	const external = [
		new ExternalCache(new RecordStore(new ConntrackLayout(), 1), 1000),
		new ExternalCache(new RecordStore(new ExpectationLayout(), 1, 64), 1000),
	] as const;
	const irc = masterOf("irc");
	for (let i = 0; i < 20; i++) {
		const offer = expectationOf(irc, { dport: 1024 + i, timeout: 300 });
		external[1].set(expectationToRecord(offer, names), i + 1, Math.floor(systemClock.now() / 1000));
	}
	const options: ChoiceOptions = {
		internal: [conntracks, expectations],
		externals: (kind) => [{ store: external[kind === CONNTRACK ? 0 : 1].store, touched: new SlotSet() }],
		names,
		clock: systemClock,
		keptOut: () => assert.fail(),
	};
	assert.equal((await chooseExpectations(options)).chosen.length, 8, "the helper's own limit");
	const policy = () => () => 0;
	assert.equal((await chooseExpectations({ ...options, policy })).chosen.length, 20);
});

test("a cache that nobody has judged is read in slices, and one master has no more than a node may have", async () => {
	const names = new NameTable();
	const { conntracks, expectations } = newInternalCaches(1, 100_000);
	const external = [
		new ExternalCache(new RecordStore(new ConntrackLayout(), 1), 100_000),
		new ExternalCache(new RecordStore(new ExpectationLayout(), 1, 64), 100_000),
	] as const;
	const now = Math.floor(systemClock.now() / 1000);
	const ftp = masterOf("ftp");
	const count = 20_000;
	for (let i = 0; i < count; i++) {
		external[1].set(
			expectationToRecord(expectationOf(ftp, { dport: 1024 + i, timeout: 300 }), names),
			1,
			now,
		);
	}
	let pauses = 0;
	let judged = 0;
	const keptOut: number[] = [];
	const { chosen, outdated } = await chooseExpectations({
		internal: [conntracks, expectations],
		externals: (kind) => [{ store: external[kind === CONNTRACK ? 0 : 1].store, touched: new SlotSet() }],
		names,
		clock: {
			...systemClock,
			now: () => systemClock.now(),
			pause: async () => {
				pauses++;
			},
		},
		policy: () => () => {
			judged++;
			return 0;
		},
		keptOut: (_, rule) => keptOut.push(rule),
	});
	assert.equal(chosen.length, 1);
	assert.equal(outdated, 1023);
	assert.equal(judged, 1024);
	assert.deepEqual([keptOut.length, ...new Set(keptOut)], [count - 1024, 13]);
	assert.equal(pauses, 1);
});
