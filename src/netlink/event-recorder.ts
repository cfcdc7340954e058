// For tests: the kernel's events as objects, in the order in which a listener delivers them.
import {
	type Conntrack,
	conntrackFromRecord,
	type Expectation,
	expectationFromRecord,
} from "../conntrack/conntrack.ts";
import type { NameTable } from "../conntrack/names.ts";
import type { Clock } from "../system/clock.ts";
import type { EventHandler, EventKind } from "./event-listener.ts";

export type RecordedEvent =
	| { kind: EventKind; conntrack: Conntrack; port: number }
	| { kind: EventKind; expectation: Expectation; port: number };

/** The longest that a test waits for what must come, milliseconds. */
const PATIENCE_MS = 10_000;

export class EventRecorder implements EventHandler {
	events: RecordedEvent[] = [];
	batches = 0;
	overruns = 0;
	readonly #names: NameTable;
	readonly #clock: Clock;

	constructor(names: NameTable, clock: Clock) {
		this.#names = names;
		this.#clock = clock;
	}

	conntrack(kind: EventKind, record: Int32Array, port: number): void {
		this.events.push({ kind, conntrack: conntrackFromRecord(record, this.#names), port });
	}

	expectation(kind: EventKind, record: Int32Array, port: number): void {
		this.events.push({ kind, expectation: expectationFromRecord(record, this.#names), port });
	}

	batchEnd(): void {
		this.batches++;
	}

	overrun(): void {
		this.overruns++;
	}

	/** What has come since the last call. */
	take(): RecordedEvent[] {
		return this.events.splice(0);
	}

	/** Lets the event loop run until so many events are there, and takes them. @throws Error if they do not come */
	async wait(count: number): Promise<RecordedEvent[]> {
		await this.until(() => this.events.length >= count, `${count} events`);
		return this.take();
	}

	async until(condition: () => boolean, what: string): Promise<void> {
		const end = this.#clock.now() + PATIENCE_MS;
		while (!condition()) {
			if (this.#clock.now() > end)
				throw new Error(`waited in vain for ${what}: ${this.events.length} events`);
			await new Promise<void>((resolve) => void this.#clock.after(1, resolve));
		}
	}
}
