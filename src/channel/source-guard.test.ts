import assert from "node:assert/strict";
import { test } from "node:test";
import { formatBytes, parseAddress } from "../conntrack/address.ts";
import { Simulation } from "../sync/simulation.ts";
import { FLAG_HELLO } from "../sync/wire/frame.ts";
import { NAME_SIZE } from "../system/native.ts";
import { socketAddress } from "../system/socket-address.ts";
import { type Network, SourceGuard, type SourceGuardOptions, type Speakers } from "./source-guard.ts";

const bytes = (text: string): Uint8Array => parseAddress(text)!;

/** Source addresses as the kernel writes them, one for each text. */
function namesOf(...texts: string[]): Int32Array {
	const names = new Uint8Array(texts.length * NAME_SIZE);
	texts.forEach((text, i) => {
		names.set(socketAddress(bytes(text), 3780, 7), i * NAME_SIZE);
	});
	return new Int32Array(names.buffer);
}

const network = (text: string): Network => {
	const [address, length] = text.split("/");
	return { address: bytes(address!), prefixLength: Number(length) };
};

function newGuard(speakers: Speakers, family: 4 | 6 = 4) {
	const state = { now: 0, notices: [] as string[], warnings: [] as string[] };
	const options: SourceGuardOptions = {
		family,
		speakers,
		format: formatBytes,
		clock: { now: () => state.now },
		notice: (text) => state.notices.push(text),
		warning: (text) => state.warnings.push(text),
	};
	const guard = new SourceGuard(options);
	const admits = (...texts: string[]): boolean[] => {
		const names = namesOf(...texts);
		return texts.map((_, i) => guard.admits(names, i));
	};
	const hear = (text: string): void => guard.heard(namesOf("0.0.0.0", text), 1);
	return { guard, state, admits, hear };
}

const listed = (...texts: string[]): Speakers => ({
	who: "listed",
	addresses: texts.map(bytes),
	named: "the Peers",
});
const first = (...texts: string[]): Speakers => ({ who: "first", networks: () => texts.map(network) });

test("with a key everybody may speak, and nobody is the only one", () => {
	const { guard, state, admits, hear } = newGuard({ who: "all" });
	hear("10.0.0.2");
	assert.deepEqual(admits("10.0.0.2", "192.0.2.1", "0.0.0.0"), [true, true, true]);
	assert.deepEqual([state.notices, state.warnings], [[], []]);
	assert.equal(guard.describe(0), "every node with a key may speak");
});

test("who is listed may speak, every bit of the address counts", () => {
	const v4 = newGuard(listed("10.0.0.2", "10.0.0.3", "fd00::2"));
	assert.deepEqual(v4.admits("10.0.0.3", "10.0.0.4", "10.0.0.2", "11.0.0.2", "10.0.1.3", "0.0.0.0"), [
		true,
		false,
		true,
		false,
		false,
		false,
	]);
	v4.hear("10.0.0.2");
	assert.deepEqual(v4.admits("10.0.0.3"), [true], "hearing one does not silence the others");
	const v6 = newGuard(listed("fd00::2", "10.0.0.2", "fd00::1:0:0:3"), 6);
	assert.deepEqual(
		v6.admits("fd00::2", "fd00::1:0:0:3", "fd00::1:0:0:2", "fd01::2", "fd00:0:1::2", "::", "fd00::3"),
		[true, true, false, false, false, false, false],
	);
});

test("nobody is listed, nobody may speak", () => {
	assert.deepEqual(newGuard(listed()).admits("0.0.0.0", "10.0.0.2"), [false, false]);
});

test("without a list the link's own networks may speak", () => {
	const v4 = newGuard(first("10.0.0.1/24", "172.16.5.1/20", "fd00::1/64", "192.0.2.1/32"));
	assert.deepEqual(
		v4.admits("10.0.0.99", "10.0.1.1", "172.16.15.9", "172.16.16.1", "192.0.2.1", "192.0.2.2", "0.0.0.0"),
		[true, false, true, false, true, false, false],
	);
	const v6 = newGuard(first("10.0.0.1/0", "fd00::1/64", "fe80::1/10"), 6);
	assert.deepEqual(v6.admits("fd00::ffff:0:0:1", "fd00:0:0:1::1", "febf::1", "fec0::1", "::1"), [
		true,
		false,
		true,
		false,
		false,
	]);
	assert.deepEqual(newGuard(first("10.0.0.1/0")).admits("0.0.0.0", "255.255.255.255"), [true, true]);
	const two = newGuard(first("10.0.0.1/24", "255.255.255.255/32"));
	assert.deepEqual(two.admits("255.255.255.0", "255.255.255.255"), [false, true], "a mask is no network");
});

test("the first node that has shaken hands is the only one from then on", () => {
	for (const [family, text, nodes] of [
		[4, "10.0.0.1/24", ["10.0.0.2", "10.0.0.3"]],
		[6, "fd00::1/64", ["fd00::2", "fd00::3"]],
	] as const) {
		const { guard, state, admits, hear } = newGuard(first(text), family);
		assert.deepEqual(admits(...nodes), [true, true]);
		assert.match(
			guard.describe(0),
			/^the first node of (10\.0\.0\.0\/24|fd00::\/64) to shake hands may speak$/,
		);
		hear(nodes[1]);
		assert.deepEqual(admits(...nodes), [false, true]);
		hear(nodes[0]);
		assert.deepEqual(admits(...nodes), [false, true], "a second one changes nothing");
		assert.equal(state.notices.length, 1);
		assert.match(state.notices[0]!, new RegExp(`^listening to ${nodes[1]} alone.*Peers or a key`));
		assert.equal(
			guard.describe(2),
			`only ${nodes[1]} may speak, the first node that has shaken hands, 2 datagrams of others dropped`,
		);
		state.now = 1e6;
		assert.deepEqual(admits(...nodes), [false, true], "for ever");
	}
});

test("the interface is looked at again for a stranger, but once in a second", () => {
	let looks = 0;
	const own: string[] = [];
	const { state, admits } = newGuard({
		who: "first",
		networks: () => {
			looks++;
			return own.map(network);
		},
	});
	assert.deepEqual([looks, admits("10.0.0.2"), looks], [1, [false], 1]);
	assert.match(state.warnings[0]!, /from 10\.0\.0\.2 .* not known yet/);
	own.push("10.0.0.1/24");
	state.now = 999;
	assert.deepEqual(admits("10.0.0.2", "10.0.0.3"), [false, false]);
	assert.equal(looks, 1);
	state.now = 1000;
	assert.deepEqual(admits("10.0.0.2", "10.0.0.3"), [true, true]);
	own[0] = "10.1.0.1/24";
	state.now = 1999;
	assert.deepEqual(admits("10.1.0.2"), [false]);
	state.now = 2000;
	assert.deepEqual(admits("10.1.0.2", "10.0.0.2"), [true, false], "an address that has changed");
	assert.equal(looks, 3);
});

test("who is refused is named in one line in ten seconds, with what helps", () => {
	const { state, admits, hear } = newGuard(first("10.0.0.1/24"));
	admits("192.0.2.7");
	assert.deepEqual(state.warnings, [
		"dropped a datagram from 192.0.2.7 on the dedicated link: it is not of 10.0.0.0/24; " +
			"to hear it, name all nodes in Peers, or use a key",
	]);
	hear("10.0.0.2");
	for (state.now = 1; state.now < 10_000; state.now += 100) admits("10.0.0.2", "10.0.0.3");
	assert.equal(state.warnings.length, 1);
	state.now = 10_000;
	admits("10.0.0.4");
	assert.equal(
		state.warnings[1],
		"dropped 101 datagrams, the last from 10.0.0.4 on the dedicated link: 10.0.0.2 was the first to shake hands; " +
			"to hear it, name all nodes in Peers, or use a key",
	);
	const other = newGuard(listed("fd00::2"), 6);
	other.admits("fd00::3");
	assert.match(other.state.warnings[0]!, /from fd00::3 on the dedicated link: it is not one of the Peers$/);
});

test("an admitted datagram is no reason for a line", () => {
	const { state, admits } = newGuard(listed("10.0.0.2"));
	admits("10.0.0.2");
	assert.deepEqual(state.warnings, []);
});

test("only a datagram of an epoch that is adopted makes its sender the only one", () => {
	const sim = new Simulation(5, 3);
	const [listener, ...others] = sim.nodes as [(typeof sim.nodes)[0], ...typeof sim.nodes];
	const { guard, state } = newGuard(first("10.0.0.0/24"));
	const answers: { sender: number; isGood: boolean; hadShakenHands: boolean }[] = [];
	const receive = listener.ftfw.receive.bind(listener.ftfw);
	listener.ftfw.receive = (datagram, start, end, now) => {
		const sender = datagram[start + 7]!;
		const names = namesOf(`10.0.0.${sender}`);
		if (!guard.admits(names, 0)) return false;
		const isGood = receive(datagram, start, end, now);
		const peer = listener.ftfw.peers.find(({ node }) => node === sender);
		answers.push({ sender, isGood, hadShakenHands: peer?.epoch !== undefined });
		if (isGood) guard.heard(names, 0);
		return isGood;
	};
	for (const node of others) for (let key = 0; key < 50; key++) sim.set(node, node.id * 100 + key, 1);
	sim.run(3000);
	const greetings = answers.slice(
		0,
		answers.findIndex(({ isGood }) => isGood),
	);
	assert.ok(greetings.length > 0, "the first datagrams are greetings of strangers");
	assert.ok(greetings.every(({ hadShakenHands }) => !hadShakenHands));
	assert.ok(answers.every(({ isGood, hadShakenHands }) => !isGood || hadShakenHands));
	assert.equal(state.notices.length, 1);
	const heard = listener.ftfw.peers.filter(({ isUp }) => isUp);
	assert.equal(heard.length, 1);
	assert.ok(state.notices[0]!.includes(`10.0.0.${heard[0]!.node} `));
	assert.equal(sim.held(listener, others.find(({ id }) => id === heard[0]!.node)!).size, 50);
	const silenced = others.find(({ id }) => id !== heard[0]!.node)!;
	assert.equal(sim.held(listener, silenced).size, 0);
});

test("a spoilt datagram, a repeated one and one's own are not good", () => {
	const sim = new Simulation(6, 2);
	const [a, b] = sim.nodes as [(typeof sim.nodes)[0], (typeof sim.nodes)[0]];
	const recorded: Uint8Array[] = [];
	const receive = a.ftfw.receive.bind(a.ftfw);
	a.ftfw.receive = (datagram, start, end, now) => {
		recorded.push(datagram.slice(start, end));
		return receive(datagram, start, end, now);
	};
	sim.run(2500);
	sim.set(b, 1, 1);
	sim.run(5);
	const last = recorded.at(-1)!;
	assert.equal(receive(last, 0, last.length, sim.now), false, "repeated");
	assert.equal(b.ftfw.receive(last, 0, last.length, sim.now), false, "one's own");
	assert.equal(receive(last, 0, 10, sim.now), false, "cut");
	const spoilt = last.slice();
	spoilt[spoilt.length - 1]! ^= 1;
	spoilt[23]! += 1; // a sequence number that has not been seen
	assert.equal(receive(spoilt, 0, spoilt.length, sim.now), false, "spoilt");
	sim.start(b);
	let answers: boolean[] = [];
	a.ftfw.receive = (datagram, start, end, now) => {
		const isGood = receive(datagram, start, end, now);
		// what its last life has sent may still be on its way
		if (answers.length > 0 || (datagram[start + 3]! & FLAG_HELLO) !== 0) answers.push(isGood);
		return isGood;
	};
	sim.run(2);
	assert.equal(answers[0], false, "of an epoch that is not adopted yet");
	answers = [];
	sim.run(2500);
	assert.ok(answers.length > 0 && answers.at(-1), "of the new epoch");
});

test("who is listed and has said nothing, or nothing good, is known", () => {
	const { guard, admits, hear } = newGuard(listed("10.0.0.2", "fd00::2", "10.0.0.3", "10.0.0.4"));
	admits("10.0.0.3", "10.0.0.4", "10.0.0.9");
	hear("10.0.0.4");
	assert.deepEqual(guard.attendance, [
		{ address: "10.0.0.2", hasSpoken: false, isHeard: false },
		{ address: "10.0.0.3", hasSpoken: true, isHeard: false },
		{ address: "10.0.0.4", hasSpoken: true, isHeard: true },
	]);
});

test("where nobody is listed it is known whether anybody has spoken", () => {
	for (const speakers of [{ who: "all" } as const, first("10.0.0.0/24")]) {
		const { guard, admits, hear } = newGuard(speakers);
		if (speakers.who === "first") admits("192.0.2.1");
		assert.deepEqual(guard.attendance, [{ hasSpoken: false, isHeard: false }]);
		admits("10.0.0.2");
		assert.deepEqual(guard.attendance, [{ hasSpoken: true, isHeard: false }]);
		hear("10.0.0.2");
		admits("10.0.0.2");
		assert.deepEqual(guard.attendance, [{ hasSpoken: true, isHeard: true }]);
	}
});
