import assert from "node:assert/strict";
import { test } from "node:test";
import { AWAITS_MASTER } from "../cache/record-layout.ts";
import {
	type Conntrack,
	conntrackToRecord,
	type Expectation,
	expectationToRecord,
} from "../conntrack/conntrack.ts";
import type { NameTable } from "../conntrack/names.ts";
import { formatRefusals, WAITING } from "../policy/codes.ts";
import { ExpectationPolicy } from "../policy/expectation-policy.ts";
import { expectationOf, masterOf } from "../policy/legal.ts";
import { STRICT } from "../policy/settings.ts";
import type { ExpectationJudge } from "./expectation-gate.ts";
import { type SimulatedNode, Simulation } from "./simulation.ts";

function cluster(keeps = true, seed = 1) {
	const verdicts: number[] = [];
	let judgements = 0;
	const judge = (names: NameTable): ExpectationJudge => {
		const policy = new ExpectationPolicy({
			names,
			replicated: true,
			isOwnAddress: () => false,
			settings: STRICT,
		});
		return {
			keeps,
			mostOfMaster: policy.mostOfMaster,
			judge: (expectation, master, standing) => {
				judgements++;
				return policy.judge(expectation, master, standing);
			},
			judged: (_, verdict) => verdicts.push(verdict),
		};
	};
	const sim = new Simulation(seed, 2, { judge });
	const [a, b] = sim.nodes as [SimulatedNode, SimulatedNode];
	const seconds = () => Math.floor(sim.now / 1000);
	return {
		sim,
		a,
		b,
		verdicts,
		judgements: () => judgements,
		track: (master: Conntrack) =>
			a.internal.conntracks.apply(conntrackToRecord(master, a.names), true, seconds()),
		untrack: (master: Conntrack) =>
			a.internal.conntracks.destroy(conntrackToRecord(master, a.names), seconds()),
		expect: (expectation: Expectation) =>
			a.internal.expectations.apply(expectationToRecord(expectation, a.names), false, seconds()),
		end: (expectation: Expectation) =>
			a.internal.expectations.destroy(expectationToRecord(expectation, a.names), seconds()),
		/** By verdict, those that B holds; under "counts" those that a commit would take. */
		held: () => {
			const found: Record<string, number> = {};
			const { store } = b.ftfw.peers[0]!.external[1];
			for (let slot = 0; slot < store.end; slot++) {
				if (!store.isLive(slot)) continue;
				const key = store.isOwned(slot) ? "counts" : String(store.verdict(slot));
				found[key] = (found[key] ?? 0) + 1;
			}
			return found;
		},
		external: () => b.ftfw.peers[0]!.external[1],
		isEqual: () => sim.now - b.ftfw.peers[0]!.equality.verifiedAt < 5000,
		repairs: () => b.ftfw.peers[0]!.equality.repairs,
	};
}

const ftp = masterOf("ftp");
const data = expectationOf(ftp, { timeout: 300 });
const bad = expectationOf(ftp, { dport: 22 });

test("the number for waiting is the same on both floors", () => assert.equal(AWAITS_MASTER, WAITING));

for (const keeps of [true, false]) {
	test(`what breaks a rule never counts, and the nodes are equal all the same (${keeps ? "kept" : "dropped"})`, () => {
		const c = cluster(keeps);
		c.track(ftp);
		c.expect(data);
		c.expect(bad);
		c.sim.run(8000);
		assert.deepEqual(c.held(), keeps ? { counts: 1, 9: 1 } : { counts: 1 });
		assert.equal(c.external().refused, 1);
		assert.equal(c.external().refusals[9], 1);
		assert.ok(c.isEqual());
		assert.equal(c.repairs(), 0);
		assert.equal(c.a.ftfw.peers[0]!.equality.report!.refused, 1);
		assert.equal(formatRefusals(c.a.ftfw.peers[0]!.equality.refusals), "X09 1");
		// a version that obeys
		c.end(bad);
		c.sim.run(3000);
		assert.equal(c.external().refused, 0);
		assert.ok(c.isEqual());
		assert.deepEqual(c.held(), { counts: 1 });
	});
}

test("an expectation waits for its master, and is judged when it comes; without it, it waits again", () => {
	const c = cluster();
	c.expect(data);
	c.expect(bad);
	c.sim.run(3000);
	assert.deepEqual(c.held(), { [AWAITS_MASTER]: 1, 9: 1 });
	assert.equal(c.external().refused, 1, "who waits is not refused");
	c.track(ftp);
	c.sim.run(1000);
	assert.deepEqual(c.held(), { counts: 1, 9: 1 });
	c.untrack(ftp);
	c.sim.run(1000);
	assert.deepEqual(c.held(), { [AWAITS_MASTER]: 1, 9: 1 });
	assert.ok(c.isEqual());
});

test("a master that changes has its expectations judged again", () => {
	const c = cluster();
	const translated = masterOf("ftp", { nat: true });
	const nat = {
		family: "ipv4",
		protocol: 6,
		src: "0.0.0.0",
		dst: "0.0.0.0",
		sport: 2000,
		dport: 0,
		direction: 1,
	} as const;
	c.track(translated);
	c.expect(expectationOf(translated, { nat, timeout: 300 }));
	c.sim.run(1000);
	assert.deepEqual(c.held(), { counts: 1 });
	c.track(ftp);
	c.sim.run(1000);
	assert.deepEqual(c.held(), { 7: 1 }, "the address is none of the master's any more");
});

test("a second one waits until the first has gone, in whatever order their news come", () => {
	for (let seed = 0; seed < 20; seed++) {
		const c = cluster(seed % 2 === 0, seed);
		Object.assign(c.sim.weather, { loss: 0.3, duplicate: 0.1, delayMax: 20 });
		c.track(ftp);
		c.expect(data);
		const next = expectationOf(ftp, { dport: 30_002, timeout: 300 });
		c.sim.run(500);
		c.expect(next);
		c.sim.run(seed * 20);
		c.end(data);
		c.sim.run(4000);
		assert.deepEqual(c.held(), { counts: 1 });
		const slot = c.external().store.find(expectationToRecord(next, c.b.names));
		assert.ok(c.external().store.isOwned(slot));
	}
});

test("a thousand offers in a second: eight count, some are kept back, and the count stays right", () => {
	const c = cluster();
	const irc = masterOf("irc");
	c.track(irc);
	const offer = (dport: number) =>
		expectationOf(irc, { src: "0.0.0.0", mask: { src: "0.0.0.0" }, timeout: 300, dport });
	for (let i = 0; i < 1000; i++) c.expect(offer(2000 + i));
	c.sim.run(6000);
	assert.deepEqual(c.held(), { counts: 8, 13: 56 });
	assert.equal(c.external().refusals[13], 992);
	assert.ok(c.isEqual());
	for (let i = 0; i < 1000; i++) c.end(offer(2000 + i));
	c.sim.run(8000);
	assert.deepEqual(c.held(), {});
	assert.equal(c.external().refused, 0);
	for (let i = 0; i < 8; i++) c.expect(offer(4000 + i));
	c.sim.run(3000);
	assert.deepEqual(c.held(), { counts: 8 });
});

test("the times of an expectation that is there may change as often as they like", () => {
	const c = cluster();
	c.track(ftp);
	for (let i = 0; i < 100; i++) {
		c.expect({ ...data, flags: 0, timeout: 300 - i, fn: i % 2 ? "nat-follow-master" : "sip" });
		c.expect({ ...data, timeout: 300 - i });
		c.sim.run(10);
	}
	c.sim.run(3000);
	assert.deepEqual(c.held(), { counts: 1 });
	assert.ok(c.isEqual());
});

test("what is kept back comes to no more than there may be", () => {
	const c = cluster();
	const masters = Array.from({ length: 100 }, (_, i) => masterOf("ftp", { sport: 2000 + i }));
	for (const master of masters) c.track(master);
	for (let i = 0; i < 5000; i++) {
		c.expect(expectationOf(masters[i % 100]!, { dst: `10.${i >> 8}.0.${i & 0xff}`, timeout: 300 }));
		if (i % 50 === 0) c.sim.run(5);
	}
	c.sim.run(8000);
	assert.deepEqual(c.held(), { 7: 4096 });
	assert.equal(c.external().refused, 5000);
	assert.ok(c.isEqual());
});

test("whatever is told of one master has few expectations judged again, those that wait in vain included", () => {
	const c = cluster();
	for (let i = 0; i < 3000; i++) c.expect(expectationOf(ftp, { dport: 2000 + i, timeout: 300 }));
	c.sim.run(6000);
	assert.deepEqual(c.held(), { [AWAITS_MASTER]: 64 });
	assert.equal(c.external().refusals[13], 3000 - 64);
	assert.ok(c.isEqual());
	const before = c.judgements();
	// the tuple is the master's, the zone is not
	c.track({ ...ftp, zoneOrig: 5, zoneReply: 5 });
	c.sim.run(1000);
	assert.equal(c.judgements() - before, 64);
	c.track(ftp);
	c.sim.run(3000);
	assert.deepEqual(c.held(), { counts: 1, 13: 63 });
	assert.ok(c.isEqual());
});

test("a restart of the peer brings the same verdicts", () => {
	const c = cluster();
	c.track(ftp);
	c.expect(data);
	c.expect(bad);
	c.sim.run(2000);
	c.sim.start(c.a);
	c.expect(data);
	c.expect(bad);
	c.track(ftp);
	c.sim.run(8000);
	assert.deepEqual(c.held(), { counts: 1, 9: 1 });
	assert.equal(c.external().refused, 1);
	assert.ok(c.isEqual());
});

test("what was withdrawn does not keep out what the helper announces next", () => {
	const c = cluster();
	c.track(ftp);
	c.expect(data);
	c.sim.run(3000);
	const { conntracks, expectations } = c.a.internal;
	// the operator of A flushes its kernel's tables; the connection goes on, and its helper announces another port
	for (const cache of [expectations, conntracks]) cache.withdraw(0, Math.floor(c.sim.now / 1000));
	c.sim.run(1000);
	assert.deepEqual(c.held(), { counts: 1 }, "it has not ended");
	c.track(ftp);
	c.expect(expectationOf(ftp, { timeout: 300, dport: 40_123 }));
	c.sim.run(1000);
	assert.deepEqual(c.held(), { counts: 1, 13: 1 });
	const { store } = c.external();
	const announced = store.find(
		expectationToRecord(expectationOf(ftp, { timeout: 300, dport: 40_123 }), c.b.names),
	);
	assert.equal(store.verdict(announced), 0, "the later one counts");
	c.sim.run(8000);
	assert.ok(c.isEqual());
	c.a.ftfw.bulk(c.sim.now);
	c.sim.run(1000);
	assert.deepEqual(c.held(), { counts: 1 });
	assert.equal(c.external().refused, 0);
});
