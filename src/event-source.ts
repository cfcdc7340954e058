// Where the news of this kernel come from: its events or, with PollSecs, its tables.
import type { Config } from "./config/config.ts";
import { KernelPoll, type KernelPollOptions } from "./kernel-poll.ts";
import { type EventCounters, EventListener, type ListenerOptions } from "./netlink/event-listener.ts";
import { eventFilter } from "./setup.ts";
import type { Log } from "./system/log.ts";

export interface EventSource {
	readonly counters: EventCounters;
	/** Bytes of receive buffer, as the kernel accounts them; 0 where nothing is received. */
	readonly socket: { receiveBuffer: number };
	/** Begins to deliver; what has happened since the source was made is delivered first. */
	start(): void;
	/** Delivers what is there now. */
	drain(): void;
	close(): void;
}

export interface EventSourceOptions
	extends Omit<ListenerOptions, "filter" | "receiveBuffer" | "reliable" | "isUrgent" | "ignorePorts"> {
	config: Config;
	log: Log;
	/** Bytes. */
	receiveBuffer: number;
	/** Netlink ports of this daemon: what their requests cause is no news. */
	ports: readonly number[];
	/** Compares the internal cache with the tables. */
	compare: () => Promise<void>;
}

/** @throws Error with a line for the operator */
export function openEventSource(options: EventSourceOptions): EventSource {
	const { config, log, ports, receiveBuffer, clock, compare } = options;
	const { general, stats, sync } = config;
	const { pollSecs, filter } = general;
	if (pollSecs !== undefined) {
		log.notice(`polling the kernel tables every ${pollSecs} seconds: shorter connections are never known`);
		return new PolledTables({
			clock,
			seconds: pollSecs,
			read: compare,
			failed: (error) => log.limited("poll", error.message),
		});
	}
	// a commit of a million entries must not overrun the socket that listens
	const { program, place } = eventFilter(filter, ports, log);
	const listener = new EventListener({
		...options,
		reliable: general.netlinkEventsReliable || stats?.netlinkEventsReliable === true,
		filter: program,
		// the peers' kernels have it at once, for packets that may be on their way to another node
		isUrgent: sync?.disableExternalCache === true,
	});
	log.notice(`using ${place} event filtering`);
	log.notice(`netlink event socket buffer size has been set to ${receiveBuffer} bytes`);
	return listener;
}

/** PollSecs: what comes and goes between two readings is never known. */
class PolledTables implements EventSource {
	readonly counters = { received: 0, unknownType: 0, malformed: 0, overruns: 0 };
	readonly socket = { receiveBuffer: 0 };
	readonly #options: KernelPollOptions;
	#poll: KernelPoll | undefined;

	constructor(options: KernelPollOptions) {
		this.#options = options;
	}

	start(): void {
		this.#poll = new KernelPoll(this.#options);
	}

	/** Nothing waits anywhere. */
	drain(): void {}

	close(): void {
		this.#poll?.close();
	}
}
