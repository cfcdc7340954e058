// A link over TCP: each node connects to the others, and sends on what it has opened itself; what others have opened it
// only reads. Datagrams stand behind their lengths (frame-reader.ts).
//
// The protocol above expects a link that loses now and then, and must never wait for one peer: what a connection cannot
// take is dropped and counted, and its keys are sent again later in the state that they have then.
import net from "node:net";
import type { Clock } from "../system/clock.ts";
import * as N from "../system/native.ts";
import { socketAddress } from "../system/socket-address.ts";
import { type Channel, type ChannelCounters, type DatagramHandler, newChannelCounters } from "./channel.ts";
import { creditOf, DATAGRAM_MAX, deviceName, deviceStatus, openDevice } from "./device.ts";
import { FrameReader, LENGTH_SIZE } from "./frame-reader.ts";

export interface TcpLink {
	/** Own address to listen on and to connect from; 4 or 16 bytes. */
	address: Uint8Array;
	/** Of the other nodes, each as bytes and as text. */
	destinations: readonly { bytes: Uint8Array; text: string }[];
	port: number;
	device: string;
	/** Bytes, forced beyond the system's maximum. */
	sendBuffer: number;
	receiveBuffer: number;
}

export interface TcpOptions {
	native: N.Native;
	clock: Clock;
	link: TcpLink;
	/** Whether a node with this address may connect. */
	admits: (address: string) => boolean;
	/** A connection that had broken a moment ago is there again: what was on its way then is lost, and nobody has been taken for down. */
	restored: () => void;
	notice: (text: string) => void;
}

/** Bytes of IP header, and of TCP header with timestamps. */
const HEADERS = { 4: 20 + 32, 16: 40 + 32 } as const;
/** Milliseconds between two attempts to connect, and the longest that one may take. */
const CONNECT_EVERY = 1000;
const CONNECT_WITHIN = 2000;
/** Milliseconds for which sent data may stay unacknowledged before the connection counts as dead (tcp(7)). */
const USER_TIMEOUT = 3000;
/** Milliseconds for which a broken connection is waited for: after that the protocol takes the node for down, and tells it all anew. */
const AWAITED_FOR = 3500;
/** Bytes that wait in this process for the kernel to take them; beyond that, datagrams are dropped. */
const QUEUE_MAX = 1 << 20;
/** Bytes that are read in one go: behind a chunk as long there is more, of which libuv would read 32 times as much in one turn. */
const CHUNK = 65_536;
/** Connections that the kernel holds ready to be accepted. */
const BACKLOG = 16;
const SOCK_STREAM = 1;
const IPPROTO_TCP = 6;
const TCP_USER_TIMEOUT = 18;

interface Outgoing {
	readonly bytes: Uint8Array;
	readonly text: string;
	socket: net.Socket | undefined;
	isConnected: boolean;
	/** When the last connection ended, milliseconds; -Infinity: there has been none. */
	lostAt: number;
	cancel: (() => void) | undefined;
}

export class TcpChannel implements Channel {
	readonly type = "TCP";
	readonly device: string;
	readonly datagramMax: number;
	readonly credit: number;
	readonly counters: ChannelCounters = newChannelCounters();
	readonly #options: TcpOptions;
	readonly #index: number;
	readonly #server: net.Server;
	readonly #listener: number;
	readonly #outgoing: readonly Outgoing[];
	/** What others have opened, by address; a new one of the same address takes its place. Bounded: the destinations. */
	readonly #incoming = new Map<string, net.Socket>();
	/** Those that have ever connected, and whether something good came; addresses as the system writes them. Bounded as above. */
	readonly heard = new Map<string, boolean>();
	/** Datagrams of this turn of the event loop, with their lengths. Bounded: what is in it goes out when it is full. */
	readonly #batch = Buffer.alloc(64 * (LENGTH_SIZE + DATAGRAM_MAX));
	#batched = 0;
	#bytes = 0;
	#handler: DatagramHandler = () => false;
	#batchEnd: () => void = () => {};
	#isStarted = false;
	#isClosed = false;

	/** @throws Error with a line for the operator: no such interface, address in use or not ours ... */
	constructor(options: TcpOptions) {
		const { native, link } = options;
		this.#options = options;
		this.device = link.device;
		const { index, datagramMax } = openDevice(native, link.device, HEADERS[link.address.length as 4 | 16]);
		this.#index = index;
		this.datagramMax = datagramMax;
		this.#outgoing = link.destinations.map((destination) => ({
			...destination,
			socket: undefined,
			isConnected: false,
			lostAt: Number.NEGATIVE_INFINITY,
			cancel: undefined,
		}));
		try {
			this.#listener = this.#socket(link.port);
		} catch (error) {
			throw N.explain(`cannot open the TCP link on ${link.device}, port ${link.port}`, error);
		}
		this.credit = creditOf(native.getOption(this.#listener, N.SOL_SOCKET, N.SO_RCVBUF), datagramMax);
		this.#server = net.createServer((socket) => this.#accepted(socket));
		this.#server.on("error", (error) => options.notice(`the TCP link cannot listen: ${error.message}`));
	}

	/** Whether a peer is connected to us, and we are to every one of them. */
	get sides(): { server: boolean; client: boolean } {
		return { server: this.#incoming.size > 0, client: this.#outgoing.every((one) => one.isConnected) };
	}

	/** A node that is down keeps nothing from the others. */
	get isCongested(): boolean {
		let isAlone = true;
		for (const { socket, isConnected, lostAt } of this.#outgoing) {
			if (!socket || !isConnected) {
				if (this.#options.clock.now() - lostAt < AWAITED_FOR) return true;
				continue;
			}
			if (socket.writableLength > QUEUE_MAX / 2) return true;
			isAlone = false;
		}
		return isAlone;
	}

	start(handler: DatagramHandler, batchEnd: () => void): void {
		this.#handler = handler;
		this.#batchEnd = batchEnd;
		this.#isStarted = true;
		this.#server.listen({ fd: this.#listener, backlog: BACKLOG });
		for (const one of this.#outgoing) this.#connect(one);
	}

	send(bytes: Uint8Array, end: number): void {
		if (this.#bytes + LENGTH_SIZE + end > this.#batch.length) this.#flush();
		this.#bytes = this.#batch.writeUInt16BE(end, this.#bytes);
		this.#batch.set(bytes.subarray(0, end), this.#bytes);
		this.#bytes += end;
		if (++this.#batched === 1) queueMicrotask(() => this.#flush());
	}

	status(): string {
		return deviceStatus(this.#options.native, this.device);
	}

	close(): void {
		this.#flush();
		this.#isClosed = true;
		// a server that was never told to listen does not know its socket
		if (this.#isStarted) this.#server.close();
		else this.#options.native.closeSocket(this.#listener);
		for (const { socket, cancel } of this.#outgoing) {
			cancel?.();
			socket?.destroy();
		}
		for (const socket of this.#incoming.values()) socket.destroy();
	}

	/** A socket that is bound to the own address, this port and the device. */
	#socket(port: number): number {
		const { native, link } = this.#options;
		const fd = native.openSocket(link.address.length === 16 ? N.AF_INET6 : N.AF_INET, SOCK_STREAM, 0);
		try {
			native.setOption(fd, N.SOL_SOCKET, N.SO_REUSEADDR, 1);
			native.setOption(fd, N.SOL_SOCKET, N.SO_RCVBUFFORCE, link.receiveBuffer);
			native.setOption(fd, N.SOL_SOCKET, N.SO_SNDBUFFORCE, link.sendBuffer);
			// nothing that arrives on another interface is for us
			native.setOption(fd, N.SOL_SOCKET, N.SO_BINDTODEVICE, deviceName(link.device));
			// link messages go before whatever else leaves by this device (TC_PRIO_CONTROL)
			native.setOption(fd, N.SOL_SOCKET, N.SO_PRIORITY, 7);
			native.setOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT);
			native.bindSocket(fd, socketAddress(link.address, port, this.#index));
		} catch (error) {
			native.closeSocket(fd);
			throw error;
		}
		return fd;
	}

	#connect(one: Outgoing): void {
		const { clock, link } = this.#options;
		if (this.#isClosed) return;
		let socket: net.Socket;
		try {
			socket = new net.Socket({ fd: this.#socket(0) });
		} catch {
			// the address is gone for now, with its interface
			one.cancel = clock.after(CONNECT_EVERY, () => this.#connect(one));
			return;
		}
		const tooLate = clock.after(CONNECT_WITHIN, () => {
			if (!one.isConnected) socket.destroy();
		});
		one.socket = socket;
		socket.on("connect", () => {
			tooLate();
			socket.setNoDelay(true);
			one.isConnected = true;
			if (clock.now() - one.lostAt < AWAITED_FOR) this.#options.restored();
		});
		// says what "close" does not, and is followed by it
		socket.on("error", () => this.counters.sendErrors++);
		socket.on("close", () => {
			tooLate();
			if (one.isConnected) one.lostAt = clock.now();
			one.isConnected = false;
			one.socket = undefined;
			if (!this.#isClosed) one.cancel = clock.after(CONNECT_EVERY, () => this.#connect(one));
		});
		// nobody answers on this one
		socket.resume();
		// fe80::/10 (RFC 4291) says nothing without its interface
		const isLinkLocal = /^fe[89ab]/i.test(one.text);
		socket.connect({ host: isLinkLocal ? `${one.text}%${this.device}` : one.text, port: link.port });
	}

	#accepted(socket: net.Socket): void {
		const { counters } = this;
		const address = (socket.remoteAddress ?? "").replace(/%.*/, "");
		socket.on("error", () => counters.receiveErrors++);
		if (this.#isClosed || !this.#options.admits(address)) {
			counters.foreign++;
			socket.destroy();
			return;
		}
		this.#incoming.get(address)?.destroy();
		this.#incoming.set(address, socket);
		let isHeard = this.heard.get(address) ?? false;
		this.heard.set(address, isHeard);
		// the other node's link may have a larger MTU
		const reader = new FrameReader(DATAGRAM_MAX);
		socket.on("data", (chunk) => {
			const isSound = reader.take(chunk, (bytes, start, end) => {
				counters.receivedPackets++;
				counters.receivedBytes += end - start;
				if (!this.#handler(bytes, start, end) || isHeard) return;
				isHeard = true;
				this.heard.set(address, true);
			});
			this.#batchEnd();
			if (!isSound) {
				// behind a wrong length nothing can be told from anything
				counters.truncated++;
				socket.destroy();
			} else if (chunk.length >= CHUNK) {
				// others have their turn: a full chunk keeps the event loop for one to two milliseconds
				socket.pause();
				setImmediate(() => socket.resume());
			}
		});
		socket.on("close", () => {
			if (this.#incoming.get(address) === socket) this.#incoming.delete(address);
		});
	}

	#flush(): void {
		if (this.#batched === 0 || this.#isClosed) return;
		const { counters } = this;
		const [count, bytes] = [this.#batched, this.#bytes];
		this.#batched = this.#bytes = 0;
		// the socket keeps it until the kernel has taken it
		const copy = Buffer.from(this.#batch.subarray(0, bytes));
		for (const { socket, isConnected } of this.#outgoing) {
			if (!socket || !isConnected || socket.writableLength > QUEUE_MAX) {
				counters.sendErrors += count;
				continue;
			}
			socket.write(copy);
			counters.sentPackets += count;
			counters.sentBytes += bytes - count * LENGTH_SIZE;
		}
	}
}
