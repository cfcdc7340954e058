import assert from "node:assert/strict";
import { test } from "node:test";
import { makePeerStats, type PeerStats } from "./counters.ts";
import { renderCluster } from "./render-cluster.ts";

test("the modes stand in the peers' block where one of them is not FTFW", () => {
	const base = makePeerStats(2, "10.0.0.2");
	const stats = (peer: Partial<typeof base>) =>
		renderCluster({
			node: { isPrimary: false, isActiveActive: false, term: 0, mode: "NOTRACK" },
			peers: [{ ...base, state: "up", mode: "NOTRACK", isUnrepaired: true, ...peer }],
		});
	const theirs = { ...base.theirs, verifiedSeconds: 20, differing: 3 };
	assert.match(stats({}), /this node: role=backup term=0 mode=NOTRACK\n/);
	assert.match(
		stats({}),
		/rx-age=never held=0 role=backup term=0 mode=NOTRACK\n {2}its entries here: not verified yet\n/,
	);
	assert.match(
		stats({ theirs }),
		/its entries here: DIFFERENT, .* 3 of 1024 parts differ .*; what was lost is not sent again unasked, ask with -n\n/,
	);
	assert.match(stats({ unconfirmed: 7 }), /; 7 not confirmed by its last bulk; .* ask with -n\n/);
	assert.match(stats({ mode: "ALARM", isOtherMode: true }), /mode=ALARM\n {2}ANOTHER MODE than this node's/);
	assert.match(stats({ mode: "ALARM", theirs }), /unasked before it is repeated\n/);
	assert.match(
		stats({ hasNoCache: true }),
		/its entries here: not compared, its node keeps no internal cache\n/,
	);
});

test("a peer that has another role or another filter has a line as long as it does", () => {
	const stats = (peer: Partial<PeerStats>) =>
		renderCluster({
			node: { isPrimary: true, isActiveActive: false, term: 1 },
			peers: [{ ...makePeerStats(2, "10.9.0.2"), ...peer }],
		});
	assert.match(
		stats({ isOtherRole: true }),
		/ {2}ANOTHER ROLE than this node's: compare the configurations\n/,
	);
	assert.match(
		stats({ isOtherFilter: true }),
		/ {2}ANOTHER FILTER than this node's: compare the configurations\n/,
	);
	assert.doesNotMatch(stats({ isOtherRole: false, isOtherFilter: false, isOtherMode: false }), /ANOTHER/);
});

test("an emptied copy is told on both sides, with what fills it again", () => {
	const suspended = { ...makePeerStats(2, "").theirs, isSuspended: true, differing: 900 };
	const stats = (peer: Partial<PeerStats>, mode?: string) =>
		renderCluster({
			node: { isPrimary: true, isActiveActive: false, term: 1, ...(mode && { mode }) },
			peers: [{ ...makePeerStats(2, "10.9.0.2"), state: "up", ...peer }],
		});
	assert.match(
		stats({ theirs: suspended }),
		/its entries here: EMPTIED by -f external and not filled since: -n fetches them again; 900 of 1024 parts differ/,
	);
	assert.match(
		stats({ ours: suspended }),
		/our entries there: EMPTIED there by -f external and not filled since: -n there or -B here sends them again; 900 /,
	);
	const down = { state: "down", theirs: suspended, ours: { ...suspended, verifiedSeconds: 3 } } as const;
	const text = stats(down);
	assert.match(text, /its entries here: EMPTIED by -f external, filled when its node is back; 900 /);
	assert.match(text, /our entries there: not in contact; EMPTIED there by -f external; 900 /);
	const alarm =
		/EMPTIED by -f external, full again within RefreshTime; 900 of 1024 parts differ at the moment\n/;
	assert.match(stats({ theirs: suspended, mode: "ALARM", isUnrepaired: true }), alarm);
	assert.match(
		stats({ ours: suspended }, "ALARM"),
		/EMPTIED there by -f external, full again within RefreshTime;/,
	);
	assert.match(
		stats({ theirs: suspended, hasNoCache: true }),
		/its entries here: EMPTIED by -f external and/,
	);
});

test("who was never heard has a line, with the link, and with why as far as it is known", () => {
	const text = renderCluster({
		node: { isPrimary: true, isActiveActive: false, term: 1 },
		peers: [],
		silent: [
			{ address: "10.9.0.2", devices: ["eth3", "eth4"], hasSpoken: false },
			{ address: "10.9.0.3", devices: ["eth3"], hasSpoken: true },
			{ devices: ["eth5"], hasSpoken: false },
			{ devices: ["eth6"], hasSpoken: true },
		],
	});
	const doubt = "something comes, but has another key, or does not hear this node";
	assert.equal(
		text,
		"peers:\nthis node: role=primary term=1\nnever heard: 10.9.0.2 on eth3, eth4\n" +
			`10.9.0.3 has not shaken hands yet on eth3: ${doubt}\nno peer heard yet on eth5\n` +
			`no peer has shaken hands yet on eth6: ${doubt}\n\n`,
	);
});
