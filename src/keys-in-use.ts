// Whether a key may be used, or removed, without cutting off a node: what the others say of their key rings.
import { formatNode } from "./conntrack/node-id.ts";
import type { LinkSecurity } from "./security/link-security.ts";
import type { Peer } from "./sync/peer.ts";

/**
 * @param change what is planned with the key
 * @param key the first word of its fingerprint
 * @returns why it would cut off a node, undefined if it would not
 */
export function keysInUse(
	peers: readonly Peer[],
	security: LinkSecurity,
	change: "use" | "remove",
	key: number,
): string | undefined {
	const live = peers.filter((peer) => peer.isUp);
	const names = (list: readonly Peer[]): string => list.map(({ node }) => formatNode(node)).join(", ");
	if (change === "use") {
		const lacking = live.filter(({ state }) => !state.keys.includes(key));
		return lacking.length === 0
			? undefined
			: `${names(lacking)} would not understand it: give the key to all nodes first`;
	}
	const sealing = live.filter((peer) => peer.keyId !== 0 && security.keyWord(peer.keyId) === key);
	if (sealing.length > 0)
		return `${names(sealing)} still seals with it: have all nodes use another key first`;
	return security.keys[0] === key ? "this node still seals with it: reload the daemon first" : undefined;
}
