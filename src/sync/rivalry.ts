// Two nodes that both say they are primary: a conflict when it lasts.
import { formatNode } from "../conntrack/node-id.ts";
import type { NodeState } from "./handshake.ts";
import type { Peer } from "./peer.ts";

/** A failover passes through it; milliseconds. */
const CONFLICT_AFTER = 3000;

export class Rivalry {
	/** The peer that says it is primary while I am, for longer than a failover takes. */
	conflict: Peer | undefined;
	#since: number | undefined;
	readonly #notice: (text: string) => void;

	constructor(notice: (text: string) => void) {
		this.#notice = notice;
	}

	/** Looks at who says what; `now` in milliseconds. */
	watch(mine: NodeState, peers: readonly Peer[], now: number): void {
		const rival = mine.isPrimary ? peers.find((peer) => peer.isUp && peer.state.isPrimary) : undefined;
		if (!rival) {
			if (this.conflict) this.#notice("no other node says that it is primary any more");
			this.#since = this.conflict = undefined;
			return;
		}
		this.#since ??= now;
		if (this.conflict || now - this.#since < CONFLICT_AFTER) return;
		this.conflict = rival;
		this.#notice(
			`two primaries: this node (term ${mine.term}) and node ${formatNode(rival.node)} ` +
				`(term ${rival.state.term}) have both taken over`,
		);
	}
}
