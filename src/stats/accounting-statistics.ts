// The answers to `-s` in the Stats mode.
import type { Accounting } from "../accounting/accounting.ts";
import type { FlowLog } from "../accounting/flow-log.ts";
import type { InternalCache } from "../cache/internal-cache.ts";
import { Opcode } from "../control/request.ts";
import type { ControlCounters } from "../control/server.ts";
import type { EventCounters } from "../netlink/event-listener.ts";
import type { Clock } from "../system/clock.ts";
import { cacheStats, runtimeStats } from "./collect.ts";
import type { AccountingStats, RuntimeStats } from "./counters.ts";
import { jsonLine, processesJson, runtimeJson, sideJson, trafficJson } from "./json.ts";
import { renderAccounting, renderAccountingCache, renderProcesses, renderRuntime } from "./render.ts";

/** The parts, as far as they count. */
export interface AccountingSources {
	cache: InternalCache;
	accounting: Pick<Accounting, "filtered" | "traffic">;
	flowLog: Pick<FlowLog, "counters" | "waiting">;
	listener: { readonly counters: EventCounters; readonly socket: { readonly receiveBuffer: number } };
	dump: { readonly counters: { malformed: number } };
	/** Of the kernel's table, and those that died. */
	flushes: { readonly count: number; readonly failures: number };
	resync: { readonly count: number };
	clock: Clock;
}

export class AccountingStatistics {
	readonly #from: AccountingSources;
	readonly #startedAt: number;

	constructor(from: AccountingSources) {
		this.#from = from;
		this.#startedAt = from.clock.now();
	}

	/** The text, or the JSON, for a statistics opcode; undefined for what this mode has none of. */
	render(op: number, control: ControlCounters, form?: "json"): string | undefined {
		const isJson = form === "json";
		switch (op) {
			case Opcode.stats:
				return isJson ? this.#generalJson() : renderAccounting(this.#general());
			case Opcode.statsCache: {
				const { cache } = this.#general();
				if (!isJson) return renderAccountingCache(cache);
				return jsonLine("cache", { stats: sideJson({ kind: "cache", stats: cache }) });
			}
			case Opcode.statsRuntime: {
				const runtime = this.#runtime(control);
				return isJson ? jsonLine("runtime", runtimeJson(runtime)) : renderRuntime(runtime);
			}
			case Opcode.statsProcess:
				return isJson ? jsonLine("process", { processes: processesJson([]) }) : renderProcesses([]);
			default:
				return undefined;
		}
	}

	#general(): AccountingStats {
		const { cache, accounting, flowLog } = this.#from;
		const { counters, waiting } = flowLog;
		return {
			cache: cacheStats([cache]),
			traffic: accounting.traffic,
			flowLog: { ...counters, waiting },
		};
	}

	#generalJson(): string {
		const { cache, traffic, flowLog } = this.#general();
		return jsonLine("ct", {
			stats: sideJson({ kind: "cache", stats: cache }),
			traffic: trafficJson(traffic),
			flowLog: { ...flowLog },
		});
	}

	#runtime(control: ControlCounters): RuntimeStats {
		const { accounting, listener, dump, flushes, resync, clock } = this.#from;
		return runtimeStats({
			uptimeSeconds: Math.floor((clock.now() - this.#startedAt) / 1000),
			events: listener.counters,
			filtered: accounting.filtered,
			dumpMalformed: dump.counters.malformed,
			kernelFlushes: flushes.count,
			kernelResyncs: resync.count,
			// the kernel accounts twice what was asked for (socket(7), SO_RCVBUF)
			netlinkBuffer: listener.socket.receiveBuffer / 2,
			workerFailures: flushes.failures,
			control,
		});
	}
}
