import assert from "node:assert/strict";
import { test } from "node:test";
import {
	makeCacheStats,
	makeInjectStats,
	makeLinkStats,
	makeNetworkStats,
	makePeerStats,
	makeQueueStats,
	makeRuntimeStats,
	type PeerStats,
} from "./counters.ts";
import {
	clusterJson,
	jsonLine,
	linksJson,
	networkJson,
	policyJson,
	queuesJson,
	resendJson,
	runtimeJson,
	securityJson,
	sideJson,
} from "./json.ts";

const parse = (members: Parameters<typeof jsonLine>[1]) => {
	const line = jsonLine("x", members);
	assert.match(line, /^\{"version":1,"kind":"x"[^\n]*\}\n$/);
	return JSON.parse(line);
};

test("integers are written in full, beyond 2^53 and beyond 10^21, too", () => {
	const line = jsonLine("x", {
		a: 2n ** 64n - 1n,
		b: Number.MAX_SAFE_INTEGER,
		c: 1e22,
		d: 0.25,
		e: -1,
		f: Number.NaN,
	});
	assert.equal(
		line,
		'{"version":1,"kind":"x","a":18446744073709551615,"b":9007199254740991,"c":10000000000000000000000,"d":0.25,"e":-1,"f":null}\n',
	);
});

test("text is escaped, and what is absent is left out", () => {
	assert.deepEqual(parse({ a: 'q"\n\u0000', b: undefined, c: [true, null, { d: "" }] }), {
		version: 1,
		kind: "x",
		a: 'q"\n\u0000',
		c: [true, null, { d: "" }],
	});
});

test("every counter of the text is there, by a name", () => {
	const all = parse({
		internal: sideJson({ kind: "cache", stats: { ...makeCacheStats(), active: 3, createOk: 4 } }),
		external: sideJson({
			kind: "inject",
			stats: { ...makeInjectStats(), createOk: 1, more: { held: 5, waiting: 6, kept: 7 } },
		}),
		links: linksJson([{ ...makeLinkStats("TCP", "eth3"), sentBytes: 8 }]),
		network: networkJson({ ...makeNetworkStats(), malformed: 9 }),
		runtime: runtimeJson({ ...makeRuntimeStats(), eventsReceived: 10 }),
		queues: queuesJson([{ ...makeQueueStats("txqueue", 11), elements: 12 }]),
		datagrams: resendJson([{ kind: "object", sequence: 13 }]),
		security: securityJson({ text: "one\ntwo", badSeal: 14 }),
	});
	assert.equal(Object.keys(all.internal).length, 13);
	assert.deepEqual([all.internal.type, all.internal.active, all.internal.createOk], ["cache", 3, 4]);
	assert.deepEqual([all.external.type, all.external.more], ["inject", { held: 5, waiting: 6, kept: 7 }]);
	assert.deepEqual(
		[all.links[0].device, all.links[0].sentBytes, all.links[0].tcp.server],
		["eth3", 8, false],
	);
	assert.deepEqual([all.network.malformed, all.runtime.eventsReceived], [9, 10]);
	assert.deepEqual(all.queues, [{ name: "txqueue", elements: 12, maximum: 11, noSpace: 0 }]);
	assert.deepEqual(all.datagrams, [{ kind: "object", sequence: 13 }]);
	assert.deepEqual(all.security, { notes: ["one", "two"], wrongSeals: 14 });
});

const peer = (changes: Partial<PeerStats>): PeerStats => ({
	...makePeerStats(167837954, "10.1.1.2"),
	...changes,
});

test("a peer says whether it is equal, and why not", () => {
	const verdict = (changes: Partial<PeerStats>) =>
		parse(
			clusterJson({
				node: { isPrimary: true, isActiveActive: false, term: 3 },
				peers: [peer({ state: "up", ...changes })],
			}),
		).peers[0].theirs;
	const { theirs } = peer({});
	assert.deepEqual(verdict({}), {
		verdict: "unverified",
		equalSecondsAgo: null,
		differingParts: 0,
		refused: 0,
		refusedBy: {},
		putRight: 0,
	});
	const told = { ...theirs, verifiedSeconds: 11, differing: 2, refused: 4, refusals: [1, 0, 3], wrong: 5 };
	assert.deepEqual(verdict({ theirs: told }), {
		verdict: "different",
		equalSecondsAgo: 11,
		differingParts: 2,
		refused: 4,
		refusedBy: { X02: 3, noRoom: 1 },
		putRight: 5,
	});
	assert.equal(verdict({ theirs: { ...told, verifiedSeconds: 9 } }).verdict, "equal");
	assert.equal(verdict({ theirs: { ...told, isSuspended: true } }).verdict, "suspended");
	assert.equal(verdict({ theirs: told, state: "down" }).verdict, "absent");
	const { node, peers } = parse(
		clusterJson({ node: { isPrimary: true, isActiveActive: false, term: 3, rival: "a" }, peers: [peer({})] }),
	);
	assert.deepEqual(node, { role: "primary", term: 3, mode: "FTFW", rival: "a" });
	assert.equal(peers[0].heardMillisecondsAgo, null);
	assert.deepEqual(
		[peers[0].isOtherMode, peers[0].isOtherRole, peers[0].isOtherFilter],
		[false, false, false],
	);
	const { silent } = parse(
		clusterJson({
			node: { isPrimary: true, isActiveActive: false, term: 3 },
			peers: [],
			silent: [
				{ devices: ["eth3"], hasSpoken: false },
				{ address: "10.1.1.3", devices: ["eth3"], hasSpoken: true },
			],
		}),
	);
	assert.deepEqual(silent, [
		{ address: null, devices: ["eth3"], hasSpoken: false },
		{ address: "10.1.1.3", devices: ["eth3"], hasSpoken: true },
	]);
});

test("the policy tells its checks by rule, and what it keeps back", () => {
	const keptBack = new Int32Array(32);
	keptBack[7] = 2;
	keptBack[17] = 1;
	const counts = [
		{ checkpoint: "export", helper: "ftp", code: 0, count: 5 },
		{ checkpoint: "receipt", helper: "ftp", code: 7, count: 2 },
	];
	assert.deepEqual(parse({ policy: policyJson({ counts, keptBack, onViolation: "quarantine" }) }).policy, {
		onViolation: "quarantine",
		checks: [
			{ checkpoint: "export", helper: "ftp", rule: null, count: 5 },
			{ checkpoint: "receipt", helper: "ftp", rule: "X07", count: 2 },
		],
		keptBack: { X07: 2 },
		awaitingMaster: 1,
	});
});
