// The kernel's tables, read whole. The kernel writes a dump within the calls that read it, which takes longer than
// everything that is done with it here: so another thread calls, and fills the next buffers while one is decoded, without waiting to
// be told. Between two buffers everything else has its turn.
import { newExpectationRecord } from "../conntrack/expectation-record.ts";
import { type LabelMask, NO_LABELS } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { newConntrackRecord } from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import { EAGAIN, type Native } from "../system/native.ts";
import { AttributeWriter, WireBuffer } from "./attribute.ts";
import * as C from "./constants.ts";
import { ConntrackDecoder } from "./decode-conntrack.ts";
import { ExpectationDecoder } from "./decode-expectation.ts";
import { ConntrackEncoder } from "./encode-conntrack.ts";
import { ExpectationEncoder } from "./encode-expectation.ts";
import { NetlinkError } from "./error.ts";
import { attributesOf, eachMessage, messageError, messageSequence, messageType } from "./message.ts";
import { NetlinkSocket } from "./socket.ts";

/** The kernel fills datagrams of up to 32 KiB for a reader that offers as much (netlink_recvmsg). */
const STRIDE = 32_768;
/** Datagrams per buffer: about 1100 entries, a millisecond. */
const BATCH = 8;
/** Calls that are queued while one buffer is decoded: one that is under way, and one that begins when it has ended. */
const AHEAD = 2;
/** A dump that brings nothing for this long has failed, milliseconds. */
const SILENCE_MAX_MS = 10_000;

export interface DumpCounters {
	malformed: number;
}

export interface DumpOptions {
	/** To be shared with another one's. */
	counters?: DumpCounters;
	/** The connlabels that count; none unless given. */
	labels?: LabelMask;
}

export class KernelDump {
	readonly counters: DumpCounters;
	readonly #clock: Clock;
	readonly #socket: NetlinkSocket;
	readonly #writer = new AttributeWriter(256);
	/** What is decoded, and what is filled. */
	readonly #buffers = Array.from({ length: AHEAD + 1 }, () => new DumpBuffer());
	readonly #names: NameTable;
	readonly #labels: LabelMask;
	#sequence = 0;
	/** The kernel does one dump at a time per socket. */
	#last: Promise<unknown> = Promise.resolve();
	#wake: () => void = () => {};
	/** The last call on another thread, which ends last: the socket stays open for it, and its buffer is nobody else's. */
	#call: Promise<number> = Promise.resolve(0);
	#isClosed = false;

	constructor(native: Native, clock: Clock, names: NameTable, options: DumpOptions = {}) {
		this.counters = options.counters ?? { malformed: 0 };
		this.#labels = options.labels ?? NO_LABELS;
		this.#clock = clock;
		this.#names = names;
		this.#socket = new NetlinkSocket(native, { receiveBuffer: 4 << 20 });
		this.#socket.onReadable(() => {
			this.#socket.pause();
			this.#wake();
		});
		this.#socket.pause();
	}

	/**
	 * Calls `visit` with every conntrack of the kernel; the record is reused.
	 *
	 * @throws NetlinkError
	 */
	conntracks(visit: (record: Int32Array) => void): Promise<void> {
		const decoder = new ConntrackDecoder(this.#names, { mask: this.#labels, isWhole: true });
		const record = newConntrackRecord();
		const request = new ConntrackEncoder(this.#writer, this.#names);
		return this.#queue(() => this.#dump("dump conntracks", (n) => request.dump(n), decoder, record, visit));
	}

	/** The same for expectations. */
	expectations(visit: (record: Int32Array) => void): Promise<void> {
		const decoder = new ExpectationDecoder(this.#names);
		const record = newExpectationRecord();
		const request = new ExpectationEncoder(this.#writer, this.#names);
		return this.#queue(() => this.#dump("dump expectations", (n) => request.dump(n), decoder, record, visit));
	}

	close(): void {
		this.#isClosed = true;
		this.#wake();
		void this.#call.then(() => this.#socket.close());
	}

	#queue(dump: () => Promise<void>): Promise<void> {
		const next = this.#last.then(dump);
		this.#last = next.catch(() => {});
		return next;
	}

	async #dump(
		what: string,
		request: (sequence: number) => void,
		decoder: ConntrackDecoder | ExpectationDecoder,
		record: Int32Array,
		visit: (record: Int32Array) => void,
	): Promise<void> {
		this.#mustBeOpen(what);
		const sequence = ++this.#sequence;
		this.#writer.at = 0;
		request(sequence);
		let isDone = false;
		let errno = 0;
		const message = (wire: WireBuffer, start: number, end: number): void => {
			if (messageSequence(wire, start) !== sequence) return;
			const type = messageType(wire, start);
			if (type === C.NLMSG_DONE || type === C.NLMSG_ERROR) {
				isDone = true;
				errno = -messageError(wire, start);
			} else if (decoder.decode(wire, attributesOf(start), end, record)) visit(record);
			else this.counters.malformed++;
		};
		try {
			this.#call = this.#socket.sendLater(this.#writer);
			await this.#result(this.#call, what);
			const free = [...this.#buffers];
			const filling: Filling[] = [];
			let isEmpty = false;
			while (!isDone) {
				if (isEmpty && filling.length === 0) {
					await this.#readable(what);
					this.#mustBeOpen(what);
					isEmpty = false;
				}
				if (!isEmpty) this.#fillAhead(free, filling);
				const { buffer, call } = filling.shift()!;
				const count = await this.#result(call, what);
				isEmpty = count === -EAGAIN;
				if (!isEmpty) {
					this.#fillAhead(free, filling);
					if (!buffer.eachMessage(count, message)) this.counters.malformed++;
				}
				free.push(buffer);
			}
		} finally {
			// at the end of the dump the calls that are still queued find nothing
			await this.#call;
		}
		if (errno !== 0) throw new NetlinkError(what, errno);
	}

	#fillAhead(free: DumpBuffer[], filling: Filling[]): void {
		while (filling.length < AHEAD && free.length > 0) {
			const buffer = free.pop()!;
			const call = this.#socket.receiveLater(buffer.wire, STRIDE, buffer.lengths);
			filling.push({ buffer, call });
			this.#call = call;
		}
	}

	/** What the call on another thread has returned, or -EAGAIN. @throws NetlinkError */
	async #result(call: Promise<number>, what: string): Promise<number> {
		const result = await call;
		this.#mustBeOpen(what);
		if (result < 0 && result !== -EAGAIN) throw new NetlinkError(what, -result);
		return result;
	}

	#mustBeOpen(what: string): void {
		if (this.#isClosed) throw new NetlinkError(what, EBADF);
	}

	/** Resolves when there is something to receive. */
	#readable(what: string): Promise<void> {
		return new Promise((resolve, reject) => {
			const cancel = this.#clock.after(SILENCE_MAX_MS, () => {
				this.#wake = () => {};
				reject(new NetlinkError(what, ETIMEDOUT));
			});
			this.#wake = () => {
				cancel();
				this.#wake = () => {};
				resolve();
			};
			this.#socket.resume();
		});
	}
}

/** A buffer that another thread fills, or will fill. */
interface Filling {
	buffer: DumpBuffer;
	call: Promise<number>;
}

/** Datagrams of a dump. */
class DumpBuffer {
	readonly wire = new WireBuffer(BATCH * STRIDE);
	readonly lengths = new Int32Array(BATCH);

	/** Calls back for each message of the first datagrams; false when one cannot be read to its end. */
	eachMessage(count: number, visit: (wire: WireBuffer, start: number, end: number) => void): boolean {
		let isWhole = true;
		for (let i = 0; i < count; i++) {
			const start = i * STRIDE;
			// of one that did not fit, the last message is cut
			const end = start + Math.min(this.lengths[i]!, STRIDE);
			if (!eachMessage(this.wire, start, end, (from, to) => visit(this.wire, from, to))) isWhole = false;
		}
		return isWhole;
	}
}

const EBADF = 9;
const ETIMEDOUT = 110;
