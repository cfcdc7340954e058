// The answers to `-s`: asks the parts for their counters and renders them.
import type { ExternalCache } from "../cache/external-cache.ts";
import type { InternalCache } from "../cache/internal-cache.ts";
import type { RedundantChannel } from "../channel/redundant-channel.ts";
import type { Injection } from "../commit/injection.ts";
import { CONNTRACK, EXPECTATION, type Kind } from "../conntrack/kind.ts";
import { Opcode } from "../control/request.ts";
import type { ControlCounters } from "../control/server.ts";
import type { EventCounters } from "../netlink/event-listener.ts";
import type { Ftfw } from "../sync/ftfw.ts";
import { IN_FLIGHT_MAX } from "../sync/in-flight.ts";
import type { Clock } from "../system/clock.ts";
import {
	cacheStats,
	injectStats,
	linkStats,
	networkStats,
	nodeStats,
	peerStats,
	runtimeStats,
} from "./collect.ts";
import { type ClusterStats, makeQueueStats, makeTrafficStats } from "./counters.ts";
import {
	type ExternalSide,
	renderCaches,
	renderGeneral,
	renderLinks,
	renderNetwork,
	renderProcesses,
	renderQueues,
	renderResendQueue,
	renderRuntime,
} from "./render.ts";
import { type PolicyStats, renderPolicy } from "./render-policy.ts";

/** The parts, as far as they count. */
export interface StatisticsSources {
	internal: readonly [InternalCache, InternalCache];
	externals: (kind: Kind) => readonly ExternalCache[];
	ftfw: Ftfw;
	channel: RedundantChannel;
	listener: { readonly counters: EventCounters; readonly socket: { readonly receiveBuffer: number } };
	dump: { readonly counters: { malformed: number } };
	router: { readonly filtered: number };
	operations: { readonly kernelFlushes: number; readonly resync: { readonly count: number } };
	/** Direct injection. */
	injection?: Pick<Injection, "counters" | "waiting">;
	/** The expectation policy's counts; absent where expectations are not replicated. */
	policy?: { readonly counts: PolicyStats["counts"]; readonly onViolation: string };
	/** How the dedicated link is protected, in a line. */
	security: { readonly text: string };
	clock: Clock;
}

export class Statistics {
	workerFailures = 0;
	readonly #from: StatisticsSources;
	readonly #startedAt: number;

	constructor(from: StatisticsSources) {
		this.#from = from;
		this.#startedAt = from.clock.now();
	}

	/** The text for a statistics opcode; undefined for any other number. */
	render(op: number, control: ControlCounters): string | undefined {
		const { ftfw, channel } = this.#from;
		const links = channel.members.map(({ link, isActive }) => linkStats(link, isActive));
		switch (op) {
			case Opcode.stats:
				return this.#general(CONNTRACK);
			case Opcode.statsExpect:
				return this.#general(EXPECTATION) + this.#policy();
			case Opcode.statsNetwork:
				return renderNetwork(networkStats(ftfw, channel), links, this.#cluster()) + this.#security();
			case Opcode.statsCache:
				return renderCaches(...this.#sides(CONNTRACK));
			case Opcode.statsRuntime:
				return renderRuntime(this.#runtime(control));
			case Opcode.statsLink:
				return renderLinks(links);
			case Opcode.statsQueue:
				return this.#queues();
			case Opcode.statsResendQueue:
				return renderResendQueue([]);
			case Opcode.statsProcess:
				return renderProcesses([]);
			default:
				return undefined;
		}
	}

	#sides(kind: Kind) {
		const { internal, externals, injection } = this.#from;
		const external: ExternalSide = injection
			? { kind: "inject", stats: injectStats(injection, externals(kind), kind) }
			: { kind: "cache", stats: cacheStats(externals(kind)) };
		return [{ kind: "cache", stats: cacheStats([internal[kind]]) }, external] as const;
	}

	#general(kind: Kind): string {
		const { ftfw, channel } = this.#from;
		const [internal, external] = this.#sides(kind);
		const text = renderGeneral({
			internal,
			external,
			traffic: makeTrafficStats(),
			links: channel.members.map(({ link, isActive }) => linkStats(link, isActive)),
			network: networkStats(ftfw, channel),
			cluster: this.#cluster(),
		});
		return text + this.#security();
	}

	#cluster(): ClusterStats {
		const { ftfw, clock } = this.#from;
		return { node: nodeStats(ftfw), peers: peerStats(ftfw, clock.now()) };
	}

	#policy(): string {
		const { policy, externals } = this.#from;
		if (!policy) return "";
		const keptBack = new Int32Array(32);
		for (const { refusals } of externals(EXPECTATION)) {
			refusals.forEach((count, reason) => {
				keptBack[reason]! += count;
			});
		}
		return renderPolicy({ counts: policy.counts, onViolation: policy.onViolation, keptBack });
	}

	/** A block of our own, like the peers'. */
	#security(): string {
		const { badSeal } = this.#from.ftfw.counters;
		const hint =
			badSeal === 0
				? ""
				: `${badSeal} datagrams with a wrong seal: has the other side another key, or none?\n`;
		return `security:\n${this.#from.security.text}\n${hint}\n`;
	}

	#runtime(control: ControlCounters) {
		const { listener, router, dump, operations, clock } = this.#from;
		return runtimeStats({
			uptimeSeconds: Math.floor((clock.now() - this.#startedAt) / 1000),
			events: listener.counters,
			filtered: router.filtered,
			dumpMalformed: dump.counters.malformed,
			kernelFlushes: operations.kernelFlushes,
			kernelResyncs: operations.resync.count,
			// the kernel accounts twice what was asked for (socket(7), SO_RCVBUF)
			netlinkBuffer: listener.socket.receiveBuffer / 2,
			workerFailures: this.workerFailures,
			control,
		});
	}

	#queues(): string {
		const { outgoing } = this.#from.ftfw;
		const dirty = outgoing.dirty.queue.length + outgoing.bulk.retry.length;
		const queues = [
			{ ...makeQueueStats("txqueue", 2 ** 31 - 1), elements: dirty },
			makeQueueStats("errorq", 0),
			{ ...makeQueueStats("rsqueue", IN_FLIGHT_MAX), elements: outgoing.inFlight.count },
		];
		return renderQueues(dirty, queues);
	}
}
