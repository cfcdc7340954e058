// External cache -> kernel, connlabels: the labels that the operator allows, after the entries themselves are there.
//
// A creation that carries labels drops them in silence, where no rule of the namespace looks at labels; a change of them
// is refused then (ENOSPC). So each labelled entry is changed once more, and those that are refused can be counted. They are in the
// kernel all the same: labels cost nobody a connection.
import { allowsLabels, type LabelMask, NO_LABELS } from "../conntrack/labels.ts";
import type { NameTable } from "../conntrack/names.ts";
import { H_LABELS, HAS, newConntrackRecord } from "../conntrack/record.ts";
import { ConntrackEncoder } from "../netlink/encode-conntrack.ts";
import type { EntryReader } from "./gre-entry.ts";
import type { RequestSocket } from "./request-socket.ts";

const BATCH = 256;
const ENOSPC = 28;

export class LabelCommitter {
	readonly #requests: RequestSocket;
	readonly #encoder: ConntrackEncoder;
	readonly #record = newConntrackRecord();
	#mask: LabelMask = NO_LABELS;
	#batched = 0;
	#refused = 0;

	/** @param requests room for BATCH requests; its port is the one whose events are our own */
	constructor(requests: RequestSocket, names: NameTable) {
		this.#requests = requests;
		this.#encoder = new ConntrackEncoder(requests.writer, names);
	}

	begin(mask: LabelMask): void {
		this.#mask = mask;
	}

	/** Whether there is anything to do. */
	get isOn(): boolean {
		return allowsLabels(this.#mask);
	}

	/** Writes the labels of the entry in the slot, sooner or later; `finish` ends it. */
	add(reader: Pick<EntryReader, "read">, slot: number): void {
		if (!reader.read(slot, this.#record) || (this.#record[HAS]! & H_LABELS) === 0) return;
		this.#encoder.labels(this.#record, this.#requests.sequence(this.#batched++), this.#mask);
		if (this.#batched === BATCH) this.#flush();
	}

	/** How many entries are there without the labels that they should have. */
	finish(): number {
		this.#flush();
		const refused = this.#refused;
		this.#refused = 0;
		return refused;
	}

	#flush(): void {
		this.#batched = 0;
		this.#requests.exchange((_, errno) => {
			// ENOENT: the entry itself was refused, or has ended meanwhile
			if (errno === ENOSPC) this.#refused++;
		});
	}
}
