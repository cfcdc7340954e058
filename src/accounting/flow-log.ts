// The log of flows: a line for each, to a file and to syslog. Nothing here waits: the file is written by another thread, one
// write at a time, and meanwhile lines queue up to a bound. A disk that is full or slow costs the lines beyond it, which
// are counted and told; what has been queued is written when there is room again, no line in pieces.
import { close, closeSync, constants, fchmodSync, openSync, write } from "node:fs";
import type { Clock } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { reasonOf } from "../system/reason.ts";
import { LOG_INFO, type Syslog } from "../system/syslog.ts";

/** Bytes of lines that wait for the file; a line that finds no room is lost. */
export const QUEUE_MAX = 8 << 20;
/** After a failure the next attempt is made so much later, milliseconds. */
const RETRY_MS = 1000;
/** At the end of the daemon the file gets so much time to take what is queued, milliseconds. */
const CLOSE_MS = 2000;
const NEWLINE = 0x0a;

export interface FlowLogOptions {
	clock: Clock;
	log: Pick<Log, "limited" | "warning">;
	file?: string;
	syslog?: Pick<Syslog, "write" | "close">;
	/** Bytes, instead of QUEUE_MAX. */
	queueMax?: number;
}

export class FlowLog {
	/** Lines taken, lines that found no room, writes that failed, datagrams that syslog did not take. */
	readonly counters = { lines: 0, lost: 0, failures: 0, syslogLost: 0 };
	readonly queueMax: number;
	readonly #options: FlowLogOptions;
	#file: { fd: number; name: string } | undefined;
	/** Where to go on when the write under way has ended. */
	#next: { fd: number; name: string } | "none" | undefined;
	/** Lines that no write has begun with; ASCII, so its length is bytes. */
	#queue = "";
	/** What is being written, and how much of it is. */
	#chunk: Buffer | undefined;
	#written = 0;
	#isWriting = false;
	#cancelRetry: (() => void) | undefined;
	/** Nothing more can be done for what is queued. */
	#idle: () => void = () => {};
	#isClosing = false;

	/** @throws Error when the file cannot be opened */
	constructor(options: FlowLogOptions) {
		this.#options = options;
		this.queueMax = options.queueMax ?? QUEUE_MAX;
		if (options.file !== undefined) this.#file = openFile(options.file);
	}

	/** Somebody wants the lines. */
	get isOn(): boolean {
		return this.#file !== undefined || this.#options.syslog !== undefined;
	}

	/** Bytes that the file has not taken yet. */
	get waiting(): number {
		return this.#queue.length + (this.#chunk ? this.#chunk.length - this.#written : 0);
	}

	/** @param stamp stands before the text in the file, and not in syslog, which has its own */
	write(date: Date, stamp: string, text: string): void {
		const { log, syslog } = this.#options;
		this.counters.lines++;
		if (syslog && !syslog.write(date, LOG_INFO, text)) {
			this.counters.syslogLost++;
			log.limited("flow syslog", "syslog does not take lines of flows: they are lost");
		}
		if (!this.#file) return;
		const size = stamp.length + text.length + 2;
		if (this.waiting + size > this.queueMax) {
			this.counters.lost++;
			log.limited(
				"flow log",
				`LogFile \`${this.#file.name}' is full or slow: ${this.counters.lost} lines of flows are lost so far`,
			);
			return;
		}
		this.#queue += `${stamp}\t${text}\n`;
	}

	/** Begins to write what is queued, if nothing is being written. */
	flush(): void {
		if (this.#isWriting || this.#cancelRetry) return;
		if (this.#next) this.#switch();
		if (!this.#file) {
			this.#idle();
			return;
		}
		if (!this.#chunk) {
			if (this.#queue === "") {
				this.#idle();
				return;
			}
			this.#chunk = Buffer.from(this.#queue, "latin1");
			this.#queue = "";
			this.#written = 0;
		}
		const { fd, name } = this.#file;
		this.#isWriting = true;
		write(fd, this.#chunk, this.#written, this.#chunk.length - this.#written, null, (error, count) => {
			this.#isWriting = false;
			if (error) {
				this.#failed(name, error);
				return;
			}
			this.#written += count;
			if (this.#written === this.#chunk!.length) this.#chunk = undefined;
			this.flush();
		});
	}

	/**
	 * Goes on in this file, which may be the same name again after it was moved away; false: in none, and what is queued is
	 * dropped.
	 *
	 * @throws Error when it cannot be opened; the lines then go where they went
	 */
	reopen(file: string | false): void {
		const next = file === false ? "none" : openFile(file);
		if (this.#next && this.#next !== "none") closeSync(this.#next.fd);
		this.#next = next;
		this.#cancelRetry?.();
		this.#cancelRetry = undefined;
		this.flush();
	}

	/** Writes what is queued, within some time, and closes. */
	async close(): Promise<void> {
		const { clock, log, syslog } = this.#options;
		this.#isClosing = true;
		this.#cancelRetry?.();
		this.#cancelRetry = undefined;
		await new Promise<void>((resolve) => {
			const cancel = clock.after(CLOSE_MS, resolve);
			this.#idle = () => {
				cancel();
				resolve();
			};
			this.flush();
		});
		if (this.waiting > 0 && this.#file) {
			log.warning(
				`LogFile \`${this.#file.name}' does not take the last ${this.waiting} bytes: they are lost`,
			);
		}
		// a thread that hangs in a write keeps its descriptor
		if (this.#file && !this.#isWriting) closeSync(this.#file.fd);
		syslog?.close();
	}

	#failed(name: string, error: NodeJS.ErrnoException): void {
		const { clock, log } = this.#options;
		this.counters.failures++;
		log.limited(
			"flow log write",
			`cannot write to LogFile \`${name}': ${reasonOf(error)}: ${this.waiting} bytes wait, trying again`,
		);
		if (this.#isClosing) {
			this.#idle();
			return;
		}
		this.#cancelRetry = clock.after(this.#next ? 0 : RETRY_MS, () => {
			this.#cancelRetry = undefined;
			this.flush();
		});
	}

	/** The new file begins with a whole line. */
	#switch(): void {
		const old = this.#file;
		this.#file = this.#next === "none" ? undefined : this.#next;
		this.#next = undefined;
		if (old) close(old.fd, () => {});
		if (this.#file) {
			if (this.#chunk && this.#written > 0) {
				this.#written = this.#chunk.lastIndexOf(NEWLINE, this.#written - 1) + 1;
			}
			return;
		}
		this.#queue = "";
		this.#chunk = undefined;
	}
}

/** Does not wait for a reader of a FIFO, nor for room in one. */
function openFile(name: string): { fd: number; name: string } {
	const { O_WRONLY, O_APPEND, O_CREAT, O_NONBLOCK } = constants;
	try {
		const fd = openSync(name, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o600);
		try {
			fchmodSync(fd, 0o600);
		} catch (error) {
			closeSync(fd);
			throw error;
		}
		return { fd, name };
	} catch (error) {
		throw new Error(`cannot open LogFile \`${name}' of Stats: ${reasonOf(error)}`);
	}
}
