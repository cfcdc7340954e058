// What this node's own entry is to a peer's with the same key: alive, alive and later, or the left-over of an earlier
// term (docs/architecture.md, "What a commit may do to what is there").
import { ALIVE_HERE, LATER_HERE } from "../cache/record-layout.ts";

/** Seconds after a takeover in which what is not kept is taken for a left-over of an earlier term. */
const TAKEOVER = 5;

/**
 * ALIVE_HERE, or 0 for a left-over, where conntracks are not kept (DisableInternalCache), so that nobody knows when one was
 * seen: at a takeover what the kernel has is left over, and later it is in use. Times as of `localView`.
 */
export function unknownView(now: number, termBegan: number): number {
	const isTakeover = termBegan >= 0 && now - termBegan <= TAKEOVER;
	return isTakeover ? 0 : ALIVE_HERE;
}

/**
 * ALIVE_HERE and LATER_HERE, or 0 for a left-over. All times in seconds of this node's clock.
 *
 * @param seen when this kernel last saw a packet of its entry; NEVER_SEEN: not since the daemon started
 * @param told when the peer last told of its own
 * @param termBegan when this node was put in charge; -1: it has been for as long as it can tell
 */
export function localView(seen: number, told: number, termBegan: number): number {
	if (seen > told) return ALIVE_HERE | LATER_HERE;
	return seen === told || seen >= termBegan ? ALIVE_HERE : 0;
}
