// When a bulk that nobody acknowledges is over: at its end, however slowly it comes, and when its end was lost.
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { ConntrackLayout } from "../cache/conntrack-layout.ts";
import { ExpectationLayout } from "../cache/expectation-layout.ts";
import { ExternalCache } from "../cache/external-cache.ts";
import { RecordStore } from "../cache/record-store.ts";
import { newConntrackRecord, ORIG_PORTS } from "../conntrack/record.ts";
import { receiveBulkRecord, sweepReceipt } from "./bulk-receipt.ts";
import { MODE } from "./mode.ts";
import { Peer } from "./peer.ts";
import type { PeerEquality } from "./peer-equality.ts";
import { RecordType } from "./wire/record-type.ts";

const LIMIT = 10_000;
const SECOND = 1000;
let peer: Peer;
let version = 0;

function tell(key: number, now: number): void {
	const record = newConntrackRecord();
	record[ORIG_PORTS] = key;
	peer.external[0].set(record, ++version, Math.floor(now / SECOND));
}

beforeEach(() => {
	const external = [
		new ExternalCache(new RecordStore(new ConntrackLayout(), 1), LIMIT),
		new ExternalCache(new RecordStore(new ExpectationLayout(), 1, 64), LIMIT),
	] as const;
	peer = new Peer(2, 0, external, { reset: () => {} } as unknown as PeerEquality, new Uint8Array(8));
	peer.state = { ...peer.state, mode: MODE.NOTRACK };
	for (let key = 1; key <= 100; key++) tell(key, 0);
	receiveBulkRecord(peer, RecordType.bulkBegin, 1, 10, 0);
});

test("a bulk that takes minutes drops what was not in it when its end comes", () => {
	let now = 0;
	for (let key = 1; key <= 99; key++) {
		now += 3 * SECOND;
		tell(key, now);
		sweepReceipt(peer, now);
	}
	assert.equal(peer.isReceivingBulk, true);
	assert.equal(receiveBulkRecord(peer, RecordType.bulkEnd, 1, 200, now), true);
	sweepReceipt(peer, now);
	assert.equal(peer.external[0].store.live, 99);
});

test("one that confirms nothing more for a minute is over, and drops nothing", () => {
	for (let key = 1; key <= 50; key++) tell(key, SECOND);
	sweepReceipt(peer, SECOND);
	sweepReceipt(peer, 60 * SECOND);
	assert.equal(peer.isReceivingBulk, true);
	// changes of what it has brought are no progress
	tell(1, 30 * SECOND);
	sweepReceipt(peer, 61 * SECOND);
	assert.equal(peer.isReceivingBulk, false);
	assert.equal(receiveBulkRecord(peer, RecordType.bulkEnd, 1, 200, 62 * SECOND), false);
	assert.equal(peer.external[0].store.live, 100);
});

test("live changes do not keep it open for more than ten minutes", () => {
	for (let second = 1; second < 600; second++) {
		tell(1000 + second, second * SECOND);
		sweepReceipt(peer, second * SECOND);
	}
	assert.equal(peer.isReceivingBulk, true);
	tell(2000, 600 * SECOND);
	sweepReceipt(peer, 600 * SECOND);
	assert.equal(peer.isReceivingBulk, false);
});
