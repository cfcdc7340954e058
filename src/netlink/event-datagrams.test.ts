// The listener's side of the socket alone: what it makes of datagrams, and when it reads them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { NameTable } from "../conntrack/names.ts";
import type { Clock } from "../system/clock.ts";
import { EAGAIN, ENOBUFS, type Native, type Poller } from "../system/native.ts";
import { hexBytes } from "./attribute-tree.ts";
import { DESTROY, EXPECTATION_WITH_NAT, NEW_RELATED, NEW_WITH_HELPER, UPDATE_FIN_WAIT } from "./captured.ts";
import { EventListener } from "./event-listener.ts";
import { EventRecorder } from "./event-recorder.ts";
import { BURST_MAX_MS } from "./reading-pace.ts";

/** A netlink message with a header; `length` may lie. */
function message(type: number, flags: number, table: string, length?: number): Uint8Array {
	const body = hexBytes(table);
	const bytes = new Uint8Array(16 + body.length);
	const view = new DataView(bytes.buffer);
	view.setUint32(0, length ?? bytes.length, true);
	view.setUint16(4, type, true);
	view.setUint16(6, flags, true);
	view.setUint32(12, 4711, true);
	bytes.set(body, 16);
	return bytes;
}

const NEW = message(0x100, 0x600, NEW_WITH_HELPER);

/** A socket that holds these datagrams, or errors, and whose calls can be looked at. */
class FakeSocket {
	queue: (Uint8Array | number)[] = [];
	ready: () => void = () => {};
	calls: string[] = [];
	/** What was asked for last: milliseconds, how often to look, from how many bytes on to read. */
	asked: readonly number[] = [];
	readonly #buffer: number;

	constructor(buffer: number) {
		this.#buffer = buffer;
	}

	native(): Native {
		const ignore = (): void => {};
		return {
			openSocket: () => 3,
			bindSocket: ignore,
			netlinkPort: () => 1,
			setOption: ignore,
			getOption: () => this.#buffer,
			attachFilter: ignore,
			joinGroup: ignore,
			interfaceInfo: () => [0, 0, 0],
			lock: () => 0,
			unshareNetwork: ignore,
			setScheduler: ignore,
			returnMemory: ignore,
			closeSocket: ignore,
			receive: (_fd, buffer, stride, lengths) => this.#receive(buffer, stride, lengths),
			receiveLater: async () => -EAGAIN,
			send: () => 0,
			sendLater: async () => 0,
			sendMany: () => 0,
			poll: (_fd, callback) => {
				this.ready = callback;
				return {} as Poller;
			},
			pollPause: () => void this.calls.push("pause"),
			pollResume: () => void this.calls.push("resume"),
			pollAfter: (_poller, milliseconds, step, enough) => {
				this.calls.push("after");
				this.asked = [milliseconds, step, enough];
			},
			pollClose: ignore,
		};
	}

	#receive(buffer: Uint8Array, stride: number, lengths: Int32Array): number {
		if (typeof this.queue[0] === "number") return this.queue.shift() as number;
		let count = 0;
		while (count < lengths.length && typeof this.queue[0] === "object") {
			const datagram = this.queue.shift() as Uint8Array;
			buffer.set(datagram.subarray(0, stride), count * stride);
			lengths[count++] = datagram.length;
		}
		return count > 0 ? count : -EAGAIN;
	}
}

/** Time that moves by hand. */
class ManualClock implements Clock {
	time = 0;

	now(): number {
		return this.time;
	}
	after(): () => void {
		throw new Error("nothing here needs a timer");
	}
	pause(): Promise<void> {
		return Promise.resolve();
	}
	wall(): Date {
		return new Date(0);
	}
}

/** @param buffer bytes of the socket's receive buffer */
function start(buffer = 0) {
	const names = new NameTable();
	const socket = new FakeSocket(buffer);
	const clock = new ManualClock();
	const recorder = new EventRecorder(names, clock);
	const listener = new EventListener({
		native: socket.native(),
		clock,
		names,
		handler: recorder,
		expectations: true,
		receiveBuffer: 0,
		reliable: false,
		ignorePorts: [],
	});
	listener.start();
	const receive = (...datagrams: (Uint8Array | number)[]): void => {
		socket.queue.push(...datagrams);
		socket.ready();
	};
	const kinds = (): string[] =>
		recorder.take().map((event) => `${event.kind} ${"conntrack" in event ? "conntrack" : "expectation"}`);
	return { socket, clock, recorder, listener, receive, kinds };
}

test("type and flags tell what a message is, one datagram may hold several", () => {
	const { receive, recorder, listener } = start();
	const update = message(0x100, 0, UPDATE_FIN_WAIT);
	const gone = message(0x102, 0, DESTROY);
	receive(
		Uint8Array.from([...NEW, ...update]),
		message(0x200, 0x600, EXPECTATION_WITH_NAT),
		message(0x202, 0, EXPECTATION_WITH_NAT),
		gone,
	);
	assert.deepEqual(
		recorder.take().map(({ kind, port, ...what }) => [kind, Object.keys(what)[0], port]),
		[
			["new", "conntrack", 4711],
			["update", "conntrack", 4711],
			["new", "expectation", 4711],
			["destroy", "expectation", 4711],
			["destroy", "conntrack", 4711],
		],
	);
	assert.equal(recorder.batches, 1);
	assert.deepEqual(listener.counters, { received: 5, unknownType: 0, malformed: 0, overruns: 0 });
});

test("an attribute that an event does not have is not left over from the one before", () => {
	const { receive, recorder } = start();
	receive(message(0x100, 0x600, NEW_RELATED), message(0x102, 0, DESTROY), NEW);
	const [related, gone, plain] = recorder.take().map((event) => "conntrack" in event && event.conntrack);
	assert.ok(related && gone && plain);
	assert.ok(related.master);
	assert.deepEqual([gone.master, gone.helper, plain.master], [undefined, undefined, undefined]);
});

test("what cannot be read is counted, and the next event comes all the same", () => {
	const cases: [name: string, datagram: Uint8Array, malformed: number, unknown: number][] = [
		["a length beyond the datagram", message(0x100, 0, NEW_WITH_HELPER, 4096), 1, 0],
		["a length below the header's", message(0x100, 0, NEW_WITH_HELPER, 8), 1, 0],
		["a rest that is no message", Uint8Array.from([...NEW.slice(0, 12)]), 1, 0],
		["a datagram that was cut", new Uint8Array(2049), 1, 0],
		["an attribute that lies", message(0x100, 0, NEW_WITH_HELPER.replace("34000180", "ff000180")), 1, 0],
		["no tuple", message(0x100, 0, "02000000"), 1, 0],
		["no mask", message(0x200, 0, EXPECTATION_WITH_NAT.replace("34000380", "34003f80")), 1, 0],
		["another subsystem", message(0x500, 0, NEW_WITH_HELPER), 0, 1],
		["another message", message(0x104, 0, NEW_WITH_HELPER), 0, 1],
	];
	for (const [name, datagram, malformed, unknownType] of cases) {
		const { receive, kinds, listener } = start();
		receive(datagram, NEW);
		assert.deepEqual(kinds(), ["new conntrack"], name);
		assert.equal(listener.counters.malformed, malformed, name);
		assert.equal(listener.counters.unknownType, unknownType, name);
	}
});

test("a loss is told when the queue is empty: until then the kernel goes on dropping, and does not say so again", () => {
	const { receive, recorder, listener } = start();
	const told: number[] = [];
	recorder.overrun = () => void told.push(recorder.events.length);
	// the first two calls bring as much as they can, so that more may wait
	receive(-ENOBUFS, ...Array.from({ length: 300 }, () => NEW));
	assert.deepEqual(told, [300]);
	assert.equal(recorder.take().length, 300);
	assert.equal(listener.counters.overruns, 1);
	listener.drain();
	assert.deepEqual(told, [300], "once");
});

test("a second loss is told, too", () => {
	const { receive, recorder, listener } = start();
	let told = 0;
	recorder.overrun = () => told++;
	receive(-ENOBUFS, NEW, -ENOBUFS, NEW);
	assert.equal(recorder.take().length, 1);
	// the second error is met by the next turn, as fewer datagrams came than were asked for
	listener.drain();
	assert.equal(recorder.take().length, 1);
	assert.deepEqual([told, listener.counters.overruns], [2, 2]);
});

test("in a storm that no turn gets to the end of a loss is told when it is over", () => {
	const { receive, recorder, socket, listener } = start();
	let told = 0;
	recorder.overrun = () => told++;
	receive(-ENOBUFS, ...Array.from({ length: 20_000 }, () => NEW));
	assert.ok(socket.queue.length > 0);
	assert.equal(told, 0);
	listener.drain();
	assert.deepEqual([socket.queue.length, told], [0, 1]);
});

test("an error that nobody foresaw is counted and ends the turn", () => {
	const { receive, recorder, listener } = start();
	receive(-5, NEW);
	assert.equal(recorder.take().length, 0);
	assert.equal(listener.counters.malformed, 1);
	listener.drain();
	assert.equal(recorder.take().length, 1);
});

test("more than a call can bring is read in one turn, up to a bound", () => {
	const { socket, receive, recorder, listener } = start();
	receive(...new Array<Uint8Array>(300).fill(NEW));
	assert.equal(recorder.take().length, 300);
	assert.equal(recorder.batches, 1);
	let events = 0;
	recorder.conntrack = () => void events++;
	socket.queue.push(...new Array<Uint8Array>(17_000).fill(NEW));
	listener.drain();
	assert.equal(events, 16_384);
	listener.drain();
	assert.equal(events, 17_000);
});

test("under load the socket is read in bursts, until it is quiet for long enough", () => {
	const { socket, clock, receive, recorder } = start();
	// 64 events in more than 12.8 ms are not many, in less they are
	clock.time += 13;
	receive(...new Array<Uint8Array>(64).fill(NEW));
	assert.deepEqual(socket.calls, []);
	clock.time += 12;
	receive(...new Array<Uint8Array>(64).fill(NEW));
	assert.deepEqual(socket.calls, ["after"]);
	recorder.take();
	const burst = (events: number): void => {
		clock.time += socket.asked[0]!;
		receive(...new Array<Uint8Array>(events).fill(NEW));
	};
	burst(10_000);
	assert.equal(socket.asked[0], 1);
	for (let i = 0; i < 50; i++) burst(60);
	assert.equal(recorder.take().length, 10_000 + 50 * 60);
	assert.deepEqual(new Set(socket.calls), new Set(["after"]));
	const quietSince = clock.time;
	const isOver = (): boolean => socket.calls.at(-1) === "resume";
	while (!isOver()) burst(0);
	assert.ok(clock.time - quietSince > 20 && clock.time - quietSince <= 100, `${clock.time - quietSince} ms`);
	recorder.take();
	const calls = socket.calls.length;
	receive(NEW);
	assert.equal(recorder.take().length, 1);
	assert.equal(socket.calls.length, calls);
});

test("between two bursts a full buffer is noticed in time, and after a full turn all descriptors have theirs", () => {
	for (const [bytes, lookEvery] of [
		[212_992, 1],
		[2 << 20, 2],
		[4 << 20, 4],
		[64 << 20, 65],
	] as const) {
		const { socket, clock, receive } = start(bytes);
		clock.time += 12;
		receive(...new Array<Uint8Array>(64).fill(NEW));
		// what was not enough to read, and what the fastest kernel adds until the next look, fit
		assert.deepEqual(socket.asked, [BURST_MAX_MS, lookEvery, bytes / 4]);
		clock.time += BURST_MAX_MS;
		socket.calls.length = 0;
		receive(...new Array<Uint8Array>(16_384).fill(NEW));
		assert.deepEqual(socket.calls, ["resume"]);
		receive(NEW);
		assert.equal(socket.calls.length, 2);
	}
});

test("nothing is read after the listener was closed", () => {
	const { receive, recorder, listener } = start();
	receive(...new Array<Uint8Array>(100).fill(NEW));
	recorder.take();
	listener.close();
	receive(NEW);
	assert.equal(recorder.take().length, 0);
});
