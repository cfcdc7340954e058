// The requests of the control socket in the Stats mode: what there is to show, to flush and to compare. There are no peers.
import type { InternalCache } from "../cache/internal-cache.ts";
import { CONNTRACK } from "../conntrack/kind.ts";
import type { NameTable } from "../conntrack/names.ts";
import { dump, inTurns } from "../control/dump.ts";
import { hasJson, isOpcode, Opcode, type Reply } from "../control/request.ts";
import type { RequestHandler } from "../control/server.ts";
import type { Clock } from "../system/clock.ts";

export interface AccountingControl {
	cache: InternalCache;
	names: NameTable;
	clock: Clock;
	/** Empties the cache; no flow has ended. */
	flushCache: () => Promise<void>;
	/** Deletes the connections from the kernel, but for what the filter leaves out and the firewall's own. */
	flushKernel: () => Promise<void>;
	/** Compares the cache with the kernel's table. */
	resyncKernel: () => Promise<void>;
	/** The statistics as text or as JSON, by opcode; undefined for what there is none of. */
	statistics: (op: number, form?: "json") => string | undefined;
	stop: () => void;
	notice: (text: string) => void;
	/** A number that is no request at all. */
	unknown: (op: number) => void;
}

const DONE: Reply = { status: 0 };

export function accountingRequests(daemon: AccountingControl): RequestHandler {
	const sources = { names: daemon.names, clock: inTurns(daemon.clock) };
	return async (op, write, { form } = {}) => {
		if (form === "json" && isOpcode(op) && !hasJson(op))
			return { status: 1, error: `request ${op} has no answer in JSON` };
		switch (op) {
			case Opcode.dumpInternalCt:
			case Opcode.dumpInternalCtXml: {
				const as = op === Opcode.dumpInternalCtXml ? "xml" : (form ?? "text");
				await dump(sources, CONNTRACK, [daemon.cache], { form: as, isInternal: true }, write);
				return DONE;
			}
			case Opcode.flushInternal:
			case Opcode.flushCachesCt:
			case Opcode.flushCachesAll:
				daemon.notice("flushing caches");
				await daemon.flushCache();
				return DONE;
			case Opcode.flushKernelCt:
			case Opcode.flushKernelAll:
				daemon.notice("flushing kernel conntrack table");
				await daemon.flushKernel();
				return DONE;
			case Opcode.resyncKernelCt:
			case Opcode.resyncKernelAll:
				daemon.notice("resync with master conntrack table");
				await daemon.resyncKernel();
				return DONE;
			case Opcode.kill:
				daemon.stop();
				return DONE;
			default: {
				const text = daemon.statistics(op, form);
				if (text !== undefined) {
					await write(text);
					return DONE;
				}
				if (isOpcode(op)) return { status: 1, error: refusal(op) };
				daemon.unknown(op);
				return { status: 1, error: `unknown request ${op}` };
			}
		}
	};
}

const EXPECTATIONS: readonly number[] = [
	Opcode.dumpInternalExpect,
	Opcode.dumpInternalExpectXml,
	Opcode.statsExpect,
	Opcode.flushKernelExpect,
	Opcode.resyncKernelExpect,
];

/** Why not; conntrackd says nothing and ends with 0. */
function refusal(op: number): string {
	const what = EXPECTATIONS.includes(op)
		? "it does not look at expectations"
		: "there is no external cache, no dedicated link and no peer";
	return `this daemon collects statistics (Stats mode): ${what}`;
}
