// What a peer's configuration has otherwise than this node's, where that does harm: for `-s` as long as it lasts, for the
// log once for each change.
import { formatNode } from "../conntrack/node-id.ts";
import type { NodeState } from "./handshake.ts";
import { modeName } from "./mode.ts";
import type { Peer } from "./peer.ts";

export interface Differences {
	isOtherMode: boolean;
	isOtherRole: boolean;
	isOtherFilter: boolean;
}

/** What two nodes that have said of themselves how they are configured do not have in common. */
export function differences(one: NodeState, other: NodeState): Differences {
	return {
		isOtherMode: one.mode !== other.mode,
		isOtherRole: one.isActiveActive !== other.isActiveActive,
		isOtherFilter: one.policy !== other.policy,
	};
}

/**
 * The lines for the log.
 *
 * @param before what the peer said of itself until now
 * @param own what this node says of itself
 */
export function differencesOf(peer: Peer, before: NodeState, own: NodeState): string[] {
	const { state } = peer;
	const node = `node ${formatNode(peer.node)}`;
	const isFirst = !peer.isCompared;
	peer.isCompared = true;
	const { isOtherMode, isOtherRole, isOtherFilter } = differences(state, own);
	const lines: string[] = [];
	if (isOtherMode && (isFirst || before.mode !== state.mode)) {
		lines.push(
			`${node} runs Mode ${modeName(state.mode)} and this node Mode ${modeName(own.mode)}: ` +
				"each sends by its own, and what is lost on the way is put right by neither: compare the configurations",
		);
	}
	if (isOtherFilter && (isFirst || before.policy !== state.policy)) {
		lines.push(`${node} replicates by another filter than this node: compare the configurations`);
	}
	if (isOtherRole && (isFirst || before.isActiveActive !== state.isActiveActive)) {
		const [active, other] = state.isActiveActive ? [node, "this node"] : ["this node", node];
		lines.push(`${active} is active-active and ${other} is not: all nodes need the same Role`);
	}
	return lines;
}
