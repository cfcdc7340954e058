// Multicast and UDP links on sockets of our own: forced buffers, bound to their device, batches in both directions.

import * as N from "../system/native.ts";
import { EAGAIN } from "../system/native.ts";
import { socketAddress } from "../system/socket-address.ts";
import { type Channel, type ChannelCounters, type DatagramHandler, newChannelCounters } from "./channel.ts";
import { creditOf, DATAGRAM_MAX, deviceName, deviceStatus, openDevice } from "./device.ts";
import type { SourceGuard } from "./source-guard.ts";

export interface DatagramLink {
	type: "multicast" | "udp";
	/** The multicast group, or the own address to listen on; 4 or 16 bytes. */
	address: Uint8Array;
	/** Of the other nodes, in the family of `address`; multicast has none. Each gets every datagram. */
	destinations?: readonly Uint8Array[];
	port: number;
	device: string;
	/** Own address on the device, for IPv4 multicast; the device's own choice if absent. */
	interfaceAddress?: Uint8Array;
	/** Bytes, forced beyond the system's maximum. */
	sendBuffer: number;
	receiveBuffer: number;
	/** Whether UDP checksums are computed. */
	checksum: boolean;
}

/** Datagrams per call when sending: the receiver of a bulk is at work on the first while the next are built. */
const BATCH = 16;
/**
 * The same when receiving, and in one turn before others have theirs: full ones keep the event loop for a millisecond (a
 * thousand of them: 57, `make bench ROWS=stall`).
 */
const RECEIVED_MAX = 32;
/** Bytes of IP and UDP header. */
const HEADERS = { 4: 28, 16: 48 } as const;
/** What is chained to it runs as soon as the present turn is over. */
const SOON = Promise.resolve();

export class DatagramChannel implements Channel {
	readonly type: "multicast" | "UDP";
	readonly device: string;
	readonly datagramMax: number;
	readonly credit: number;
	readonly counters: ChannelCounters = newChannelCounters();
	readonly #native: N.Native;
	readonly #fd: number;
	readonly #link: DatagramLink;
	readonly #guard: SourceGuard;
	/** Socket addresses. */
	readonly #destinations: readonly Uint8Array[];
	readonly #received: Uint8Array;
	readonly #lengths = new Int32Array(RECEIVED_MAX);
	readonly #names = new Uint8Array(RECEIVED_MAX * N.NAME_SIZE);
	/** The same in words, as the guard compares them. */
	readonly #sources = new Int32Array(this.#names.buffer);
	readonly #batch: Uint8Array;
	readonly #spans = new Int32Array(BATCH * 2);
	#batched = 0;
	#poller: N.Poller | undefined;
	#handler: DatagramHandler = () => false;
	#batchEnd: () => void = () => {};
	#isClosed = false;

	/**
	 * @param guard says whose datagrams are looked at
	 * @throws Error with a line for the operator: no such interface, address in use or not ours ...
	 */
	constructor(native: N.Native, link: DatagramLink, guard: SourceGuard) {
		this.#native = native;
		this.#link = link;
		this.#guard = guard;
		this.type = link.type === "multicast" ? "multicast" : "UDP";
		this.device = link.device;
		const length = link.address.length as 4 | 16;
		const { index, datagramMax } = openDevice(native, link.device, HEADERS[length]);
		this.datagramMax = datagramMax;
		this.#received = new Uint8Array(RECEIVED_MAX * DATAGRAM_MAX);
		this.#batch = new Uint8Array(BATCH * DATAGRAM_MAX);
		const destinations = link.destinations ?? [link.address];
		this.#destinations = destinations.map((address) => socketAddress(address, link.port, index));
		this.#fd = native.openSocket(length === 16 ? N.AF_INET6 : N.AF_INET, N.SOCK_DGRAM, 0);
		try {
			this.#tune(index, length);
		} catch (error) {
			native.closeSocket(this.#fd);
			throw N.explain(`cannot open the ${this.type} link on ${link.device}, port ${link.port}`, error);
		}
		const buffer = native.getOption(this.#fd, N.SOL_SOCKET, N.SO_RCVBUF);
		this.credit = creditOf(buffer, datagramMax);
	}

	start(handler: DatagramHandler, batchEnd: () => void): void {
		this.#handler = handler;
		this.#batchEnd = batchEnd;
		this.#poller = this.#native.poll(this.#fd, () => this.#readable());
	}

	send(bytes: Uint8Array, end: number): void {
		const offset = this.#batched * DATAGRAM_MAX;
		this.#batch.set(bytes.subarray(0, end), offset);
		this.#spans[this.#batched * 2] = offset;
		this.#spans[this.#batched * 2 + 1] = end;
		if (++this.#batched === BATCH) this.#flush();
		// unlike queueMicrotask this makes no AsyncResource, whose making and hooks showed in profiles
		else if (this.#batched === 1) void SOON.then(this.#flush);
	}

	status(): string {
		return deviceStatus(this.#native, this.device);
	}

	close(): void {
		this.#flush();
		this.#isClosed = true;
		if (this.#poller) this.#native.pollClose(this.#poller);
		this.#native.closeSocket(this.#fd);
	}

	#tune(index: number, length: 4 | 16): void {
		const { address, port, device, interfaceAddress, sendBuffer, receiveBuffer, checksum } = this.#link;
		const set = (level: number, name: number, value: number | Uint8Array): void =>
			this.#native.setOption(this.#fd, level, name, value);
		set(N.SOL_SOCKET, N.SO_REUSEADDR, 1);
		set(N.SOL_SOCKET, N.SO_RCVBUFFORCE, receiveBuffer);
		set(N.SOL_SOCKET, N.SO_SNDBUFFORCE, sendBuffer);
		// nothing that arrives on another interface is for us
		set(N.SOL_SOCKET, N.SO_BINDTODEVICE, deviceName(device));
		// link messages go before whatever else leaves by this device (TC_PRIO_CONTROL)
		set(N.SOL_SOCKET, N.SO_PRIORITY, 7);
		if (!checksum && length === 4) set(N.SOL_SOCKET, N.SO_NO_CHECK, 1);
		if (length === 16) set(N.IPPROTO_IPV6, N.IPV6_V6ONLY, 1);
		this.#native.bindSocket(this.#fd, socketAddress(address, port, index));
		if (interfaceAddress) this.#probe(interfaceAddress);
		if (this.#link.type !== "multicast") return;
		this.#native.joinGroup(this.#fd, socketAddress(address, port), index);
		if (length === 16) {
			set(N.IPPROTO_IPV6, N.IPV6_MULTICAST_IF, index);
			set(N.IPPROTO_IPV6, N.IPV6_MULTICAST_HOPS, 1);
			// others know this node by its address, which must not be a temporary one (RFC 5014)
			set(N.IPPROTO_IPV6, N.IPV6_ADDR_PREFERENCES, N.IPV6_PREFER_SRC_PUBLIC);
			set(N.IPPROTO_IPV6, N.IPV6_MULTICAST_LOOP, 0);
		} else {
			// struct ip_mreqn: group, own address, interface index
			const request = new Uint8Array(12);
			if (interfaceAddress) request.set(interfaceAddress, 4);
			new Int32Array(request.buffer)[2] = index;
			set(N.IPPROTO_IP, N.IP_MULTICAST_IF, request);
			set(N.IPPROTO_IP, N.IP_MULTICAST_TTL, 1);
			set(N.IPPROTO_IP, N.IP_MULTICAST_LOOP, 0);
		}
	}

	/** Binds another socket to the own address for a moment: whether it is ours, also while the link is down. */
	#probe(address: Uint8Array): void {
		const fd = this.#native.openSocket(N.AF_INET, N.SOCK_DGRAM, 0);
		try {
			this.#native.bindSocket(fd, socketAddress(address, 0));
		} catch (error) {
			throw new Error(`IPv4_interface ${address.join(".")}: ${(error as Error).message}`);
		} finally {
			this.#native.closeSocket(fd);
		}
	}

	#readable(): void {
		const { counters } = this;
		const guard = this.#guard;
		const sources = this.#sources;
		const count = this.#native.receive(this.#fd, this.#received, DATAGRAM_MAX, this.#lengths, this.#names);
		// ECONNREFUSED and the like are reports about what we sent: the peer is not there yet
		if (count < 0 && count !== -EAGAIN) counters.receiveErrors++;
		for (let i = 0; i < count; i++) {
			const length = this.#lengths[i]!;
			counters.receivedPackets++;
			counters.receivedBytes += length;
			if (length > DATAGRAM_MAX) counters.truncated++;
			else if (!guard.admits(sources, i)) counters.foreign++;
			else if (this.#handler(this.#received, i * DATAGRAM_MAX, i * DATAGRAM_MAX + length))
				guard.heard(sources, i);
		}
		this.#batchEnd();
	}

	readonly #flush = (): void => {
		if (this.#batched === 0 || this.#isClosed) return;
		const { counters } = this;
		const count = this.#batched;
		this.#batched = 0;
		for (const destination of this.#destinations) {
			// what keeps one node from being reached is no reason not to send to the next
			const sent = Math.max(0, this.#native.sendMany(this.#fd, this.#batch, this.#spans, count, destination));
			for (let i = 0; i < sent; i++) counters.sentBytes += this.#spans[i * 2 + 1]!;
			counters.sentPackets += sent;
			counters.sendErrors += count - sent;
		}
	};
}
