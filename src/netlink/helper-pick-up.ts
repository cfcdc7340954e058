// Keeps the FTP helper attentive while a failover settles. It looks only at lines that begin where it has seen one end;
// of a committed connection it takes the next segment for a beginning, whatever it is, but only once. A PORT that goes
// through the new primary twice, because its answer has not found the way back yet, would be rewritten once and then
// pass as it is: longer or shorter, which is the end of the dialogue. The kernel lets itself be told again.
import type { NameTable } from "../conntrack/names.ts";
import { type ConntrackRecord, HELPER, ORIG_DST, PROTOCOLS } from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import type { Native } from "../system/native.ts";
import { AttributeWriter, WireBuffer } from "./attribute.ts";
import { NLMSG_ERROR } from "./constants.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder } from "./encode-conntrack.ts";
import { eachMessage, messageType } from "./message.ts";
import { NetlinkSocket } from "./socket.ts";

/** The only helper that keeps an account of lines. */
const FTP = "ftp";
/** TCP repeats after 200 ms at the earliest; what has waited for longer, repeats in longer intervals. */
const SOON_MS = 10;
const OFTEN_MS = 100;
const OFTEN_FOR_MS = 5000;
const RARELY_MS = 1000;
const RARELY_FOR_MS = 30_000;
/** Connections that are told of; more are left with the one time that the kernel gives them. */
const CONNECTIONS_MAX = 1024;
const STRIDE = 512;
const BATCH = 64;

export interface HelperPickUpOptions {
	native: Native;
	clock: Clock;
	names: NameTable;
}

interface Committed {
	record: ConntrackRecord;
	since: number;
	told: number;
}

export class HelperPickUp {
	/** Requests that the kernel has taken. */
	told = 0;
	readonly #options: HelperPickUpOptions;
	readonly #socket: NetlinkSocket;
	readonly #writer = new AttributeWriter(CONNTRACK_REQUEST_MAX * BATCH);
	readonly #encoder: ConntrackEncoder;
	readonly #wire = new WireBuffer(STRIDE * BATCH);
	readonly #lengths = new Int32Array(BATCH);
	/** By the text of their key. Bounded: CONNECTIONS_MAX. */
	readonly #committed = new Map<string, Committed>();
	#cancel: (() => void) | undefined;

	/** @throws Error with a line for the operator */
	constructor(options: HelperPickUpOptions) {
		this.#options = options;
		this.#socket = new NetlinkSocket(options.native);
		this.#encoder = new ConntrackEncoder(this.#writer, options.names);
	}

	/** The netlink port of the requests: their events tell nothing. */
	get port(): number {
		return this.#socket.port;
	}

	/** Connections that are told of. */
	get size(): number {
		return this.#committed.size;
	}

	/** A translated TCP connection with a helper is in this kernel by a commit from now on. */
	committed(record: ConntrackRecord): void {
		const { clock, names } = this.#options;
		if (names.name(record[HELPER]!) !== FTP) return;
		const key = record.subarray(PROTOCOLS, ORIG_DST + 4).join();
		if (!this.#committed.has(key) && this.#committed.size >= CONNECTIONS_MAX) return;
		const now = clock.now();
		this.#committed.set(key, { record: record.slice(), since: now, told: now });
		this.#cancel ??= clock.after(SOON_MS, () => this.#tick());
	}

	close(): void {
		this.#cancel?.();
		this.#committed.clear();
		this.#socket.close();
	}

	#tick(): void {
		const { clock } = this.#options;
		const now = clock.now();
		const due: string[] = [];
		for (const [key, committed] of this.#committed) {
			const age = now - committed.since;
			if (age >= RARELY_FOR_MS) this.#committed.delete(key);
			else if (age < OFTEN_FOR_MS || now - committed.told >= RARELY_MS) {
				committed.told = now;
				due.push(key);
			}
		}
		for (let first = 0; first < due.length; first += BATCH) this.#tell(due.slice(first, first + BATCH));
		this.#cancel = this.#committed.size === 0 ? undefined : clock.after(OFTEN_MS, () => this.#tick());
	}

	/**
	 * The kernel answers within the request, and only what it does not take: an entry that has ended, that was made
	 * without its helper, or that the commit under way has not come to yet.
	 */
	#tell(keys: readonly string[]): void {
		this.#writer.at = 0;
		keys.forEach((key, i) => {
			this.#encoder.helper(this.#committed.get(key)!.record, i);
		});
		if (this.#socket.send(this.#writer) < 0) return;
		this.told += keys.length;
		for (;;) {
			const count = this.#socket.receive(this.#wire, STRIDE, this.#lengths);
			if (count <= 0) return;
			for (let i = 0; i < count; i++) {
				const start = i * STRIDE;
				eachMessage(this.#wire, start, start + Math.min(this.#lengths[i]!, STRIDE), (from) => {
					if (messageType(this.#wire, from) === NLMSG_ERROR) this.told--;
				});
			}
		}
	}
}
