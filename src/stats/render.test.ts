// Byte comparisons with what conntrackd 1.4.7 prints (recorded from a live pair).
import assert from "node:assert/strict";
import { test } from "node:test";
import {
	makeBypassStats,
	makeCacheStats,
	makeInjectStats,
	makeLinkStats,
	makeNetworkStats,
	makePeerStats,
	makeRuntimeStats,
	makeTrafficStats,
} from "./counters.ts";
import { renderCaches, renderGeneral, renderLinks, renderNetwork, renderRuntime } from "./render.ts";

const internal = {
	kind: "cache" as const,
	stats: { ...makeCacheStats(), active: 3, objects: 3, createOk: 6, destroyOk: 3 },
};
const external = {
	kind: "cache" as const,
	stats: { ...makeCacheStats(), active: 3, objects: 3, createOk: 3, updateOk: 6 },
};
const eth3 = {
	...makeLinkStats("multicast", "eth3"),
	status: "RUNNING" as const,
	role: "ACTIVE" as const,
	sentBytes: 128,
	receivedBytes: 2212,
	sentPackets: 8,
	receivedPackets: 14,
};

test("the general statistics have conntrackd's layout", () => {
	const text = renderGeneral({
		internal,
		external,
		traffic: makeTrafficStats(),
		links: [eth3],
		network: makeNetworkStats(),
	});
	assert.equal(text, GENERAL);
});

test("the traffic and message lines keep their columns with large counts", () => {
	const text = renderGeneral({
		internal,
		external,
		traffic: { bytes: 123456789012345, packets: 987654321 },
		links: [{ ...eth3, sentErrors: 7, receivedErrors: 8 }],
		network: { ...makeNetworkStats(), malformed: 12, lost: 34 },
	});
	assert.match(text, /^ {5}123456789012345 Bytes {17}987654321 Pckts$/m);
	assert.match(text, /^ {19}7 Error send {20}8 Error recv$/m);
	assert.match(text, /^ {18}12 Malformed msgs {19}34 Lost msgs$/m);
});

test("a TCP link tells which of its two connections stand", () => {
	const link = { ...makeLinkStats("TCP", "v1"), role: "ACTIVE" as const };
	const render = () =>
		renderNetwork(makeNetworkStats(), [{ ...makeLinkStats("TCP", "v0") }, link])
			.split("\n")
			.at(-6);
	assert.equal(render(), "TCP traffic (active device=v1) server=disconnected client=disconnected:");
	link.tcp = { server: true, client: true };
	assert.equal(render(), "TCP traffic (active device=v1) server=connected client=connected:");
});

test("the network statistics have conntrackd's layout", () => {
	const link = { ...eth3, sentBytes: 96, receivedBytes: 2180, sentPackets: 6, receivedPackets: 12 };
	assert.equal(renderNetwork(makeNetworkStats(), [link]), NETWORK);
});

test("each reason for a refused message has its own line", () => {
	const text = renderNetwork(
		{
			malformed: 1,
			version: 2,
			header: 3,
			payload: 4,
			type: 5,
			truncated: 6,
			size: 7,
			sendMalformed: 8,
			lost: 9,
			before: 10,
		},
		[],
	);
	const counts = [...text.matchAll(/^\t\t(.*?):\t+ +(\d+)$/gm)].map((match) => `${match[1]} ${match[2]}`);
	assert.deepEqual(counts, [
		"Malformed messages 1",
		"Wrong protocol version 2",
		"Malformed header 3",
		"Malformed payload 4",
		"Bad message type 5",
		"Truncated message 6",
		"Bad message size 7",
		"Malformed messages 8",
		"Packets lost 9",
		"Packets before 10",
	]);
});

test("the cache statistics have conntrackd's layout", () => {
	assert.equal(renderCaches(internal, external), CACHES);
});

test("each count of a cache has its own place", () => {
	const stats = {
		objects: 12,
		active: 11,
		createOk: 1,
		createFailed: 2,
		createNoMemory: 3,
		createNoSpace: 4,
		updateOk: 5,
		updateFailed: 6,
		updateNotFound: 7,
		destroyOk: 8,
		destroyFailed: 9,
		destroyNotFound: 10,
	};
	const text = renderCaches({ kind: "cache", stats }, { kind: "cache", stats: makeCacheStats() });
	const counts = text.split("\n\n")[0]!.match(/\d+/g);
	assert.deepEqual(counts?.map(Number), [11, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test("a disabled cache shows what passed by it", () => {
	const bypass = {
		kind: "bypass" as const,
		stats: { ...makeBypassStats(), created: 1, updated: 1, destroyed: 1 },
	};
	const inject = { kind: "inject" as const, stats: makeInjectStats() };
	assert.equal(renderCaches(bypass, inject), BYPASS);
	const general = renderGeneral({
		internal: bypass,
		external: inject,
		traffic: makeTrafficStats(),
		links: [],
		network: makeNetworkStats(),
	});
	assert.ok(general.startsWith(`${BYPASS}traffic processed:\n`));
});

test("the runtime statistics have conntrackd's layout", () => {
	assert.equal(
		renderRuntime({
			...makeRuntimeStats(),
			eventsReceived: 11,
			eventsFiltered: 2,
			netlinkBufferBytes: 2097152,
		}),
		RUNTIME,
	);
});

test("each runtime count has its own line", () => {
	const stats = makeRuntimeStats();
	Object.keys(stats).forEach((key, index) => {
		stats[key as keyof typeof stats] = index;
	});
	const counts = [...renderRuntime(stats).matchAll(/: *\t+ *(\d+)$/gm)].map((match) => Number(match[1]));
	assert.deepEqual(
		counts,
		Array.from({ length: 16 }, (_, index) => index + 1),
	);
});

test("the uptime leaves out days and hours that are zero", () => {
	const uptime = (uptimeSeconds: number) =>
		renderRuntime({ ...makeRuntimeStats(), uptimeSeconds })
			.split("\n")[0]!
			.slice("daemon uptime: ".length);
	assert.equal(uptime(59), "0 min");
	assert.equal(uptime(61), "1 min");
	assert.equal(uptime(3600), "1 h 0 min");
	assert.equal(uptime(86340), "23 h 59 min");
	assert.equal(uptime(86400), "1 day 0 min");
	assert.equal(uptime(90061), "1 day 1 h 1 min");
	assert.equal(uptime(200000), "2 days 7 h 33 min");
	assert.equal(uptime(864000000), "10000 days 0 min");
});

test("the links have conntrackd's layout", () => {
	const link = { ...eth3, sentBytes: 716, receivedBytes: 32, sentPackets: 7, receivedPackets: 2 };
	assert.equal(renderLinks([link]), LINK);
	const two = renderLinks([link, { ...makeLinkStats("multicast", "eth4"), status: "NO-CARRIER" }]);
	assert.match(two, /\n\nmulticast traffic device=eth4 status=NO-CARRIER role=BACKUP:\n/);
});

test("peers are a last block of -s and -s network, only when they are given", () => {
	const other = makePeerStats(2, "192.168.100.2");
	const peers = [
		{
			...other,
			state: "up" as const,
			dirty: 3,
			inFlight: 4,
			rxAgeMs: 12,
			held: 31,
			isPrimary: true,
			isActiveActive: false,
			term: 4,
			theirs: { ...other.theirs, verifiedSeconds: 0.84, refused: 2, refusals: [2] },
			ours: { ...other.ours, verifiedSeconds: 61, differing: 1, wrong: 5 },
		},
		makePeerStats(3, "fd00::3"),
	];
	const cluster = {
		node: { isPrimary: true, isActiveActive: false, term: 3, rival: "192.168.100.2" },
		peers,
	};
	const block =
		"peers:\nthis node: role=primary term=3 CONFLICT: 192.168.100.2 says that it is primary, too\n" +
		"node=2 address=192.168.100.2 state=up dirty=3 in-flight=4 rx-age=12ms held=31 role=primary term=4\n" +
		"  its entries here: equal, verified 0.8 s ago; 2 refused: no room\n" +
		"  our entries there: DIFFERENT, last equal 61.0 s ago; 1 of 1024 parts differ at the moment; " +
		"5 put right since the start\n" +
		"node=3 address=fd00::3 state=down dirty=0 in-flight=0 rx-age=never held=0 role=backup term=0\n" +
		"  its entries here: not verified yet\n  our entries there: not verified yet\n\n";
	const general = {
		internal,
		external,
		traffic: makeTrafficStats(),
		links: [eth3],
		network: makeNetworkStats(),
	};
	assert.equal(renderGeneral({ ...general, cluster }), GENERAL + block);
	assert.ok(renderNetwork(makeNetworkStats(), [eth3], cluster).endsWith(`recv\n\n${block}`));
});

const GENERAL = `cache internal:
current active connections:	           3
connections created:		           6	failed:	           0
connections updated:		           0	failed:	           0
connections destroyed:		           3	failed:	           0

cache external:
current active connections:	           3
connections created:		           3	failed:	           0
connections updated:		           6	failed:	           0
connections destroyed:		           0	failed:	           0

traffic processed:
                   0 Bytes                         0 Pckts

multicast traffic (active device=eth3):
                 128 Bytes sent                 2212 Bytes recv
                   8 Pckts sent                   14 Pckts recv
                   0 Error send                    0 Error recv

message tracking:
                   0 Malformed msgs                    0 Lost msgs

`;

const NETWORK = `network statistics:
	recv:
		Malformed messages:	                   0
		Wrong protocol version:	                   0
		Malformed header:	                   0
		Malformed payload:	                   0
		Bad message type:	                   0
		Truncated message:	                   0
		Bad message size:	                   0
	send:
		Malformed messages:	                   0

sequence tracking statistics:
	recv:
		Packets lost:		                   0
		Packets before:		                   0

multicast traffic (active device=eth3):
                  96 Bytes sent                 2180 Bytes recv
                   6 Pckts sent                   12 Pckts recv
                   0 Error send                    0 Error recv

`;

const CACHES = `cache:internal	active objects:		           3
	active/total entries:		           3/           3
	creation OK/failed:		           6/           0
		no memory available:	           0
		no space left in cache:	           0
	update OK/failed:		           0/           0
		entry not found:	           0
	deletion created/failed:	           3/           0
		entry not found:	           0

cache:external	active objects:		           3
	active/total entries:		           3/           3
	creation OK/failed:		           3/           0
		no memory available:	           0
		no space left in cache:	           0
	update OK/failed:		           6/           0
		entry not found:	           0
	deletion created/failed:	           0/           0
		entry not found:	           0

`;

const BYPASS = `internal bypass:
connections new:		           1
connections updated:		           1
connections destroyed:		           1

external inject:
connections created:		           0	failed:	           0
connections updated:		           0	failed:	           0
connections destroyed:		           0	failed:	           0

`;

const RUNTIME = `daemon uptime: 0 min

netlink stats:
	events received:	                  11
	events filtered:	                   2
	events unknown type:		           0
	catch event failed:		           0
	dump unknown type:		           0
	netlink overrun:		           0
	flush kernel table:		           0
	resync with kernel table:	           0
	current buffer size (in bytes):	     2097152

runtime stats:
	child process failed:		           0
		child process segfault:	           0
		child process termsig:	           0
	select failed:			           0
	wait failed:			           0
	local read failed:		           0
	local unknown request:		           0

`;

const LINK = `multicast traffic device=eth3 status=RUNNING role=ACTIVE:
                 716 Bytes sent                   32 Bytes recv
                   7 Pckts sent                    2 Pckts recv
                   0 Error send                    0 Error recv

`;
