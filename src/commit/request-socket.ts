// Many requests in one call, and their answers: the kernel handles a batch within sendmsg and answers failures
// only, so that silence up to the end of the batch is success. Blocking calls, for the worker thread.

import { AttributeWriter, WireBuffer } from "../netlink/attribute.ts";
import { NLMSG_ERROR } from "../netlink/constants.ts";
import { NetlinkError } from "../netlink/error.ts";
import { eachMessage, messageError, messageSequence, messageType } from "../netlink/message.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { EAGAIN, type Native } from "../system/native.ts";

const STRIDE = 65_536;
const DATAGRAMS = 16;
/** Room for the error answers of a batch, each a small datagram. */
const RECEIVE_BUFFER = 4 << 20;
const SEND_BUFFER = 4 << 20;
/** Sequence numbers set aside for a batch, many more than it has requests. */
const SEQUENCES = 65_536;

export class RequestSocket {
	readonly socket: NetlinkSocket;
	readonly writer: AttributeWriter;
	readonly wire = new WireBuffer(DATAGRAMS * STRIDE);
	readonly #lengths = new Int32Array(DATAGRAMS);
	/**
	 * Sequence number of the batch's first request: late answers to an earlier batch are told apart by it. No request has
	 * number 0, which is that of events.
	 */
	#base = SEQUENCES;

	/** @param batchBytes room for one batch of requests */
	constructor(native: Native, batchBytes: number) {
		this.socket = new NetlinkSocket(native, { receiveBuffer: RECEIVE_BUFFER, sendBuffer: SEND_BUFFER });
		this.writer = new AttributeWriter(batchBytes);
	}

	/** The sequence number of the batch's request number `index`. */
	sequence(index: number): number {
		return (this.#base + index) >>> 0;
	}

	/**
	 * Sends the batch that the writer holds and empties it. Calls `failed` for each request that was refused, with
	 * its index in the batch and errno, `answered` for every other message that came back, with the index of its
	 * request, and `echoed` for the events of requests with NLM_F_ECHO, which do not say whose they are: they come in
	 * the order of the requests.
	 *
	 * @throws NetlinkError when the batch could not be sent at all
	 */
	exchange(
		failed: (index: number, errno: number) => void,
		answered: (start: number, end: number, index: number) => void = () => {},
		echoed: (start: number, end: number) => void = () => {},
	): void {
		if (this.writer.at === 0) return;
		const base = this.#base;
		this.#base = (base + SEQUENCES) >>> 0 || SEQUENCES;
		const sent = this.socket.send(this.writer);
		this.writer.at = 0;
		if (sent < 0) throw new NetlinkError("send requests", -sent);
		for (;;) {
			const count = this.socket.receive(this.wire, STRIDE, this.#lengths);
			if (count === -EAGAIN) return;
			// answers that did not fit are lost, the requests were carried out
			if (count < 0) throw new NetlinkError("read answers", -count);
			for (let i = 0; i < count; i++) {
				eachMessage(this.wire, i * STRIDE, i * STRIDE + this.#lengths[i]!, (start, end) => {
					const sequence = messageSequence(this.wire, start);
					const index = (sequence - base) >>> 0;
					if (sequence === 0) echoed(start, end);
					if (index >= SEQUENCES) return;
					if (messageType(this.wire, start) !== NLMSG_ERROR) answered(start, end, index);
					else if (messageError(this.wire, start) !== 0) failed(index, -messageError(this.wire, start));
				});
			}
		}
	}

	close(): void {
		this.socket.close();
	}
}
