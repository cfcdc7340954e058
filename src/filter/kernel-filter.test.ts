// The program for the kernel against the filter itself, on a real kernel's events. KERNEL_FILTER_FLOWS=1000000 for a
// long run; KERNEL_FILTER_SEED repeats one.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { KernelTables } from "../commit/kernel-tables.ts";
import { type Conntrack, conntrackFromRecord } from "../conntrack/conntrack.ts";
import { NameTable } from "../conntrack/names.ts";
import { TCP_CONNTRACK_MAX, TCP_STATES } from "../conntrack/protoinfo.ts";
import { type EventKind, EventListener } from "../netlink/event-listener.ts";
import { CONTROL, EXPECTATION } from "../netlink/kernel-cases.ts";
import { Random } from "../sync/simulation.ts";
import { systemClock } from "../system/clock.ts";
import { loadNative } from "../system/native.ts";
import { isInPrivateNetwork } from "../system/private-network.ts";
import { Filter, type FilterPolicy } from "./filter.ts";
import { kernelFilter } from "./kernel-filter.ts";
import type { Prefix } from "./prefix-set.ts";

const FLOWS = Number(process.env.KERNEL_FILTER_FLOWS ?? 5_000);
const SEED = Number(process.env.KERNEL_FILTER_SEED ?? 1);
/** Flows under one policy. */
const ROUND = 500;
const BUFFER = 32 << 20;

if (isInPrivateNetwork(import.meta.url)) {
	const names = new NameTable();
	const native = loadNative();
	const kernel = new KernelTables(native, systemClock, names);
	after(() => kernel.close());

	/** What a listener hears, as a line for each event; `judge` decides which count. */
	class Ear {
		readonly heard: string[] = [];
		readonly listener: EventListener;

		constructor(judge: (kind: EventKind, record: Int32Array) => boolean, filter?: Uint8Array) {
			const { heard } = this;
			this.listener = new EventListener({
				native,
				clock: systemClock,
				names,
				expectations: true,
				receiveBuffer: BUFFER,
				reliable: false,
				ignorePorts: [],
				...(filter && { filter }),
				handler: {
					conntrack: (kind, record) => {
						if (judge(kind, record)) {
							heard.push(`${kind} ${JSON.stringify(conntrackFromRecord(record, names))}`);
						}
					},
					expectation: (kind) => void heard.push(`${kind} expectation`),
					batchEnd: () => {},
					overrun: () => assert.fail("events were lost: nothing can be said"),
				},
			});
		}

		/** What has come since the last call. */
		take(): string[] {
			this.listener.drain();
			return this.heard.splice(0);
		}

		close(): void {
			this.listener.close();
		}
	}

	/** What the kernel is not asked to judge. */
	const judgeLeft = ({ mark, label }: FilterPolicy): ((kind: EventKind, record: Int32Array) => boolean) => {
		const filter = new Filter({ ...(mark && { mark }), ...(label && { label }) }, []);
		return (_, record) => filter.passes(record);
	};

	/** As the daemon does without a program: the end of what was taken counts whatever its TCP state. */
	const judgeOf = (policy: FilterPolicy): ((kind: EventKind, record: Int32Array) => boolean) => {
		const filter = new Filter(policy, []);
		const { state: _, ...others } = policy;
		const atTheEnd = new Filter(others, []);
		return (kind, record) => (kind === "destroy" ? atTheEnd : filter).passes(record);
	};

	test(`the kernel drops what the filter would, and nothing else: ${FLOWS} flows, seed ${SEED}`, () => {
		const random = new Random(SEED);
		const verdicts = { passed: 0, dropped: 0 };
		for (let done = 0; done < FLOWS; done += ROUND) {
			const policy = policyOf(random);
			const all = new Ear(() => true);
			const judged = new Ear(judgeOf(policy));
			const filtered = new Ear(judgeLeft(policy), kernelFilter(policy, []));
			const flows = Array.from({ length: ROUND }, (_, i) => flowOf(random, i));
			kernel.createAll(flows);
			for (const flow of flows.slice(0, 50)) kernel.update({ ...flow, mark: 7 });
			for (const flow of flows.slice(50, 100)) kernel.update({ ...flow, mark: 0 });
			kernel.flush();
			const count = all.take().length;
			const heard = filtered.take();
			assert.ok(count > ROUND, `only ${count} events`);
			assert.deepEqual(heard, judged.take(), `flows from ${done} on under ${JSON.stringify(policy)}`);
			verdicts.passed += heard.length;
			verdicts.dropped += count - heard.length;
			for (const ear of [all, judged, filtered]) ear.close();
		}
		assert.ok(verdicts.passed > FLOWS / 4 && verdicts.dropped > FLOWS / 4, JSON.stringify(verdicts));
	});

	test("events of the given ports are dropped, others and expectations are not", () => {
		const nothing: FilterPolicy = { protocol: { accept: true, protocols: [] } };
		const mute = new Ear(() => true, kernelFilter({}, [kernel.port]));
		const picky = new Ear(() => true, kernelFilter(nothing, [1, 2]));
		kernel.create(CONTROL);
		assert.equal(kernel.expect(EXPECTATION), "ok");
		kernel.flush();
		assert.deepEqual(
			mute.take().filter((line) => !line.startsWith("destroy expectation")),
			[],
		);
		assert.ok(picky.take().every((line) => line.endsWith("expectation")));
		for (const ear of [mute, picky]) ear.close();
	});
}

/** Few addresses, so that flows meet rules. */
function addressOf(random: Random, family: 4 | 6): Uint8Array {
	const some = (): number => [1, 2, 3, 0xfe][random.below(4)]!;
	return family === 4
		? Uint8Array.of(10, some(), 0, some())
		: Uint8Array.of(0xfd, some(), 0, 0, some(), ...Array(10).fill(0), some());
}

function textOf(address: Uint8Array): string {
	if (address.length === 4) return address.join(".");
	const groups = Array.from({ length: 8 }, (_, i) =>
		(address[2 * i]! * 256 + address[2 * i + 1]!).toString(16),
	);
	return groups.join(":");
}

function policyOf(random: Random): FilterPolicy {
	const some = <T>(most: number, make: () => T): T[] => Array.from({ length: random.below(most + 1) }, make);
	const prefix = (): Prefix => {
		const family = random.chance(0.5) ? 4 : 6;
		return {
			family,
			address: addressOf(random, family),
			prefixLength: random.below(family === 4 ? 33 : 129),
		};
	};
	const accept = (): boolean => random.chance(0.5);
	return {
		...(random.chance(0.5) && {
			protocol: { accept: accept(), protocols: some(3, () => [6, 17, 1, 132, 47][random.below(5)]!) },
		}),
		...(random.chance(0.6) && { address: { accept: accept(), rules: some(4, prefix) } }),
		...(random.chance(0.5) && {
			state: { accept: accept(), tcpStates: some(5, () => random.below(TCP_CONNTRACK_MAX)) },
		}),
		...(random.chance(0.5) && {
			zone: { accept: accept(), zones: some(3, () => ZONES[random.below(ZONES.length)]!) },
		}),
		...(random.chance(0.2) && {
			mark: { accept: accept(), marks: some(2, () => ({ value: 7 * random.below(2), mask: 0xff })) },
		}),
		...(random.chance(0.1) && { label: { accept: false, labels: some(2, () => random.below(128)) } }),
	};
}

const ZONES = [0, 1, 2, 300, 65535];

/** A connection of its own; about half of them are translated. */
function flowOf(random: Random, index: number): Conntrack {
	const family = random.chance(0.5) ? 4 : 6;
	const protocol = [6, 6, 17, 132][random.below(4)]!;
	const src = textOf(addressOf(random, family));
	const dst = textOf(addressOf(random, family));
	const back = random.chance(0.5) ? dst : textOf(addressOf(random, family));
	const [sport, dport] = [1024 + index, 80];
	const zone = random.chance(0.5) ? 0 : ZONES[random.below(ZONES.length)]!;
	// in one direction only, or in both
	const [zoneOrig, zoneReply] = [
		[zone, zone],
		[zone, 0],
		[0, zone],
	][random.below(3)] as [number, number];
	return {
		family: family === 4 ? "ipv4" : "ipv6",
		protocol,
		zoneOrig,
		zoneReply,
		...(random.chance(0.5) && { mark: 7 }),
		orig: { src, dst, sport, dport },
		reply: { src: back, dst: src, sport: dport, dport: sport },
		status: 0xe,
		timeout: 300,
		...(protocol === 6 && {
			tcp: {
				state: TCP_STATES[1 + random.below(8)]!,
				scaleOrig: 7,
				scaleReply: 7,
				flagsOrig: 3,
				flagsReply: 3,
			},
		}),
	};
}
