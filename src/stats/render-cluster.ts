// The block of our own that `-s` and `-s network` end with: the other nodes, and whether all hold the same.
import { formatRefusals } from "../policy/codes.ts";
import type { ClusterStats, EqualityStats, PeerStats } from "./counters.ts";

/** A part that differs for so short a time is on its way, seconds. */
const EQUAL_WITHIN = 10;

export function renderCluster({ node, peers }: ClusterStats): string {
	const rival = node.rival === undefined ? "" : ` CONFLICT: ${node.rival} says that it is primary, too`;
	return `peers:\nthis node: ${role(node)}${rival}\n${peers.map(renderPeer).join("")}\n`;
}

function renderPeer(peer: PeerStats): string {
	const age = peer.rxAgeMs === undefined ? "never" : `${peer.rxAgeMs}ms`;
	return (
		`node=${peer.node} address=${peer.address} state=${peer.state} dirty=${peer.dirty} ` +
		`in-flight=${peer.inFlight} rx-age=${age} held=${peer.held} ${role(peer)}\n` +
		(peer.isOtherMode ? `  ANOTHER MODE than this node's: compare the configurations\n` : "") +
		`  its entries here: ${renderTheirs(peer)}\n` +
		`  our entries there: ${renderEquality(peer.ours, peer.state)}\n`
	);
}

/** What is held here of a peer. */
function renderTheirs(peer: PeerStats): string {
	if (peer.hasNoCache) return "not compared, its node keeps no internal cache";
	const { unconfirmed = 0 } = peer;
	const text = renderEquality(peer.theirs, peer.state);
	const lost = unconfirmed > 0 ? `; ${unconfirmed} not confirmed by its last bulk` : "";
	const isHinted = unconfirmed > 0 || (peer.isUnrepaired && peer.theirs.differing > 0);
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

function renderEquality(stats: EqualityStats, state: PeerStats["state"]): string {
	const { differing, refused, refusals, wrong } = stats;
	const ago = `${stats.verifiedSeconds?.toFixed(1)} s ago`;
	const parts = [
		{
			suspended: "emptied by -f, not compared before its next bulk",
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
