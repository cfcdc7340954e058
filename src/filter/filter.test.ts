import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { labelMask } from "../conntrack/labels.ts";
import * as R from "../conntrack/record.ts";
import { INSTRUCTIONS_MAX } from "../netlink/socket-filter.ts";
import { Filter, type FilterPolicy, type OwnTraffic } from "./filter.ts";
import { kernelFilter } from "./kernel-filter.ts";
import type { Prefix } from "./prefix-set.ts";

/** A conntrack as the test sees it. */
interface Flow {
	family: 4 | 6;
	protocol: number;
	origSrc: Uint8Array;
	origDst: Uint8Array;
	dport: number;
	/** Absent: the kernel did not tell. */
	replySrc?: Uint8Array | undefined;
	tcpState?: number | undefined;
	/** Absent: not told, which is 0. */
	mark?: number | undefined;
	zones?: readonly [number, number] | undefined;
	labels?: readonly number[] | undefined;
}

function recordOf(flow: Flow): R.ConntrackRecord {
	const record = R.newConntrackRecord();
	const bytes = new Uint8Array(record.buffer);
	record[R.PROTOCOLS] = (flow.family === 4 ? 2 : 10) | (flow.protocol << 8);
	record[R.ORIG_PORTS] = 1024 | (flow.dport << 16);
	bytes.set(flow.origSrc, R.ORIG_SRC * 4);
	bytes.set(flow.origDst, R.ORIG_DST * 4);
	// meaningless unless H_REPLY says that it is there
	bytes.set(flow.replySrc ?? flow.origSrc, R.REPLY_SRC * 4);
	if (flow.replySrc) record[R.HAS]! |= R.H_REPLY;
	if (flow.tcpState !== undefined) {
		record[R.HAS]! |= R.H_TCP;
		record[R.PROTOINFO] = flow.tcpState | 0x7700;
	}
	// what is not told may be anything
	record[R.MARK] = flow.mark ?? 0x55;
	if (flow.mark !== undefined) record[R.HAS]! |= R.H_MARK;
	if (flow.zones) record[R.ZONES] = flow.zones[0] | (flow.zones[1] << 16);
	record.set(labelMask(flow.labels ?? [3]), R.LABELS);
	if (flow.labels) record[R.HAS]! |= R.H_LABELS;
	return record;
}

const bits = (bytes: Uint8Array): string => [...bytes].map((b) => b.toString(2).padStart(8, "0")).join("");
const sameBits = (a: Uint8Array, b: Uint8Array, length: number): boolean =>
	a.length === b.length && bits(a).slice(0, length) === bits(b).slice(0, length);

/** As the manual page says. Slow and obvious. */
function shouldPass(policy: FilterPolicy, own: readonly OwnTraffic[], flow: Flow): boolean {
	const isOwn = own.some(
		({ protocol, address, port }) =>
			protocol === flow.protocol && port === flow.dport && sameBits(address, flow.origDst, 128),
	);
	const { protocol, address, state, mark, zone, label } = policy;
	const isListed = (bytes: Uint8Array) =>
		address!.rules.some((rule) => sameBits(rule.address, bytes, rule.prefixLength));
	const verdicts = [
		!isOwn,
		!protocol || protocol.protocols.includes(flow.protocol) === protocol.accept,
		!address || (isListed(flow.origSrc) || isListed(flow.replySrc ?? flow.origDst)) === address.accept,
		!state ||
			flow.protocol !== 6 ||
			flow.tcpState === undefined ||
			state.tcpStates.includes(flow.tcpState) === state.accept,
		!mark ||
			mark.marks.some(({ value, mask }) => (BigInt(flow.mark ?? 0) & BigInt(mask)) === BigInt(value)) ===
				mark.accept,
		!zone || (flow.zones ?? [0, 0]).some((number) => zone.zones.includes(number)) === zone.accept,
		!label || (flow.labels ?? []).some((number) => label.labels.includes(number)) === label.accept,
	];
	return !verdicts.includes(false);
}

const protocols = fc.constantFrom(1, 6, 17, 47, 132, 255);
const ports = fc.constantFrom(53, 3780, 3781);
/** Few of them, so that flows meet rules and links. */
const addressOf = (family: 4 | 6): fc.Arbitrary<Uint8Array> =>
	fc
		.array(fc.constantFrom(0, 1, 10, 0xff), { minLength: 2, maxLength: 2 })
		.map(([first, last]) =>
			family === 4 ? [10, first!, 0, last!] : [0xfd, first!, ...Array(13).fill(0), last!],
		)
		.map((bytes) => Uint8Array.from(bytes));
const marks = fc.constantFrom(0, 1, 7, 0x10, 0x17, 0x80000001, 0xffffffff);
const zones = fc.constantFrom(0, 1, 2, 65535);
const labels = fc.constantFrom(0, 3, 31, 32, 127);
const families = fc.constantFrom(4 as const, 6 as const);
const flows: fc.Arbitrary<Flow> = families.chain((family) =>
	fc.record({
		family: fc.constant(family),
		protocol: protocols,
		origSrc: addressOf(family),
		origDst: addressOf(family),
		dport: ports,
		replySrc: fc.option(addressOf(family), { nil: undefined }),
		tcpState: fc.option(fc.nat(9), { nil: undefined }),
		mark: fc.option(marks, { nil: undefined }),
		zones: fc.option(fc.tuple(zones, zones), { nil: undefined }),
		labels: fc.option(fc.array(labels, { maxLength: 3 }), { nil: undefined }),
	}),
);
const rules: fc.Arbitrary<Prefix> = families.chain((family) =>
	fc.record({
		family: fc.constant(family),
		address: addressOf(family),
		prefixLength: fc.nat(family === 4 ? 32 : 128),
	}),
);
const policies: fc.Arbitrary<FilterPolicy> = fc.record(
	{
		protocol: fc.record({ accept: fc.boolean(), protocols: fc.array(protocols, { maxLength: 3 }) }),
		address: fc.record({ accept: fc.boolean(), rules: fc.array(rules, { maxLength: 3 }) }),
		state: fc.record({ accept: fc.boolean(), tcpStates: fc.array(fc.nat(9), { maxLength: 3 }) }),
		mark: fc.record({
			accept: fc.boolean(),
			marks: fc.array(fc.record({ value: marks, mask: marks }), { maxLength: 3 }),
		}),
		zone: fc.record({ accept: fc.boolean(), zones: fc.array(zones, { maxLength: 2 }) }),
		label: fc.record({ accept: fc.boolean(), labels: fc.array(labels, { maxLength: 2 }) }),
	},
	{ requiredKeys: [] },
);
const owns: fc.Arbitrary<OwnTraffic[]> = fc.array(
	fc.record({ protocol: fc.constantFrom(6, 17), address: families.chain(addressOf), port: ports }),
	{ maxLength: 3 },
);

test("a flow passes if and only if every clause lets it and it is not our own", () => {
	fc.assert(
		fc.property(policies, owns, fc.array(flows, { maxLength: 20 }), (policy, own, list) => {
			const filter = new Filter(policy, own);
			for (const flow of list) assert.equal(filter.passes(recordOf(flow)), shouldPass(policy, own, flow));
		}),
		{ numRuns: 1000 },
	);
});

const ip = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);
const tcp: Flow = {
	family: 4,
	protocol: 6,
	origSrc: ip(10, 0, 0, 1),
	origDst: ip(192, 0, 2, 9),
	dport: 443,
	replySrc: ip(10, 9, 9, 9),
	tcpState: 3,
};

test("without clauses everything passes but our own traffic, which no clause lets through", () => {
	const own = [{ protocol: 17, address: ip(225, 0, 0, 50), port: 3780 }];
	const sync: Flow = { ...tcp, protocol: 17, origDst: ip(225, 0, 0, 50), dport: 3780 };
	const everything: FilterPolicy = {
		protocol: { accept: true, protocols: [17] },
		address: { accept: true, rules: [{ family: 4, address: ip(0, 0, 0, 0), prefixLength: 0 }] },
	};
	for (const policy of [{}, everything]) assert.equal(new Filter(policy, own).passes(recordOf(sync)), false);
	const passes = (flow: Flow) => new Filter({}, own).passes(recordOf(flow));
	assert.equal(passes(tcp), true);
	assert.equal(passes({ ...sync, dport: 3781 }), true);
	assert.equal(passes({ ...sync, origDst: ip(225, 0, 0, 51) }), true);
	assert.equal(passes({ ...sync, protocol: 6 }), true);
});

test("a connection stays that leaves a listed state, and goes that leaves a listed mark or label", () => {
	const filter = new Filter(
		{
			state: { accept: true, tcpStates: [3] },
			mark: { accept: true, marks: [{ value: 0x10, mask: 0xf0 }] },
			label: { accept: false, labels: [127] },
		},
		[],
	);
	const judge = (change: Partial<Flow>, labelled?: Partial<Flow>) => {
		const record = recordOf({ ...tcp, mark: 0x1f, ...change });
		const labels = labelled ? recordOf({ ...tcp, ...labelled }) : record;
		return [filter.passes(record, labels), filter.belongs(record, labels)];
	};
	assert.deepEqual(judge({}), [true, true]);
	assert.deepEqual(judge({ tcpState: 4 }), [false, true]);
	assert.deepEqual(judge({ mark: 0x2f }), [false, false]);
	assert.deepEqual(judge({ labels: [127] }), [false, false]);
	assert.deepEqual(judge({}, { labels: [127] }), [false, false], "the event does not tell, the cache knows");
	assert.equal(filter.isSilentOfLabels(recordOf(tcp)), true);
	assert.equal(filter.isSilentOfLabels(recordOf({ ...tcp, labels: [] })), false);
	assert.deepEqual(
		[filter.isChangeable, new Filter({ zone: { accept: true, zones: [1] } }, []).isChangeable],
		[true, false],
	);
});

test("two links are two pairs of address and port, not four", () => {
	const own = [
		{ protocol: 17, address: ip(10, 0, 0, 1), port: 3780 },
		{ protocol: 17, address: ip(10, 0, 1, 1), port: 3781 },
	];
	const passes = (origDst: Uint8Array, dport: number) =>
		new Filter({}, own).passes(recordOf({ ...tcp, protocol: 17, origDst, dport }));
	assert.deepEqual([passes(ip(10, 0, 0, 1), 3780), passes(ip(10, 0, 1, 1), 3781)], [false, false]);
	assert.deepEqual([passes(ip(10, 0, 0, 1), 3781), passes(ip(10, 0, 1, 1), 3780)], [true, true]);
});

test("Address looks at the real destination, not at the translated one", () => {
	const policy = (address: Uint8Array): FilterPolicy => ({
		address: { accept: false, rules: [{ family: 4, address, prefixLength: 32 }] },
	});
	assert.equal(new Filter(policy(tcp.replySrc!), []).passes(recordOf(tcp)), false);
	assert.equal(new Filter(policy(tcp.origDst), []).passes(recordOf(tcp)), true);
	const untold = recordOf({ ...tcp, replySrc: undefined });
	assert.equal(new Filter(policy(tcp.origDst), []).passes(untold), false);
});

test("State says nothing of protocols other than TCP, nor of a TCP entry without a state", () => {
	const filter = new Filter({ state: { accept: true, tcpStates: [3] } }, []);
	assert.equal(filter.passes(recordOf(tcp)), true);
	assert.equal(filter.passes(recordOf({ ...tcp, tcpState: 4 })), false);
	assert.equal(filter.passes(recordOf({ ...tcp, tcpState: undefined })), true);
	assert.equal(filter.passes(recordOf({ ...tcp, protocol: 17, tcpState: undefined })), true);
});

test("more rules than a program has room for are an error that says what to do", () => {
	const rules = (count: number): Prefix[] =>
		Array.from({ length: count }, (_, i) => ({
			family: 4,
			address: Uint8Array.of(10, i >>> 8, i, 0),
			prefixLength: 24,
		}));
	const policy = (count: number): FilterPolicy => ({ address: { accept: false, rules: rules(count) } });
	assert.ok(kernelFilter(policy(300), []).length / 8 <= INSTRUCTIONS_MAX);
	assert.throws(() => kernelFilter(policy(1000), []), /too long for the kernel.*Userspace/);
});
