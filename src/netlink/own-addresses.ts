// Which addresses are this node's, at any time: gateway addresses come and go with keepalived. The socket subscribes
// first, then the addresses are dumped (rtnetlink(7), RTM_GETADDR); what the events say of the time before the dump
// changes nothing. When events were lost, the dump is read again.
import { AF_INET, AF_INET6 } from "../conntrack/protocol.ts";
import { EAGAIN, ENOBUFS, type Native } from "../system/native.ts";
import { AddressTable } from "./address-table.ts";
import { AttributeWriter, align, WireBuffer } from "./attribute.ts";
import * as C from "./constants.ts";
import { NetlinkError } from "./error.ts";
import { beginRequest, eachMessage, endRequest, messageError, messageFlags, messageType } from "./message.ts";
import { NetlinkSocket } from "./socket.ts";

const STRIDE = 32_768;
const BATCH = 4;
/** A dump into which a change fell is read anew, so often at most: the events of the change come all the same. */
const ATTEMPTS = 4;
/** A dump that stops without DONE. */
const EIO = 5;

/** Whatever knows which addresses are this node's. */
export interface Addresses {
	/** @param family 2 or 10, of the address in words[at..] (four words in network order, as in records) */
	has(words: Int32Array, at: number, family: number): boolean;
}

export interface OwnAddressesOptions {
	native: Native;
	/** The addresses could not be read again after a loss of events; those known stay. */
	failed: (error: Error) => void;
	/** Addresses have come or gone. */
	changed?: () => void;
	/** Bytes of the event socket's receive buffer. */
	receiveBuffer?: number;
}

export class OwnAddresses implements Addresses {
	/** Times that events were lost. */
	overruns = 0;
	/** Messages of the kernel that could not be read. */
	malformed = 0;
	readonly #options: OwnAddressesOptions;
	readonly #socket: NetlinkSocket;
	readonly #reader = new AddressReader();
	#table: AddressTable;
	/** Those that have gone since the start; bounded like the table. */
	readonly #gone = new AddressTable();

	/** @throws Error with a line for the operator */
	constructor(options: OwnAddressesOptions) {
		this.#options = options;
		this.#socket = new NetlinkSocket(options.native, {
			protocol: C.NETLINK_ROUTE,
			groups: [C.RTNLGRP_IPV4_IFADDR, C.RTNLGRP_IPV6_IFADDR],
			receiveBuffer: options.receiveBuffer ?? 1 << 20,
		});
		try {
			this.#table = readOwnAddresses(options.native);
		} catch (error) {
			this.#socket.close();
			throw error;
		}
		this.#socket.onReadable(() => this.#read());
	}

	has(words: Int32Array, at: number, family: number): boolean {
		return this.#table.has(words, at, family);
	}

	/** The same, or it was this node's at some time since the start. */
	hadEver(words: Int32Array, at: number, family: number): boolean {
		return this.has(words, at, family) || this.#gone.has(words, at, family);
	}

	/** How many there are. */
	get size(): number {
		return this.#table.size;
	}

	/** Those that found no room in the table: they count as somebody else's. */
	get ignored(): number {
		return this.#table.ignored;
	}

	close(): void {
		this.#socket.close();
	}

	#read(): void {
		let isComplete = true;
		let isChanged = false;
		for (;;) {
			const count = this.#reader.receive(this.#socket);
			if (count === -EAGAIN) break;
			if (count === -ENOBUFS) {
				this.overruns++;
				isComplete = false;
				continue;
			}
			if (count < 0) {
				this.#options.failed(new NetlinkError("receive changes of addresses", -count));
				break;
			}
			const apply = (type: number, start: number, end: number): void => {
				if (type === C.RTM_DELADDR) this.#reader.apply(this.#gone, C.RTM_NEWADDR, start, end);
				// the kernel also tells of new life times
				if (this.#reader.apply(this.#table, type, start, end)) isChanged = true;
			};
			if (!this.#reader.each(count, apply)) this.malformed++;
		}
		if (!isComplete) this.#readAgain();
		if (isChanged || !isComplete) this.#options.changed?.();
	}

	#readAgain(): void {
		try {
			const table = readOwnAddresses(this.#options.native);
			this.#table.addTo(this.#gone);
			this.#table = table;
		} catch (error) {
			this.#options.failed(error as Error);
		}
	}
}

/**
 * The addresses of all interfaces as they are now. Blocks: the kernel writes the next part of a dump while it is read,
 * and there are few.
 *
 * @throws NetlinkError
 */
export function readOwnAddresses(native: Native): AddressTable {
	const socket = new NetlinkSocket(native, { protocol: C.NETLINK_ROUTE, receiveBuffer: 1 << 20 });
	try {
		const reader = new AddressReader();
		for (let attempt = 1; ; attempt++) {
			const table = new AddressTable();
			if (reader.dump(socket, attempt, table) || attempt === ATTEMPTS) return table;
		}
	} finally {
		socket.close();
	}
}

class AddressReader {
	readonly #wire = new WireBuffer(BATCH * STRIDE);
	readonly #lengths = new Int32Array(BATCH);

	/** Datagrams read, or -errno. */
	receive(socket: NetlinkSocket): number {
		return socket.receive(this.#wire, STRIDE, this.#lengths);
	}

	/** @returns false when a message's length lies */
	each(count: number, visit: (type: number, start: number, end: number) => void): boolean {
		let isWhole = true;
		for (let i = 0; i < count; i++) {
			const start = i * STRIDE;
			// a datagram that was cut is as long as it would have been
			const end = start + Math.min(this.#lengths[i]!, STRIDE);
			if (!eachMessage(this.#wire, start, end, (at, stop) => visit(messageType(this.#wire, at), at, stop)))
				isWhole = false;
		}
		return isWhole;
	}

	/** @returns false when a change fell into it */
	dump(socket: NetlinkSocket, sequence: number, table: AddressTable): boolean {
		const writer = new AttributeWriter(64);
		// struct rtgenmsg is a family like struct nfgenmsg: 0 is any
		const flags = C.NLM_F_REQUEST | C.NLM_F_DUMP;
		endRequest(writer, beginRequest(writer, 0, C.RTM_GETADDR, flags, sequence, 0));
		const sent = socket.send(writer);
		if (sent < 0) throw new NetlinkError("dump addresses", -sent);
		let isConsistent = true;
		for (let isDone = false; !isDone; ) {
			const count = this.receive(socket);
			if (count < 0) throw new NetlinkError("dump addresses", count === -EAGAIN ? EIO : -count);
			this.each(count, (type, start, end) => {
				if ((messageFlags(this.#wire, start) & C.NLM_F_DUMP_INTR) !== 0) isConsistent = false;
				if (type === C.NLMSG_DONE || type === C.NLMSG_ERROR) {
					isDone = true;
					const errno = -messageError(this.#wire, start);
					if (errno !== 0) throw new NetlinkError("dump addresses", errno);
				} else this.apply(table, type, start, end);
			});
		}
		return isConsistent;
	}

	/**
	 * One RTM_NEWADDR or RTM_DELADDR; anything else, and what cannot be read, changes nothing.
	 *
	 * @returns whether an address has come or gone
	 */
	apply(table: AddressTable, type: number, start: number, end: number): boolean {
		if (type !== C.RTM_NEWADDR && type !== C.RTM_DELADDR) return false;
		const wire = this.#wire;
		const header = start + C.NLMSG_HEADER;
		let at = header + C.IFADDRMSG_HEADER;
		if (at > end) return false;
		const family = wire.bytes[header]!;
		const bytes = family === AF_INET ? 4 : family === AF_INET6 ? 16 : 0;
		if (bytes === 0) return false;
		const index = wire.words[(header >> 2) + 1]!;
		// of a point-to-point interface IFA_ADDRESS is the other end, and IFA_LOCAL this one; IPv6 may have only the former
		let place = -1;
		let isLocal = false;
		while (at + C.NLA_HEADER <= end) {
			const length = wire.halves[at >> 1]!;
			if (length < C.NLA_HEADER || at + length > end) return false;
			const attribute = wire.halves[(at >> 1) + 1]! & C.NLA_TYPE_MASK;
			if (length >= C.NLA_HEADER + bytes) {
				if (attribute === C.IFA_LOCAL || (attribute === C.IFA_ADDRESS && !isLocal)) {
					place = (at + C.NLA_HEADER) >> 2;
					isLocal = attribute === C.IFA_LOCAL;
				}
			}
			at += align(length);
		}
		if (place < 0) return false;
		if (type === C.RTM_NEWADDR) return table.add(wire.words, place, family, index);
		return table.remove(wire.words, place, family, index);
	}
}
