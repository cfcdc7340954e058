// What systemd is told of the daemon (sd_notify(3)): that it is ready, that it stops, and, for its watchdog, that the
// event loop still turns. Without NOTIFY_SOCKET nobody asks, and nothing is said.
import type { Clock } from "./clock.ts";
import { AF_UNIX, type Native, SOCK_DGRAM } from "./native.ts";
import { unixAddress } from "./socket-address.ts";

/** The variables that systemd sets; WATCHDOG_USEC is in microseconds. */
export type ServiceEnvironment = Partial<Record<"NOTIFY_SOCKET" | "WATCHDOG_USEC" | "WATCHDOG_PID", string>>;

export class ServiceManager {
	readonly #native: Native;
	readonly #clock: Clock;
	readonly #address: Uint8Array | undefined;
	readonly #fd: number = -1;
	/** Milliseconds; undefined: there is no watchdog. */
	readonly #every: number | undefined;
	#cancel: (() => void) | undefined;

	constructor(native: Native, clock: Clock, environment: ServiceEnvironment) {
		this.#native = native;
		this.#clock = clock;
		const { NOTIFY_SOCKET: path, WATCHDOG_USEC: period, WATCHDOG_PID: pid } = environment;
		if (!path) return;
		this.#address = unixAddress(path);
		this.#fd = native.openSocket(AF_UNIX, SOCK_DGRAM, 0);
		const isMeant = pid === undefined || Number(pid) === process.pid;
		// twice in each period, as sd_watchdog_enabled(3) advises
		if (isMeant && Number(period) > 0) this.#every = Number(period) / 1000 / 2;
	}

	ready(): void {
		this.#say(`READY=1\nMAINPID=${process.pid}`);
		if (this.#every !== undefined) this.#feed(this.#every);
	}

	/** The last word. */
	close(): void {
		this.#say("STOPPING=1");
		this.#cancel?.();
		if (this.#fd >= 0) this.#native.closeSocket(this.#fd);
	}

	#feed(every: number): void {
		this.#say("WATCHDOG=1");
		this.#cancel = this.#clock.after(every, () => this.#feed(every));
	}

	/** Lost without a word when nobody listens. */
	#say(state: string): void {
		if (!this.#address) return;
		const bytes = Buffer.from(state);
		this.#native.sendMany(this.#fd, bytes, new Int32Array([0, bytes.length]), 1, this.#address);
	}
}
