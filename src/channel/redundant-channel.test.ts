import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../system/clock.ts";
import { HandClock } from "../system/hand-clock.ts";
import { type Channel, type DatagramHandler, newChannelCounters } from "./channel.ts";
import { RedundantChannel } from "./redundant-channel.ts";

/** A link whose state the test decides, and whose datagrams it reads. */
class FakeLink implements Channel {
	readonly type = "UDP";
	readonly counters = newChannelCounters();
	readonly sent: string[] = [];
	state = "RUNNING";
	deliver: DatagramHandler = () => false;
	readonly device: string;
	readonly datagramMax: number;
	readonly credit: number;

	constructor(device: string, datagramMax = 1472, credit = 100) {
		this.device = device;
		this.datagramMax = datagramMax;
		this.credit = credit;
	}
	start(handler: DatagramHandler): void {
		this.deliver = handler;
	}
	send(bytes: Uint8Array, end: number): void {
		this.counters.sentPackets++;
		this.sent.push(Buffer.from(bytes.subarray(0, end)).toString());
	}
	status(): string {
		return this.state;
	}
	close(): void {}
}

function set(count: number) {
	const clock = new HandClock(1000);
	const links = Array.from({ length: count }, (_, i) => new FakeLink(`eth${i}`, 1472 - 100 * i, 100 - i));
	const said: string[] = [];
	const state = { unanswered: 0 };
	const channel: RedundantChannel = new RedundantChannel({
		links,
		clock: clock as unknown as Clock,
		notice: (text) => void said.push(text),
		warning: (text) => void said.push(text),
		unanswered: () => state.unanswered,
		sayAlive: () => send("alive"),
	});
	const send = (text: string): void => channel.send(Buffer.from(text), text.length);
	channel.start(
		(bytes, start) => bytes[start] === 1,
		() => {},
	);
	/** The peer's probe comes over a link. */
	const hear = (i: number): void => void links[i]!.deliver(Uint8Array.of(1), 0, 1);
	return { clock, links, channel, said, state, send, hear };
}
const active = (channel: RedundantChannel): string =>
	channel.members.find(({ isActive }) => isActive)!.link.device;

test("a datagram fits every link, and goes over one", () => {
	const { links, channel, send } = set(3);
	assert.deepEqual([channel.datagramMax, channel.credit], [1272, 98]);
	send("one");
	assert.deepEqual(
		links.map(({ sent }) => sent),
		[["one"], [], []],
	);
});

test("a link without carrier is left at once for one that the peer is heard on", () => {
	const { clock, links, channel, said, send, hear } = set(3);
	hear(2);
	links[0]!.state = "NO-CARRIER";
	clock.run(100);
	assert.equal(active(channel), "eth2");
	assert.match(said.join(), /device `eth2' becomes dedicated link: eth0 has no carrier/);
	send("two");
	assert.ok(links[2]!.sent.includes("two"));
	assert.equal(channel.device, "eth2");
});

test("with every carrier gone it says so once, and takes what comes back", () => {
	const { clock, links, channel, said } = set(2);
	for (const link of links) link.state = "DOWN";
	clock.run(1000);
	assert.deepEqual(said, ["no dedicated links available!"]);
	links[1]!.state = "RUNNING";
	clock.run(100);
	assert.equal(active(channel), "eth1");
});

test("a link on which nothing is acknowledged is left, although it has a carrier", () => {
	const { clock, channel, state } = set(2);
	state.unanswered = 200;
	clock.run(1000);
	assert.equal(active(channel), "eth0", "that may be the peer's delay");
	state.unanswered = 300;
	clock.run(100);
	assert.equal(active(channel), "eth1");
	clock.run(200);
	assert.equal(active(channel), "eth1", "the next one gets its time, too");
	clock.run(100);
	assert.equal(active(channel), "eth0");
});

test("once nobody is heard on any link it stays where it is", () => {
	const { clock, channel, said, state, hear } = set(2);
	clock.run(1000);
	hear(0);
	hear(1);
	state.unanswered = 9999;
	clock.run(1250);
	const hops = said.length;
	assert.ok(hops >= 3, "while it may be the link others are tried");
	clock.run(10_000);
	assert.equal(said.length, hops, said.join("\n"));
	const left = active(channel);
	hear(left === "eth0" ? 1 : 0);
	clock.run(300);
	assert.notEqual(active(channel), left, "the peer is back, on the other link");
});

test("one link alone is never left", () => {
	const { clock, links, channel, state } = set(1);
	state.unanswered = 9999;
	links[0]!.state = "DOWN";
	clock.run(5000);
	assert.equal(active(channel), "eth0");
	assert.ok(clock.isIdle, "and needs no timer");
});

test("links that are not in use are probed each second, and the default is taken again when it works", () => {
	const { clock, links, channel, hear } = set(3);
	clock.run(1000);
	assert.deepEqual(
		links.map(({ sent }) => sent.length),
		[0, 1, 1],
	);
	links[0]!.state = "NO-CARRIER";
	clock.run(100);
	assert.equal(active(channel), "eth1");
	links[0]!.state = "RUNNING";
	clock.run(20_000);
	assert.equal(active(channel), "eth1", "a carrier alone does not say that anybody hears it");
	hear(0);
	clock.run(100);
	assert.equal(active(channel), "eth0");
});

test("a default link that fails again and again is taken again later and later", () => {
	const { clock, links, channel, hear } = set(2);
	const waits: number[] = [];
	for (let round = 0; round < 4; round++) {
		links[0]!.state = "NO-CARRIER";
		clock.run(100);
		assert.equal(active(channel), "eth1");
		links[0]!.state = "RUNNING";
		const left = clock.now();
		while (active(channel) !== "eth0") {
			hear(0);
			clock.run(100);
		}
		waits.push(Math.round((clock.now() - left) / 1000));
	}
	assert.deepEqual(waits, [5, 10, 20, 40]);
	clock.run(80_000);
	links[0]!.state = "NO-CARRIER";
	clock.run(100);
	links[0]!.state = "RUNNING";
	const left = clock.now();
	while (active(channel) !== "eth0") {
		hear(0);
		clock.run(100);
	}
	assert.equal(Math.round((clock.now() - left) / 1000), 5, "once it has worked for long it is as at first");
});

test("the counters are the sum of all links, and each link has its own", () => {
	const { links, channel, send } = set(2);
	send("one");
	links[1]!.counters.receivedPackets = 5;
	assert.deepEqual([channel.counters.sentPackets, channel.counters.receivedPackets], [1, 5]);
});
