// Datagrams to /dev/log, as syslog(3) sends them.
import { AF_UNIX, type Native, SOCK_DGRAM } from "./native.ts";
import { unixAddress } from "./socket-address.ts";

const FACILITY: Readonly<Record<string, number>> = {
	daemon: 3,
	local0: 16,
	local1: 17,
	local2: 18,
	local3: 19,
	local4: 20,
	local5: 21,
	local6: 22,
	local7: 23,
};

/** The severity of syslog(3) that is no more than information. */
export const LOG_INFO = 6;

export class Syslog {
	readonly #native: Native;
	readonly #fd: number;
	readonly #facility: number;
	readonly #address: Uint8Array;

	/** @param facility `daemon` or `local0` to `local7` */
	constructor(native: Native, facility: string) {
		this.#native = native;
		this.#fd = native.openSocket(AF_UNIX, SOCK_DGRAM, 0);
		this.#facility = FACILITY[facility] ?? FACILITY.daemon!;
		this.#address = unixAddress("/dev/log");
	}

	/**
	 * Never waits.
	 *
	 * @param severity of syslog(3)
	 * @returns false if nobody listens, or whoever does has no room: the line is lost
	 */
	write(date: Date, severity: number, text: string): boolean {
		const [, month, day] = date.toDateString().split(" ");
		const stamp = `${month} ${day!.replace(/^0/, " ")} ${date.toTimeString().slice(0, 8)}`;
		const bytes = Buffer.from(`<${this.#facility * 8 + severity}>${stamp} ctsync[${process.pid}]: ${text}`);
		return this.#native.sendMany(this.#fd, bytes, new Int32Array([0, bytes.length]), 1, this.#address) === 1;
	}

	close(): void {
		this.#native.closeSocket(this.#fd);
	}
}
