// Two nodes that both forward, under a virtual clock: a seeded link that loses, repeats and reorders, connections whose packets
// take whichever node chance wants, and the modelled kernels of both, in which timers run. In the end, and on the way:
//   - no packet of a connection that both nodes have known for a while meets a kernel without it
//   - what is over goes from both kernels, and does not come back
//   - both nodes tell of nothing then
import assert from "node:assert/strict";
import { test } from "node:test";
import { type InternalCaches, newInternalCaches } from "./cache/internal-cache.ts";
import { Injection } from "./commit/injection.ts";
import { ModelKernel } from "./commit/model-kernel.ts";
import { ModelTables, originalKey } from "./commit/model-tables.ts";
import { type Conntrack, conntrackToRecord } from "./conntrack/conntrack.ts";
import { CONNTRACK } from "./conntrack/kind.ts";
import { NameTable } from "./conntrack/names.ts";
import { type ConntrackRecord, newConntrackRecord, PROTOINFO, STATUS, TIMEOUT } from "./conntrack/record.ts";
import type { EventRouter } from "./event-router.ts";
import { injectingRouter } from "./injection-kit.ts";
import { TCP } from "./netlink/kernel-cases.ts";
import { Ftfw } from "./sync/ftfw.ts";
import { Random } from "./sync/simulation.ts";
import { EPOCH_SIZE } from "./sync/wire/frame.ts";
import { PlainSeal } from "./sync/wire/seal.ts";
import type { Clock } from "./system/clock.ts";
import { loadNative } from "./system/native.ts";

const SYN_SENT = 1;
const SYN_RECV = 2;
const ESTABLISHED = 3;
const FIN_WAIT = 4;
const LAST_ACK = 6;
const TIME_WAIT = 7;
/** Seconds by TCP state, in the kernels of this test. */
const TIMEOUTS = [0, 5, 5, 20, 4, 4, 3, 4, 2] as const;
const STEP_MS = 5;

class SimulatedKernel {
	readonly names = new NameTable();
	readonly tables = new ModelTables({ knowsHelper: () => true, max: 0 });
	readonly internal: InternalCaches;
	readonly ftfw: Ftfw;
	readonly injection: Injection;
	readonly router: EventRouter;
	readonly refused: string[] = [];

	constructor(id: number, clock: Clock, random: Random, send: (bytes: Uint8Array) => void) {
		const { names } = this;
		this.internal = newInternalCaches(id, 10_000);
		const { conntracks, expectations } = this.internal;
		const internal = [conntracks, expectations] as const;
		const entropy = (size: number): Uint8Array => Uint8Array.from({ length: size }, () => random.below(256));
		this.ftfw = new Ftfw({
			node: id,
			epoch: entropy(EPOCH_SIZE),
			internal: this.internal,
			names,
			hashSeed: id,
			externalLimit: 10_000,
			datagramMax: 600,
			credit: 64,
			isActiveActive: true,
			seal: new PlainSeal(),
			sink: (bytes, end) => send(bytes.slice(0, end)),
			entropy,
			rejected: () => {},
			notice: () => {},
		});
		this.injection = new Injection({
			native: new ModelKernel(this.tables, names).native(loadNative()),
			names,
			clock,
			internal,
			windowTracking: false,
			isActiveActive: true,
			termBegan: () => -1,
			isPrimary: () => false,
			isCommitting: () => false,
			drain: () => {},
			pump: () => this.ftfw.pump(clock.now()),
			refused: (_, { cause }) => void this.refused.push(String(cause)),
			failed: (error) => assert.fail(error),
			sysctl: () => undefined,
		});
		this.ftfw.onPeer = (peer) => this.injection.follow(peer);
		this.router = injectingRouter(internal, this.injection, clock, () => this.ftfw.pump(clock.now()));
	}

	find(flow: Flow): ConntrackRecord | undefined {
		return this.tables.find(originalKey(flow.record));
	}

	/** A packet of the flow comes through this kernel: "lost" if there is no entry to which it belongs. */
	packet(flow: Flow, kind: "syn" | "syn-ack" | "ack" | "data" | "fin" | "fin-back" | "last"): "ok" | "lost" {
		let entry = this.find(flow);
		if (!entry || (kind === "syn" && state(entry) >= TIME_WAIT)) {
			if (kind !== "syn") return "lost";
			if (entry) this.end(entry);
			entry = newConntrackRecord();
			entry.set(flow.record);
			setState(entry, SYN_SENT);
			entry[STATUS] = 0x8;
			assert.equal(this.tables.create(entry), 0);
			this.event(entry, "new");
			return "ok";
		}
		const before = state(entry);
		let next = before;
		if (kind === "syn-ack" && before === SYN_SENT) next = SYN_RECV;
		// data acknowledges, too
		else if ((kind === "ack" || kind === "data") && before === SYN_RECV) next = ESTABLISHED;
		else if (kind === "fin" && before <= ESTABLISHED) next = FIN_WAIT;
		else if (kind === "fin-back" && before <= 5) next = LAST_ACK;
		else if (kind === "last" && before === LAST_ACK) next = TIME_WAIT;
		setState(entry, next);
		const status = entry[STATUS]! | (kind === "syn-ack" ? 2 : 0) | (next >= ESTABLISHED ? 6 : 0);
		const isNews = next !== before || status !== entry[STATUS];
		entry[STATUS] = status;
		if (isNews) this.event(entry, "update");
		return "ok";
	}

	/** A second passes in the kernel. */
	second(flows: readonly Flow[]): void {
		for (const flow of flows) {
			const entry = this.find(flow);
			if (entry && --entry[TIMEOUT]! <= 0) this.end(entry);
		}
	}

	end(entry: ConntrackRecord): void {
		const gone = entry.slice();
		this.tables.delete(entry);
		this.event(gone, "destroy");
	}

	event(entry: ConntrackRecord, event: "new" | "update" | "destroy"): void {
		this.router.conntrack(event, entry.slice(), 0);
		this.router.batchEnd();
	}
}

interface Flow {
	record: ConntrackRecord;
	/** Milliseconds from its beginning on. */
	age: number;
	delay: number;
	phase: "waiting" | "opening" | "open" | "closing" | "over";
}

const state = (entry: ConntrackRecord): number => entry[PROTOINFO]! & 0xff;
function setState(entry: ConntrackRecord, next: number): void {
	entry[PROTOINFO] = (entry[PROTOINFO]! & ~0xff) | next;
	entry[TIMEOUT] = TIMEOUTS[next]!;
}

async function run(seed: number, weather: { loss: number; late: number }): Promise<string[]> {
	const random = new Random(seed);
	const names = new NameTable();
	let now = 1000;
	const timers: { at: number; run: () => void }[] = [];
	const clock: Clock = {
		now: () => now,
		after: (milliseconds, callback) => {
			const timer = { at: now + milliseconds, run: callback };
			timers.push(timer);
			return () => void timers.splice(timers.indexOf(timer) >>> 0, 1);
		},
		pause: () => Promise.resolve(),
		wall: () => new Date(0),
	};
	const packets: { at: number; to: number; bytes: Uint8Array }[] = [];
	const nodes = [1, 2].map(
		(id, i) =>
			new SimulatedKernel(id, clock, random, (bytes) => {
				for (let copies = random.chance(0.05) ? 2 : 1; copies > 0; copies--) {
					if (random.chance(weather.loss)) continue;
					packets.push({ at: now + 0.3 + random.next() * weather.late, to: 1 - i, bytes });
				}
			}),
	);
	const flows: Flow[] = Array.from({ length: 40 }, (_, i) => {
		const conntrack: Conntrack = {
			...TCP,
			orig: { ...TCP.orig, sport: 1000 + i },
			reply: { ...TCP.reply, dport: 1000 + i },
		};
		return {
			record: conntrackToRecord(conntrack, names),
			age: 0,
			delay: random.below(20_000),
			phase: "waiting",
		};
	});
	const violations: string[] = [];
	const any = (): SimulatedKernel => nodes[random.below(2)]!;
	const live = (flow: Flow): void => {
		flow.age += STEP_MS;
		const said = (what: string): void => void violations.push(`${now} flow ${flows.indexOf(flow)} ${what}`);
		if (flow.phase === "waiting") {
			if (now < flow.delay) return;
			any().packet(flow, "syn");
			flow.phase = "opening";
			flow.age = 0;
		} else if (flow.phase === "opening") {
			// whoever hears nothing repeats: the other node may not have had the state
			if (flow.age % 500 === 0 && any().packet(flow, "syn-ack") === "lost") return;
			if (flow.age === 600 || flow.age === 1100 || flow.age === 1600) any().packet(flow, "ack");
			if (flow.age > 2500) flow.phase = "open";
		} else if (flow.phase === "open") {
			if (flow.age % 400 === 0 && any().packet(flow, "data") === "lost") {
				said(`is not known: ${nodes.map((node) => node.find(flow)).map((entry) => entry && state(entry))}`);
			}
			if (flow.age > 14_000) {
				flow.phase = "closing";
				flow.age = 0;
				any().packet(flow, "fin");
			}
		} else if (flow.phase === "closing") {
			if (flow.age === 400) any().packet(flow, "fin-back");
			if (flow.age === 800) any().packet(flow, "last");
			if (flow.age > 1000) {
				flow.phase = "over";
				// half of the ports are used again, at once or after the end
				if (random.chance(0.3)) {
					flow.phase = "waiting";
					flow.delay = now + random.below(8000);
				}
			}
		}
	};
	const isQuiet = (): boolean => flows.every(({ phase }) => phase === "over");
	let quietAt = Number.POSITIVE_INFINITY;
	while (now < 400_000) {
		now += STEP_MS;
		for (let i = packets.length - 1; i >= 0; i--) {
			const packet = packets[i]!;
			if (packet.at > now) continue;
			packets.splice(i, 1);
			const to = nodes[packet.to]!.ftfw;
			to.receive(packet.bytes, 0, packet.bytes.length, now);
			to.pump(now);
		}
		for (const timer of timers.filter(({ at }) => at <= now)) {
			timers.splice(timers.indexOf(timer), 1);
			timer.run();
		}
		if (now > 4000) for (const flow of flows) live(flow);
		for (const { ftfw } of nodes) ftfw.tick(now);
		await Promise.resolve();
		if (now % 1000 === 0) for (const node of nodes) node.second(flows);
		if (isQuiet()) quietAt = Math.min(quietAt, now);
		if (now > quietAt + 15_000) break;
	}
	for (const [i, node] of nodes.entries()) {
		const left = flows.filter((flow) => node.find(flow));
		for (const flow of left)
			violations.push(`node ${i + 1} has still a connection in state ${state(node.find(flow)!)}`);
		const told = node.internal.conntracks.store.live;
		if (told > 0) violations.push(`node ${i + 1} tells of ${told} connections`);
		const held = node.ftfw.peers[0]?.external[CONNTRACK].store.live;
		if (held !== 0) violations.push(`node ${i + 1} holds ${held} connections of its peer`);
		if (node.refused.length > 0) violations.push(`node ${i + 1} refused: ${node.refused[0]}`);
		node.injection.close();
	}
	return violations;
}

for (const [name, weather] of [
	["a good link", { loss: 0, late: 0.4 }],
	["a link that loses and reorders", { loss: 0.2, late: 20 }],
] as const) {
	test(`connections over two nodes at once live and end on both: ${name}`, async () => {
		for (let seed = 1; seed <= 5; seed++) assert.deepEqual(await run(seed, weather), [], `seed ${seed}`);
	});
}
