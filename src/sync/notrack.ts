// Mode NOTRACK: best effort. Every change is sent once, in the state that it has by then; nothing is acknowledged,
// nothing is sent again. A peer that comes into contact, or asks (-n), is sent everything, and drops what it held
// besides if no datagram of that was lost on the way (bulk-receipt.ts).
//
// The nodes compare their digests as in Mode FTFW, so that `-s` says what the losses have come to; they do not act on
// it. Over a link that loses nothing (TCP) the mode is reliable: whenever its connection has broken a bulk follows.
import { MODE, type ModeParts, type ReplicationMode } from "./mode.ts";
import { Passing } from "./passing.ts";

export const notrackMode: ReplicationMode = {
	id: MODE.NOTRACK,
	isAcknowledged: false,
	hasBulk: true,
	repairs: false,
};

export interface PassingOptions {
	/** See ReplicationMode. */
	dump: (done: (isComplete: boolean) => void) => void;
	/** Whether all entries have to stay for now: a commit works on them. */
	isHeld: () => boolean;
}

/** Mode NOTRACK with DisableInternalCache: conntracks are passed on and not kept. */
export class PassingNotrack implements ReplicationMode {
	readonly id = notrackMode.id;
	readonly isAcknowledged = notrackMode.isAcknowledged;
	readonly hasBulk = notrackMode.hasBulk;
	readonly repairs = notrackMode.repairs;
	readonly dump: PassingOptions["dump"];
	/** An entry is kept no longer, though the kernel has it still; the record is reused. */
	released: (record: Int32Array) => void = () => {};
	readonly #isHeld: () => boolean;
	#passing: Passing | undefined;

	constructor({ dump, isHeld }: PassingOptions) {
		this.dump = dump;
		this.#isHeld = isHeld;
	}

	/** Entries that have passed through. */
	get passed(): number {
		return this.#passing?.passed ?? 0;
	}

	tick({ internal, outgoing }: ModeParts, now: number): void {
		this.#passing ??= new Passing(internal[0], outgoing.dirty, this.#isHeld, (record) =>
			this.released(record),
		);
		this.#passing.tick(now);
	}
}
