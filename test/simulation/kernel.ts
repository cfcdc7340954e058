// The kernel of a node as far as the daemon sees it: two tables, events, and dumps that are read in pieces.
import { KINDS, type Kind } from "../../src/conntrack/kind.ts";
import type { EventKind } from "../../src/netlink/event-listener.ts";

export interface KernelEntry {
	value: number;
	/** CTA_ID: another one each time the key comes into being. */
	id: number;
}

export interface KernelEvent {
	kind: Kind;
	event: EventKind;
	key: number;
	value: number;
	id: number;
	/** Netlink port of whoever caused it, 0 for a packet. */
	port: number;
}

export class Kernel {
	readonly tables: readonly [Map<number, KernelEntry>, Map<number, KernelEntry>] = [new Map(), new Map()];
	/** The daemon's subscription. */
	listener: ((event: KernelEvent) => void) | undefined;
	/** An entry came into being, or ended otherwise than by a flush. */
	onLife: (kind: Kind, key: number, isAlive: boolean) => void = () => {};
	#ids = 0;

	/** A packet makes or changes the entry. A request of the daemon itself causes no event that it hears. */
	set(kind: Kind, key: number, value: number, isSilent = false): void {
		const known = this.tables[kind].get(key);
		const id = known?.id ?? ++this.#ids;
		this.tables[kind].set(key, { value, id });
		if (!known) this.onLife(kind, key, true);
		if (!isSilent) this.listener?.({ kind, event: known ? "update" : "new", key, value, id, port: 0 });
	}

	/** The entry ends: by itself, or (`flushPort`) because the operator has the daemon flush it. */
	destroy(kind: Kind, key: number, flushPort = 0): void {
		const entry = this.tables[kind].get(key);
		if (!entry) return;
		this.tables[kind].delete(key);
		if (flushPort === 0) this.onLife(kind, key, false);
		this.listener?.({ kind, event: "destroy", key, value: entry.value, id: entry.id, port: flushPort });
	}

	/** The machine boots: nothing is left, and nobody is told. */
	clear(): void {
		for (const kind of KINDS) {
			for (const key of this.tables[kind].keys()) this.onLife(kind, key, false);
			this.tables[kind].clear();
		}
	}
}
