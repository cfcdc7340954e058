// Empties the kernel's tables, or deletes single entries. Conntracks that the filter keeps out of the replication stay,
// and so do the firewall's own connections, whatever the filter says: who flushes over ssh must not cut himself off.
import { type LabelMask, NO_LABELS } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { CONNTRACK_WORDS, newConntrackRecord } from "../conntrack/record.ts";
import type { Filter } from "../filter/filter.ts";
import { isOwnConnection } from "../filter/own-connection.ts";
import { AttributeWriter, WireBuffer } from "../netlink/attribute.ts";
import { NLMSG_DONE, NLMSG_ERROR } from "../netlink/constants.ts";
import { ConntrackDecoder } from "../netlink/decode-conntrack.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder } from "../netlink/encode-conntrack.ts";
import { ExpectationEncoder } from "../netlink/encode-expectation.ts";
import { NetlinkError } from "../netlink/error.ts";
import { attributesOf, eachMessage, messageError, messageType } from "../netlink/message.ts";
import { readOwnAddresses } from "../netlink/own-addresses.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { EAGAIN, type Native } from "../system/native.ts";
import { RequestSocket } from "./request-socket.ts";

const BATCH = 256;
const STRIDE = 65_536;
const ENOENT = 2;

export class Flusher {
	/** Events with this socket's port are flushes: a withdrawal, not the end of a connection. */
	readonly requests: RequestSocket;
	readonly #native: Native;
	readonly #names: NameTable;
	readonly #encoder: ConntrackEncoder;
	#batched = 0;
	#deleted = 0;

	constructor(native: Native, names: NameTable) {
		this.#native = native;
		this.#names = names;
		this.requests = new RequestSocket(native, (BATCH + 1) * CONNTRACK_REQUEST_MAX);
		this.#encoder = new ConntrackEncoder(this.requests.writer, names);
	}

	/**
	 * Deletes every conntrack that passes the filter and is not this node's own; how many there were.
	 *
	 * @param labels the connlabels that the filter looks at
	 */
	conntracks(filter: Filter, labels: LabelMask = NO_LABELS): number {
		this.#deleted = 0;
		const addresses = readOwnAddresses(this.#native);
		try {
			this.#dump(labels, (record) => {
				if (filter.passes(record) && !isOwnConnection(record, addresses)) this.#delete(record);
			});
			this.#flush();
		} finally {
			// a dump that broke off must not leave the rest of its batch to the next job
			this.#batched = 0;
			this.requests.writer.at = 0;
		}
		return this.#deleted;
	}

	/** Deletes these conntracks, records one after another; how many of them existed. */
	records(records: Int32Array): number {
		this.#deleted = 0;
		for (let at = 0; at < records.length; at += CONNTRACK_WORDS) {
			this.#delete(records.subarray(at, at + CONNTRACK_WORDS));
		}
		this.#flush();
		return this.#deleted;
	}

	/** Empties the expectation table. */
	expectations(): void {
		let errno = 0;
		new ExpectationEncoder(this.requests.writer, this.#names).flush(this.requests.sequence(0));
		this.requests.exchange((_, number) => {
			errno = number;
		});
		if (errno !== 0) throw new NetlinkError("flush expectations", errno);
	}

	#delete(record: Int32Array): void {
		this.#encoder.delete(record, this.requests.sequence(this.#batched++), 0);
		if (this.#batched === BATCH) this.#flush();
	}

	#flush(): void {
		this.#deleted += this.#batched;
		this.#batched = 0;
		let failure = 0;
		this.requests.exchange((_, errno) => {
			this.#deleted--;
			if (errno !== ENOENT) failure = errno;
		});
		if (failure !== 0) throw new NetlinkError("delete conntracks", failure);
	}

	/** Reads the whole table, blocking: the kernel fills the next part of a dump while it is read. */
	#dump(mask: LabelMask, visit: (record: Int32Array) => void): void {
		const socket = new NetlinkSocket(this.#native, { receiveBuffer: 4 << 20 });
		try {
			const writer = new AttributeWriter(256);
			new ConntrackEncoder(writer, this.#names).dump(1);
			const sent = socket.send(writer);
			if (sent < 0) throw new NetlinkError("dump conntracks", -sent);
			const wire = new WireBuffer(4 * STRIDE);
			const lengths = new Int32Array(4);
			const decoder = new ConntrackDecoder(this.#names, { mask, isWhole: true });
			const record = newConntrackRecord();
			for (let isDone = false; !isDone; ) {
				const count = socket.receive(wire, STRIDE, lengths);
				if (count < 0) throw new NetlinkError("dump conntracks", count === -EAGAIN ? EIO : -count);
				for (let i = 0; i < count; i++) {
					eachMessage(wire, i * STRIDE, i * STRIDE + lengths[i]!, (start, end) => {
						const type = messageType(wire, start);
						if (type === NLMSG_DONE || type === NLMSG_ERROR) {
							isDone = true;
							const errno = -messageError(wire, start);
							if (errno !== 0) throw new NetlinkError("dump conntracks", errno);
						} else if (decoder.decode(wire, attributesOf(start), end, record)) visit(record);
					});
				}
			}
		} finally {
			socket.close();
		}
	}
}

/** A dump that stops without DONE. */
const EIO = 5;
