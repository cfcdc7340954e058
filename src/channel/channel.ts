// The dedicated link: carries opaque datagrams to every peer, unreliably and in no particular order.

/** Plain numbers; bytes are those of the payload. */
export interface ChannelCounters {
	sentBytes: number;
	sentPackets: number;
	/** Datagrams that the socket did not take: the protocol sends their keys again. */
	sendErrors: number;
	receivedBytes: number;
	receivedPackets: number;
	receiveErrors: number;
	/** Datagrams longer than any peer sends. */
	truncated: number;
	/** Datagrams from an address that may not speak here. */
	foreign: number;
}

export function newChannelCounters(): ChannelCounters {
	return {
		sentBytes: 0,
		sentPackets: 0,
		sendErrors: 0,
		receivedBytes: 0,
		receivedPackets: 0,
		receiveErrors: 0,
		truncated: 0,
		foreign: 0,
	};
}

/**
 * The bytes are the channel's own buffer: copy what outlives the call. The answer says whether it was a good datagram
 * of a node that has shaken hands.
 */
export type DatagramHandler = (bytes: Uint8Array, start: number, end: number) => boolean;

export interface Channel {
	/** As the statistics name it. */
	readonly type: "multicast" | "UDP" | "TCP";
	/** Name of the network interface. */
	readonly device: string;
	/** Bytes that one datagram may have without being fragmented. */
	readonly datagramMax: number;
	/** Datagrams of that size that the receive buffer takes in without loss. */
	readonly credit: number;
	readonly counters: ChannelCounters;
	/** Begins to deliver what comes from whom the link may hear; `batchEnd` follows when everything that was there has been delivered. */
	start(handler: DatagramHandler, batchEnd: () => void): void;
	/**
	 * Queues bytes [0, end) for every peer; they are copied, and leave together with what else is sent in this turn
	 * of the event loop. Bounded: one batch, which is sent at once when it is full.
	 */
	send(bytes: Uint8Array, end: number): void;
	/** TCP only: whether a peer is connected to us, and we to the peers. */
	readonly sides?: { server: boolean; client: boolean };
	/**
	 * TCP only: what is sent now would be dropped, because nobody is connected, a connection has broken a moment ago, or too much
	 * waits already.
	 */
	readonly isCongested?: boolean;
	/** RUNNING, NO-CARRIER or DOWN. */
	status(): string;
	close(): void;
}
