// Real sockets on the loopback interface of a network namespace of their own: 127.0.0.1, .2 and .3 are three nodes.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, test } from "node:test";
import { formatBytes, parseAddress } from "../conntrack/address.ts";
import { systemClock } from "../system/clock.ts";
import { AF_INET, loadNative, type Native, SOCK_DGRAM } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { socketAddress } from "../system/socket-address.ts";
import { DatagramChannel, type DatagramLink } from "./datagram-channel.ts";
import { SourceGuard, type Speakers } from "./source-guard.ts";

const PORT = 3780;
const bytes = (text: string): Uint8Array => parseAddress(text)!;

function declareTests(): void {
	const up = spawnSync("ip", ["link", "set", "lo", "up"], { encoding: "utf8" });
	assert.equal(up.status, 0, up.stderr);
	const native = loadNative();
	const closing: (() => void)[] = [];
	after(() => closing.forEach((close) => void close()));

	/** A node that writes down what it hears, and answers that it was good if it begins with "good". */
	function node(own: string, others: readonly string[], speakers?: Speakers, calls: Native = native) {
		const link: DatagramLink = {
			type: "udp",
			address: bytes(own),
			destinations: others.map(bytes),
			port: PORT,
			device: "lo",
			sendBuffer: 1 << 20,
			receiveBuffer: 1 << 20,
			checksum: true,
		};
		const guard = new SourceGuard({
			family: link.address.length === 4 ? 4 : 6,
			speakers: speakers ?? { who: "listed", addresses: link.destinations!, named: "the destinations" },
			format: formatBytes,
			clock: systemClock,
			notice: () => {},
			warning: () => {},
		});
		const channel = new DatagramChannel(calls, link, guard);
		closing.push(() => channel.close());
		const heard: string[] = [];
		channel.start(
			(buffer, start, end) => {
				heard.push(Buffer.from(buffer.subarray(start, end)).toString());
				return heard.at(-1)!.startsWith("good");
			},
			() => {},
		);
		const send = (...texts: string[]): void => {
			for (const text of texts) channel.send(Buffer.from(text), text.length);
		};
		/** Resolves when so many datagrams have come, whether they were looked at or not. */
		const received = async (count: number): Promise<void> => {
			const until = systemClock.now() + 5000;
			while (channel.counters.receivedPackets < count && systemClock.now() < until) {
				await new Promise((resolve) => void setTimeout(resolve, 2));
			}
			assert.equal(channel.counters.receivedPackets, count);
		};
		return { channel, heard, send, received, close: () => closing.pop()!() };
	}

	for (const [family, a, b, c] of [
		[4, "127.0.0.1", "127.0.0.2", "127.0.0.3"],
		[6, "fd00::1", "fd00::2", "fd00::3"],
	] as const) {
		test(`every datagram goes to every destination, and the destinations alone are heard: IPv${family}`, async () => {
			if (family === 6) {
				for (const each of [a, b, c]) spawnSync("ip", ["addr", "add", `${each}/128`, "dev", "lo", "nodad"]);
			}
			const [one, two, three] = [node(a, [b, c]), node(b, [a, c]), node(c, [a])];
			one.send("from one", "and again");
			await two.received(2);
			await three.received(2);
			assert.deepEqual(
				[one.heard, two.heard, three.heard],
				[[], ["from one", "and again"], ["from one", "and again"]],
			);
			const { sentPackets, sentBytes, sendErrors } = one.channel.counters;
			assert.deepEqual([sentPackets, sentBytes, sendErrors], [4, 2 * 17, 0]);
			two.send("from two");
			await one.received(1);
			await three.received(3);
			assert.deepEqual(one.heard, ["from two"]);
			assert.deepEqual(three.heard.length, 2, "two is no destination of three");
			assert.deepEqual([three.channel.counters.foreign, one.channel.counters.foreign], [1, 0]);
			for (const { close } of [three, two, one]) close();
		});
	}

	test("a destination that cannot be sent to keeps nothing from the others", async () => {
		const calls: Native = {
			...native,
			sendMany: (fd, buffer, spans, count, destination) =>
				destination[7] === 2 ? -101 : native.sendMany(fd, buffer, spans, count, destination),
		};
		const one = node("127.0.0.1", ["127.0.0.2", "127.0.0.3"], undefined, calls);
		const three = node("127.0.0.3", ["127.0.0.1"]);
		one.send("hello");
		await three.received(1);
		assert.deepEqual(three.heard, ["hello"]);
		const { sentPackets, sentBytes, sendErrors } = one.channel.counters;
		assert.deepEqual([sentPackets, sentBytes, sendErrors], [1, 5, 1]);
		for (const { close } of [three, one]) close();
	});

	test("whoever sends the first good datagram is the only one heard, within one batch too", async () => {
		const first: Speakers = {
			who: "first",
			networks: () => [{ address: bytes("127.0.0.1"), prefixLength: 8 }],
		};
		const one = node("127.0.0.1", ["127.0.0.2"], first);
		const two = node("127.0.0.2", ["127.0.0.1"]);
		const three = node("127.0.0.3", ["127.0.0.1"]);
		two.send("two");
		await one.received(1);
		// sent in one turn of the event loop: they are read in one call
		three.send("three", "good three");
		two.send("good two");
		await one.received(4);
		three.send("three");
		await one.received(5);
		assert.deepEqual(one.heard, ["two", "three", "good three", "three"]);
		assert.equal(one.channel.counters.foreign, 1);
		for (const { close } of [three, two, one]) close();
	});

	test("who is not on the link's network is not heard", async () => {
		const far: Speakers = {
			who: "first",
			networks: () => [{ address: bytes("127.0.0.1"), prefixLength: 30 }],
		};
		const one = node("127.0.0.1", ["127.0.0.2"], far);
		const fd = native.openSocket(AF_INET, SOCK_DGRAM, 0);
		native.bindSocket(fd, socketAddress(bytes("127.0.0.4"), 0));
		native.sendMany(fd, Buffer.from("good"), Int32Array.of(0, 4), 1, socketAddress(bytes("127.0.0.1"), PORT));
		native.closeSocket(fd);
		await one.received(1);
		assert.deepEqual([one.heard, one.channel.counters.foreign], [[], 1]);
		one.close();
	});
}

if (isInPrivateNetwork(import.meta.url)) declareTests();
