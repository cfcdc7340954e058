// The block of our own that `-s` and `-s network` end with: the other nodes, and whether all hold the same.
import { formatRefusals } from "../policy/codes.ts";
import type { ClusterStats, EqualityStats, NodeStats, PeerStats, SilentStats } from "./counters.ts";

/** A part that differs for so short a time is on its way, seconds. */
const EQUAL_WITHIN = 10;

export function renderCluster({ node, peers, silent = [] }: ClusterStats): string {
	const rival = node.rival === undefined ? "" : ` CONFLICT: ${node.rival} says that it is primary, too`;
	return `peers:\nthis node: ${role(node)}${rival}\n${peers.map((peer) => renderPeer(peer, node)).join("")}${silent.map(renderSilent).join("")}\n`;
}

/** Whoever reads this wants to know which end of the cable to look at. */
function renderSilent({ address, devices, hasSpoken }: SilentStats): string {
	const on = devices.join(", ");
	if (hasSpoken) {
		const who =
			address === undefined
				? `no peer has shaken hands yet on ${on}`
				: `${address} has not shaken hands yet on ${on}`;
		return `${who}: something comes, but has another key, or does not hear this node\n`;
	}
	return address === undefined ? `no peer heard yet on ${on}\n` : `never heard: ${address} on ${on}\n`;
}

function renderPeer(peer: PeerStats, { mode }: NodeStats): string {
	const age = peer.rxAgeMs === undefined ? "never" : `${peer.rxAgeMs}ms`;
	return (
		`node=${peer.node} address=${peer.address} state=${peer.state} dirty=${peer.dirty} ` +
		`in-flight=${peer.inFlight} rx-age=${age} held=${peer.held} ${role(peer)}\n` +
		differencesOf(peer)
			.map((what) => `  ANOTHER ${what} than this node's: compare the configurations\n`)
			.join("") +
		`  its entries here: ${renderTheirs(peer)}\n` +
		`  our entries there: ${renderEquality(peer.ours, peer.state, emptiedText("there", mode, peer.state === "down"))}\n`
	);
}

const differencesOf = ({ isOtherMode, isOtherRole, isOtherFilter }: PeerStats): string[] => [
	...(isOtherMode ? ["MODE"] : []),
	...(isOtherRole ? ["ROLE"] : []),
	...(isOtherFilter ? ["FILTER"] : []),
];

/**
 * An operator has emptied a copy, and how it is filled again.
 *
 * @param where whose copy of the other one's entries: this node's, or the peer's
 * @param mode of the node that has the entries; absent: Mode FTFW
 * @param isDown the peer is: nothing can be fetched or sent
 */
export function emptiedText(where: "here" | "there", mode: string | undefined, isDown = false): string {
	const text = `EMPTIED${where === "here" ? "" : " there"} by -f external`;
	if (isDown) return where === "here" ? `${text}, filled when its node is back` : `not in contact; ${text}`;
	if (mode === "ALARM") return `${text}, full again within RefreshTime`;
	return `${text} and not filled since: ${where === "here" ? "-n fetches" : "-n there or -B here sends"} them again`;
}

/** What is held here of a peer. */
function renderTheirs(peer: PeerStats): string {
	const emptied = emptiedText("here", peer.mode, peer.state === "down");
	if (peer.hasNoCache)
		return peer.theirs.isSuspended ? emptied : "not compared, its node keeps no internal cache";
	const { unconfirmed = 0 } = peer;
	const text = renderEquality(peer.theirs, peer.state, emptied);
	const lost = unconfirmed > 0 ? `; ${unconfirmed} not confirmed by its last bulk` : "";
	const isHinted =
		!peer.theirs.isSuspended && (unconfirmed > 0 || (peer.isUnrepaired && peer.theirs.differing > 0));
	return `${text}${lost}${isHinted ? `; what was lost is not sent again unasked${peer.mode === "ALARM" ? " before it is repeated" : ", ask with -n"}` : ""}`;
}

interface Role {
	isPrimary: boolean;
	isActiveActive: boolean;
	term: number;
	mode?: string;
}

const role = ({ isPrimary, isActiveActive, term, mode }: Role): string =>
	(isActiveActive ? "role=active-active" : `role=${isPrimary ? "primary" : "backup"} term=${term}`) +
	(mode === undefined ? "" : ` mode=${mode}`);

function renderEquality(stats: EqualityStats, state: PeerStats["state"], emptied: string): string {
	const { differing, refused, refusals, wrong } = stats;
	const ago = `${stats.verifiedSeconds?.toFixed(1)} s ago`;
	const parts = [
		{
			suspended: emptied,
			unverified: "not verified yet",
			absent: `not in contact; last equal ${ago}`,
			equal: `equal, verified ${ago}`,
			different: `DIFFERENT, last equal ${ago}`,
		}[verdictOf(stats, state)],
	];
	const reasons = formatRefusals(refusals);
	if (differing > 0) parts.push(`${differing} of 1024 parts differ at the moment`);
	if (refused > 0) parts.push(`${refused} refused${reasons === "" ? "" : `: ${reasons}`}`);
	if (wrong > 0) parts.push(`${wrong} put right since the start`);
	return parts.join("; ");
}

/** What can be said of the two caches at the moment. */
export function verdictOf(
	{ isSuspended, verifiedSeconds, differing }: EqualityStats,
	state: PeerStats["state"],
): "suspended" | "unverified" | "absent" | "equal" | "different" {
	if (isSuspended) return "suspended";
	if (verifiedSeconds === undefined) return "unverified";
	if (state === "down") return "absent";
	return differing === 0 || verifiedSeconds < EQUAL_WITHIN ? "equal" : "different";
}
