import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Expectation, expectationFromRecord } from "../conntrack/conntrack.ts";
import { newExpectationRecord } from "../conntrack/expectation-record.ts";
import { NameTable } from "../conntrack/names.ts";
import {
	type AttributeNode,
	attributeBytes,
	hexBytes,
	parseAttributes,
	shortened,
} from "./attribute-tree.ts";
import { EXPECTATION_IPV6, EXPECTATION_WITH_NAT } from "./captured.ts";
import { ExpectationDecoder } from "./decode-expectation.ts";
import { guardMessage } from "./guarded-wire.ts";

const MESSAGES = [EXPECTATION_WITH_NAT, EXPECTATION_IPV6].map((table) => hexBytes(table).slice(4));

/** What the attributes say, or false; throws if the decoder reads anything else. The record is not clean before. */
function decode(attributes: Uint8Array): Expectation | false {
	const names = new NameTable();
	const record = newExpectationRecord().fill(0x55555555);
	const { wire, start, end } = guardMessage(attributes);
	const isWhole = new ExpectationDecoder(names).decode(wire, start, end, record);
	return isWhole && expectationFromRecord(record, names);
}

const decodeNodes = (nodes: AttributeNode[]) => decode(attributeBytes(nodes));
const anyMessage = fc.constantFrom(...MESSAGES);

test("an expectation with NAT is read from the kernel's bytes", () => {
	assert.deepEqual(decode(MESSAGES[0]!), {
		family: "ipv4",
		protocol: 6,
		zone: 0,
		src: "10.10.2.20",
		dst: "10.10.2.254",
		sport: 0,
		dport: 46679,
		mask: {
			family: "ipv4",
			protocol: 6,
			src: "255.255.255.255",
			dst: "255.255.255.255",
			sport: 0,
			dport: 65535,
		},
		master: {
			family: "ipv4",
			protocol: 6,
			src: "10.10.1.10",
			dst: "10.10.2.20",
			sport: 48602,
			dport: 21,
		},
		class: 0,
		timeout: 300,
		id: 0x3ff3bb52,
		helper: "ftp",
		fn: "nat-follow-master",
		flags: 0,
		nat: {
			family: "ipv4",
			protocol: 6,
			src: "0.0.0.0",
			dst: "0.0.0.0",
			sport: 46679,
			dport: 0,
			direction: 1,
		},
	});
});

test("an expectation over IPv6 is read from the kernel's bytes", () => {
	const all = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
	assert.deepEqual(decode(MESSAGES[1]!), {
		family: "ipv6",
		protocol: 6,
		zone: 0,
		src: "fd10:1::10",
		dst: "fd10:2::20",
		sport: 0,
		dport: 41535,
		mask: { family: "ipv6", protocol: 6, src: all, dst: all, sport: 0, dport: 65535 },
		master: {
			family: "ipv6",
			protocol: 6,
			src: "fd10:1::10",
			dst: "fd10:2::20",
			sport: 47232,
			dport: 21,
		},
		class: 0,
		timeout: 300,
		id: 0xea7d06f7,
		helper: "ftp",
		fn: "nat-follow-master",
		flags: 0,
		nat: { family: "ipv6", protocol: 6, src: "::", dst: "::", sport: 41535, dport: 0, direction: 0 },
	});
});

test("class, flags and zone are read, and are absent or zero where the kernel is silent", () => {
	const nodes = parseAttributes(MESSAGES[0]!);
	const kept = nodes.filter(({ type }) => type <= 3);
	const bare = decodeNodes(kept) as Expectation;
	assert.equal(bare.zone, 0);
	for (const field of ["class", "timeout", "id", "helper", "fn", "flags", "nat"] as const) {
		assert.equal(bare[field], undefined, field);
	}
	const u32 = (type: number, ...payload: number[]) => ({ type, payload: Uint8Array.from(payload) });
	const full = decodeNodes([...kept, u32(7, 0, 9), u32(8, 0, 0, 0, 3), u32(9, 0xff, 0, 0, 1)]) as Expectation;
	assert.equal(full.zone, 9);
	assert.equal(full.flags, 3);
	assert.equal(full.class, 0xff000001);
});

test("NAT that the kernel shows for the broadcast helpers is what its memory held before, and is not read", () => {
	const named = (name: string) =>
		decodeNodes([
			...parseAttributes(MESSAGES[0]!).filter(({ type }) => type !== 6),
			{ type: 6, payload: new TextEncoder().encode(`${name}\0`) },
		]) as Expectation;
	assert.equal(named("netbios-ns").nat, undefined);
	assert.equal(named("snmp").nat, undefined);
	assert.notEqual(named("irc").nat, undefined);
});

test("a message without tuple, mask or master is refused", () => {
	for (const message of MESSAGES) {
		for (const missing of [1, 2, 3]) {
			assert.equal(decodeNodes(parseAttributes(message).filter(({ type }) => type !== missing)), false);
		}
	}
	assert.equal(decode(new Uint8Array()), false);
});

test("the order of attributes makes no difference, and those that nobody knows are passed over", () => {
	const foreign = fc.record({
		type: fc.integer({ min: 12, max: 0x3fff }),
		payload: fc.uint8Array({ maxLength: 30 }),
	});
	fc.assert(
		fc.property(
			anyMessage.chain((bytes) => {
				const nodes = parseAttributes(bytes);
				return fc.tuple(
					fc.constant(bytes),
					fc.shuffledSubarray(nodes, { minLength: nodes.length }),
					fc.array(fc.tuple(fc.nat(10), foreign), { maxLength: 4 }),
				);
			}),
			([bytes, nodes, additions]) => {
				const mixed: AttributeNode[] = nodes.map((node) =>
					node.type === 10
						? { ...node, children: [...node.children!, ...additions.map(([, it]) => it)] }
						: node,
				);
				for (const [place, node] of additions) mixed.splice(place, 0, node);
				assert.deepEqual(decodeNodes(mixed), decode(bytes));
			},
		),
	);
});

test("a message that is cut anywhere is refused, unless what is left is whole and enough", () => {
	for (const message of MESSAGES) {
		const view = new DataView(message.buffer, message.byteOffset, message.length);
		for (let end = 0; end < message.length; end++) {
			let at = 0;
			const seen = new Set<number>();
			while (at + 4 <= end && at + view.getUint16(at, true) <= end) {
				seen.add(message[at + 2]!);
				at += Math.ceil(view.getUint16(at, true) / 4) * 4;
			}
			// fewer bytes than a header has are not an attribute
			const isWhole = at + 4 > end && [1, 2, 3].every((type) => seen.has(type));
			assert.equal(decode(message.slice(0, end)) !== false, isWhole, `cut at ${end} of ${message.length}`);
		}
	}
});

test("a number or an address that is too short is refused, and nothing is read in its place", () => {
	for (const message of MESSAGES) {
		const zone = { type: 7, payload: Uint8Array.of(0, 9) };
		for (const { path, nodes } of shortened([...parseAttributes(message), zone])) {
			// a name may have any length
			if (path[0] === 6 || path[0] === 11) decodeNodes(nodes);
			else assert.equal(decodeNodes(nodes), false, path.join("."));
		}
	}
});

test("whatever bytes are wrong, the answer is yes or no and nothing outside is read", () => {
	const change = fc.tuple(
		fc.nat(511),
		fc.oneof(fc.integer({ min: 0, max: 64 }), fc.integer({ min: 0, max: 0xffff })),
	);
	fc.assert(
		fc.property(
			anyMessage,
			fc.array(change, { minLength: 1, maxLength: 6 }),
			fc.boolean(),
			(message, changes, half) => {
				const bytes = message.slice();
				for (const [place, value] of changes) {
					// lengths stand at multiples of four; half of the runs hit nothing else
					const at = (half ? place * 4 : place) % (bytes.length - 1);
					bytes[at] = value;
					bytes[at + 1] = value >> 8;
				}
				decode(bytes);
			},
		),
		{ numRuns: 1500 },
	);
	fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void decode(bytes)));
});
