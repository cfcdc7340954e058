// Requests about single conntracks, many in one call, and what the kernel answered to each.
import type { NameTable } from "../conntrack/names.ts";
import {
	type ConntrackRecord,
	MASTER_DST,
	MASTER_PORTS,
	MASTER_PROTOCOLS,
	MASTER_SRC,
	newConntrackRecord,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	ZONES,
} from "../conntrack/record.ts";
import { ConntrackDecoder } from "../netlink/decode-conntrack.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder } from "../netlink/encode-conntrack.ts";
import { attributesOf } from "../netlink/message.ts";
import type { Native } from "../system/native.ts";
import { RequestSocket } from "./request-socket.ts";

/**
 * Entries per call. Measured: more gain nothing and hold the kernel's mutex longer; and as many answers to GET, of 4 KB
 * each as the kernel accounts them, fit the receive buffer several times.
 */
export const BATCH = 256;
/** Requests per entry at most: delete, create, get. */
const REQUESTS_PER_ENTRY = 3;

export class ConntrackRequests {
	readonly socket: RequestSocket;
	readonly encoder: ConntrackEncoder;
	readonly #decoder: ConntrackDecoder;

	constructor(native: Native, names: NameTable) {
		this.socket = new RequestSocket(native, REQUESTS_PER_ENTRY * BATCH * CONNTRACK_REQUEST_MAX);
		this.encoder = new ConntrackEncoder(this.socket.writer, names);
		this.#decoder = new ConntrackDecoder(names);
	}

	/**
	 * Sends what the encoder has written: requests with sequence numbers `socket.sequence(index)`.
	 *
	 * @param failed gets index and errno of each request that the kernel refused
	 * @param found gets the index of each GET that found something; it decodes with `decode`
	 * @param echoed gets the events of requests with NLM_F_ECHO, in the order of the requests
	 */
	exchange(
		failed: (index: number, errno: number) => void,
		found: (index: number, start: number, end: number) => void,
		echoed?: (start: number, end: number) => void,
	): void {
		this.socket.exchange(failed, (start, end, index) => found(index, start, end), echoed);
	}

	/** An answer that `exchange` has handed out; false if it cannot be read. */
	decode(start: number, end: number, into: ConntrackRecord): boolean {
		return this.#decoder.decode(this.socket.wire, attributesOf(start), end, into);
	}

	/** What the kernel has under each original tuple, or each reply tuple; undefined where there is nothing. */
	get(
		keys: readonly ConntrackRecord[],
		by: "original" | "reply" = "original",
	): (ConntrackRecord | undefined)[] {
		const out: (ConntrackRecord | undefined)[] = keys.map(() => undefined);
		for (let at = 0; at < keys.length; at += BATCH) {
			keys.slice(at, at + BATCH).forEach((key, i) => {
				if (by === "original") this.encoder.get(key, this.socket.sequence(i));
				else this.encoder.getByReply(key, this.socket.sequence(i));
			});
			this.exchange(
				() => {},
				(i, start, end) => {
					const record = newConntrackRecord();
					if (this.decode(start, end, record)) out[at + i] = record;
				},
			);
		}
		return out;
	}

	/** Sends what the encoder has written; the errno of the request with index 0. */
	single(): number {
		let errno = 0;
		this.exchange(
			(index, number) => {
				if (index === 0) errno = number;
			},
			() => {},
		);
		return errno;
	}
}

/** The key of the record's master. */
export function masterKey(record: ConntrackRecord): ConntrackRecord {
	const key = newConntrackRecord();
	key[PROTOCOLS] = record[MASTER_PROTOCOLS]!;
	key[ZONES] = record[ZONES]!;
	key[ORIG_PORTS] = record[MASTER_PORTS]!;
	key.set(record.subarray(MASTER_SRC, MASTER_SRC + 4), ORIG_SRC);
	key.set(record.subarray(MASTER_DST, MASTER_DST + 4), ORIG_DST);
	return key;
}
