// Committed FTP connections whose helper is told again to pick up the stream, against a real kernel's table. That it
// does is seen in test/netns/repeated-port.test.sh.
import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { KernelTables } from "../commit/kernel-tables.ts";
import { type Conntrack, conntrackToRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { systemClock } from "../system/clock.ts";
import { HandClock } from "../system/hand-clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { HelperPickUp } from "./helper-pick-up.ts";
import { CONTROL } from "./kernel-cases.ts";

const number = (n: number): Conntrack => ({
	...CONTROL,
	orig: { ...CONTROL.orig, sport: n },
	reply: { ...CONTROL.reply!, dst: "203.0.113.9", dport: n },
	status: 0x219e,
});

if (isInPrivateNetwork(import.meta.url)) {
	const native = loadNative();
	const names = new NameTable();
	const kernel = new KernelTables(native, systemClock, names);
	let clock: HandClock;
	let pickUp: HelperPickUp;
	beforeEach(() => {
		clock = new HandClock();
		pickUp = new HelperPickUp({ native, clock, names });
	});
	afterEach(() => {
		pickUp.close();
		kernel.flush();
	});
	after(() => kernel.close());
	const commit = (conntrack: Conntrack): void => pickUp.committed(conntrackToRecord(conntrack, names));

	test("the kernel is told ten times a second, then once, and no more after half a minute", () => {
		const committed = Array.from({ length: 100 }, (_, i) => number(1000 + i));
		for (const conntrack of committed) assert.equal(kernel.create(conntrack), "ok");
		committed.forEach(commit);
		clock.run(1001);
		assert.equal(pickUp.told, 1000);
		clock.run(5000);
		const { told } = pickUp;
		clock.run(10_000);
		assert.ok(pickUp.told - told >= 900 && pickUp.told - told <= 1100, `${pickUp.told - told}`);
		clock.run(20_000);
		assert.equal(pickUp.size, 0);
		assert.ok(clock.isIdle, "no timer is left");
	});

	test("one that the kernel does not have yet, or has without the helper, holds nothing up", () => {
		const { helper: _, ...plain } = number(1001);
		assert.equal(kernel.create(number(1000)), "ok");
		assert.equal(kernel.create(plain), "ok");
		for (const port of [1000, 1001, 1002]) commit(number(port));
		clock.run(101);
		assert.equal(pickUp.told, 1);
		assert.equal(kernel.create(number(1002)), "ok");
		clock.run(100);
		assert.equal(pickUp.told, 3);
	});

	test("other helpers keep no account of lines, and the number of connections has a limit", () => {
		commit({ ...number(1000), helper: "irc" });
		assert.equal(pickUp.size, 0);
		for (let port = 1000; port < 3000; port++) commit(number(port));
		assert.equal(pickUp.size, 1024);
	});
}
