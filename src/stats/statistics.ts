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
import {
	type BypassStats,
	type ClusterStats,
	type LinkStats,
	makeQueueStats,
	makeTrafficStats,
	type QueueStats,
	type ResendEntry,
	type SilentStats,
} from "./counters.ts";
import {
	clusterJson,
	jsonLine,
	linksJson,
	networkJson,
	policyJson,
	processesJson,
	queuesJson,
	resendJson,
	runtimeJson,
	securityJson,
	sideJson,
	trafficJson,
} from "./json.ts";
import {
	type ExternalSide,
	type InternalSide,
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
	router: { readonly filtered: number; readonly bypass: BypassStats };
	operations: { readonly kernelFlushes: number; readonly resync: { readonly count: number } };
	/** Direct injection. */
	injection?: Pick<Injection, "counters" | "waiting">;
	/** The expectation policy's counts; absent where expectations are not replicated. */
	policy?: { readonly counts: PolicyStats["counts"]; readonly onViolation: string };
	/** Who should be on the dedicated links and was never heard. */
	silent: () => readonly SilentStats[];
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

	/** The text, or the JSON, for a statistics opcode; undefined for any other number. */
	render(op: number, control: ControlCounters, form?: "json"): string | undefined {
		return form === "json" ? this.#json(op, control) : this.#text(op, control);
	}

	#text(op: number, control: ControlCounters): string | undefined {
		const { ftfw, channel } = this.#from;
		switch (op) {
			case Opcode.stats:
				return this.#general(CONNTRACK);
			case Opcode.statsExpect: {
				// conntrackd says nothing where expectations are not replicated
				const policy = this.#policy();
				return policy ? this.#general(EXPECTATION) + renderPolicy(policy) : "";
			}
			case Opcode.statsNetwork:
				return renderNetwork(networkStats(ftfw, channel), this.#links(), this.#cluster()) + this.#security();
			case Opcode.statsCache:
				return renderCaches(...this.#sides(CONNTRACK));
			case Opcode.statsRuntime:
				return renderRuntime(this.#runtime(control));
			case Opcode.statsLink:
				return renderLinks(this.#links());
			case Opcode.statsQueue: {
				const queues = this.#queues();
				return renderQueues(queues[0]!.elements, queues);
			}
			case Opcode.statsResendQueue:
				return renderResendQueue(this.#resend());
			case Opcode.statsProcess:
				return renderProcesses([]);
			default:
				return undefined;
		}
	}

	#json(op: number, control: ControlCounters): string | undefined {
		const { ftfw, channel, security } = this.#from;
		const around = () => ({
			links: linksJson(this.#links()),
			...clusterJson(this.#cluster()),
			security: securityJson({ text: security.text, badSeal: ftfw.counters.badSeal }),
		});
		const caches = (kind: Kind) => {
			const [internal, external] = this.#sides(kind);
			return { internal: sideJson(internal), external: sideJson(external) };
		};
		const general = (kind: Kind) => ({
			...caches(kind),
			traffic: trafficJson(makeTrafficStats()),
			network: networkJson(networkStats(ftfw, channel)),
			...around(),
		});
		switch (op) {
			case Opcode.stats:
				return jsonLine("ct", general(CONNTRACK));
			case Opcode.statsExpect: {
				const policy = this.#policy();
				return jsonLine("expect", { ...general(EXPECTATION), ...(policy && { policy: policyJson(policy) }) });
			}
			case Opcode.statsNetwork:
				return jsonLine("network", { network: networkJson(networkStats(ftfw, channel)), ...around() });
			case Opcode.statsCache:
				return jsonLine("cache", caches(CONNTRACK));
			case Opcode.statsRuntime:
				return jsonLine("runtime", runtimeJson(this.#runtime(control)));
			case Opcode.statsLink:
				return jsonLine("link", { links: linksJson(this.#links()) });
			case Opcode.statsQueue:
				return jsonLine("queue", { queues: queuesJson(this.#queues()) });
			case Opcode.statsResendQueue:
				return jsonLine("rsqueue", { datagrams: resendJson(this.#resend()) });
			case Opcode.statsProcess:
				return jsonLine("process", { processes: processesJson([]) });
			default:
				return undefined;
		}
	}

	#links(): LinkStats[] {
		return this.#from.channel.members.map(({ link, isActive }) => linkStats(link, isActive));
	}

	/** Datagrams that wait for an acknowledgement; one without a record is a control message. */
	#resend(): ResendEntry[] {
		return this.#from.ftfw.outgoing.inFlight
			.waiting()
			.map(({ sequence, records }) =>
				records === 0 ? { kind: "control", sequence, flags: 0 } : { kind: "object", sequence },
			);
	}

	#sides(kind: Kind): readonly [InternalSide, ExternalSide] {
		const { internal, externals, injection, ftfw, router } = this.#from;
		// expectations are kept in any case
		const own: InternalSide =
			ftfw.mode.dump && kind === CONNTRACK
				? { kind: "bypass", stats: router.bypass }
				: { kind: "cache", stats: cacheStats([internal[kind]]) };
		const external: ExternalSide = injection
			? { kind: "inject", stats: injectStats(injection, externals(kind), kind) }
			: { kind: "cache", stats: cacheStats(externals(kind)) };
		return [own, external];
	}

	#general(kind: Kind): string {
		const { ftfw, channel } = this.#from;
		const [internal, external] = this.#sides(kind);
		const text = renderGeneral({
			internal,
			external,
			traffic: makeTrafficStats(),
			links: this.#links(),
			network: networkStats(ftfw, channel),
			cluster: this.#cluster(),
		});
		return text + this.#security();
	}

	#cluster(): ClusterStats {
		const { ftfw, clock, silent } = this.#from;
		return { node: nodeStats(ftfw), peers: peerStats(ftfw, clock.now()), silent: silent() };
	}

	#policy(): PolicyStats | undefined {
		const { policy, externals } = this.#from;
		if (!policy) return undefined;
		const keptBack = new Int32Array(32);
		for (const { refusals } of externals(EXPECTATION)) {
			refusals.forEach((count, reason) => {
				keptBack[reason]! += count;
			});
		}
		return { counts: policy.counts, onViolation: policy.onViolation, keptBack };
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

	#queues(): QueueStats[] {
		const { outgoing } = this.#from.ftfw;
		const dirty = outgoing.dirty.queue.length + outgoing.bulk.retry.length;
		return [
			{ ...makeQueueStats("txqueue", 2 ** 31 - 1), elements: dirty },
			makeQueueStats("errorq", 0),
			{ ...makeQueueStats("rsqueue", IN_FLIGHT_MAX), elements: outgoing.inFlight.count },
		];
	}
}
