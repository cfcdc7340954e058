// Asks the kernel for single conntracks: with DisableInternalCache an update tells only what has changed, and the whole
// state is where the connection is. The kernel answers within the request.
import { type LabelMask, NO_LABELS } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { type ConntrackRecord, newConntrackRecord, ORIG_DST, PROTOCOLS } from "../conntrack/record.ts";
import type { Native } from "../system/native.ts";
import { AttributeWriter, WireBuffer } from "./attribute.ts";
import { IPCTNL_MSG_CT_NEW, NFNL_SUBSYS_CTNETLINK } from "./constants.ts";
import { ConntrackDecoder } from "./decode-conntrack.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder } from "./encode-conntrack.ts";
import { attributesOf, eachMessage, messageType } from "./message.ts";
import { NetlinkSocket } from "./socket.ts";

const STRIDE = 4096;
/** Requests in one call, and answers. */
const BATCH = 64;

export interface ConntrackLookupOptions {
	native: Native;
	names: NameTable;
	/** The connlabels that count; none unless given. */
	labels?: LabelMask;
}

export class ConntrackLookup {
	/** Requests so far. */
	asked = 0;
	readonly #socket: NetlinkSocket;
	readonly #encoder: ConntrackEncoder;
	readonly #decoder: ConntrackDecoder;
	readonly #writer = new AttributeWriter(CONNTRACK_REQUEST_MAX * BATCH);
	readonly #wire = new WireBuffer(STRIDE * BATCH);
	readonly #lengths = new Int32Array(BATCH);
	readonly #record = newConntrackRecord();
	/** What is to be asked for, by its key: once, however often it has changed. Bounded by one batch of events. */
	readonly #wanted = new Map<string, ConntrackRecord>();

	/** @throws Error with a line for the operator */
	constructor({ native, names, labels }: ConntrackLookupOptions) {
		this.#socket = new NetlinkSocket(native, { receiveBuffer: 1 << 20 });
		this.#encoder = new ConntrackEncoder(this.#writer, names);
		this.#decoder = new ConntrackDecoder(names, { mask: labels ?? NO_LABELS, isWhole: true });
	}

	/** To be asked for with the next `flush`; the record's key counts. */
	want(record: ConntrackRecord): void {
		const key = keyOf(record);
		if (!this.#wanted.has(key)) this.#wanted.set(key, record.slice());
	}

	/** It has ended: there is nothing to ask for. */
	forget(record: ConntrackRecord): void {
		if (this.#wanted.size > 0) this.#wanted.delete(keyOf(record));
	}

	/** Asks for all that is wanted; calls back with each that is there. The record is reused. */
	flush(found: (record: ConntrackRecord) => void): void {
		if (this.#wanted.size === 0) return;
		const wanted = [...this.#wanted.values()];
		this.#wanted.clear();
		for (let first = 0; first < wanted.length; first += BATCH) {
			const batch = wanted.slice(first, first + BATCH);
			this.#writer.at = 0;
			batch.forEach((record, i) => {
				this.#encoder.get(record, i);
			});
			this.asked += batch.length;
			if (this.#socket.send(this.#writer) >= 0) this.#answers(found);
		}
	}

	close(): void {
		this.#socket.close();
	}

	#answers(found: (record: ConntrackRecord) => void): void {
		for (;;) {
			const count = this.#socket.receive(this.#wire, STRIDE, this.#lengths);
			if (count <= 0) return;
			for (let i = 0; i < count; i++) {
				const start = i * STRIDE;
				eachMessage(this.#wire, start, start + Math.min(this.#lengths[i]!, STRIDE), (from, to) => {
					// the answer for one that is not there is an error
					if (messageType(this.#wire, from) !== ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW)) return;
					if (this.#decoder.decode(this.#wire, attributesOf(from), to, this.#record)) found(this.#record);
				});
			}
		}
	}
}

/** Protocols, zones, ports and addresses of the original direction. */
const keyOf = (record: ConntrackRecord): string => record.subarray(PROTOCOLS, ORIG_DST + 4).join();
