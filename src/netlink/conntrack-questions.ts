// Asks the kernel for conntracks by their keys, some at a time, on a socket of its own. The kernel answers within the
// request (IPCTNL_MSG_CT_GET, linux/netfilter/nfnetlink_conntrack.h), so nothing has to be waited for.
import { type LabelMask, NO_LABELS } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { type ConntrackRecord, newConntrackRecord } from "../conntrack/record.ts";
import { EAGAIN, type Native } from "../system/native.ts";
import { AttributeWriter, WireBuffer } from "./attribute.ts";
import { IPCTNL_MSG_CT_NEW, NFNL_SUBSYS_CTNETLINK, NLMSG_ERROR } from "./constants.ts";
import { ConntrackDecoder } from "./decode-conntrack.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder } from "./encode-conntrack.ts";
import { attributesOf, eachMessage, messageError, messageSequence, messageType } from "./message.ts";
import { NetlinkSocket } from "./socket.ts";

const ENOENT = 2;
/** Bytes of room for an answer. */
const STRIDE = 4096;
/** Questions of one call, and answers. */
export const QUESTIONS_MAX = 64;

export interface QuestionsOptions {
	native: Native;
	names: NameTable;
	/** The connlabels that count; none unless given. */
	labels?: LabelMask;
}

export class ConntrackQuestions {
	readonly #socket: NetlinkSocket;
	readonly #encoder: ConntrackEncoder;
	readonly #decoder: ConntrackDecoder;
	readonly #writer = new AttributeWriter(CONNTRACK_REQUEST_MAX * QUESTIONS_MAX);
	readonly #wire = new WireBuffer(STRIDE * QUESTIONS_MAX);
	readonly #lengths = new Int32Array(QUESTIONS_MAX);
	readonly #record = newConntrackRecord();

	/** @throws Error with a line for the operator */
	constructor({ native, names, labels }: QuestionsOptions) {
		this.#socket = new NetlinkSocket(native, { receiveBuffer: 1 << 20 });
		this.#encoder = new ConntrackEncoder(this.#writer, names);
		this.#decoder = new ConntrackDecoder(names, { mask: labels ?? NO_LABELS, isWhole: true });
	}

	/** A call begins: up to QUESTIONS_MAX of `add`, then `send`. */
	begin(): void {
		this.#writer.at = 0;
	}

	/** @param number by which the answer names it, where there is no such conntrack */
	add(key: ConntrackRecord, number: number): void {
		this.#encoder.get(key, number);
	}

	/** @returns 0 if nothing was added, above it if the kernel has taken what was, else -errno */
	send(): number {
		return this.#writer.at === 0 ? 0 : this.#socket.send(this.#writer);
	}

	/**
	 * Takes all answers that are there.
	 *
	 * @param found a conntrack; the record is reused
	 * @param missing there is none for the question with this number
	 * @param lost answers were lost; errno
	 */
	answers(
		found: (record: ConntrackRecord) => void,
		missing: (number: number) => void,
		lost: (errno: number) => void,
	): void {
		for (;;) {
			const count = this.#socket.receive(this.#wire, STRIDE, this.#lengths);
			if (count < 0 && count !== -EAGAIN) lost(-count);
			if (count <= 0) return;
			for (let i = 0; i < count; i++) {
				const start = i * STRIDE;
				eachMessage(this.#wire, start, start + Math.min(this.#lengths[i]!, STRIDE), (from, to) => {
					const type = messageType(this.#wire, from);
					if (type === NLMSG_ERROR) {
						// any other error says nothing of whether it is there
						if (messageError(this.#wire, from) === -ENOENT) missing(messageSequence(this.#wire, from));
					} else if (
						type === ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW) &&
						this.#decoder.decode(this.#wire, attributesOf(from), to, this.#record)
					)
						found(this.#record);
				});
			}
		}
	}

	close(): void {
		this.#socket.close();
	}
}
