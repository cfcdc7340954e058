// Real sockets on the loopback interface of a network namespace of their own: 127.0.0.1 and .2 are two nodes.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import net from "node:net";
import { afterEach, test } from "node:test";
import { formatBytes, parseAddress } from "../conntrack/address.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { TcpChannel } from "./tcp-channel.ts";

const PORT = 3780;

async function until(what: string, condition: () => boolean): Promise<void> {
	const end = systemClock.now() + 8000;
	while (!condition()) {
		if (systemClock.now() > end) throw new Error(`waited in vain: ${what}`);
		await new Promise<void>((resolve) => void systemClock.after(5, resolve));
	}
}

if (isInPrivateNetwork(import.meta.url)) {
	const up = spawnSync("ip", ["link", "set", "lo", "up"], { encoding: "utf8" });
	assert.equal(up.status, 0, up.stderr);
	const native = loadNative();
	const open: { close(): void }[] = [];
	afterEach(() => {
		for (const one of open.splice(0)) one.close();
	});

	/** Milliseconds that have passed for the channels and nobody else. */
	let passed = 0;
	const clock = { ...systemClock, now: () => systemClock.now() + passed };

	function node(own: string, ...others: string[]) {
		const channel = new TcpChannel({
			native,
			clock,
			link: {
				address: parseAddress(own)!,
				destinations: others.map((text) => ({ bytes: parseAddress(text)!, text })),
				port: PORT,
				device: "lo",
				sendBuffer: 1 << 18,
				receiveBuffer: 1 << 18,
			},
			admits: (address) => formatBytes(parseAddress(address)!) === others[0],
			restored: () => void times.restored++,
			notice: (text) => assert.fail(text),
		});
		open.push(channel);
		const times = { restored: 0 };
		const heard: string[] = [];
		channel.start(
			(bytes, start, end) => {
				heard.push(Buffer.from(bytes.subarray(start, end)).toString());
				return true;
			},
			() => {},
		);
		return { channel, heard, times, send: (text: string) => channel.send(Buffer.from(text), text.length) };
	}

	test("two nodes find each other in any order, and datagrams arrive whole and in order both ways", async () => {
		const one = node("127.0.0.1", "127.0.0.2");
		await new Promise<void>((resolve) => void systemClock.after(100, resolve));
		const two = node("127.0.0.2", "127.0.0.1");
		const isUp = (sides: { server: boolean; client: boolean }) => sides.server && sides.client;
		await until("both are connected", () => isUp(one.channel.sides) && isUp(two.channel.sides));
		const texts = Array.from({ length: 300 }, (_, i) => `${i} `.repeat(1 + (i % 100)));
		for (const text of texts) one.send(text);
		two.send("back");
		await until("all arrive", () => two.heard.length === texts.length && one.heard.length === 1);
		assert.deepEqual(two.heard, texts);
		assert.equal(one.channel.counters.sentPackets, texts.length);
		assert.equal(two.channel.counters.receivedBytes, texts.join("").length);
	});

	test("nothing waits for a peer that is not there, and a peer that comes back is found again", async () => {
		const one = node("127.0.0.1", "127.0.0.2");
		one.send("lost");
		await new Promise<void>((resolve) => void systemClock.after(20, resolve));
		assert.equal(one.channel.counters.sendErrors >= 1, true);
		assert.equal(one.channel.isCongested, true, "whoever can wait is told to");
		const two = node("127.0.0.2", "127.0.0.1");
		await until("connected", () => one.channel.sides.client);
		assert.equal(one.times.restored, 0);
		two.channel.close();
		await until("the end is seen", () => !one.channel.sides.client);
		const again = node("127.0.0.2", "127.0.0.1");
		await until("connected again", () => one.channel.sides.client);
		assert.equal(one.channel.isCongested, false);
		assert.equal(one.times.restored, 1, "what was on its way is lost");
		one.send("found");
		await until("it arrives", () => again.heard.includes("found"));
		assert.deepEqual(again.heard, ["found"]);
	});

	test("a peer that takes nothing: whoever asks is told to wait before anything is dropped", async () => {
		const one = node("127.0.0.1", "127.0.0.2");
		const deaf = net.createServer((socket) => socket.pause());
		open.push({ close: () => deaf.close() });
		const sockets: net.Socket[] = [];
		deaf.on("connection", (socket) => sockets.push(socket));
		open.push({ close: () => sockets.forEach((socket) => void socket.destroy()) });
		await new Promise<void>((resolve) => deaf.listen(PORT, "127.0.0.2", resolve));
		await until("connected", () => one.channel.sides.client);
		const before = one.channel.counters.sendErrors;
		const text = "x".repeat(1000);
		for (let turns = 0; !one.channel.isCongested && turns < 20_000; turns++) {
			for (let i = 0; i < 50; i++) one.send(text);
			await new Promise<void>((resolve) => setImmediate(resolve));
		}
		assert.equal(one.channel.isCongested, true);
		assert.equal(one.channel.counters.sendErrors, before);
	});

	test("however much waits in the socket, others have a turn between two portions of it", async () => {
		const one = node("127.0.0.1", "127.0.0.2");
		const two = node("127.0.0.2", "127.0.0.1");
		await until("connected", () => one.channel.sides.client);
		const text = "x".repeat(1000);
		for (let i = 0; i < 400; i++) one.send(text);
		// all of it is in the socket of the other end when that looks
		await Promise.resolve();
		const end = systemClock.now() + 200;
		while (systemClock.now() < end);
		let most = 0;
		let before = two.heard.length;
		while (two.heard.length < 400) {
			await new Promise<void>((resolve) => setImmediate(resolve));
			most = Math.max(most, two.heard.length - before);
			before = two.heard.length;
		}
		assert.ok(most > 0 && most <= 70, `${most} datagrams in one turn`);
	});

	test("a node on a link with a smaller MTU takes what the other sends", async () => {
		const mtu = (bytes: number): void => {
			const set = spawnSync("ip", ["link", "set", "lo", "mtu", String(bytes)], { encoding: "utf8" });
			assert.equal(set.status, 0, set.stderr);
		};
		mtu(1500);
		const one = node("127.0.0.1", "127.0.0.2");
		mtu(65_536);
		const two = node("127.0.0.2", "127.0.0.1");
		await until("connected", () => two.channel.sides.client);
		assert.ok(one.channel.datagramMax < 1500 && two.channel.datagramMax > 4000);
		two.send("x".repeat(4000));
		await until("it arrives, or is refused", () => one.heard.length + one.channel.counters.truncated > 0);
		assert.deepEqual([one.heard[0]?.length, one.channel.counters.truncated], [4000, 0]);
	});

	test("a node that is down keeps nothing from the others; one that was there a moment ago is waited for", async () => {
		const one = node("127.0.0.1", "127.0.0.2", "127.0.0.3");
		assert.equal(one.channel.isCongested, true, "nobody is there");
		node("127.0.0.2", "127.0.0.1");
		await until("the second is connected", () => !one.channel.isCongested);
		const three = node("127.0.0.3", "127.0.0.1");
		await until("the third is connected", () => one.channel.sides.client);
		three.channel.close();
		await until("its end is seen", () => !one.channel.sides.client);
		assert.equal(one.channel.isCongested, true, "it may be back in a second, and has been told of no end");
		passed += 3600;
		assert.equal(one.channel.isCongested, false, "it is down by now");
	});

	test("what was never started leaves no socket behind", () => {
		const sockets = (): number => readdirSync("/proc/self/fd").length;
		const before = sockets();
		new TcpChannel({
			native,
			clock,
			link: {
				address: parseAddress("127.0.0.1")!,
				destinations: [],
				port: PORT,
				device: "lo",
				sendBuffer: 1 << 18,
				receiveBuffer: 1 << 18,
			},
			admits: () => false,
			restored: () => {},
			notice: (text) => assert.fail(text),
		}).close();
		assert.equal(sockets(), before);
	});

	test("whoever is no peer may not connect, and a peer that sends nonsense is cut off", async () => {
		const one = node("127.0.0.1", "127.0.0.2");
		const connect = (from: string): net.Socket => {
			const socket = net.connect({ host: "127.0.0.1", port: PORT, localAddress: from });
			socket.on("error", () => {});
			open.push({ close: () => socket.destroy() });
			return socket;
		};
		await until("a stranger is refused", () => {
			if (one.channel.counters.foreign === 0) connect("127.0.0.3");
			return one.channel.counters.foreign > 0;
		});
		const peer = connect("127.0.0.2");
		peer.write(Uint8Array.of(0, 2, 104, 105, 0xff, 0xff, 1));
		let isCut = false;
		peer.on("close", () => {
			isCut = true;
		});
		await until("it is cut off", () => isCut);
		assert.deepEqual(one.heard, ["hi"]);
		assert.equal(one.channel.counters.truncated, 1);
	});

	test("an address that is in use or not ours is an error that says so", () => {
		node("127.0.0.1", "127.0.0.2");
		assert.throws(
			() => node("127.0.0.1", "127.0.0.2"),
			/cannot open the TCP link on lo, port 3780.*already in use/,
		);
		assert.throws(() => node("192.0.2.1", "127.0.0.2"), /cannot open the TCP link.*Cannot assign/);
	});
}
