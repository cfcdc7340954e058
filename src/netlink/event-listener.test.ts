// The kernel's events, from the kernel's own socket.
import assert from "node:assert/strict";
import { after, afterEach, beforeEach, test } from "node:test";
import { KernelTables } from "../commit/kernel-tables.ts";
import type { Conntrack } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { NETLINK_BROADCAST_ERROR, SOL_NETLINK } from "./constants.ts";
import { EventListener, type ListenerOptions } from "./event-listener.ts";
import { EventRecorder, type RecordedEvent } from "./event-recorder.ts";
import {
	CASES,
	CONTROL,
	comparable,
	EXPECTATION,
	MASTER,
	NAT,
	TCP,
	UDP,
	udpEntries,
} from "./kernel-cases.ts";

const MIB = 1 << 20;

/** `new 1000`: the kind of event and the source port of the original tuple. */
const inShort = (events: readonly RecordedEvent[]): string[] =>
	events.map((event) =>
		"conntrack" in event ? `${event.kind} ${event.conntrack.orig.sport}` : `${event.kind} expectation`,
	);

const pause = (milliseconds: number) =>
	new Promise<void>((resolve) => void systemClock.after(milliseconds, resolve));

if (isInPrivateNetwork(import.meta.url)) {
	const names = new NameTable();
	const native = loadNative();
	const kernel = new KernelTables(native, systemClock, names);
	const other = new KernelTables(native, systemClock, names);
	const open: EventListener[] = [];
	let recorder: EventRecorder;

	const listen = (options: Partial<ListenerOptions> = {}): EventListener => {
		const listener = new EventListener({
			native,
			clock: systemClock,
			names,
			handler: recorder,
			expectations: true,
			receiveBuffer: 4 * MIB,
			reliable: false,
			ignorePorts: [],
			...options,
		});
		open.push(listener);
		listener.start();
		return listener;
	};

	beforeEach(() => {
		recorder = new EventRecorder(names, systemClock);
	});
	afterEach(() => {
		for (const listener of open.splice(0)) listener.close();
		kernel.flush();
	});
	after(() => {
		kernel.close();
		other.close();
	});

	test("NetlinkEventsReliable has the kernel repeat what did not get through", () => {
		const isRepeated = (reliable: boolean): number => {
			const { socket } = listen({ reliable });
			return native.getOption(socket.fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR);
		};
		assert.deepEqual([isRepeated(true), isRepeated(false)], [1, 0]);
	});

	test("every kind of entry is told of as it is made, changed and deleted, with the port of whoever did it", async () => {
		const listener = listen();
		for (const [name, conntrack, differs] of CASES) {
			const expected = comparable({ ...conntrack, ...differs });
			kernel.create(conntrack);
			assert.equal(other.update({ ...(kernel.get(conntrack) as Conntrack), mark: 77 }), "ok", name);
			kernel.delete(conntrack);
			const events = await recorder.wait(3);
			assert.deepEqual(
				events.map(({ kind, port }) => [kind, port]),
				[
					["new", kernel.port],
					["update", other.port],
					["destroy", kernel.port],
				],
				name,
			);
			const [made, changed, gone] = events.map((event) => "conntrack" in event && event.conntrack);
			assert.deepEqual(comparable(made as Conntrack), expected, name);
			assert.deepEqual(comparable(changed as Conntrack), { ...expected, mark: 77 }, name);
			const { orig, reply, zoneOrig, zoneReply } = expected;
			const { status, ...end } = gone as Conntrack;
			assert.deepEqual(
				{ orig: end.orig, reply: end.reply, zoneOrig: end.zoneOrig, zoneReply: end.zoneReply },
				{ orig, reply, zoneOrig, zoneReply },
				name,
			);
			assert.equal(status! & 0x200, 0x200, name);
		}
		assert.deepEqual(listener.counters, {
			received: CASES.length * 3,
			unknownType: 0,
			malformed: 0,
			overruns: 0,
		});
	});

	test("only the creation of a related connection names its master", async () => {
		kernel.create(CONTROL);
		listen();
		const related: Conntrack = { ...TCP, status: 0xf, master: MASTER };
		kernel.create(related);
		kernel.update({ ...related, mark: 1 });
		const events = await recorder.wait(2);
		assert.deepEqual(
			events.map((event) => "conntrack" in event && event.conntrack.master),
			[MASTER, undefined],
		);
	});

	test("expectations are told of between the entries, and end right after their master", async () => {
		listen();
		const expectation = { ...EXPECTATION, nat: { ...NAT, direction: 1 }, fn: "nat-follow-master" };
		kernel.create(CONTROL);
		kernel.expect(expectation);
		other.deleteExpectation(expectation);
		kernel.expect(expectation);
		kernel.create(UDP);
		other.delete(CONTROL);
		const events = await recorder.wait(7);
		assert.deepEqual(inShort(events), [
			"new 40000",
			"new expectation",
			"destroy expectation",
			"new expectation",
			"new 1000",
			"destroy 40000",
			"destroy expectation",
		]);
		// an expectation that goes with its master names nobody
		const { port: mine } = kernel;
		assert.deepEqual(
			events.map(({ port }) => port),
			[mine, mine, other.port, mine, mine, other.port, 0],
		);
		const told = events[1] as Extract<RecordedEvent, { expectation: unknown }>;
		const { id: _, timeout: __, ...rest } = told.expectation;
		const { timeout: ___, ...expected } = expectation;
		assert.deepEqual(rest, expected);
	});

	test("a listener that does not want expectations hears of none", async () => {
		listen({ expectations: false });
		kernel.create(CONTROL);
		kernel.expect(EXPECTATION);
		kernel.delete(CONTROL);
		assert.deepEqual(inShort(await recorder.wait(2)), ["new 40000", "destroy 40000"]);
	});

	test("events of ignored ports are dropped, and exactly those", async () => {
		const third = new KernelTables(native, systemClock, names);
		const everybody = [kernel, other, third];
		const [one, two, three] = udpEntries(3) as [Conntrack, Conntrack, Conntrack];
		const told = async (ignored: KernelTables[], later: KernelTables[] = []) => {
			const listener = listen({ ignorePorts: ignored.map(({ port }) => port) });
			if (later.length > 0) listener.socket.ignore(later.map(({ port }) => port));
			const doings: [KernelTables, Conntrack][] = [
				[kernel, one],
				[other, two],
				[third, three],
			];
			for (const [tables, entry] of doings) tables.create(entry);
			for (const [tables, entry] of doings) tables.update({ ...entry, mark: 1 });
			for (const [tables, entry] of doings) tables.delete(entry);
			const dropped = later.length > 0 ? later : ignored;
			const heard = everybody.filter((tables) => !dropped.includes(tables));
			const events = await recorder.wait(heard.length * 3);
			await pause(5);
			assert.deepEqual(recorder.take(), []);
			assert.deepEqual(
				events.map(({ kind, port }) => [kind, port]),
				["new", "update", "destroy"].flatMap((kind) => heard.map(({ port }) => [kind, port])),
			);
			listener.close();
			open.pop();
		};
		try {
			await told([]);
			await told([other]);
			await told([kernel, third]);
			await told([kernel, other, third]);
			await told([kernel], [other]);
		} finally {
			third.close();
		}
	});

	test("the end of an entry whose time is over has no port", async () => {
		listen({ ignorePorts: [kernel.port] });
		kernel.create({ ...UDP, timeout: 1 });
		kernel.create(TCP);
		await pause(1200);
		// whoever looks at the dead entry buries it
		assert.equal((await kernel.conntracks()).length, 1);
		const [event] = await recorder.wait(1);
		assert.deepEqual([event!.kind, event!.port], ["destroy", 0]);
	});

	test("a flood arrives whole and in order, and a single event after it, too", async () => {
		const listener = listen({ receiveBuffer: 64 * MIB });
		const many = udpEntries(4000);
		for (let at = 0; at < many.length; at += 2000) {
			kernel.createAll(many.slice(at, at + 2000));
			await systemClock.pause();
		}
		assert.deepEqual(
			inShort(await recorder.wait(many.length)),
			many.map(({ orig }) => `new ${orig.sport}`),
		);
		// long enough for the bursts to end
		await pause(150);
		kernel.delete(many[0]!);
		assert.deepEqual(inShort(await recorder.wait(1)), ["destroy 1"]);
		assert.deepEqual(listener.counters, { received: 4001, unknownType: 0, malformed: 0, overruns: 0 });
	});

	test("after each of thirty overruns in a row a listener with a tiny buffer still delivers", async () => {
		const listener = listen({ receiveBuffer: 1 });
		const many = udpEntries(200);
		for (let round = 1; round <= 30; round++) {
			kernel.createAll(many);
			await recorder.until(() => recorder.overruns >= round, `overrun ${round}`);
			// what had been queued before is still delivered
			await pause(2);
			assert.ok(recorder.take().length < many.length);
			kernel.create(TCP);
			await recorder.until(() => recorder.events.length > 0, `the event after overrun ${round}`);
			assert.deepEqual(inShort(recorder.take()), ["new 1000"]);
			other.flush();
			await pause(2);
			recorder.take();
			recorder.overruns = round;
			listener.counters.overruns = round;
		}
		assert.equal(listener.counters.malformed, 0);
	});

	test("a listener that is closed says nothing any more", async () => {
		const listener = listen();
		kernel.create(UDP);
		listener.close();
		open.pop();
		kernel.create(TCP);
		await pause(10);
		assert.deepEqual(recorder.take(), []);
	});

	test("a listener can be closed in the middle of what it delivers", async () => {
		const listener = listen();
		recorder.batchEnd = () => {
			listener.close();
			open.splice(0);
		};
		kernel.createAll(udpEntries(200));
		await recorder.wait(1);
		await pause(30);
		assert.ok(recorder.take().length < 200);
	});
}
