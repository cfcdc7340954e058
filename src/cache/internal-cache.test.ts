import assert from "node:assert/strict";
import { test } from "node:test";
import * as X from "../conntrack/expectation-record.ts";
import * as R from "../conntrack/record.ts";
import { IPS_ASSURED, IPS_OFFLOAD } from "../conntrack/status.ts";
import { recordOf } from "../sync/simulation.ts";
import { newCacheCounters } from "./cache-counters.ts";
import { NEVER_SEEN, newInternalCaches } from "./internal-cache.ts";
import { CREATED, DEAD, UPDATED } from "./record-layout.ts";
import { held, setUp, slotOf, Told } from "./told-cache.ts";

test("the first sight of an entry and every change of what is replicated are news, with a version of their own", () => {
	const { cache, told } = setUp();
	const slot = cache.apply(recordOf(1, 10), true, 5);
	assert.equal(cache.store.version(slot), 1);
	assert.equal(cache.apply(recordOf(1, 10), false, 6), slot);
	assert.deepEqual([told.log, cache.store.version(slot)], [[`+${slot}`], 1]);
	cache.apply(recordOf(1, 11), false, 7);
	assert.deepEqual([told.log.length, cache.store.version(slot)], [2, 2]);
	assert.deepEqual([cache.store.header(slot, CREATED), cache.store.header(slot, UPDATED)], [5, 7]);
	assert.deepEqual({ ...cache.counters }, { ...newCacheCounters(), created: 1, updated: 2 });
});

test("timeout, id and the status bits that are this kernel's affair are kept, and are no news", () => {
	const { cache, told } = setUp();
	const slot = cache.apply(recordOf(1, 10), true, 0);
	const changed = recordOf(1, 10);
	changed[R.HAS]! |= R.H_ID;
	changed[R.ID] = 77;
	changed[R.TIMEOUT] = 5;
	changed[R.STATUS]! |= IPS_OFFLOAD;
	cache.apply(changed, false, 0);
	assert.equal(told.log.length, 1);
	const record = R.newConntrackRecord();
	cache.store.read(slot, record);
	assert.deepEqual(record, changed);
	changed[R.STATUS]! ^= IPS_ASSURED;
	cache.apply(changed, false, 0);
	assert.equal(told.log.length, 2, "ASSURED is news");
});

test("an update keeps what it does not repeat; a creation under the same key is another connection", () => {
	const { cache, told } = setUp();
	const first = recordOf(1, 10);
	first[R.HAS]! |= R.H_MASTER;
	first[R.MASTER_PROTOCOLS] = 2 | (6 << 8);
	first[R.MASTER_PORTS] = 21;
	const slot = cache.apply(first, true, 0);
	const update = recordOf(1, 10);
	update[R.HAS] = R.H_TCP;
	update[R.PROTOINFO] = 7;
	cache.apply(update, false, 0);
	const record = R.newConntrackRecord();
	cache.store.read(slot, record);
	assert.deepEqual([record[R.MASTER_PORTS], record[R.MARK], record[R.PROTOINFO]], [21, 10, 7]);
	cache.apply(recordOf(1, 10), true, 0);
	cache.store.read(slot, record);
	assert.deepEqual(record, recordOf(1, 10));
	assert.equal(told.log.length, 3, "also if it looks the same");
});

test("of an expectation everything but id and a second of the timeout is news", () => {
	const cache = newInternalCaches(1, 10).expectations;
	const told = new Told();
	cache.listener = told;
	const record = X.newExpectationRecord();
	record[X.EXP_HAS] = X.X_TIMEOUT | X.X_ID;
	record[X.EXP_PROTOCOLS] = 2 | (6 << 8);
	const slot = cache.apply(record, true, 0);
	record[X.EXP_TIMEOUT] = 1;
	record[X.EXP_ID] = 9;
	cache.apply(record, false, 0);
	assert.equal(told.log.length, 1);
	for (const word of [X.EXP_FLAGS, X.EXP_MASTER_PORTS, X.EXP_NAT_DIR, X.EXP_HELPER]) {
		const before: number = told.log.length;
		record[word] = 1;
		cache.apply(record, false, 0);
		assert.equal(told.log.length, before + 1, `word ${word}`);
	}
	const out = X.newExpectationRecord();
	cache.store.read(slot, out);
	assert.deepEqual(out, record);
});

test("an expectation's time that runs down is no news, one that was set anew is", () => {
	const cache = newInternalCaches(1, 10).expectations;
	const record = X.newExpectationRecord();
	record[X.EXP_HAS] = X.X_TIMEOUT;
	record[X.EXP_PROTOCOLS] = 2 | (6 << 8);
	record[X.EXP_TIMEOUT] = 100;
	const slot = cache.apply(record, true, 1000);
	const seenAt = (now: number, timeout: number): boolean => {
		const version = cache.store.version(slot);
		record[X.EXP_TIMEOUT] = timeout;
		cache.applyDumped(record, now);
		cache.beginResync();
		return cache.store.version(slot) !== version;
	};
	cache.beginResync();
	for (let second = 1; second <= 90; second++) assert.equal(seenAt(1000 + second, 100 - second), false);
	// both clocks are read in whole seconds
	assert.equal(seenAt(1090, 9), false);
	assert.equal(seenAt(1092, 8), false);
	assert.equal(cache.counters.updated, 0);
	assert.equal(seenAt(1093, 180), true, "a registration that was renewed");
	assert.equal(seenAt(1094, 179), false);
	assert.equal(seenAt(1095, 5), true, "shortened");
	assert.equal(cache.counters.updated, 2);
	const held = X.newExpectationRecord();
	cache.store.read(slot, held);
	assert.deepEqual([held[X.EXP_TIMEOUT], cache.store.header(slot, UPDATED)], [5, 1095]);
});

test("both halves number their changes with one counter", () => {
	const { conntracks, expectations, versions } = newInternalCaches(1, 10);
	const expectation = X.newExpectationRecord();
	expectation[X.EXP_PROTOCOLS] = 2;
	const a = conntracks.apply(recordOf(1, 1), true, 0);
	const b = expectations.apply(expectation, true, 0);
	conntracks.apply(recordOf(1, 2), false, 0);
	assert.deepEqual([expectations.store.version(b), conntracks.store.version(a), versions.value], [2, 3, 3]);
});

test("an entry that ends is dead, with a version, until it is forgotten", () => {
	const { cache, told } = setUp();
	const slot = cache.apply(recordOf(1, 10), true, 0);
	cache.destroy(recordOf(1, 0), 3);
	assert.deepEqual([cache.store.state(slot), cache.store.version(slot)], [DEAD, 2]);
	assert.deepEqual(told.log, [`+${slot}`, `-${slot}`]);
	cache.destroy(recordOf(1, 0), 4);
	cache.destroy(recordOf(2, 0), 4);
	const { destroyed, destroyFailed, destroyNotFound } = cache.counters;
	assert.deepEqual([destroyed, destroyFailed, destroyNotFound, told.log.length], [1, 2, 2, 2]);
	cache.forget(slot);
	assert.equal(cache.store.count, 0);
});

test("an entry that comes back before it is forgotten has its slot and a newer version", () => {
	const { cache } = setUp();
	const slot = cache.apply(recordOf(1, 10), true, 5);
	cache.destroy(recordOf(1, 0), 6);
	assert.equal(cache.apply(recordOf(1, 11), false, 7), slot);
	assert.deepEqual([held(cache, 1), cache.store.version(slot)], [11, 3]);
	assert.equal(cache.store.header(slot, CREATED), 7);
	assert.equal(cache.counters.created, 2);
});

test("no more entries live than the limit allows, whichever way they come", () => {
	const { cache } = setUp(2);
	for (let key = 1; key <= 4; key++) cache.apply(recordOf(key, 1), true, 0);
	assert.equal(cache.store.live, 2);
	assert.deepEqual([cache.counters.createFailed, cache.counters.createNoSpace], [2, 2]);
	assert.equal(cache.apply(recordOf(4, 1), true, 0), -1);
	assert.equal(cache.apply(recordOf(1, 2), false, 0), slotOf(cache, 1), "what is held may change");
	cache.destroy(recordOf(1, 0), 0);
	cache.apply(recordOf(3, 1), true, 0);
	assert.equal(cache.apply(recordOf(1, 1), true, 0), -1, "nor does a dead one come back beyond it");
	assert.equal(cache.store.live, 2);
});

test("a flush withdraws: the entry is gone here, and whoever is told can see that it has not ended", () => {
	const { cache, told } = setUp();
	const slot = cache.apply(recordOf(1, 10), true, 0);
	cache.withdraw(slot, 0);
	assert.deepEqual([cache.store.live, cache.store.isWithdrawn(slot), cache.counters.destroyed], [0, true, 1]);
	assert.deepEqual(told.log, [`+${slot}`, `-${slot}`]);
	cache.destroy(recordOf(1, 0), 0);
	assert.equal(told.log.length, 2, "its end is no news");
	cache.apply(recordOf(1, 10), false, 0);
	assert.equal(cache.store.isWithdrawn(slot), false);
	cache.destroy(recordOf(1, 0), 0);
	assert.equal(cache.store.isWithdrawn(slot), false, "this time it has ended");
});

test("a peer's belief in an entry that is not here gets a grave with a version of its own, for that peer alone", () => {
	const { cache, told } = setUp(2);
	cache.apply(recordOf(1, 10), true, 0);
	const grave = cache.deny(recordOf(2, 0), 1 << 3, 0);
	assert.deepEqual(
		[cache.store.state(grave), cache.store.peers(grave), cache.store.version(grave)],
		[DEAD, 8, 2],
	);
	assert.equal(cache.store.live, 1);
	assert.equal(told.log.length, 1);
	assert.ok(cache.deny(recordOf(3, 0), 1, 0) >= 0);
	assert.equal(cache.deny(recordOf(4, 0), 1, 0), -1, "there are never more graves than entries may be");
});

test("UPDATED is the last packet that is known of: not a dump, not a request, but what a dump shows to have changed", () => {
	const { cache } = setUp();
	const seen = (key: number): number => cache.store.header(slotOf(cache, key), UPDATED);
	const dump = (value: number, now: number, keys: number[]): void => {
		cache.beginResync();
		for (const key of keys) cache.applyDumped(recordOf(key, value), now);
		cache.sweepResync(0, 1000, now);
	};
	dump(1, 10, [1]);
	assert.equal(seen(1), NEVER_SEEN);
	dump(1, 20, [1, 2]);
	assert.deepEqual([seen(1), seen(2)], [NEVER_SEEN, 20]);
	dump(2, 30, [1, 2]);
	assert.deepEqual([seen(1), seen(2)], [30, 30]);
	// somebody has set its mark
	cache.apply(recordOf(1, 3), false, 40, false);
	assert.equal(seen(1), 30);
	dump(3, 50, [1, 2]);
	assert.deepEqual([seen(1), seen(2)], [30, 50]);
	cache.apply(recordOf(1, 3), false, 60);
	assert.equal(seen(1), 60);
	cache.refresh(recordOf(1, 3), 70);
	assert.equal(seen(1), 60);
	cache.refresh(recordOf(1, 3), 80, true);
	assert.equal(seen(1), 80);
	// what an operator has flushed and a dump shows again may be alive
	cache.withdraw(slotOf(cache, 1), 90);
	dump(3, 100, [1, 2]);
	assert.equal(seen(1), 100);
	cache.apply(recordOf(3, 1), true, 110, false);
	assert.equal(seen(3), NEVER_SEEN);
	// somebody has deleted it, which was missed, and made it anew
	cache.apply(recordOf(1, 1), true, 120, false);
	assert.equal(seen(1), NEVER_SEEN);
});
