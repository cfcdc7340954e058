// An AF_NETLINK socket of the netfilter family: opened, tuned and bound. Moves whole datagrams.
import {
	AF_NETLINK,
	explain,
	type Native,
	type Poller,
	SO_RCVBUF,
	SO_RCVBUFFORCE,
	SO_SNDBUFFORCE,
	SOCK_RAW,
	SOL_SOCKET,
} from "../system/native.ts";
import type { AttributeWriter, WireBuffer } from "./attribute.ts";
import {
	NETLINK_ADD_MEMBERSHIP,
	NETLINK_BROADCAST_ERROR,
	NETLINK_CAP_ACK,
	NETLINK_NETFILTER,
	SOL_NETLINK,
} from "./constants.ts";
import { ignorePorts, SocketFilter } from "./socket-filter.ts";

export interface NetlinkOptions {
	/** NETLINK_*; NETLINK_NETFILTER unless given. */
	protocol?: number;
	/** NFNLGRP_* (or RTNLGRP_*) to listen to. */
	groups?: readonly number[];
	/** Bytes, before the kernel doubles them; forced beyond net.core.rmem_max (needs CAP_NET_ADMIN). */
	receiveBuffer?: number;
	sendBuffer?: number;
	/** Have the kernel try again what could not be delivered (netlink(7), NETLINK_BROADCAST_ERROR). */
	reliable?: boolean;
	/** Events caused by these netlink ports are dropped in the kernel. */
	ignorePorts?: readonly number[];
	/** A program (socket-filter.ts) that decides alone what comes through. */
	filter?: Uint8Array;
}

export class NetlinkSocket {
	readonly fd: number;
	/** Our address on netlink; the kernel names it in events that our requests cause. */
	readonly port: number;
	readonly #turns = new Int32Array(2);
	readonly #native: Native;
	#poller: Poller | undefined;

	/** @throws Error with a line for the operator, for instance without CAP_NET_ADMIN */
	constructor(native: Native, options: NetlinkOptions = {}) {
		this.#native = native;
		this.fd = native.openSocket(AF_NETLINK, SOCK_RAW, options.protocol ?? NETLINK_NETFILTER);
		try {
			const address = new Uint8Array(12);
			new Uint16Array(address.buffer)[0] = AF_NETLINK;
			// answers to failed requests carry the header only, not the request again
			native.setOption(this.fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
			if (options.receiveBuffer) native.setOption(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, options.receiveBuffer);
			if (options.sendBuffer) native.setOption(this.fd, SOL_SOCKET, SO_SNDBUFFORCE, options.sendBuffer);
			if (options.reliable) native.setOption(this.fd, SOL_NETLINK, NETLINK_BROADCAST_ERROR, 1);
			const filter =
				options.filter ?? (options.ignorePorts?.length ? portFilter(options.ignorePorts) : undefined);
			if (filter) native.attachFilter(this.fd, filter);
			native.bindSocket(this.fd, address);
			this.port = native.netlinkPort(this.fd) >>> 0;
			for (const group of options.groups ?? []) {
				native.setOption(this.fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
			}
		} catch (error) {
			native.closeSocket(this.fd);
			throw explain("cannot open netlink socket", error);
		}
	}

	/** Bytes of receive buffer, as the kernel accounts them. */
	get receiveBuffer(): number {
		return this.#native.getOption(this.fd, SOL_SOCKET, SO_RCVBUF);
	}

	set receiveBuffer(bytes: number) {
		this.#native.setOption(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, bytes);
	}

	/** Drops events of these ports in the kernel from now on. */
	ignore(ports: readonly number[]): void {
		this.#native.attachFilter(this.fd, portFilter(ports));
	}

	/** See Native.receive: datagrams read, or -errno (-EAGAIN: nothing there, -ENOBUFS: some were lost). */
	receive(wire: WireBuffer, stride: number, lengths: Int32Array): number {
		return this.#native.receive(this.fd, wire.bytes, stride, lengths, null);
	}

	/** Sends the requests that the writer holds in one call; bytes sent, or -errno. */
	send(writer: AttributeWriter): number {
		return this.#native.send(this.fd, writer.wire.bytes, 0, writer.at);
	}

	/**
	 * The same two calls on another thread (Native.receiveLater): a dump is written by the kernel within them. Of several
	 * `receiveLater` one runs after another.
	 */
	receiveLater(wire: WireBuffer, stride: number, lengths: Int32Array): Promise<number> {
		return this.#native.receiveLater(this.fd, wire.bytes, stride, lengths, this.#turns);
	}

	sendLater(writer: AttributeWriter): Promise<number> {
		return this.#native.sendLater(this.fd, writer.wire.bytes, 0, writer.at);
	}

	/** Calls back whenever there is something to receive; once per socket. */
	onReadable(callback: () => void): void {
		this.#poller = this.#native.poll(this.fd, callback);
	}

	pause(): void {
		if (this.#poller) this.#native.pollPause(this.#poller);
	}

	resume(): void {
		if (this.#poller) this.#native.pollResume(this.#poller);
	}

	/** See Native.pollAfter: calls back later instead of when there is something to receive. */
	readAfter(milliseconds: number, step: number, enough: number): void {
		if (this.#poller) this.#native.pollAfter(this.#poller, milliseconds, step, enough);
	}

	close(): void {
		if (this.#poller) this.#native.pollClose(this.#poller);
		this.#poller = undefined;
		this.#native.closeSocket(this.fd);
	}
}

/** Lets everything through but what these ports cause. */
function portFilter(ports: readonly number[]): Uint8Array {
	const filter = new SocketFilter();
	ignorePorts(filter, ports);
	return filter.assemble();
}
