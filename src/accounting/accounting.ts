// The Stats mode's own part: a cache of the kernel's table, and a line and a sum for every flow that ends.
//
// The line is made of what the end itself tells, not of what was known before; so does conntrackd. A flow that a resync finds
// gone, because events were lost or are not listened to, has a line of what was known of it, without counters.
import type { InternalCache } from "../cache/internal-cache.ts";
import { type FlowAccount, formatConntrack } from "../conntrack/format.ts";
import type { NameTable } from "../conntrack/names.ts";
import { newConntrackRecord } from "../conntrack/record.ts";
import type { EventHandler, EventKind } from "../netlink/event-listener.ts";
import type { Clock } from "../system/clock.ts";
import { formatDate } from "../system/log.ts";
import type { FlowLog } from "./flow-log.ts";

export interface AccountingOptions {
	cache: InternalCache;
	rules: {
		/** Whether the flow counts. */
		passes(record: Int32Array): boolean;
		/** Whether one that is held and does not pass still counts (its TCP state does not matter). */
		belongs(record: Int32Array): boolean;
	};
	flowLog: Pick<FlowLog, "isOn" | "write" | "flush">;
	/** What the event under way tells of the flow's traffic. */
	account: FlowAccount;
	names: NameTable;
	clock: Clock;
	/** The cache has no room for a flow. */
	full: () => void;
	overrun: () => void;
}

export class Accounting implements EventHandler {
	/** Events that the filter kept out. */
	filtered = 0;
	/** Of all flows that have ended, both directions together. */
	readonly traffic = { bytes: 0n, packets: 0n };
	readonly overrun: () => void;
	readonly #options: AccountingOptions;
	readonly #record = newConntrackRecord();
	/** The event that ends a flow is being applied: its line is written already. */
	#isEvent = false;
	/** The wall clock of the present batch; asking and formatting it for each flow would cost more than the line. */
	#date: Date | undefined;
	#stamp = "";

	constructor(options: AccountingOptions) {
		this.#options = options;
		this.overrun = options.overrun;
		const { cache } = options;
		cache.listener = {
			changed: () => {},
			destroyed: (slot) => {
				// what an operator takes out of the cache has not ended
				if (!this.#isEvent && !cache.store.isWithdrawn(slot)) {
					cache.store.read(slot, this.#record);
					this.#write(this.#record);
				}
				cache.forget(slot);
			},
		};
	}

	conntrack(event: EventKind, record: Int32Array): void {
		const { cache, rules, full } = this.#options;
		const now = this.#now();
		if (event !== "destroy") {
			if (!rules.passes(record)) {
				this.filtered++;
				// its mark has changed, for example: it counts no more, and has no line
				const slot = cache.store.find(record);
				if (slot >= 0 && cache.store.isLive(slot) && !rules.belongs(record)) cache.withdraw(slot, now);
			} else if (cache.apply(record, event === "new", now) < 0) full();
			return;
		}
		const slot = cache.store.find(record);
		// a flow that is held ends, whatever the filter says of its last state
		if (slot >= 0 && cache.store.isLive(slot)) this.#ended(record);
		else if (!rules.passes(record)) {
			this.filtered++;
			return;
		}
		this.#isEvent = true;
		cache.destroy(record, now);
		this.#isEvent = false;
	}

	expectation(): void {}

	batchEnd(): void {
		this.#date = undefined;
		this.#options.flowLog.flush();
	}

	#ended(record: Int32Array): void {
		const { account } = this.#options;
		for (const direction of [account.orig, account.reply]) {
			if (!direction) continue;
			this.traffic.bytes += direction.bytes;
			this.traffic.packets += direction.packets;
		}
		this.#write(record, account);
	}

	#write(record: Int32Array, account?: FlowAccount): void {
		const { clock, names, flowLog } = this.#options;
		if (!flowLog.isOn) return;
		if (!this.#date) {
			this.#date = clock.wall();
			this.#stamp = formatDate(this.#date);
		}
		const text = formatConntrack(record, names, { reply: true, ...(account && { account }) });
		flowLog.write(this.#date, this.#stamp, text);
	}

	#now(): number {
		return Math.floor(this.#options.clock.now() / 1000);
	}
}
