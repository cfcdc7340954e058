import assert from "node:assert/strict";
import { test } from "node:test";
import { ConntrackLayout } from "./cache/conntrack-layout.ts";
import { ExpectationLayout } from "./cache/expectation-layout.ts";
import { ExternalCache } from "./cache/external-cache.ts";
import { newInternalCaches } from "./cache/internal-cache.ts";
import { RecordStore } from "./cache/record-store.ts";
import { expectAnySourceKey } from "./commit/gre-entry.ts";
import { conntrackToRecord, expectationToRecord } from "./conntrack/conntrack.ts";
import { NameTable } from "./conntrack/names.ts";
import { ExpectationChecks } from "./expectation-checks.ts";
import { ExpectationPolicy } from "./policy/expectation-policy.ts";
import { legal } from "./policy/legal.ts";
import { STRICT } from "./policy/settings.ts";

test("a second commit finds the calls of the first, which have lost a key", () => {
	const names = new NameTable();
	const { expectations } = newInternalCaches(1, 1000);
	const theirs = new ExternalCache(new RecordStore(new ConntrackLayout(), 1), 1000);
	const { store } = new ExternalCache(new RecordStore(new ExpectationLayout(), 1, 64), 1000);
	const calls = legal().filter(([name]) => name.startsWith("pptp"));
	theirs.set(conntrackToRecord(calls[0]![2], names), 1, 0);
	const checks = new ExpectationChecks({
		policy: new ExpectationPolicy({ names, settings: STRICT, replicated: true, isOwnAddress: () => false }),
		names,
		log: undefined as never,
		internal: expectations,
		ownMaster: () => undefined,
		conntracksBeside: () => theirs,
	});
	const commit = (): number[] => {
		const judge = checks.forCommit(true);
		return calls.map(([, call]) => judge(expectationToRecord(call, names), store, true));
	};
	assert.deepEqual(commit(), [0, 0]);
	for (const [, call] of calls) {
		const record = expectationToRecord(call, names);
		expectAnySourceKey(record);
		expectations.apply(record, false, 0);
	}
	assert.deepEqual(commit(), [0, 0]);
});
