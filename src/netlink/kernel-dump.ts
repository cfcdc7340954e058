// The kernel's tables, read whole: in slices, so that a million entries do not stop anything else.
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

/** The kernel fills datagrams of up to 32 KiB for a reader that offers 64. */
const STRIDE = 65_536;
/** Datagrams per call: about 600 entries, half a millisecond. */
const BATCH = 4;
/** The longest that a slice holds up the event loop, milliseconds. */
const SLICE_MS = 2;
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
	readonly #wire = new WireBuffer(BATCH * STRIDE);
	readonly #lengths = new Int32Array(BATCH);
	readonly #names: NameTable;
	readonly #labels: LabelMask;
	#sequence = 0;
	/** The kernel does one dump at a time per socket. */
	#last: Promise<unknown> = Promise.resolve();
	#wake: () => void = () => {};

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
		this.#socket.close();
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
		const sequence = ++this.#sequence;
		this.#writer.at = 0;
		request(sequence);
		const sent = this.#socket.send(this.#writer);
		if (sent < 0) throw new NetlinkError(what, -sent);
		let isDone = false;
		let errno = 0;
		const message = (start: number, end: number): void => {
			const wire = this.#wire;
			if (messageSequence(wire, start) !== sequence) return;
			const type = messageType(wire, start);
			if (type === C.NLMSG_DONE || type === C.NLMSG_ERROR) {
				isDone = true;
				errno = -messageError(wire, start);
			} else if (decoder.decode(wire, attributesOf(start), end, record)) visit(record);
			else this.counters.malformed++;
		};
		let sliceEnd = this.#clock.now() + SLICE_MS;
		while (!isDone) {
			const count = this.#socket.receive(this.#wire, STRIDE, this.#lengths);
			if (count === -EAGAIN) {
				await this.#readable(what);
				sliceEnd = this.#clock.now() + SLICE_MS;
				continue;
			}
			if (count < 0) throw new NetlinkError(what, -count);
			for (let i = 0; i < count; i++) {
				const start = i * STRIDE;
				if (!eachMessage(this.#wire, start, start + this.#lengths[i]!, message)) this.counters.malformed++;
			}
			if (this.#clock.now() >= sliceEnd && !isDone) {
				await this.#clock.pause();
				sliceEnd = this.#clock.now() + SLICE_MS;
			}
		}
		if (errno !== 0) throw new NetlinkError(what, errno);
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

const ETIMEDOUT = 110;
