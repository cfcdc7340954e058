// The addon's calls by themselves: over UDP on the loopback interface, without privileges.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import {
	AF_INET,
	AF_NETLINK,
	EAGAIN,
	loadNative,
	NAME_SIZE,
	type Native,
	SO_RCVBUF,
	SOCK_DGRAM,
	SOCK_RAW,
	SOL_SOCKET,
	type SystemError,
} from "./native.ts";

const native = loadNative();
const NETLINK_NETFILTER = 12;
const EBADF = 9;

/** How a worker thread ends that watches a descriptor. */
type Ending = "close" | "exit" | "terminate" | "exit in callback" | "close in callback" | "throw in callback";
interface Watch {
	fd: number;
	ending: Ending;
}

/** The worker: opens a poller, and ends in one way or another. */
function watch({ fd, ending }: Watch): void {
	const poller = native.poll(fd, () => {
		if (ending === "exit in callback") process.exit(0);
		if (ending === "close in callback") native.pollClose(poller);
		if (ending === "throw in callback") throw new Error("thrown by a callback");
	});
	if (ending === "close") native.pollClose(poller);
	if (ending === "exit") process.exit(0);
	parentPort!.postMessage("watching");
	// with "terminate" the armed poller keeps the thread alive
}

function declareTests(): void {
	const fds: number[] = [];
	after(() => fds.forEach((fd) => void native.closeSocket(fd)));

	const address4 = (port: number): Uint8Array => {
		const bytes = new Uint8Array(16);
		new Uint16Array(bytes.buffer)[0] = AF_INET;
		bytes.set([port >> 8, port & 0xff, 127, 0, 0, 1], 2);
		return bytes;
	};

	/** A UDP socket on 127.0.0.1, and the address to reach it at. */
	const openUdp = async (): Promise<{ fd: number; port: number; address: Uint8Array }> => {
		const fd = native.openSocket(AF_INET, SOCK_DGRAM, 0);
		fds.push(fd);
		native.bindSocket(fd, address4(0));
		// whoever gets a datagram learns where it came from
		const mirror = createSocket("udp4").bind(0, "127.0.0.1");
		await once(mirror, "listening");
		const message = once(mirror, "message");
		native.sendMany(fd, new Uint8Array(1), Int32Array.of(0, 1), 1, address4(mirror.address().port));
		const [, { port }] = await message;
		mirror.close();
		return { fd, port, address: address4(port) };
	};

	const bytes = new Uint8Array(64);
	const lengths = new Int32Array(4);
	fds.push(native.openSocket(AF_INET, SOCK_DGRAM, 0));
	const dead = native.poll(fds[0]!, () => {});
	native.pollClose(dead);

	/** Calls with arguments that would be right; fd -1 makes them harmless. */
	const CALLS: Record<keyof Native, readonly unknown[]> = {
		openSocket: [-1, SOCK_RAW, 0],
		bindSocket: [-1, bytes],
		netlinkPort: [-1],
		setOption: [-1, 1, 2, 3],
		getOption: [-1, 1, 2],
		attachFilter: [-1, bytes],
		joinGroup: [-1, bytes, 1],
		interfaceInfo: ["lo"],
		lock: [-1],
		unshareNetwork: [],
		setScheduler: [-1, -1, 0],
		returnMemory: [128 << 10],
		closeSocket: [-1],
		receive: [-1, bytes, 16, lengths, null],
		receiveLater: [-1, bytes, 16, lengths, new Int32Array(2)],
		send: [-1, bytes, 0, 1],
		sendLater: [-1, bytes, 0, 1],
		sendMany: [-1, bytes, Int32Array.of(0, 1), 1, bytes],
		poll: [-1, () => {}],
		pollPause: [dead],
		pollResume: [dead],
		pollAfter: [dead, 1, 1, 0],
		pollClose: [dead],
	};
	const WRONG: readonly unknown[] = [
		undefined,
		null,
		true,
		"x",
		1n,
		Symbol("x"),
		{},
		[1],
		new Float64Array(8),
		new ArrayBuffer(64),
		new DataView(new ArrayBuffer(64)),
	];
	const refused = { name: "TypeError", code: "ERR_INVALID_ARG_TYPE" };

	for (const [name, args] of Object.entries(CALLS)) {
		test(`${name} refuses arguments of the wrong type, and too few of them`, () => {
			const call = native[name as keyof Native] as (...args: unknown[]) => unknown;
			for (let count = 0; count < args.length; count++) {
				assert.throws(() => call(...args.slice(0, count)), refused, `${count} arguments`);
			}
			args.forEach((right, i) => {
				for (const wrong of [...WRONG, typeof right === "number" ? bytes : 7]) {
					if (typeof wrong === typeof right && typeof right === "string") continue;
					if (name === "receive" && i === 4 && wrong === null) continue;
					if (name === "setOption" && i === 3 && wrong === bytes) continue;
					const what = `argument ${i}: ${String(wrong)}`;
					assert.throws(() => call(...args.slice(0, i), wrong, ...args.slice(i + 1)), refused, what);
				}
			});
		});
	}

	test("numbers that point outside of the memory are refused", () => {
		const spans = (offset: number, length: number) => () =>
			native.sendMany(-1, bytes, Int32Array.of(offset, length), 1, bytes);
		const int = 2 ** 31 - 1;
		for (const call of [
			() => native.receive(-1, bytes, 0, lengths, null),
			() => native.receive(-1, bytes, -16, lengths, null),
			() => native.receiveLater(-1, bytes, 0, lengths, new Int32Array(2)),
			() => native.receiveLater(-1, bytes, 16, lengths, new Int32Array(1)),
			() => native.receiveLater(-1, bytes, 16, lengths, bytes.subarray(1) as unknown as Int32Array),
			() => native.sendLater(-1, bytes, 0, 65),
			() => native.sendLater(-1, bytes, -1, 1),
			() => native.send(-1, bytes, -1, 1),
			() => native.send(-1, bytes, 0, -1),
			() => native.send(-1, bytes, 0, 65),
			() => native.send(-1, bytes, 64, 1),
			() => native.send(-1, bytes, int, int),
			() => native.sendMany(-1, bytes, Int32Array.of(0, 1), -1, bytes),
			() => native.sendMany(-1, bytes, Int32Array.of(0, 1, 0), 2, bytes),
			() => native.sendMany(-1, bytes, Int32Array.of(0, 1), int, bytes),
			spans(-1, 1),
			spans(0, -1),
			spans(64, 1),
			spans(int, int),
			() => native.attachFilter(-1, new Uint8Array(12)),
			() => native.joinGroup(-1, new Uint8Array(1), 1),
			() => native.joinGroup(-1, new Uint8Array(1000), 1),
		]) {
			assert.throws(call, refused, String(call));
		}
	});

	test("calls that set something up throw what the system said, with errno, code and syscall", () => {
		const cases: [call: () => unknown, errno: number, code: string, syscall: string][] = [
			[() => native.openSocket(12345, SOCK_RAW, 0), 97, "EAFNOSUPPORT", "socket"],
			[() => native.bindSocket(-1, bytes), EBADF, "EBADF", "bind"],
			[() => native.netlinkPort(-1), EBADF, "EBADF", "getsockname"],
			[() => native.setOption(-1, 1, 2, 1), EBADF, "EBADF", "setsockopt"],
			[() => native.setOption(-1, 1, 2, bytes), EBADF, "EBADF", "setsockopt"],
			[() => native.getOption(-1, 1, 2), EBADF, "EBADF", "getsockopt"],
			[() => native.attachFilter(-1, bytes), EBADF, "EBADF", "SO_ATTACH_FILTER"],
			[() => native.joinGroup(-1, bytes, 1), EBADF, "EBADF", "MCAST_JOIN_GROUP"],
			[() => native.interfaceInfo("no such one"), 19, "ENODEV", "ioctl"],
			[() => native.interfaceInfo("a name that is longer than any"), 19, "ENODEV", "ioctl"],
			[() => native.closeSocket(-1), EBADF, "EBADF", "close"],
			[() => native.poll(-1, () => {}), EBADF, "EBADF", "uv_poll_init"],
		];
		for (const [call, errno, code, syscall] of cases) {
			assert.throws(call, (error: SystemError) => {
				assert.ok(error instanceof Error && !(error instanceof TypeError));
				assert.deepEqual([error.errno, error.code, error.syscall], [errno, code, syscall], String(call));
				assert.ok(error.message.startsWith(`${syscall}: `), error.message);
				return true;
			});
		}
	});

	test("the hot calls answer with a negative errno", () => {
		assert.equal(native.receive(-1, bytes, 16, lengths, null), -EBADF);
		assert.equal(native.send(-1, bytes, 0, 1), -EBADF);
		assert.equal(native.sendMany(-1, bytes, Int32Array.of(0, 1), 1, bytes), -EBADF);
		assert.equal(native.lock(-1), -EBADF);
	});

	test("a lock is held by one descriptor at a time", (t) => {
		const file = join(tmpdir(), `ctsync-native-test-${process.pid}`);
		t.after(() => rmSync(file, { force: true }));
		const [first, second] = [openSync(file, "w"), openSync(file, "w")];
		assert.equal(native.lock(first), 0);
		assert.equal(native.lock(second), -EAGAIN);
		native.closeSocket(first);
		assert.equal(native.lock(second), 0);
		native.closeSocket(second);
	});

	test("an interface is known by index, MTU and flags", () => {
		const [index, mtu] = native.interfaceInfo("lo");
		assert.equal(index, 1);
		assert.ok(mtu >= 1280);
	});

	test("each netlink socket has a port of its own, options can be set and read", () => {
		const open = () => native.openSocket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
		const sockets = [open(), open()] as const;
		fds.push(...sockets);
		const any = new Uint8Array(12);
		new Uint16Array(any.buffer)[0] = AF_NETLINK;
		for (const fd of sockets) native.bindSocket(fd, any);
		const ports = sockets.map((fd) => native.netlinkPort(fd));
		assert.ok(ports.every((port) => port > 0) && ports[0] !== ports[1], String(ports));
		native.setOption(sockets[0], SOL_SOCKET, SO_RCVBUF, 20_000);
		assert.equal(native.getOption(sockets[0], SOL_SOCKET, SO_RCVBUF), 40_000);
		native.setOption(sockets[0], SOL_SOCKET, SO_RCVBUF, new Uint8Array(Int32Array.of(30_000).buffer));
		assert.equal(native.getOption(sockets[0], SOL_SOCKET, SO_RCVBUF), 60_000);
	});

	test("datagrams arrive whole, in order, with their lengths and whence they came", async () => {
		const [from, to] = [await openUdp(), await openUdp()];
		const buffer = Uint8Array.from({ length: 64 }, (_, i) => i);
		// in any order of places, an empty one among them
		assert.equal(native.sendMany(from.fd, buffer, Int32Array.of(10, 5, 0, 3, 7, 0), 3, to.address), 3);
		const into = new Uint8Array(4 * 16).fill(0xff);
		const names = new Uint8Array(4 * NAME_SIZE);
		assert.equal(native.receive(to.fd, into, 16, lengths, names), 3);
		assert.deepEqual([...lengths.subarray(0, 3)], [5, 3, 0]);
		assert.deepEqual([...into.subarray(0, 6)], [10, 11, 12, 13, 14, 0xff]);
		assert.deepEqual([...into.subarray(16, 20)], [0, 1, 2, 0xff]);
		for (let i = 0; i < 3; i++) {
			assert.deepEqual(names.subarray(i * NAME_SIZE, i * NAME_SIZE + 8), from.address.subarray(0, 8));
		}
		assert.equal(native.receive(to.fd, into, 16, lengths, names), -EAGAIN);
	});

	test("the calls of another thread do the same, and answer with a promise", async () => {
		const [from, to] = [await openUdp(), await openUdp()];
		native.sendMany(from.fd, Uint8Array.of(1, 2, 3), Int32Array.of(0, 2, 1, 2), 2, to.address);
		const into = new Uint8Array(2 * 8);
		const told = new Int32Array(2);
		const turns = new Int32Array(2);
		assert.equal(await native.receiveLater(to.fd, into, 8, told, turns), 2);
		assert.deepEqual([...into], [1, 2, 0, 0, 0, 0, 0, 0, 2, 3, 0, 0, 0, 0, 0, 0]);
		assert.deepEqual([...told], [2, 2]);
		assert.equal(await native.receiveLater(to.fd, into, 8, told, turns), -EAGAIN);
		assert.equal(await native.receiveLater(-1, into, 8, told, turns), -EBADF);
		assert.equal(await native.sendLater(-1, into, 0, 8), -EBADF);
		// a request without a body: the kernel answers within the call
		const fd = native.openSocket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
		fds.push(fd);
		assert.equal(await native.sendLater(fd, new Uint8Array(32), 8, 16), 16);
	});

	test("calls of another thread that share their turns run in the order in which they were made", async () => {
		const [from, to] = [await openUdp(), await openUdp()];
		const turns = new Int32Array(2);
		for (let round = 0; round < 20; round++) {
			const bytes = Uint8Array.of(0, 1, 2);
			native.sendMany(from.fd, bytes, Int32Array.of(0, 1, 1, 1, 2, 1), 3, to.address);
			const calls = [0, 1, 2, 3].map(() => {
				const into = new Uint8Array(8);
				return { into, count: native.receiveLater(to.fd, into, 8, new Int32Array(1), turns) };
			});
			assert.deepEqual(await Promise.all(calls.map(({ count }) => count)), [1, 1, 1, -EAGAIN]);
			assert.deepEqual(
				calls.map(({ into }) => into[0]),
				[0, 1, 2, 0],
			);
		}
		assert.deepEqual([...turns], [80, 80]);
	});

	test("a datagram that does not fit is cut at the stride, and its length tells", async () => {
		const [from, to] = [await openUdp(), await openUdp()];
		const buffer = new Uint8Array(1000).fill(7);
		assert.equal(native.sendMany(from.fd, buffer, Int32Array.of(0, 1000, 0, 4), 2, to.address), 2);
		const into = new Uint8Array(3 * 8);
		assert.equal(native.receive(to.fd, into, 8, lengths, null), 2);
		assert.deepEqual([...lengths.subarray(0, 2)], [1000, 4]);
		assert.deepEqual([...into], [...new Array(12).fill(7), ...new Array(12).fill(0)]);
	});

	test("no more datagrams are read than lengths, buffer and names have room for", async () => {
		const [from, to] = [await openUdp(), await openUdp()];
		const one = Int32Array.of(0, 1);
		const room: [lengths: number, bytes: number, names: number | null, expected: number][] = [
			[3, 64, null, 3],
			[8, 33, null, 2],
			[8, 64, 2 * NAME_SIZE + 27, 2],
			[8, 15, null, 0],
			[0, 64, null, 0],
		];
		for (const [count, size, names, expected] of room) {
			for (let i = 0; i < 4; i++) native.sendMany(from.fd, bytes, one, 1, to.address);
			const into = new Uint8Array(size);
			const told = new Int32Array(count);
			const whence = names === null ? null : new Uint8Array(names);
			assert.equal(native.receive(to.fd, into, 16, told, whence), expected);
			while (native.receive(to.fd, bytes, 16, lengths, null) > 0);
		}
	});

	test("one call reads 256 datagrams at most, and sends more than that", async () => {
		const [from, to] = [await openUdp(), await openUdp()];
		native.setOption(to.fd, SOL_SOCKET, SO_RCVBUF, 212_992);
		const buffer = Uint8Array.from({ length: 600 }, (_, i) => (i >> 1) >> (8 * (i & 1)));
		const spans = Int32Array.from({ length: 600 }, (_, i) => (i & 1 ? 2 : i));
		assert.equal(native.sendMany(from.fd, buffer, spans, 300, to.address), 300);
		const into = new Uint8Array(600 * 2);
		const told = new Int32Array(600);
		assert.equal(native.receive(to.fd, into, 2, told, null), 256);
		assert.deepEqual(into.subarray(0, 512), buffer.subarray(0, 512));
		assert.equal(native.receive(to.fd, into, 2, told, null), 44);
		assert.deepEqual(into.subarray(0, 88), buffer.subarray(512));
	});

	test("a full queue shows as fewer datagrams sent, then as EAGAIN", () => {
		const AF_UNIX = 1;
		const [from, to] = [native.openSocket(AF_UNIX, SOCK_DGRAM, 0), native.openSocket(AF_UNIX, SOCK_DGRAM, 0)];
		fds.push(from, to);
		// an abstract address: a zero byte, then a name
		const address = Uint8Array.from([AF_UNIX, 0, 0, ...Buffer.from(`ctsync-native-test-${process.pid}`)]);
		native.bindSocket(to, address);
		const spans = new Int32Array(2 * 2000).fill(1);
		const sent = native.sendMany(from, bytes, spans, 2000, address);
		assert.ok(sent > 0 && sent < 2000, String(sent));
		assert.equal(native.sendMany(from, bytes, spans, 2000, address), -EAGAIN);
		let received = 0;
		for (let n = 0; (n = native.receive(to, bytes, 16, lengths, null)) > 0; ) received += n;
		assert.equal(received, sent);
	});

	/** Some milliseconds, and one look at all descriptors after them. */
	const turn = () => new Promise<void>((resolve) => void setTimeout(() => setImmediate(resolve), 5));

	test("a poller calls back while there is something to read, unless it is paused or closed", async () => {
		const [from, to] = [await openUdp(), await openUdp()];
		const send = () => native.sendMany(from.fd, bytes, Int32Array.of(0, 1), 1, to.address);
		let calls = 0;
		const poller = native.poll(to.fd, () => {
			calls++;
			native.receive(to.fd, bytes, 16, lengths, null);
		});
		await turn();
		assert.equal(calls, 0);
		send();
		await turn();
		assert.equal(calls, 1);
		native.pollPause(poller);
		native.pollPause(poller);
		send();
		await turn();
		assert.equal(calls, 1);
		native.pollResume(poller);
		native.pollResume(poller);
		await turn();
		assert.equal(calls, 2);
		send();
		native.pollClose(poller);
		await turn();
		assert.equal(calls, 2);
	});

	test("a poller that waits calls back when its time is over, or when it looks and there is enough", async () => {
		const [from, to] = [await openUdp(), await openUdp()];
		const send = () => native.sendMany(from.fd, bytes, Int32Array.of(0, 1), 1, to.address);
		const begin = process.hrtime.bigint();
		let calls: number[] = [];
		const poller = native.poll(to.fd, () => calls.push(Number(process.hrtime.bigint() - begin) / 1e6));
		const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
		// nothing there, or not enough: once, and not earlier (timers are of whole milliseconds)
		for (const isThere of [false, true]) {
			native.pollAfter(poller, 40, 3, 1 << 20);
			if (isThere) send();
			const asked = Number(process.hrtime.bigint() - begin) / 1e6;
			await wait(80);
			assert.equal(calls.length, 1);
			assert.ok(calls[0]! - asked >= 38, `${calls[0]! - asked} ms`);
			calls = [];
		}
		native.pollAfter(poller, 10_000, 3, 1);
		await wait(40);
		assert.equal(calls.length, 1, "at a look");
		for (const end of [native.pollPause, native.pollClose]) {
			native.pollAfter(poller, 10, 3, 1);
			end(poller);
			await wait(30);
			assert.equal(calls.length, 1, "ended");
		}
		assert.throws(() => native.pollAfter(poller, 10, 3, 1), refused);
	});

	test("a poller that was closed is refused for ever, whoever lives in its memory now", async () => {
		const { fd, address } = await openUdp();
		const old = native.poll(fd, () => {});
		native.pollClose(old);
		await turn();
		let calls = 0;
		const young = native.poll(fd, () => {
			calls++;
			native.receive(fd, bytes, 16, lengths, null);
		});
		for (const call of [native.pollPause, native.pollResume, native.pollClose]) {
			assert.throws(() => call(old), refused);
		}
		native.sendMany(fd, bytes, Int32Array.of(0, 1), 1, address);
		await turn();
		assert.equal(calls, 1);
		native.pollClose(young);
	});

	const ENDINGS: readonly Ending[] = [
		"close",
		"exit",
		"terminate",
		"exit in callback",
		"close in callback",
		"throw in callback",
	];
	for (const ending of ENDINGS) {
		test(`a worker thread that watches a descriptor can end: ${ending}`, async () => {
			const { fd, address } = await openUdp();
			for (let round = 0; round < 3; round++) {
				const worker = new Worker(new URL(import.meta.url), { workerData: { fd, ending } satisfies Watch });
				const errors: Error[] = [];
				worker.on("error", (error) => errors.push(error as Error));
				const exit = new Promise((resolve) => worker.on("exit", resolve));
				await Promise.race([exit, new Promise((resolve) => worker.on("message", resolve))]);
				if (ending === "terminate") await worker.terminate();
				native.sendMany(fd, bytes, Int32Array.of(0, 1), 1, address);
				await exit;
				const expected = ending === "throw in callback" ? ["thrown by a callback"] : [];
				assert.deepEqual(
					errors.map(({ message }) => message),
					expected,
				);
				while (native.receive(fd, bytes, 16, lengths, null) > 0);
			}
		});
	}
}

if (isMainThread) declareTests();
else watch(workerData as Watch);
