// Events of the kernel were lost: when to read its table. Too early is in vain, because a storm goes on; too late leaves
// the peers without what is known to be missing.
import type { Clock } from "./system/clock.ts";
import type { Log } from "./system/log.ts";

/** The receive buffer of the event socket, bytes: what it has, and how far it may grow. */
export interface EventBuffer {
	size: number;
	max: number;
	/** It has been told that it cannot grow any more. */
	isExhausted?: boolean;
}

/** Events were lost: the buffer grows if it may. */
export function growBuffer(
	socket: { receiveBuffer: number },
	buffer: EventBuffer,
	log: Pick<Log, "notice" | "warning">,
): void {
	if (buffer.size * 2 <= buffer.max) {
		buffer.size *= 2;
		socket.receiveBuffer = buffer.size;
		log.notice(`netlink event socket buffer size has been doubled to ${buffer.size} bytes`);
	} else if (!buffer.isExhausted) {
		buffer.isExhausted = true;
		log.warning(
			"maximum netlink socket buffer size reached: events were lost, consider NetlinkBufferSizeMaxGrowth",
		);
	}
}

/** A resync begins so long after the last loss, milliseconds: the storm is over. */
const CALM_MS = 100;
/** While losses go on the first resync waits this long for their end, each further one twice as long, milliseconds. */
const WAIT_MS = 100;
const WAIT_MAX_MS = 5000;
/** After so long without another loss the wait begins small again. */
const FORGET_MS = 10_000;

export interface OverrunOptions {
	clock: Clock;
	/** Reads the kernel's tables; rejects if that fails. */
	resync: () => Promise<void>;
	/** A resync that fails is tried again for as long as it does. */
	log: Pick<Log, "limited">;
}

export class OverrunWatch {
	readonly #options: OverrunOptions;
	#lostAt = Number.NEGATIVE_INFINITY;
	/** No later than this the resync begins. */
	#dueAt = 0;
	#wait = WAIT_MS;
	#cancel: (() => void) | undefined;
	#isClosed = false;

	constructor(options: OverrunOptions) {
		this.#options = options;
	}

	/** Events were lost just now. */
	lost(): void {
		const now = this.#options.clock.now();
		if (now - this.#lostAt >= FORGET_MS) this.#wait = WAIT_MS;
		this.#lostAt = now;
		if (this.#cancel || this.#isClosed) return;
		this.#dueAt = now + this.#wait;
		this.#wait = Math.min(WAIT_MAX_MS, this.#wait * 2);
		this.#after(CALM_MS);
	}

	close(): void {
		this.#isClosed = true;
		this.#cancel?.();
	}

	#after(milliseconds: number): void {
		this.#cancel = this.#options.clock.after(milliseconds, () => {
			this.#cancel = undefined;
			const now = this.#options.clock.now();
			const begin = Math.min(this.#dueAt, this.#lostAt + CALM_MS);
			if (now < begin) this.#after(begin - now);
			else void this.#resync();
		});
	}

	async #resync(): Promise<void> {
		try {
			await this.#options.resync();
		} catch (error) {
			this.#options.log.limited("resync", `${(error as Error).message}: trying again`);
			// a loss meanwhile has one begin sooner
			if (!this.#cancel && !this.#isClosed) this.#after(WAIT_MAX_MS);
		}
	}
}
