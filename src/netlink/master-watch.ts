// Learns the sequence adjustments of masters. A helper that changes the length of a segment (the address in a PORT
// command, behind NAT) shifts the connection's sequence numbers from then on. The kernel sends no event for it, so
// a master whose helper has just announced an expectation is asked for: at once, when the segment has been rewritten,
// and each second as long as it lives.
import {
	EXP_MASTER_DST,
	EXP_MASTER_PORTS,
	EXP_MASTER_PROTOCOLS,
	EXP_MASTER_SRC,
	EXP_ZONE,
} from "../conntrack/expectation-record.ts";
import type { NameTable } from "../conntrack/names.ts";
import {
	type ConntrackRecord,
	newConntrackRecord,
	ORIG_DST,
	ORIG_PORTS,
	ORIG_SRC,
	PROTOCOLS,
	ZONES,
} from "../conntrack/record.ts";
import type { Clock } from "../system/clock.ts";
import type { Native } from "../system/native.ts";
import { AttributeWriter, WireBuffer } from "./attribute.ts";
import { IPCTNL_MSG_CT_NEW, NFNL_SUBSYS_CTNETLINK, NLMSG_ERROR } from "./constants.ts";
import { ConntrackDecoder } from "./decode-conntrack.ts";
import { CONNTRACK_REQUEST_MAX, ConntrackEncoder } from "./encode-conntrack.ts";
import { attributesOf, eachMessage, messageSequence, messageType } from "./message.ts";
import { NetlinkSocket } from "./socket.ts";

/** Milliseconds after an expectation's event: the segment that it stands in is rewritten after the event is sent. */
const SOON_MS = [2, 50] as const;
const EVERY_MS = 1000;
/** Masters watched at a time; beyond it the oldest is given up, and learns at the next resync. */
const MASTERS_MAX = 4096;
const STRIDE = 4096;
const BATCH = 16;

export interface MasterWatchOptions {
	native: Native;
	clock: Clock;
	names: NameTable;
	/** A master as the kernel has it now; the record is reused. */
	found: (record: ConntrackRecord) => void;
	/** Everything that was asked for has been handed over. */
	batchEnd: () => void;
}

export class MasterWatch {
	/** Masters that were given up because there were too many. */
	dropped = 0;
	readonly #options: MasterWatchOptions;
	readonly #socket: NetlinkSocket;
	readonly #encoder: ConntrackEncoder;
	readonly #decoder: ConntrackDecoder;
	readonly #writer = new AttributeWriter(CONNTRACK_REQUEST_MAX * BATCH);
	readonly #wire = new WireBuffer(STRIDE * BATCH);
	readonly #lengths = new Int32Array(BATCH);
	readonly #record = newConntrackRecord();
	/** By the text of their key; in the order in which they were last announced. */
	readonly #masters = new Map<string, ConntrackRecord>();
	readonly #pending = new Set<() => void>();

	/** @throws Error with a line for the operator */
	constructor(options: MasterWatchOptions) {
		this.#options = options;
		this.#socket = new NetlinkSocket(options.native, { receiveBuffer: 1 << 20 });
		this.#encoder = new ConntrackEncoder(this.#writer, options.names);
		this.#decoder = new ConntrackDecoder(options.names);
		this.#later(EVERY_MS, () => this.#everySecond());
	}

	/** An expectation has been announced: its master may have changed, and may change again. */
	announced(expectation: Int32Array): void {
		const master = masterOf(expectation);
		const key = master.subarray(PROTOCOLS, ORIG_DST + 4).join();
		this.#masters.delete(key);
		this.#masters.set(key, master);
		if (this.#masters.size > MASTERS_MAX) {
			this.dropped++;
			this.#masters.delete(this.#masters.keys().next().value!);
		}
		this.#ask([key]);
		for (const milliseconds of SOON_MS) this.#later(milliseconds, () => this.#ask([key]));
	}

	close(): void {
		for (const cancel of this.#pending) cancel();
		this.#socket.close();
	}

	#everySecond(): void {
		this.#ask([...this.#masters.keys()]);
		this.#later(EVERY_MS, () => this.#everySecond());
	}

	#later(milliseconds: number, action: () => void): void {
		const cancel = this.#options.clock.after(milliseconds, () => {
			this.#pending.delete(cancel);
			action();
		});
		this.#pending.add(cancel);
	}

	/** Asks for these masters and takes the answers, which the kernel gives within the request. */
	#ask(keys: readonly string[]): void {
		for (let first = 0; first < keys.length; first += BATCH) {
			const batch = keys.slice(first, first + BATCH);
			this.#writer.at = 0;
			batch.forEach((key, i) => {
				const master = this.#masters.get(key);
				if (master) this.#encoder.get(master, i);
			});
			if (this.#writer.at === 0 || this.#socket.send(this.#writer) < 0) continue;
			this.#answers(batch);
		}
		this.#options.batchEnd();
	}

	#answers(batch: readonly string[]): void {
		for (;;) {
			const count = this.#socket.receive(this.#wire, STRIDE, this.#lengths);
			if (count <= 0) return;
			for (let i = 0; i < count; i++) {
				const start = i * STRIDE;
				eachMessage(this.#wire, start, start + Math.min(this.#lengths[i]!, STRIDE), (from, to) => {
					const type = messageType(this.#wire, from);
					// whoever is not there any more needs no watching
					if (type === NLMSG_ERROR) this.#masters.delete(batch[messageSequence(this.#wire, from)] ?? "");
					else if (
						type === ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW) &&
						this.#decoder.decode(this.#wire, attributesOf(from), to, this.#record)
					) {
						this.#options.found(this.#record);
					}
				});
			}
		}
	}
}

/** A record with the key of the expectation's master. */
function masterOf(expectation: Int32Array): ConntrackRecord {
	const master = newConntrackRecord();
	master[PROTOCOLS] = expectation[EXP_MASTER_PROTOCOLS]!;
	master[ZONES] = expectation[EXP_ZONE]! | (expectation[EXP_ZONE]! << 16);
	master[ORIG_PORTS] = expectation[EXP_MASTER_PORTS]!;
	for (let i = 0; i < 4; i++) {
		master[ORIG_SRC + i] = expectation[EXP_MASTER_SRC + i]!;
		master[ORIG_DST + i] = expectation[EXP_MASTER_DST + i]!;
	}
	return master;
}
