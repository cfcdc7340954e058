// The host's addresses have changed: whatever is now a connection of the host itself, and is held, ends for the peers.
// What was one and is none any more comes back with its next packet.
import type { InternalCache } from "./cache/internal-cache.ts";
import { newConntrackRecord } from "./conntrack/record.ts";
import { walkSlices } from "./purge.ts";
import type { Clock } from "./system/clock.ts";

/** keepalived moves several addresses at a time: the cache is looked through once, so long after the first, milliseconds. */
const SOON_MS = 200;

export interface OwnConnectionsOptions {
	clock: Clock;
	cache: InternalCache;
	isOwn: (record: Int32Array) => boolean;
	/** Some have been ended. */
	ended: () => void;
}

export class OwnConnections {
	readonly #options: OwnConnectionsOptions;
	readonly #record = newConntrackRecord();
	#cancel: (() => void) | undefined;

	constructor(options: OwnConnectionsOptions) {
		this.#options = options;
	}

	/** Addresses have come or gone. */
	changed(): void {
		this.#cancel ??= this.#options.clock.after(SOON_MS, () => {
			this.#cancel = undefined;
			void this.#look();
		});
	}

	close(): void {
		this.#cancel?.();
	}

	async #look(): Promise<void> {
		const { clock, cache, isOwn, ended } = this.#options;
		let count = 0;
		await walkSlices(clock, cache.store, (slot) => {
			cache.store.read(slot, this.#record);
			if (!isOwn(this.#record)) return;
			cache.bury(slot, Math.floor(clock.now() / 1000));
			count++;
		});
		if (count > 0) ended();
	}
}
